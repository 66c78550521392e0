from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.outbox.sequence import RESERVE, HighWater, SequenceCounter, SequenceFile
from updater.errors import StorageError


def counter(folder: Path) -> SequenceCounter:
    return SequenceCounter(SequenceFile(folder / "sequence"))


def test_begins_at_one(tmp_path: Path) -> None:
    fresh = counter(tmp_path)
    fresh.resume(None, damaged=False)
    assert [fresh.take() for _ in range(3)] == [1, 2, 3]


def test_goes_on_without_a_gap_after_a_restart(tmp_path: Path) -> None:
    first = counter(tmp_path)
    first.resume(None, damaged=False)
    last = [first.take() for _ in range(5)][-1]
    second = counter(tmp_path)
    second.resume(last, damaged=False)
    assert second.take() == last + 1


@pytest.mark.parametrize(("saved", "damaged"), [(None, False), (None, True), (2, True)])
def test_a_lost_database_repeats_no_number(
    tmp_path: Path, saved: int | None, damaged: bool
) -> None:
    first = counter(tmp_path)
    first.resume(None, damaged=False)
    given = [first.take() for _ in range(RESERVE + 3)]
    second = counter(tmp_path)
    second.resume(saved, damaged=damaged)
    assert second.take() > given[-1]


def test_numbers_given_while_the_disk_refused_are_not_repeated(tmp_path: Path) -> None:
    first = counter(tmp_path)
    first.resume(None, damaged=False)
    saved = first.take()
    for _ in range(3):
        first.unsaved(first.take())
    second = counter(tmp_path)
    second.resume(saved, damaged=False)
    assert second.take() == saved + 4


def test_without_database_and_file_it_begins_far_away(tmp_path: Path) -> None:
    starts = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        blind = counter(tmp_path / name)
        blind.resume_blind()
        starts.add(blind.take())
    assert len(starts) == 2
    assert all(start < 2**53 for start in starts)


def test_without_database_it_begins_after_what_was_reserved(tmp_path: Path) -> None:
    first = counter(tmp_path)
    first.resume(None, damaged=False)
    last = first.take()
    second = counter(tmp_path)
    second.resume_blind()
    assert last < second.take() <= last + RESERVE + 1


@settings(max_examples=25, deadline=None)  # each one syncs the disk
@given(garbage=st.binary(max_size=5000))
def test_a_file_of_garbage_counts_as_none(
    tmp_path_factory: pytest.TempPathFactory, garbage: bytes
) -> None:
    path = tmp_path_factory.mktemp("sequence") / "sequence"
    path.write_bytes(garbage)
    assert SequenceFile(path).read() == HighWater()


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(0, 5000), fill=st.integers(0, 255))
def test_a_torn_write_leaves_the_one_before(
    tmp_path_factory: pytest.TempPathFactory, cut: int, fill: int
) -> None:
    path = tmp_path_factory.mktemp("sequence") / "sequence"
    file = SequenceFile(path)
    file.write(HighWater(10, 0))
    before = path.read_bytes()
    file.write(HighWater(20, 3))
    after = path.read_bytes()
    # The power goes while the second copy is written: so many bytes are new, the next is noise.
    torn = bytearray(before.ljust(len(after), b"\0"))
    torn[:cut] = after[:cut]
    changed = [i for i in range(len(after)) if torn[i] != after[i]]
    if changed:
        torn[changed[0]] = fill
    path.write_bytes(torn)
    assert SequenceFile(path).read() in (HighWater(10, 0), HighWater(20, 3))


def test_a_disk_that_refuses_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        SequenceFile(tmp_path / "absent" / "sequence").write(HighWater(1, 0))
    with pytest.raises(StorageError, match="cannot be read"):
        SequenceFile(tmp_path).read()
