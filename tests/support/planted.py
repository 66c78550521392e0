"""Secrets planted in a test, and where they must not turn up."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path


def assert_nowhere(
    secrets: Iterable[str], *, texts: Mapping[str, str | bytes], folders: Iterable[Path] = ()
) -> None:
    """Fails if a secret is in a text, or in a file below a folder.

    Args:
        secrets: as planted.
        texts: what was printed or passed, by what it is.
        folders: everything below them is read, unpacked archives apart.
    """
    haystacks = {
        name: text.encode() if isinstance(text, str) else text for name, text in texts.items()
    }
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                haystacks[str(path)] = path.read_bytes()
    assert haystacks, "nothing was looked at"
    for secret in secrets:
        assert len(secret) >= 8, "too short to be looked for"
        # A key of several lines leaks by any of them.
        for line in re.findall(r"[^\n]{8,}", secret):
            if line.startswith("-----"):
                continue
            for name, data in haystacks.items():
                assert line.encode() not in data, f"a secret is in {name}"


def arguments_of(pid: int) -> str:
    """What every user can see of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def open_to_others(folder: Path) -> list[str]:
    """Files that every user can read, if the folders above let them."""
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO
    ]


def environment(**secrets: str) -> dict[str, str]:
    """This process's, without anything that looks like credentials, and with these."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "ARTIFACTORY_", "CONNECT_", "SITEWATCH_", "VH_"))
    }
    return {**own, "NO_PROXY": "*", **secrets}
