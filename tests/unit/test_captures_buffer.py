from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.captures import ledger, pairs
from daemon.captures.buffer import RETRY_AFTER_S, CaptureBuffer, Refusal
from daemon.captures.ledger import LEDGER_NAME
from daemon.captures.reasons import CaptureReason
from daemon.config import CapturesConfig
from tests.support.captures import SetClock, config, decision, jpeg
from updater import captures as stored
from updater.captures import LOCK_NAME
from updater.errors import StorageError

DAY_S = 86400.0
JPEG = jpeg()


def kept(folder: Path) -> list[str]:
    """Names of the captures, each checked whole."""
    names = stored.complete_names(path.name for path in folder.iterdir())
    for name in names:
        sidecar = stored.read(folder, name)
        data = (folder / f"{name}.jpg").read_bytes()
        assert len(data) == sidecar.picture.size_bytes
        assert stored.sha256_of(data) == sidecar.picture.sha256
    return names


def values(folder: Path) -> list[float]:
    return [stored.read(folder, name).value for name in kept(folder)]


class Camera:
    """A buffer, its clock, and a restart."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.clock = SetClock()
        self.folder = folder
        self.config = config(folder, **changes)
        self.buffer = self.start()

    def start(self) -> CaptureBuffer:
        self.buffer = CaptureBuffer(self.config, "cam-1", clock=self.clock.clock())
        return self.buffer

    def store(
        self,
        value: float = 0.5,
        reason: CaptureReason = CaptureReason.UNCERTAIN_SCORE,
        data: bytes = JPEG,
    ) -> str | Refusal:
        self.clock.passes(0.001)
        found = decision(value=value, reason=reason, monotonic_s=self.clock.monotonic_s)
        outcome = self.buffer.store(found, data)
        result = outcome.name or outcome.refusal
        assert result is not None
        return result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "captures"


def test_a_picture_and_its_sidecar_are_there(folder: Path) -> None:
    camera = Camera(folder)
    name = camera.store(0.7)
    assert kept(folder) == [name]
    assert (folder / f"{name}.jpg").read_bytes() == JPEG
    assert stored.read(folder, str(name)).device == "cam-1"
    counts = camera.buffer.counts()
    assert (counts.files, counts.kept, counts.failed) == (1, 1, 0)
    assert counts.size_bytes == sum(
        (folder / f"{name}.{suffix}").stat().st_size for suffix in ("jpg", "json")
    )


def test_pictures_are_not_for_every_user(folder: Path) -> None:
    camera = Camera(folder)
    camera.store()
    assert folder.stat().st_mode & 0o007 == 0
    held = [path.stat() for path in folder.iterdir() if path.name != LOCK_NAME]
    assert {status.st_mode & 0o777 for status in held} == {0o640}


def test_the_group_reads_pictures_and_adds_marks_whatever_the_umask_says(folder: Path) -> None:
    before = os.umask(0o077)
    try:
        Camera(folder).store()
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1770
    assert stat.S_IMODE((folder / LOCK_NAME).stat().st_mode) == 0o644
    pair = [*folder.glob("*.jpg"), *folder.glob("0*.json")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in pair] == [0o640, 0o640]


def test_a_folder_that_is_there_keeps_its_mode(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    Camera(folder).store()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_least_valuable_goes(folder: Path) -> None:
    camera = Camera(folder, max_files=3)
    for value in (0.5, 0.3, 0.9):
        camera.store(value)
    camera.store(0.7)
    assert sorted(values(folder)) == [0.5, 0.7, 0.9]
    assert camera.store(0.1) == Refusal.LESS_VALUABLE
    assert camera.buffer.counts().evicted == 1
    assert camera.buffer.counts().refused == {"less_valuable": 1}


def test_the_random_share_is_not_chosen_by_value(folder: Path) -> None:
    camera = Camera(folder, max_files=8)
    first = camera.store(0.01, CaptureReason.RANDOM)
    for _ in range(20):
        camera.store(0.9)
    assert first in kept(folder)
    camera.store(0.01, CaptureReason.RANDOM)
    camera.store(0.01, CaptureReason.RANDOM)
    assert first not in kept(folder), "the share is two of eight: the oldest goes"
    assert len(kept(folder)) == 8


def test_uploaded_pictures_go_first(folder: Path) -> None:
    camera = Camera(folder, max_files=2)
    best = camera.store(0.9)
    camera.store(0.2)
    (folder / f"{best}.stored").touch()
    camera.store(0.3)
    assert sorted(values(folder)) == [0.2, 0.3]
    assert not list(folder.glob("*.stored"))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 1),
            st.sampled_from([CaptureReason.UNCERTAIN_SCORE, CaptureReason.RANDOM]),
            st.integers(1, 60_000),
        ),
        max_size=25,
    ),
    st.integers(1, 6),
    st.integers(100_000, 200_000),
)
def test_the_budget_is_never_exceeded(
    tmp_path_factory: pytest.TempPathFactory,
    pictures: list[tuple[float, CaptureReason, int]],
    max_files: int,
    max_bytes: int,
) -> None:
    folder = tmp_path_factory.mktemp("budget")
    camera = Camera(folder, max_files=max_files, max_bytes=max_bytes)
    for number, (value, reason, size) in enumerate(pictures):
        if number % 7 == 6:
            camera.start()
        camera.store(value, reason, random.Random(number).randbytes(size))
        on_disk = [path for path in folder.iterdir() if path.suffix in (".jpg", ".json")]
        captures = [path for path in on_disk if path.name != LEDGER_NAME]
        assert len(captures) == 2 * len(kept(folder)) <= 2 * max_files
        assert sum(path.stat().st_size for path in captures) <= max_bytes
        assert camera.buffer.counts().files == len(kept(folder))


def test_a_smaller_budget_and_age_hold_from_the_start(folder: Path) -> None:
    camera = Camera(folder)
    camera.store(1.0)
    camera.clock.passes(DAY_S)
    for value in (0.4, 0.5, 0.6):
        camera.store(value)
    camera.config = replace(camera.config, max_files=2, max_age_days=0.5)
    camera.start()
    assert values(folder) == [0.5, 0.6]
    counts = camera.buffer.counts()
    assert (counts.files, counts.expired, counts.evicted) == (2, 1, 1)


def test_a_picture_larger_than_the_budget_is_refused(folder: Path) -> None:
    camera = Camera(folder, max_bytes=100_000)
    camera.store(0.5)
    assert camera.store(1.0, data=bytes(100_000)) == Refusal.LESS_VALUABLE
    assert values(folder) == [0.5]


def test_old_pictures_go_random_ones_too(folder: Path) -> None:
    camera = Camera(folder, max_age_days=2.0)
    camera.store()
    camera.store(0.5, CaptureReason.RANDOM)
    camera.clock.passes(1.5 * DAY_S)
    young = camera.store()
    camera.clock.passes(0.6 * DAY_S)
    camera.buffer.maintain()
    assert kept(folder) == [young]
    assert camera.buffer.counts().expired == 2


def test_a_wrong_clock_makes_no_picture_old(folder: Path) -> None:
    camera = Camera(folder, max_age_days=2.0)
    name = camera.store()
    camera.clock.reboots(unix_s=camera.clock.unix_s + 100 * 365 * DAY_S)
    camera.start().maintain()
    assert kept(folder) == [name]


def test_a_device_that_is_never_synchronised_still_forgets(folder: Path) -> None:
    camera = Camera(folder, max_age_days=2.0)
    camera.clock.synchronised = False
    camera.store()
    for _ in range(5):  # restarts every half day, always waking in the past
        for _ in range(12):
            camera.clock.passes(3600)
            camera.buffer.maintain()
        camera.clock.reboots(unix_s=0.0)
        camera.start()
    camera.buffer.maintain()
    assert kept(folder) == []


def test_limits_hold_across_restarts_and_clock_jumps(folder: Path) -> None:
    camera = Camera(folder, per_day=3)
    camera.store()
    camera.start()
    camera.store()
    camera.clock.reboots(unix_s=0.0)  # a power cut: the clock wakes in 1970
    camera.start()
    camera.store()
    camera.clock.unix_s += 400 * DAY_S  # and jumps
    assert camera.store() == Refusal.LIMIT
    camera.clock.reboots(unix_s=4e9)
    camera.start()
    assert camera.store() == Refusal.LIMIT
    assert camera.buffer.counts().refused == {"limit": 1}
    camera.clock.passes(1.1 * DAY_S)
    assert isinstance(camera.store(), str)
    assert len(kept(folder)) == 4


def test_purging_gives_no_room_in_the_limits(folder: Path) -> None:
    camera = Camera(folder, per_hour=2)
    for _ in range(2):
        pairs.remove(folder, str(camera.store()))
    assert camera.store() == Refusal.LIMIT
    assert camera.buffer.counts().files == 0


def test_room_is_kept_for_random_pictures(folder: Path) -> None:
    camera = Camera(folder, per_hour=4, random_per_hour=1.0)
    outcomes = [camera.store(1.0) for _ in range(5)]
    assert outcomes[2:] == [Refusal.LIMIT] * 3
    assert isinstance(camera.store(0.5, CaptureReason.RANDOM), str)


def test_a_quick_refusal_before_anything_is_encoded(folder: Path) -> None:
    camera = Camera(folder, per_minute=1)
    assert camera.buffer.refusal(decision()) is None
    camera.store()
    assert camera.buffer.refusal(decision()) is Refusal.LIMIT
    assert camera.buffer.counts().refused == {"limit": 1}


def test_the_floor_of_free_disk_is_respected(folder: Path) -> None:
    free = 1_000_000
    buffer = CaptureBuffer(
        config(folder, free_floor_bytes=1_000_000 - len(JPEG)), "cam-1",
        clock=SetClock().clock(), free_bytes=lambda _: free,
    )  # fmt: skip
    assert buffer.refusal(decision()) is None, "the picture's size is not known yet"
    assert buffer.store(decision(), JPEG).refusal is Refusal.FREE_DISK  # the sidecar is too much
    free += 10_000
    assert buffer.store(decision(), JPEG).refusal is None
    free = 1000
    assert buffer.refusal(decision()) is Refusal.FREE_DISK


def test_sequence_numbers_never_come_twice(folder: Path) -> None:
    camera = Camera(folder)
    first = str(camera.store())
    pairs.remove(folder, first)
    camera.start()
    second = str(camera.store())
    assert stored.sequence_of(second) == stored.sequence_of(first) + 1


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": 1}', b"\xff" * 100_000, None])
def test_a_lost_limits_file_is_made_again_from_the_captures(
    folder: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    camera = Camera(folder, per_day=3)
    names = [camera.store() for _ in range(2)]
    if damage is None:
        (folder / LEDGER_NAME).unlink()
    else:
        (folder / LEDGER_NAME).write_bytes(damage)
    camera.start()
    assert isinstance(camera.store(), str)
    assert camera.store() == Refusal.LIMIT
    assert stored.sequence_of(kept(folder)[-1]) == stored.sequence_of(str(names[-1])) + 1
    assert ledger.read(folder) is not None
    assert ("limits.json" in caplog.text) is (damage is not None)


def test_halves_of_a_crash_are_swept_and_foreign_files_are_not(folder: Path) -> None:
    camera = Camera(folder)
    whole, torn, unsaid = str(camera.store()), str(camera.store()), str(camera.store())
    (folder / f"{torn}.json").unlink()
    (folder / f"{unsaid}.jpg").unlink()
    halves = [f".{torn}.jpg.part", f".{torn}.json.part", f"{torn}.stored", f".{LEDGER_NAME}.ab12"]
    foreign = ["notes.txt", "notes.json", "photo.jpg", ".hidden.part"]
    for name in (*halves, *foreign):
        (folder / name).touch()
    camera.start()
    assert kept(folder) == [whole]
    assert {path.name for path in folder.iterdir()} == {
        f"{whole}.jpg", f"{whole}.json", LEDGER_NAME, ".lock", *foreign,
    }  # fmt: skip


def test_a_damaged_sidecar_counts_and_goes_first(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    camera = Camera(folder, max_files=3)
    damaged = str(camera.store(0.9))
    camera.store(0.1)
    sidecar = folder / f"{damaged}.json"
    raw = json.loads(sidecar.read_text()) | {"format": 99}
    sidecar.write_text(json.dumps(raw))
    camera.clock.passes(3600)
    camera.start().maintain()
    assert camera.buffer.counts().files == 2
    assert "format 99" in caplog.text
    camera.store(0.2)
    assert damaged in {path.stem for path in folder.glob("*.jpg")}, "there was room"
    camera.store(0.3)
    assert sorted(values(folder)) == [0.1, 0.2, 0.3]


def test_a_truncated_picture_goes_first(folder: Path) -> None:
    camera = Camera(folder, max_files=2)
    damaged = str(camera.store(0.9))
    (folder / f"{damaged}.jpg").write_bytes(JPEG[:100])
    camera.start()
    camera.store(0.2)
    camera.store(0.3)
    assert sorted(values(folder)) == [0.2, 0.3]


def test_others_may_delete_while_it_runs(folder: Path) -> None:
    camera = Camera(folder, max_files=3)
    names = [str(camera.store(value)) for value in (0.1, 0.2, 0.3)]
    pairs.remove(folder, names[2])
    (folder / f"{names[1]}.jpg").unlink()
    camera.store(0.4)
    assert camera.buffer.counts().files == 2
    assert camera.buffer.counts().evicted == 0
    assert sorted(values(folder)) == [0.1, 0.4]


def test_the_lock_of_another_process_is_waited_for_and_then_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = Camera(folder)
    monkeypatch.setattr("daemon.captures.buffer.LOCK_TIMEOUT_S", 0.1)
    descriptor = os.open(folder / ".lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(StorageError, match="in use by another process"):
            camera.store()
    finally:
        os.close(descriptor)
    camera.clock.passes(RETRY_AFTER_S + 1)
    name = camera.store()
    assert kept(folder) == [name]


def test_after_a_restart_the_search_for_duplicates_knows_the_captures(folder: Path) -> None:
    camera = Camera(folder)
    camera.store()
    camera.store(0.5, CaptureReason.RANDOM)
    recalled = camera.start().recent()
    assert [reason for reason, _ in recalled] == [
        CaptureReason.UNCERTAIN_SCORE, CaptureReason.RANDOM,
    ]  # fmt: skip
    assert recalled[0][1].phash == decision().phash


def test_limits_can_be_changed_while_it_runs_but_not_the_folder(
    folder: Path, tmp_path: Path
) -> None:
    camera = Camera(folder, per_minute=1)
    camera.store()
    assert camera.store() == Refusal.LIMIT
    camera.buffer.configure(replace(camera.config, per_minute=2, folder=tmp_path / "elsewhere"))
    assert isinstance(camera.store(), str)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("place", ["missing/parent/file", "file"])
def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" if place == "file" else tmp_path / "file" / "captures"
    with pytest.raises(StorageError, match="cannot be made") as caught:
        CaptureBuffer(CapturesConfig(folder=folder), "cam-1", clock=SetClock().clock())
    assert str(folder) in str(caught.value)


class Failing:
    """Lets the n-th call of a kind fail, as a full or broken disk does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int, at: int) -> None:
        self.left = at
        self.code = code
        self.happened = False
        for owner, name in ((os, "open"), (os, "fsync"), (os, "rename"), (os, "unlink"),
                            (os, "fchmod"), (os, "replace"), (os, "link")):  # fmt: skip
            monkeypatch.setattr(owner, name, self._wrapped(getattr(owner, name)))

    def _wrapped(self, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            self.left -= 1
            if self.left == 0:
                self.happened = True
                raise OSError(self.code, os.strerror(self.code))
            return real(*args, **options)

        return call


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_no_error_at_any_step_leaves_a_half(tmp_path: Path, code: int) -> None:
    steps = 0
    for at in range(1, 200):
        folder = tmp_path / str(at)
        camera = Camera(folder, max_files=2, per_day=100)
        camera.store(0.1)
        camera.store(0.2)
        with pytest.MonkeyPatch.context() as patch:
            failing = Failing(patch, code, at)
            try:
                camera.store(0.9)
            except StorageError as error:
                assert os.strerror(code) in str(error)
                assert camera.buffer.counts().failed == 1
                assert camera.buffer.refusal(decision()) is Refusal.AFTER_ERROR
        assert len(kept(folder)) <= 2
        camera.clock.passes(RETRY_AFTER_S + 1)
        camera.start()
        camera.store(0.8)
        assert 0.8 in values(folder)
        assert len(kept(folder)) <= 2
        assert not [path for path in folder.iterdir() if path.name.endswith(".part")]
        if not failing.happened:
            break
        steps += 1
    assert steps >= 8, "every call to the disk was made to fail once"
