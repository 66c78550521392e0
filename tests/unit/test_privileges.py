"""Which account is chosen; giving up rights itself is tested with real processes."""

from __future__ import annotations

import grp
import pwd

import pytest

from updater.errors import PrivilegeError
from updater.privileges import NOBODY_ID, Account, choose_account

UNKNOWN_ID = 54321
KNOWN = next(entry for entry in pwd.getpwall() if entry.pw_uid and entry.pw_gid)
GROUPS = {entry.gr_gid for entry in grp.getgrall() if KNOWN.pw_name in entry.gr_mem}
IT = Account(
    KNOWN.pw_name,
    KNOWN.pw_uid,
    KNOWN.pw_gid,
    KNOWN.pw_dir,
    tuple(sorted(GROUPS - {0, KNOWN.pw_gid})),
)


def test_the_account_that_is_named() -> None:
    account = choose_account(KNOWN.pw_name, UNKNOWN_ID, UNKNOWN_ID)
    assert account == IT


@pytest.mark.parametrize("name", ["no-such-account", None])
def test_the_owner_of_the_store(name: str | None) -> None:
    account = choose_account(name, KNOWN.pw_uid, 0)
    assert account == IT


@pytest.mark.parametrize(("gid", "becomes"), [(UNKNOWN_ID, UNKNOWN_ID), (0, NOBODY_ID)])
def test_an_owner_without_a_name_has_no_group_of_root(gid: int, becomes: int) -> None:
    assert choose_account(None, UNKNOWN_ID, gid) == Account(
        str(UNKNOWN_ID), UNKNOWN_ID, becomes, "/"
    )


def test_nobody_for_a_store_of_root() -> None:
    account = choose_account("no-such-account", 0, 0)
    assert account.name == "nobody"
    assert account.uid != 0


def test_root_is_refused_by_its_number() -> None:
    with pytest.raises(PrivilegeError, match=r"^user: the account 'root' is root, or of root's"):
        choose_account(pwd.getpwuid(0).pw_name, UNKNOWN_ID, UNKNOWN_ID)
