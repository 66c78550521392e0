"""A killed run goes on to the same result as one that was let be. Real processes, real kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
import torch
from training import checkpoint
from training.checkpoint import Checkpoint, CheckpointError
from training.interruption import PreemptedError, heeded
from training.train import train

from tests.unit.training import tiny
from tests.unit.training.tiny import STEPS, make, tiny_settings
from updater.errors import StorageError

TINY = Path(tiny.__file__)


def start(folder: Path, **changes: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(TINY), str(folder), json.dumps(changes)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, told = process.communicate(timeout=300)
    return process.returncode, told


def wait_for(stream: IO[str] | None, wanted: Callable[[dict[str, Any]], bool]) -> None:
    assert stream is not None
    for line in stream:
        if wanted(json.loads(line)):
            return
    pytest.fail("it ended before that")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As many as the processes have: another number adds up in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    make(folder)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(data: Path) -> Checkpoint:
    """The result that every run here must come to."""
    code, told = finish(start(data, output=str(data / "whole")))
    assert code == 0, told
    return checkpoint.load(data / "whole/last.pt")


def copy(data: Path, folder: Path) -> Path:
    shutil.copytree(data / "data", folder / "data")
    shutil.copyfile(data / "start.pt", folder / "start.pt")
    return folder


def same(one: Any, other: Any) -> bool:
    """Equal to the last bit, clocks left out."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        clocks = {"epoch_s", "elapsed_s"}
        keys = one.keys() - clocks
        return keys == other.keys() - clocks and all(same(one[key], other[key]) for key in keys)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def assert_same(one: Checkpoint, other: Checkpoint) -> None:
    for name in Checkpoint.__slots__:
        # The tests' own commit may change meanwhile; clocks go on in any case.
        if name not in ("elapsed_s", "origin"):
            assert same(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize("delay_s", [0.0, 0.5, 1.0])
def test_killed_at_any_moment_it_goes_on_to_the_same_result(
    data: Path, uninterrupted: Checkpoint, tmp_path: Path, delay_s: float
) -> None:
    folder = copy(data, tmp_path)
    # Saved after every step: where the kill falls, in training, evaluation or writing, is chance.
    killed = start(folder, save_every_s=0.0)
    wait_for(killed.stdout, lambda line: line.get("epoch") == 1)
    threading.Event().wait(delay_s)
    killed.kill()
    finish(killed)
    code, told = finish(start(folder, resume=True))
    assert code == 0, told
    assert_same(checkpoint.load(folder / "run/last.pt"), uninterrupted)
    assert_same(checkpoint.load(folder / "run/best.pt"), checkpoint.load(data / "whole/best.pt"))
    assert sorted(path.name for path in (folder / "run").glob("*.pt")) == ["best.pt", "last.pt"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_keeps_its_state_and_says_so(
    data: Path, uninterrupted: Checkpoint, tmp_path: Path, number: signal.Signals
) -> None:
    folder = copy(data, tmp_path)
    stopped = start(folder)
    wait_for(stopped.stdout, lambda line: line.get("epoch") == 1)
    stopped.send_signal(number)
    code, told = finish(stopped)
    assert code == PreemptedError.exit_code == 75
    assert "--resume" in told
    assert "Traceback" not in told
    kept = checkpoint.load(folder / "run/last.pt")
    assert kept.batch > 0  # within an epoch: that one is not lost
    code, told = finish(start(folder, resume=True))
    assert code == 0, told
    assert_same(checkpoint.load(folder / "run/last.pt"), uninterrupted)


def test_one_file_is_enough_to_go_on_elsewhere(
    data: Path, uninterrupted: Checkpoint, tmp_path: Path
) -> None:
    folder = copy(data, tmp_path / "new machine")
    restart = tmp_path / "inputs/_restart"
    restart.mkdir(parents=True)
    first = replace(tiny_settings(data), output=tmp_path / "old machine", epochs=3)
    with pytest.raises(PreemptedError), stop_after(STEPS + 1):
        train(first)
    shutil.copyfile(first.output / "last.pt", restart / "last-000005.pt")
    code, told = finish(start(folder, resume=True, resume_from=[str(restart)]))
    assert code == 0, told
    assert_same(checkpoint.load(folder / "run/best.pt"), checkpoint.load(data / "whole/best.pt"))


class stop_after:  # noqa: N801 - reads like the function that it is used as
    """Asks this process to stop after some steps of training."""

    def __init__(self, steps: int) -> None:
        self._steps, self._patch = steps, pytest.MonkeyPatch()

    def __enter__(self) -> None:
        from training import train as module  # noqa: PLC0415

        step = module._Run._train_step
        left = [self._steps]

        def counted(run: Any, *arguments: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(run, *arguments)

        self._patch.setattr(module._Run, "_train_step", counted)

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


def test_stopped_while_judging_the_last_epoch_it_judges_again(data: Path, tmp_path: Path) -> None:
    from training import train as module  # noqa: PLC0415

    settings = replace(tiny_settings(data), output=tmp_path, epochs=1, evaluate_every=9)
    with pytest.MonkeyPatch.context() as patch:
        evaluate = module.evaluate

        def interrupted(*arguments: Any) -> Any:
            os.kill(os.getpid(), signal.SIGTERM)
            return evaluate(*arguments)

        patch.setattr(module, "evaluate", interrupted)
        with pytest.raises(PreemptedError):
            train(settings)
    kept = checkpoint.load(tmp_path / "last.pt")
    assert (kept.epoch, kept.batch, kept.best_epoch) == (0, STEPS, 0)
    assert not (tmp_path / "best.pt").exists()
    done = train(replace(settings, resume=True))
    assert (done.epoch, done.batch, done.best_epoch, len(done.history)) == (1, 0, 1, 1)
    assert (tmp_path / "best.pt").exists()


def test_a_run_goes_on_with_the_same_data_batch_and_seed_only(data: Path, tmp_path: Path) -> None:
    settings = replace(tiny_settings(data), output=tmp_path / "run", epochs=1)
    train(settings)
    with pytest.raises(CheckpointError, match="batch was 2, is 4; seed was 1, is 7"):
        train(replace(settings, resume=True, batch=4, seed=7))
    other = copy(data, tmp_path / "other")
    (other / "data/labels/train/0.txt").write_text("1 0.5 0.5 0.1 0.1\n")
    with pytest.raises(CheckpointError, match="data was"):
        train(replace(settings, resume=True, data=other / "data"))


def test_a_checkpoint_of_before_this_goes_on_too(data: Path, tmp_path: Path) -> None:
    settings = replace(tiny_settings(data), output=tmp_path, epochs=1)
    now = train(settings)
    first = ("epoch", "step", "elapsed_s", "best", "average_steps", "average", "network")
    old = Checkpoint(**{name: getattr(now, name) for name in (*first, "optimizer")})
    checkpoint.save(tmp_path / "last.pt", old)
    (tmp_path / "best.pt").unlink()
    train(replace(settings, resume=True))  # nothing is left to do, and nothing to tell of
    assert not (tmp_path / "best.pt").exists()
    done = train(replace(settings, resume=True, epochs=2))
    assert (done.epoch, done.best_epoch, len(done.history)) == (2, 2, 1)
    assert checkpoint.load(tmp_path / "best.pt").epoch == 2


def test_where_it_comes_from_is_in_the_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "2db0b9da830749e462f0226a481559e0cf47292c"
    told = {"valohai.commit-identifier": commit, "valohai.execution-id": "01974bba"}
    (tmp_path / "execution.json").write_text(json.dumps(told))
    monkeypatch.setenv("VH_CONFIG_DIR", str(tmp_path))
    train(replace(tiny_settings(data), output=tmp_path / "run", epochs=1))
    origin = checkpoint.load(tmp_path / "run/best.pt").origin
    assert (origin["commit"], origin["execution"]) == (commit, "01974bba")
    unusual = {"warmup_steps": 1, "evaluate_every": 1, "evaluate_px": 64, "sizes_px": "64:1"}
    told = {"weights": "start.pt", "epochs": 1, "batch": 2, "seed": 1}
    assert origin["settings"] == {**told, **unusual}
    assert str(tmp_path) not in json.dumps(origin)


def test_the_furthest_checkpoint_counts_and_a_damaged_one_is_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def state(step: int) -> Checkpoint:
        return Checkpoint(0, step, 0.0, 0.0, 0, {}, {}, {"state": {}})

    (tmp_path / "new").mkdir()
    assert checkpoint.furthest([tmp_path, tmp_path / "new"]) is None
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        checkpoint.furthest([tmp_path])
    checkpoint.save(tmp_path / "last.pt", state(3))
    checkpoint.save(tmp_path / "new/last-000009.pt", state(9))
    checkpoint.save(tmp_path / "best.pt", replace(state(12), optimizer={}))  # only a model
    found = checkpoint.furthest([tmp_path, tmp_path / "new"])
    assert found is not None
    assert (found[0].name, found[1].step) == ("last-000009.pt", 9)
    assert "cut.pt" in capsys.readouterr().err


def test_a_live_copy_has_a_name_of_its_own_and_is_read_only(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, Checkpoint(0, 7, 0.0, 0.0, 0, {}, {}, {}))
    copied = checkpoint.save_live(path, 7)
    assert copied.name == "last-000007.pt"
    assert stat.S_IMODE(copied.stat().st_mode) == 0o444
    assert checkpoint.load(copied).step == 7
    assert sorted(each.name for each in tmp_path.iterdir()) == ["last-000007.pt", "last.pt"]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, Checkpoint(0, 1, 0.0, 0.0, 0, {}, {}, {}))
    (tmp_path / ".last.pt.tmp").mkdir()  # in the way
    with pytest.raises(StorageError):
        checkpoint.save(path, Checkpoint(0, 2, 0.0, 0.0, 0, {}, {}, {}))
    assert checkpoint.load(path).step == 1


def test_a_second_interrupt_stops_at_once_and_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), heeded() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.requested
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
