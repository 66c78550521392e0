"""Gives up root's rights, for good, before anything foreign is read.

Connect and people with ``sudo`` start the updater as root. What it then needs of root is little:
to see that the store belongs to an account without rights, and to open the files named on the
command line. After that a mistake in a parser is worth no more than that account.

The process works relative to the store from then on (its working directory), for the store may lie
below folders that the account cannot enter.
"""

from __future__ import annotations

import logging
import os
import pwd
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from updater import linux, ownership
from updater.errors import DISK_ERRORS, PrivilegeError, StorageError

log = logging.getLogger(__name__)

CODE = Path(__file__).resolve().parent.parent
"""The folder that holds the packages ``updater`` and ``daemon``."""

NOBODY = "nobody"
NOBODY_ID = 65534
"""Of the kernel, where the system has no account of that name (Documentation/admin-guide/sysctl:
``overflowuid``)."""

UMASK = 0o022
"""The daemon is another account and reads the store."""

MODULE_HINT = "Report this: the updater went on without reading anything"


@dataclass(frozen=True, slots=True)
class Account:
    """Who the process becomes.

    Attributes:
        name: of the account; its number where it has none.
        uid: its number.
        gid: its own group.
        home: its home folder, which need not exist.
        groups: others that it belongs to, as after a login. The daemon's group is one: its members
            may read and mark pictures.
    """

    name: str
    uid: int
    gid: int
    home: str
    groups: tuple[int, ...] = ()


def give_up(user: str | None, *, store: Path | None) -> Path:
    """Becomes an account without rights, and makes the store its own and the working directory.

    Started by root, the process becomes ``user``; where there is no such account, the store's
    owner; where that is root too, ``nobody``. The store is made if it is missing, and what root
    owns in it is handed over. Started by anybody else, it only forbids itself new rights.

    Where the account cannot read this very code (a checkout below a closed home folder), one
    capability is kept, to read and search all files, with a warning. An installed system's code
    can be read by all, so there it is never kept.

    Args:
        user: name of the account, None for the store's owner or ``nobody``.
        store: its folder; None for a command that has nothing to do with one.

    Returns:
        The store's path from now on: ``.`` where the working directory was changed, or where there
        is none.

    Raises:
        PrivilegeError: not everything could be given up, the account is root, or the store belongs
            to a third one. Nothing else may be done then.
        StorageError: the disk refuses, so there is no store to work on.
    """
    if os.geteuid() != 0:
        _become_nothing_more()
        return store or Path()
    os.umask(UMASK)
    try:
        if (threads := linux.process_status()["Threads"]) != "1":
            raise PrivilegeError(f"{threads} threads run, and each has rights of its own")
        account = choose_account(user, 0, 0) if store is None else _enter(user, store)
    except OSError as error:
        kind = StorageError if error.errno in DISK_ERRORS else PrivilegeError
        raise kind(
            f"the store cannot be made or handed over: {error.strerror}", where=str(store)
        ) from error
    kept = 0 if _can_run_as(account) else _capability_for_checkout(account)
    _become(account, kept)
    if store is not None:
        _check_store(account, store)
    return Path()


def choose_account(user: str | None, owner_uid: int, owner_gid: int) -> Account:
    """The account to become: the one named if it exists, the store's owner, or ``nobody``.

    Args:
        user: the name asked for.
        owner_uid: of the store.
        owner_gid: of the store.

    Raises:
        PrivilegeError: the account has root's rights by its number or its group.
    """
    account = _named(user) if user is not None else None
    if account is None and owner_uid != 0:
        account = _numbered(owner_uid, owner_gid)
    account = account or _named(NOBODY) or Account(NOBODY, NOBODY_ID, NOBODY_ID, "/")
    if account.uid == 0 or account.gid == 0:
        raise PrivilegeError(
            f"the account '{account.name}' is root, or of root's group",
            where="user",
            hint="Name another one: what parses bundles never runs as root",
        )
    return account


def _enter(user: str | None, store: Path) -> Account:
    """Makes the store the account's own, and the working directory."""
    folder = ownership.open_folder(store)
    try:
        status = os.fstat(folder)
        account = choose_account(user, status.st_uid, status.st_gid)
        ownership.hand_over(folder, account.uid, account.gid)
        os.fchdir(folder)
    finally:
        os.close(folder)
    return account


def _named(name: str) -> Account | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    others = set(os.getgrouplist(name, found.pw_gid)) - {0, found.pw_gid}
    return Account(name, found.pw_uid, found.pw_gid, found.pw_dir, tuple(sorted(others)))


def _numbered(uid: int, gid: int) -> Account:
    try:
        found = pwd.getpwuid(uid)
    except KeyError:
        return Account(str(uid), uid, gid or NOBODY_ID, "/")
    return _named(found.pw_name) or Account(found.pw_name, uid, found.pw_gid, found.pw_dir)


def _become_nothing_more() -> None:
    if os.getuid() != os.geteuid() or os.getgid() != os.getegid():
        raise PrivilegeError(
            "this program was started with another account's rights",
            hint="Remove its set-user-ID and set-group-ID bits",
        )
    try:
        linux.forbid_new_privileges()
        if linux.process_status()["NoNewPrivs"] != "1":
            raise PrivilegeError("new rights are not forbidden", hint=MODULE_HINT)
    except OSError as error:
        raise PrivilegeError(f"new rights cannot be forbidden: {error.strerror}") from error


def _become(account: Account, kept: int) -> None:
    """Changes the account and gives up what root has besides; verified by the kernel's own word.

    Args:
        account: to become.
        kept: mask of the capabilities that stay.
    """
    try:
        if kept:
            linux.keep_capabilities_over_setuid()
        os.setgroups(account.groups)
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)
        linux.set_capabilities(kept)
        linux.forbid_new_privileges()
        wrong = list(_not_given_up(account, kept))
    except OSError as error:
        raise PrivilegeError(
            f"root's rights cannot be given up for '{account.name}': {error.strerror}",
            hint="In a container it needs the capabilities SETUID and SETGID",
        ) from error
    if wrong:
        raise PrivilegeError(f"root's rights are still there: {', '.join(wrong)}", hint=MODULE_HINT)
    # Libraries look for settings and passwords there; root's are none of this account's business.
    os.environ.update(HOME=account.home, USER=account.name, LOGNAME=account.name)


def _not_given_up(account: Account, kept: int) -> Iterator[str]:
    """What is not as it should be, as ``/proc/self/status`` has it."""
    status = linux.process_status()
    for field, number in (("Uid", account.uid), ("Gid", account.gid)):
        if status[field].split() != [str(number)] * 4:
            yield f"{field} {status[field]}"
    if sorted(map(int, status["Groups"].split())) != list(account.groups):
        yield f"Groups {status['Groups']}"
    for field in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        if int(status[field], 16) != kept:
            yield f"{field} {status[field]}"
    if status["NoNewPrivs"] != "1":
        yield "NoNewPrivs 0"
    try:
        os.setresuid(0, 0, 0)
    except PermissionError:
        return
    yield "root can be had again"


def _can_run_as(account: Account) -> bool:
    """Whether an account can read the interpreter and the code, tried by a process that is it."""
    wanted = [Path(sys.executable), Path(os.__file__), Path(__file__), *map(Path, sys.path)]
    there = [path for path in wanted if path.is_absolute() and path.exists()]
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _become(account, 0)
            readable = (os.access(path, os.R_OK | os.X_OK * path.is_dir()) for path in there)
            code = 0 if all(readable) else 1
        finally:
            os._exit(code)  # whatever happened: a forked copy must not go on
    _, status = os.waitpid(child, 0)
    return status == 0


def _capability_for_checkout(account: Account) -> int:
    if not (CODE / "setup.cfg").is_file():
        raise PrivilegeError(
            f"'{account.name}' cannot read the program's own files",
            where=str(CODE),
            hint="Install the package again: its files must be readable by all",
        )
    log.warning(
        "warning: '%s' cannot read this checkout or its Python (%s), so the right to read all "
        "files is kept; an installed system never does that",
        account.name,
        sys.executable,
    )
    return 1 << linux.CAP_DAC_READ_SEARCH


def _check_store(account: Account, store: Path) -> None:
    """A store of a third account is refused; a full or read-only one is for others to report."""
    found = os.stat(".")  # noqa: PTH116 - the folder that was opened, whatever its path says now
    if found.st_uid != account.uid and not os.access(".", os.W_OK):
        raise PrivilegeError(
            f"it belongs to {_numbered(found.st_uid, found.st_gid).name}, and '{account.name}' "
            "cannot write there",
            where=str(store),
            hint=f"Give it over: chown -R {account.name} {store}",
        )
