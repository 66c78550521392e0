from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.errors import StorageError
from updater.fetch import cleanup, record
from updater.fetch.cleanup import Download, superfluous
from updater.fetch.record import NOTHING, Record
from updater.fetch.resume import Version


def key(number: int) -> str:
    return f"{number:024x}"


def keys(found: tuple[Download, ...]) -> list[str]:
    return [entry.key for entry in found]


def test_the_newest_stay() -> None:
    found = [Download(key(n), f"https://host/{n}", 10, float(n)) for n in range(4)]
    assert keys(superfluous(found, keep=2, max_bytes=100)) == [key(1), key(0)]
    assert keys(superfluous(found, keep=4, max_bytes=25)) == [key(1), key(0)]
    assert keys(superfluous(found, keep=4, max_bytes=0)) == [key(2), key(1), key(0)]
    assert len(superfluous(found, keep=0, max_bytes=100)) == 4


def test_one_of_each_source_stays() -> None:
    found = [Download(key(n), "https://host/x", 10, float(n)) for n in range(3)]
    assert keys(superfluous(found, keep=9, max_bytes=100)) == [key(1), key(0)]


def test_what_has_no_record_goes() -> None:
    assert keys(superfluous([Download(key(1), "", 1, 9.0)], keep=9, max_bytes=9)) == [key(1)]


def test_what_is_spared_stays_and_counts() -> None:
    found = [Download(key(n), f"https://host/{n}", 10, float(n)) for n in range(3)]
    assert keys(superfluous(found, keep=1, max_bytes=100, spare=(key(0),))) == [key(2), key(1)]
    assert keys(superfluous(found, keep=2, max_bytes=100, spare=(key(9),))) == [key(1), key(0)]


@given(
    found=st.lists(
        st.builds(
            Download,
            key=st.integers(0, 30).map(key),
            source=st.sampled_from(["", "a", "b", "c", "d"]),
            size_bytes=st.integers(0, 100),
            changed_unix_s=st.floats(0, 1e9),
        ),
        unique_by=lambda entry: entry.key,
    ),
    keep=st.integers(0, 5),
    max_bytes=st.integers(0, 300),
)
def test_what_stays_is_bounded(found: list[Download], keep: int, max_bytes: int) -> None:
    going = superfluous(found, keep=keep, max_bytes=max_bytes)
    staying = [entry for entry in found if entry not in going]
    assert len(staying) <= keep
    assert len({entry.source for entry in staying}) == len(staying)
    assert len(staying) <= 1 or sum(entry.size_bytes for entry in staying) <= max_bytes


def write(folder: Path, number: int, suffix: str = ".part") -> None:
    known = Record(f"https://host/{number}", Version(), NOTHING, "boot")
    (folder / f"{key(number)}.json").write_bytes(record.to_json(known))
    path = folder / f"{key(number)}{suffix}"
    path.write_bytes(b"x" * 100)
    for file in folder.glob(f"{key(number)}.*"):
        os.utime(file, (1e9 + number, 1e9 + number))


def test_files_go_with_their_records(tmp_path: Path) -> None:
    write(tmp_path, 1)
    write(tmp_path, 2, ".zip")
    write(tmp_path, 3)
    (tmp_path / f"{key(7)}.part").write_bytes(b"no record")
    (tmp_path / f"{key(8)}.json").write_bytes(b"no file, and damaged")
    (tmp_path / f".{key(3)}.json.abc123").write_bytes(b"left by a kill")
    (tmp_path / f".{key(9)}.json.abc123").write_bytes(b"left by a kill")
    (tmp_path / "somebody-else.txt").write_bytes(b"not ours")
    removed = cleanup(tmp_path, 2)
    assert set(removed) == {key(1), key(7), key(8), key(9)}
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{key(2)}.zip",
        f"{key(2)}.json",
        f"{key(3)}.part",
        f"{key(3)}.json",
        "somebody-else.txt",
    }
    assert set(cleanup(tmp_path, 0)) == {key(2), key(3)}


@pytest.mark.parametrize("suffix", [".part", ".zip"])
def test_what_is_in_use_stays(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, 1, suffix)
    with (tmp_path / f"{key(1)}{suffix}").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert cleanup(tmp_path, 0) == ()
    assert cleanup(tmp_path, 0) == (key(1),)


def test_no_folder(tmp_path: Path) -> None:
    assert cleanup(tmp_path / "absent", 0) == ()


def test_a_file_that_cannot_go(tmp_path: Path) -> None:
    (tmp_path / f"{key(1)}.json").mkdir()
    with pytest.raises(StorageError, match="old downloads cannot be removed"):
        cleanup(tmp_path, 0)
