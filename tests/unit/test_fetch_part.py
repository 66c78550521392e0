from __future__ import annotations

import errno
import hashlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from updater.errors import BusyError, StorageError
from updater.fetch import part as parts
from updater.fetch import record
from updater.fetch.part import Part
from updater.fetch.record import Record
from updater.fetch.resume import Checkpoint, Version

KEY = "0123456789abcdef01234567"
BOOT, NEXT_BOOT = "boot-1", "boot-2"
CHECKPOINT_EVERY_BYTES = 128 * 1024
CLOSING_CHECKPOINT_BYTES = 16 * 1024
CONTENT = random.Random(1).randbytes(192 * 1024)
VERSION = Version('"v1"', "", len(CONTENT))


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    """Checkpoints 64 times as often, so that kilobytes show what megabytes would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "CHECKPOINT_EVERY_BYTES", CHECKPOINT_EVERY_BYTES)
        patch.setattr(parts, "CLOSING_CHECKPOINT_BYTES", CLOSING_CHECKPOINT_BYTES)
        patch.setattr(parts, "CHUNK_BYTES", 4096)
        yield


def opened(folder: Path, boot_id: str = BOOT) -> Part:
    return Part(folder, KEY, source="https://host/x", boot_id=boot_id)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def receive(folder: Path, count: int, version: Version = VERSION) -> None:
    with opened(folder) as part:
        part.begin(version)
        for start in range(0, count, parts.CHUNK_BYTES):
            part.write(CONTENT[start : min(count, start + parts.CHUNK_BYTES)])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    receive(tmp_path, 10_000)
    with opened(tmp_path) as part:
        assert (part.held_bytes, part.version, part.resumed) == (10_000, VERSION, True)
        part.write(CONTENT[10_000:])
        assert part.is_whole
        assert part.sha256 == sha256(CONTENT)
        path = part.finish()
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == {f"{KEY}.zip", f"{KEY}.json"}


def test_what_is_whole_is_taken_up_without_a_write(tmp_path: Path) -> None:
    receive(tmp_path, len(CONTENT))
    with opened(tmp_path) as part:
        part.finish()
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    with opened(tmp_path, NEXT_BOOT) as part:
        assert part.is_whole and part.sha256 == sha256(CONTENT)
        assert part.finish() == tmp_path / f"{KEY}.zip"
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_another_version_begins_anew(tmp_path: Path) -> None:
    receive(tmp_path, len(CONTENT))
    with opened(tmp_path) as part:
        part.finish()
    with opened(tmp_path) as part:
        part.begin(Version('"v2"', "", 3))
        assert part.held_bytes == 0 and not part.resumed
        part.write(b"abc")
        part.finish()
    assert (tmp_path / f"{KEY}.zip").read_bytes() == b"abc"


def test_the_sidecar_is_written_before_the_first_byte(tmp_path: Path) -> None:
    with opened(tmp_path) as part:
        part.begin(VERSION)
        found = record.read(tmp_path / f"{KEY}.json")
        assert found == Record("https://host/x", VERSION, record.NOTHING, BOOT)
        assert (tmp_path / f"{KEY}.part").stat().st_size == 0


def test_nothing_is_left_of_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as part:
        part.begin(VERSION)
    assert names(tmp_path) == set()


def test_checkpoints_are_rare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fdatasync

    def counted(descriptor: int) -> None:
        synced.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", counted)
    receive(tmp_path, len(CONTENT))
    assert len(synced) == 2, "one on the way, one at the end"


# ---------------------------------------------------------------- after a power cut


def checkpoint_of(folder: Path) -> Checkpoint:
    return record.read(folder / f"{KEY}.json").checkpoint


def test_after_another_boot_the_checkpoint_counts(tmp_path: Path) -> None:
    receive(tmp_path, CHECKPOINT_EVERY_BYTES + 10_000)
    synced = checkpoint_of(tmp_path).length_bytes
    assert synced == CHECKPOINT_EVERY_BYTES
    with opened(tmp_path, NEXT_BOOT) as part:
        assert part.held_bytes == synced
        assert part.sha256 == sha256(CONTENT[:synced])


def test_zeros_behind_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    receive(tmp_path, CHECKPOINT_EVERY_BYTES + 10_000)
    path = tmp_path / f"{KEY}.part"
    with path.open("r+b") as file:
        file.seek(CHECKPOINT_EVERY_BYTES)
        file.write(bytes(10_000))
    with opened(tmp_path, NEXT_BOOT) as part:
        assert part.held_bytes == CHECKPOINT_EVERY_BYTES
        part.write(CONTENT[CHECKPOINT_EVERY_BYTES:])
        assert part.sha256 == sha256(CONTENT)
        assert part.finish().read_bytes() == CONTENT


def test_damage_before_the_checkpoint_drops_all(tmp_path: Path) -> None:
    receive(tmp_path, CHECKPOINT_EVERY_BYTES + 10_000)
    path = tmp_path / f"{KEY}.part"
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))
    for boot in (BOOT, NEXT_BOOT):
        with opened(tmp_path, boot) as part:
            assert part.held_bytes == 0
            assert part.sha256 == sha256(b"")
            if boot == NEXT_BOOT:
                break
            # Kept as it was found, for the next look.
            os.link(path, tmp_path / "kept")
        (tmp_path / "kept").rename(path)


def test_no_boot_id_counts_as_another_boot(tmp_path: Path) -> None:
    with opened(tmp_path, "") as part:
        part.begin(VERSION)
        part.write(CONTENT[:10_000])
    with opened(tmp_path, "") as part:
        assert part.held_bytes == 0


@settings(max_examples=60, deadline=None)
@given(
    received=st.integers(1, len(CONTENT)),
    found=st.integers(0, len(CONTENT)),
    zeroed_from=st.integers(0, len(CONTENT)),
    sidecar=st.sampled_from(["kept", "lost", "empty", "garbage", "halved"]),
)
def test_whatever_a_power_cut_leaves_is_never_taken_for_more(
    tmp_path_factory: pytest.TempPathFactory,
    received: int,
    found: int,
    zeroed_from: int,
    sidecar: str,
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    receive(folder, received)
    path, json_path = folder / f"{KEY}.part", folder / f"{KEY}.json"
    synced = checkpoint_of(folder).length_bytes
    # What is behind the checkpoint may have any length and content; what is before it is there.
    left = bytearray(CONTENT[:received])
    zeroed = max(synced, zeroed_from)
    left[zeroed:] = bytes(max(0, len(left) - zeroed))
    path.write_bytes(left[: max(synced, found)])
    data = json_path.read_bytes()
    if sidecar == "lost":
        json_path.unlink()
    elif sidecar != "kept":
        json_path.write_bytes({"empty": b"", "garbage": b"\xff\x00", "halved": data[:50]}[sidecar])
    with opened(folder, NEXT_BOOT) as part:
        assert part.held_bytes == (synced if sidecar == "kept" else 0)
        assert part.sha256 == sha256(CONTENT[: part.held_bytes])


# ---------------------------------------------------------------- others, and the disk


def test_two_at_work_on_one_download(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(BusyError, match="another process is downloading this"):
        opened(tmp_path)
    with opened(tmp_path) as part:
        part.begin(VERSION)
        part.write(b"x")


def test_one_that_has_just_been_finished_is_not_taken_away(tmp_path: Path) -> None:
    receive(tmp_path, len(CONTENT))
    with opened(tmp_path) as part:
        part.finish()
        with pytest.raises(BusyError):
            opened(tmp_path)
    assert (tmp_path / f"{KEY}.zip").exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / f"{KEY}.part").symlink_to(victim)
    with pytest.raises(StorageError):
        opened(folder)
    assert victim.read_bytes() == b"precious"


def test_a_full_disk_removes_the_download(tmp_path: Path) -> None:
    # /dev/full answers every write with ENOSPC, as a full disk does.
    with opened(tmp_path) as part:
        part.begin(VERSION)
        part.write(CONTENT[:1000])
        with Path("/dev/full").open("r+b", buffering=0) as full:
            os.dup2(full.fileno(), part._file.fileno())
        with pytest.raises(StorageError, match="the disk is full, so the download was removed"):
            part.write(CONTENT[1000:2000])
        assert part.held_bytes == 0
    assert names(tmp_path) == set()


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="the download cannot be kept"):
        opened(tmp_path / "file")


def test_another_error_keeps_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with opened(tmp_path) as part:
        part.begin(VERSION)
        part.write(CONTENT[: CLOSING_CHECKPOINT_BYTES // 2])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", broken)
            with pytest.raises(StorageError, match="Input/output error"):
                part.finish()
    assert (tmp_path / f"{KEY}.part").stat().st_size == CLOSING_CHECKPOINT_BYTES // 2


# ---------------------------------------------------------------- the sidecar


GOOD = Record("https://host/x", Version('"v1"', "ab" * 32, None), Checkpoint(7, "cd" * 32), BOOT)


def test_a_record_comes_back() -> None:
    for version in (Version(), Version("bare", "", 0), GOOD.version):
        whole = Record(GOOD.source, version, GOOD.checkpoint, "")
        assert record.from_json(record.to_json(whole), where="x") == whole


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"size_bytes": -2},
        {"size_bytes": "5"},
        {"checkpoint_bytes": None},
        {"etag": 5},
        {"more": 1},
    ],
)
def test_a_damaged_record_is_refused(change: dict[str, Any]) -> None:
    raw = {**json.loads(record.to_json(GOOD)), **change}
    with pytest.raises(StorageError):
        record.from_json(json.dumps(raw).encode(), where="x")


@given(st.binary(max_size=200))
def test_a_record_takes_any_bytes(data: bytes) -> None:
    with pytest.raises(StorageError):
        record.from_json(data, where="x")


def test_a_huge_record_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b" " * (record.RECORD_MAX_BYTES + 1))
    with pytest.raises(StorageError, match="larger than"):
        record.read(path)


def test_boot_ids(tmp_path: Path) -> None:
    assert parts.read_boot_id() == parts.read_boot_id() != ""
    assert parts.read_boot_id(tmp_path / "absent") == ""
