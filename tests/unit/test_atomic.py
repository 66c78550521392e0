"""Atomic replacement of a file."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from updater.atomic import write_atomically
from updater.errors import StorageError


@pytest.mark.parametrize("durable", [True, False])
def test_the_new_content_replaces_the_old(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "status.json"
    write_atomically(path, b"old", durable=durable)
    write_atomically(path, b"new", durable=durable, mode=0o600)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_a_relative_path_is_never_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absolute, it may lead through folders that are closed to this account."""

    def closed(path: object) -> str:
        raise AssertionError(f"{path} is made absolute")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.path.abspath", closed)
    monkeypatch.setattr("os.getcwd", closed)
    write_atomically(Path("status.json"), b"new")
    assert Path("status.json").read_bytes() == b"new"


def test_a_missing_folder_is_a_storage_error(tmp_path: Path) -> None:
    path = tmp_path / "none" / "status.json"
    with pytest.raises(StorageError, match="cannot be written: No such file") as caught:
        write_atomically(path, b"x")
    assert caught.value.where == str(path)


def test_a_write_that_fails_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    """The kernel refuses the write (RLIMIT_FSIZE), as it does on a full disk."""
    path = tmp_path / "status.json"
    path.write_bytes(b"old")
    code = (
        "import signal, sys; from pathlib import Path\n"
        "from updater.atomic import write_atomically\n"
        "from updater.errors import StorageError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try: write_atomically(Path(sys.argv[1]), b'n' * 100_000)\n"
        "except StorageError as error: print(error); sys.exit(8)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert done.returncode == 8, done.stderr
    assert "cannot be written: File too large" in done.stdout
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]
