"""Root's rights given up by real processes, which then try to do what only root may.

The tests that begin as root need root and are skipped elsewhere; those on what everybody else may
do run for everybody.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import rights
from tests.support.rights import NOBODY_ID

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")

THIRD_ID = 54321
"""An account that this machine does not have."""

GIVE_UP = """
import json, os, sys
from pathlib import Path
from updater import privileges
from updater.errors import SitewatchError

user, store, *more = sys.argv[1:]
try:
    place = privileges.give_up(user or None, store=Path(store))
except SitewatchError as error:
    sys.exit(f"{error.exit_code}: {error}")
"""

TELL = """
def refused(action):
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return "done"

def leave(name, text):
    (place / name).write_text(text)
    return (place / name).read_text()

print(json.dumps({
    "place": str(place),
    "status": {key: value for key, _, value in (
        line.partition(":") for line in open("/proc/self/status").read().splitlines())},
    "read": refused(lambda: open(more[0]).read()),
    "write": refused(lambda: open("/etc/sitewatch-was-here", "w")),
    "append": refused(lambda: open(more[0], "a")),
    "setuid": refused(lambda: os.setuid(0)),
    "seteuid": refused(lambda: os.seteuid(0)),
    "setgid": refused(lambda: os.setgid(0)),
    "setgroups": refused(lambda: os.setgroups([0])),
    "chown": refused(lambda: os.chown(more[0], os.getuid(), -1)),
    "chroot": refused(lambda: os.chroot("/")),
    "mine": leave("mine", "text"),
    "names": sorted(os.listdir(place)),
    "umask": os.umask(0),
    "home": os.environ.get("HOME"),
    "child": [line.split()[1] for line in os.popen("cat /proc/self/status").read().splitlines()
              if line.startswith(("Uid:", "CapEff:", "NoNewPrivs:"))],
    "setuid_program": os.popen(more[1]).read().strip() if more[1:] else "",
}))
"""

NOTHING = "0000000000000000"
READ_ALL = "0000000000000004"


@pytest.fixture(scope="module")
def python() -> str:
    found = rights.public_python()
    if found is None:
        pytest.skip("no Python here can be run by an account without rights")
    return found


@pytest.fixture(scope="module")
def code() -> Iterator[Path]:
    with rights.installed_copy() as folder:
        yield folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("root's own")
    path.chmod(0o600)
    return path


@needs_root
def test_nothing_of_root_is_left(python: str, code: Path, tmp_path: Path, secret: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    store = closed / "state" / "models"

    done = rights.run(python, GIVE_UP + TELL, "nobody", store, secret, path=code)

    told = json.loads(done.stdout)
    status = {key: value.split() for key, value in told["status"].items()}
    assert status["Uid"] == status["Gid"] == [str(NOBODY_ID)] * 4
    assert status["Groups"] == []
    assert status["CapInh"] == status["CapPrm"] == status["CapEff"] == status["CapAmb"] == [NOTHING]
    assert status["NoNewPrivs"] == ["1"]
    assert done.stderr == ""
    refusals = ("read", "write", "append", "setuid", "seteuid", "setgid", "setgroups", "chown",
                "chroot")  # fmt: skip
    assert {name: told[name] for name in refusals} == dict.fromkeys(refusals, "PermissionError")
    assert told["child"] == [str(NOBODY_ID), NOTHING, "1"]
    # The store lies below a folder that this account cannot enter, and is used all the same.
    assert told["place"] == "."
    assert told["mine"] == "text"
    assert told["names"] == ["mine"]
    assert told["umask"] == 0o022
    assert told["home"] != "/root"
    assert (store / "mine").stat().st_uid == NOBODY_ID
    assert (store.parent.stat().st_uid, store.stat().st_uid) == (0, NOBODY_ID)
    assert stat.S_IMODE(store.stat().st_mode) == 0o755


@needs_root
def test_a_set_user_id_program_gives_nothing_back(
    python: str, code: Path, tmp_path: Path, secret: Path
) -> None:
    program = code / "id"  # where everybody can reach it
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    as_nobody = subprocess.run(
        [program, "-u"], user=NOBODY_ID, group=NOBODY_ID, extra_groups=[], capture_output=True,
        text=True, check=True, cwd="/",
    )  # fmt: skip
    if as_nobody.stdout.strip() != "0":
        pytest.skip("set-user-ID bits are without effect on this file system (nosuid)")

    done = rights.run(
        python, GIVE_UP + TELL, "nobody", tmp_path / "store", secret, f"{program} -u", path=code
    )

    assert json.loads(done.stdout)["setuid_program"] == str(NOBODY_ID)


@needs_root
def test_a_checkout_that_others_cannot_read_keeps_the_right_to_read(
    python: str, code: Path, tmp_path: Path, secret: Path
) -> None:
    checkout = tmp_path / "checkout"  # pytest's folder is closed to others
    shutil.copytree(code / "updater", checkout / "updater")
    (checkout / "setup.cfg").touch()
    more = "print(open(more[0]).read(), os.popen('cat ' + more[0]).read())"

    done = rights.run(
        python, GIVE_UP + TELL + more, "nobody", tmp_path / "store", secret, path=checkout
    )

    lines = done.stdout.splitlines()
    told = json.loads(lines[0])
    assert lines[1] == "root's own root's own"
    assert [told["status"][name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == (
        [READ_ALL] * 4
    )
    assert told["child"] == [str(NOBODY_ID), READ_ALL, "1"]
    assert told["read"] == "done"
    refusals = ("write", "append", "setuid", "seteuid", "setgid", "setgroups", "chown", "chroot")
    assert {name: told[name] for name in refusals} == dict.fromkeys(refusals, "PermissionError")
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("warning: 'nobody' cannot read this checkout or its Python")


@needs_root
def test_an_installed_program_that_others_cannot_read_does_not_run(
    python: str, code: Path, tmp_path: Path, secret: Path
) -> None:
    closed = tmp_path / "closed"
    shutil.copytree(code / "updater", closed / "updater")

    done = rights.run(
        python, GIVE_UP + TELL, "nobody", tmp_path / "store", secret, path=closed, check=False
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"15: {closed}: 'nobody' cannot read the program's own files. "
        "Install the package again: its files must be readable by all\n"
    )


@needs_root
@pytest.mark.parametrize(
    ("user", "owner", "becomes"),
    [
        ("", 0, NOBODY_ID),
        ("", THIRD_ID, THIRD_ID),
        ("no-such-account", THIRD_ID, THIRD_ID),
        ("no-such-account", 0, NOBODY_ID),
        ("nobody", 0, NOBODY_ID),
    ],
)
def test_who_the_process_becomes(
    python: str, code: Path, tmp_path: Path, user: str, owner: int, becomes: int
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    os.chown(store, owner, owner)
    tell = "print(os.getuid(), os.getgid())"

    done = rights.run(python, GIVE_UP + tell, user, store, path=code)

    assert done.stdout.split() == [str(becomes)] * 2
    assert store.stat().st_uid == becomes


@needs_root
def test_the_groups_are_the_accounts_own(python: str, code: Path, tmp_path: Path) -> None:
    """As after a login, but never root's; the groups are made up, for a test adds no accounts."""
    before = """
import os
os.getgrouplist = lambda name, gid: [gid, 0, 54323, 54322]
os.setgroups([0, 4, 20])
"""
    tell = "print(os.getuid(), os.getgid(), sorted(os.getgroups()))"
    done = rights.run(python, before + GIVE_UP + tell, "nobody", tmp_path / "store", path=code)
    assert done.stdout.strip() == f"{NOBODY_ID} {NOBODY_ID} [54322, 54323]"


@needs_root
def test_without_a_store_the_working_directory_stays(python: str, code: Path) -> None:
    give_up = GIVE_UP.replace("store=Path(store)", "store=None")
    done = rights.run(
        python, give_up + "print(place, os.getcwd(), os.getuid())", "nobody", "", path=code
    )
    assert done.stdout.split() == [".", "/", str(NOBODY_ID)]


@needs_root
@pytest.mark.parametrize(
    ("before", "user", "owner", "message"),
    [
        ("", "root", 0, "15: user: the account 'root' is root, or of root's group. Name another "
         "one: what parses bundles never runs as root"),
        ("", "nobody", THIRD_ID, "15: {store}: it belongs to 54321, and 'nobody' cannot write "
         "there. Give it over: chown -R nobody {store}"),
        ("import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
         "nobody", 0, "15: 2 threads run, and each has rights of its own"),
    ],
)  # fmt: skip
def test_what_is_refused(
    python: str, code: Path, tmp_path: Path, before: str, user: str, owner: int, message: str
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    os.chown(store, owner, owner)

    done = rights.run(python, before + GIVE_UP, user, store, path=code, check=False)

    assert done.returncode == 1
    assert done.stderr.strip() == message.format(store=store)


@needs_root
def test_what_root_left_in_the_store_is_handed_over_and_nothing_else(
    python: str, code: Path, tmp_path: Path, secret: Path
) -> None:
    store = tmp_path / "store"
    release = store / "releases" / "1.0-abc"
    release.mkdir(parents=True)
    (release / "model.tflite").write_bytes(b"model")
    (store / "journal.json").write_text("{}")
    (store / "current").symlink_to("releases/1.0-abc")
    (store / "link").symlink_to(secret)
    (store / "folder").symlink_to(secret.parent)
    os.link(secret, store / "second-name")
    os.mkfifo(store / "pipe")
    (store / "foreign").write_text("")
    os.chown(store / "foreign", THIRD_ID, THIRD_ID)

    rights.run(python, GIVE_UP, "nobody", store, path=code)

    owners = {
        str(path.relative_to(store)): path.lstat().st_uid for path in sorted(store.rglob("*"))
    }
    assert owners == {
        "current": 0,
        "folder": 0,
        "foreign": THIRD_ID,
        "journal.json": NOBODY_ID,
        "link": 0,
        "pipe": 0,
        "releases": NOBODY_ID,
        "releases/1.0-abc": NOBODY_ID,
        "releases/1.0-abc/model.tflite": NOBODY_ID,
        "second-name": 0,
    }
    assert secret.stat().st_uid == secret.parent.stat().st_uid == 0


@needs_root
def test_a_link_of_root_is_followed_and_no_other(python: str, code: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "roots").symlink_to("disk")
    (tmp_path / "others").symlink_to("/etc")
    os.chown(tmp_path / "others", THIRD_ID, THIRD_ID, follow_symlinks=False)

    rights.run(python, GIVE_UP, "nobody", tmp_path / "roots" / "models", path=code)
    others = tmp_path / "others" / "models"
    done = rights.run(python, GIVE_UP, "nobody", others, path=code, check=False)

    assert (tmp_path / "disk" / "models").stat().st_uid == NOBODY_ID
    assert not Path("/etc/models").exists()
    assert done.stderr.strip() == (
        f"15: {others}: the store cannot be made or handed over: "
        "the link 'others' on the way to it is not root's"
    )


def test_an_account_without_rights_only_forbids_itself_new_ones(python: str, code: Path) -> None:
    tell = """
status = open("/proc/self/status").read()
print(json.dumps([str(place), os.getcwd(), os.getuid(), "NoNewPrivs:\\t1" in status]))
"""
    store = "/var/lib/no-such-store"
    user = NOBODY_ID if os.geteuid() == 0 else None

    done = rights.run(python, GIVE_UP + tell, "somebody", store, path=code, user=user)

    told: list[Any] = json.loads(done.stdout)
    assert told == [store, "/", user or os.getuid(), True]


def test_this_interpreter_gives_up_its_rights_too(tmp_path: Path, project_root: Path) -> None:
    """In a checkout as it lies here: with a capability kept, or without, or without root at all."""
    tell = """
status = open("/proc/self/status").read()
import statistics  # found after the change of account
print(json.dumps([os.geteuid(), "NoNewPrivs:\\t1" in status, os.access("/etc", os.W_OK)]))
"""
    done = rights.run(sys.executable, GIVE_UP + tell, "nobody", tmp_path / "s", path=project_root)
    uid = NOBODY_ID if os.geteuid() == 0 else os.geteuid()
    assert json.loads(done.stdout) == [uid, True, False]
