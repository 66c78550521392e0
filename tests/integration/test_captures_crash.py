"""Captures survive what happens to a device: killed at any moment, a full disk, two processes."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.captures import ledger, pairs
from daemon.captures.buffer import CaptureBuffer, Refusal
from daemon.clock import Clock
from tests.support.captures import SetClock, config, decision
from updater import captures as stored
from updater.capturelock import locked
from updater.errors import StorageError

pytestmark = pytest.mark.once

KILLS = 30
MAX_FILES = 10
PURGES = 15
READ_TIMEOUT_S = 60.0


def check_whole(folder: Path) -> list[str]:
    """Every capture that a reader would see is complete and valid."""
    names = stored.complete_names(path.name for path in folder.iterdir())
    for name in names:
        sidecar = stored.read(folder, name)
        data = (folder / f"{name}.jpg").read_bytes()
        assert stored.sha256_of(data) == sidecar.picture.sha256
    assert ledger.read(folder) is not None
    return names


def start_writer(root: Path, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.capture_writer", str(folder), str(MAX_FILES)],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_killed_at_random_moments(project_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    chance = random.Random(20261122)
    last_sequence = -1
    leftovers = 0
    for _ in range(KILLS):
        writer = start_writer(project_root, folder)
        assert writer.stdout is not None
        with writer.stdout:
            for _ in range(chance.randrange(1, 6)):
                assert writer.stdout.readline()
            time.sleep(chance.random() * 0.02)  # about the time that one capture takes
            writer.kill()
            confirmed = writer.stdout.read().split()
        writer.wait()
        names = check_whole(folder)
        assert len(names) <= MAX_FILES
        leftovers += len(list(folder.iterdir())) - 2 * len(names) - 2
        known = ledger.read(folder)
        assert known is not None
        assert known.next_sequence > last_sequence, "no number comes twice"
        last_sequence = known.next_sequence - 1
        assert all(stored.sequence_of(name) <= last_sequence for name in names)
        # One less than full: killed after the least valuable had gone, before the new one came.
        assert not {name for name in confirmed if name.startswith("0")} - {*names} or (
            len(names) >= MAX_FILES - 1
        ), "what was confirmed is there, or went for a better one"
    CaptureBuffer(config(folder), "cam-1", clock=Clock())
    assert {path.suffix for path in folder.iterdir()} <= {".jpg", ".json", ""}
    assert leftovers > 0, "the kills hit nothing between two writes"


def test_two_processes_at_once(project_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    writers = [start_writer(project_root, folder) for _ in range(2)]
    purged = 0
    try:
        while purged < PURGES:
            for writer in writers:
                assert writer.stdout is not None
                assert writer.stdout.readline()
            with locked(folder, READ_TIMEOUT_S):
                names = check_whole(folder)
                assert len(names) <= MAX_FILES
                for name in names[:1]:
                    pairs.remove(folder, name)
                    purged += 1
    finally:
        for writer in writers:
            writer.kill()
            assert writer.stdout is not None
            writer.stdout.close()
            writer.wait()
    sequences = [stored.sequence_of(name) for name in check_whole(folder)]
    assert len(set(sequences)) == len(sequences)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of half a megabyte."""
    mount = tmp_path / "disk"
    mount.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(mount)]
    mounted = os.geteuid() == 0 and subprocess.run(options, check=False).returncode == 0
    if not mounted:
        pytest.skip("mounting a small disk needs root; the test below limits files instead")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_full_disk_is_an_error_and_then_works_again(small_disk: Path) -> None:
    folder = small_disk / "captures"
    clock = SetClock()
    buffer = CaptureBuffer(
        config(folder),
        "cam-1",
        clock=clock.clock(),
        free_bytes=lambda _: 10**9,  # as where somebody else fills the disk a moment later
    )
    picture = bytes(100_000)
    outcomes: list[str] = []
    for _ in range(8):
        try:
            outcomes.append("kept" if buffer.store(decision(), picture).name else "refused")
        except StorageError as error:
            outcomes.append("failed")
            assert "No space left on device" in str(error)
            assert "Free space" in str(error)
        check_whole(folder)
    assert outcomes[:4] == ["kept"] * 4
    assert outcomes[4] == "failed"
    assert set(outcomes[5:]) == {"refused"}, "it does not try again at once"
    assert buffer.counts().refused == {"after_error": 3}
    (used,) = folder.glob("0000000000-*.jpg")
    pairs.remove(folder, used.stem)
    clock.passes(61)
    assert buffer.store(decision(), picture).name


def test_the_floor_on_a_real_disk(small_disk: Path) -> None:
    folder = small_disk / "captures"
    buffer = CaptureBuffer(
        config(folder, free_floor_bytes=300_000), "cam-1", clock=SetClock().clock()
    )
    outcomes = [buffer.store(decision(), bytes(100_000)) for _ in range(4)]
    assert [outcome.refusal for outcome in outcomes[-2:]] == [Refusal.FREE_DISK] * 2
    assert pairs.free_bytes(folder) >= 300_000


def test_a_limit_on_file_size_leaves_no_half(tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    clock = SetClock()
    buffer = CaptureBuffer(config(folder), "cam-1", clock=clock.clock())
    buffer.store(decision(), bytes(10_000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(StorageError, match="File too large"):
            buffer.store(decision(), bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(check_whole(folder)) == 1
    assert not list(folder.glob(".*.part"))
    clock.passes(61)
    assert buffer.store(decision(), bytes(100_000)).name
