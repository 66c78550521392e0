"""What can be done from inside each unit, by trying: a probe runs in its program's place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import confinement_probe, rootfs
from tests.support.box import Box
from tests.support.installed import DEB, UNIT, install, is_active

HELD = "sitewatch-update@held.service"
"""Another unit of the updater's account, at work meanwhile and with a secret of its own."""
CREDENTIALS = "/etc/sitewatch/credentials"
DATA = "/var/lib/sitewatch"
STORE, OUTBOX, CAPTURES = f"{DATA}/models", f"{DATA}/outbox", f"{DATA}/captures"
OUTBOX_FILE = f"{OUTBOX}/outbox.sqlite3"
SECRETS = {
    f"{CREDENTIALS}/mqtt/password": "of the broker",
    f"{CREDENTIALS}/camera/login": "of the camera",
    f"{CREDENTIALS}/upload/sts.json": "of the bucket",
    f"{CREDENTIALS}/token": "of the models",
}
OTHERS = {"/root/notes": "of root", "/home/admin/notes": "of somebody"}
DEVICES = {
    "camera": "c 81 0",
    "kmsg": "c 1 11",
    "memory": "c 1 1",
    "disk": "b 7 0",
    "gpio": "c 254 0",
}
"""Nodes that any account may open, as far as their mode goes."""
BARE_NODES = {"/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero"}
SCRATCH = {"/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue"}
"""Each unit's own, and gone with it."""

REFUSED = {"EPERM", "EACCES"}


@dataclass(frozen=True, slots=True)
class Room:
    """What a unit needs, and so all that it may.

    Attributes:
        unit: its name.
        reads: of what is asked for.
        writes: below which folders, beside :data:`SCRATCH`.
        families: of addresses.
        calls: system calls that are done.
    """

    unit: str
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset({STORE})
    families: frozenset[str] = frozenset({"UNIX"})
    calls: frozenset[str] = frozenset()


INTERNET = frozenset({"UNIX", "INET", "INET6"})
ROOMS = (
    Room(
        UNIT,
        reads=frozenset(
            {
                f"/run/credentials/{UNIT}/mqtt_password",
                f"/run/credentials/{UNIT}/camera_login",
                OUTBOX,
                OUTBOX_FILE,
                CAPTURES,
            }
        ),
        writes=frozenset({OUTBOX, CAPTURES, "/run/sitewatch", "/var/cache/sitewatch"}),
        families=INTERNET | {"NETLINK"},
    ),
    Room("sitewatch-recover.service"),
    Room("sitewatch-probation.service"),
    # The self-test of a model gives up the network.
    Room(
        "sitewatch-update@probe.service",
        families=INTERNET,
        calls=frozenset({"unshare users", "unshare users and network"}),
    ),
    Room(
        "sitewatch-upload.service",
        reads=frozenset({"/run/credentials/sitewatch-upload.service/sts.json", CAPTURES}),
        writes=frozenset({STORE, CAPTURES}),
        families=INTERNET,
    ),
)


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of probing a unit."""

    room: Room
    found: dict[str, Any]


class House:
    """A box with the package at work, secrets, and things that nobody should open."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._probed: dict[str, Probed] = {}
        for path, secret in SECRETS.items():
            box.write(path, secret, mode=0o600)
        for path, secret in OTHERS.items():
            box.write(path, secret)
        box.run("chmod 755 /root /home/admin")
        box.write("/etc/sitewatch/upload.env", "BUCKET=pictures\nPREFIX=gate\n")
        install(box)
        box.run("install -m 4755 /usr/bin/id /srv/id")
        for name, node in DEVICES.items():
            box.run(f"mknod -m 666 /srv/{name} {node}")
        box.put(Path(confinement_probe.__file__), "/srv/probe.py")
        self._drop_in(
            HELD, "Type=exec", f"LoadCredential=token:{CREDENTIALS}/token", "ExecStart=sleep 1d"
        )
        box.run(f"systemctl start {HELD}")
        running = [
            f"/run/credentials/{UNIT}/mqtt_password",
            f"/run/credentials/{UNIT}/camera_login",
            f"/run/credentials/{HELD}/token",
            "/run/credentials/sitewatch-upload.service/sts.json",
        ]
        folders = [CREDENTIALS, OUTBOX, OUTBOX_FILE, CAPTURES, "/root", "/etc/shadow"]
        self._ask = {
            "setuid": "/srv/id",
            "secrets": [*SECRETS, *OTHERS, *running, *folders],
            "devices": [f"/srv/{name}" for name in DEVICES],
        }

    def probe(self, room: Room) -> Probed:
        """What the probe finds in a unit; asked once."""
        if room.unit not in self._probed:
            self._probed[room.unit] = Probed(room, self._run(room.unit))
        return self._probed[room.unit]

    def unconfined(self) -> dict[str, Any]:
        """What it finds as root, in a unit that nothing is said of."""
        self._box.write("/srv/ask.json", json.dumps(self._ask))
        run = "systemd-run --quiet --wait --pipe python3 -I /srv/probe.py /srv/ask.json"
        found: dict[str, Any] = json.loads(self._box.run(run).stdout)
        return found

    def _run(self, unit: str) -> dict[str, Any]:
        at_work = [self._box.property(each, "MainPID") for each in (UNIT, HELD)]
        inside = [f"/proc/{pid}/{name}" for pid in at_work for name in ("environ", "root", "maps")]
        ask = {**self._ask, "secrets": [*self._ask["secrets"], *inside]}
        self._box.write("/srv/ask.json", json.dumps(ask))
        drop_in = self._drop_in(
            unit,
            *("Type=oneshot", "Restart=no", "WatchdogSec=0", "StandardOutput=truncate:/run/found"),
            "ExecStart=/usr/bin/python3 -I /srv/probe.py /srv/ask.json",
        )
        self._box.run(f"systemctl restart {unit}")
        found: dict[str, Any] = json.loads(self._box.run("cat /run/found").stdout)
        self._box.run(f"rm {drop_in} && systemctl daemon-reload && systemctl restart {UNIT}")
        assert is_active(self._box)
        return found

    def _drop_in(self, unit: str, *lines: str) -> str:
        path = f"/etc/systemd/system/{unit}.d/90-probe.conf"
        self._box.write(path, "\n".join(("[Service]", "ExecStart=", *lines)) + "\n")
        self._box.run("systemctl daemon-reload")
        return path


@pytest.fixture(scope="module")
def house(
    suite: str, deb: Path, video: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    with Box(rootfs.debian(suite), folder) as box:
        box.put(deb, DEB)
        box.put(video, "/srv/site.mkv")
        box.write(
            "/etc/sitewatch/sitewatch.toml",
            '[source]\nkind = "file"\nlocation = "/srv/site.mkv"\n[mqtt]\nenabled = false\n',
        )
        yield House(box)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=ROOMS, ids=lambda room: room.unit.partition(".")[0])
def probed(house: House, request: pytest.FixtureRequest) -> Probed:
    return house.probe(request.param)


def test_the_probe_itself_can_do_all_of_it(house: House) -> None:
    """Or what follows would say nothing: as root, nothing that it tries is refused."""
    found = house.unconfined()
    assert not REFUSED & set(found["system calls"].values())
    assert found["account by a set-user-id program"] == "0"
    assert {"PACKET", "NETLINK"} <= set(found["families"])
    assert set(found["devices"]) == {f"/srv/{name}" for name in DEVICES}
    assert {*SECRETS, *OTHERS, f"/run/credentials/{UNIT}/mqtt_password"} <= set(found["readable"])
    assert {"/", "/etc", "/usr/bin", DATA, "/run"} <= set(found["writable"])


def test_secrets(probed: Probed) -> None:
    assert set(probed.found["readable"]) == probed.room.reads


def test_writing(probed: Probed) -> None:
    def is_own(path: str) -> bool:
        return any(path == each or path.startswith(f"{each}/") for each in own)

    own = probed.room.writes | SCRATCH
    # From systemd 254 on a unit may ask to be told of its own want of memory.
    pressure = f"/{probed.room.unit}/memory.pressure"
    found = {path for path in probed.found["writable"] if not path.endswith(pressure)}
    assert {path for path in found if not is_own(path)} == set()
    assert probed.room.writes <= found


def test_devices(probed: Probed) -> None:
    assert probed.found["devices"] == []
    assert {path for path in probed.found["nodes"] if "/pts/" not in path} - BARE_NODES <= {
        "/dev/tty"
    }


def test_privileges(probed: Probed) -> None:
    assert probed.found["own account"] != 0
    assert set(probed.found["capabilities"].values()) == {0}
    assert probed.found["no new privileges"] == "1"
    assert probed.found["account by a set-user-id program"] != "0"


def test_system_calls(probed: Probed) -> None:
    answers = probed.found["system calls"]
    assert probed.found["system calls filtered"] == "2"
    allowed = {name for name, answer in answers.items() if answer not in REFUSED}
    assert allowed == probed.room.calls


def test_networks(probed: Probed) -> None:
    assert set(probed.found["families"]) == probed.room.families


def test_other_processes(probed: Probed) -> None:
    assert probed.found["accounts"] == [probed.found["own account"]]
