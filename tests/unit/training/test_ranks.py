"""Several processes by the real torchrun, over gloo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training import checkpoint

from tests.unit.training import tiny
from tests.unit.training.tiny import STEPS, make

RANKS = 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path)
    return tmp_path


def torchrun(folder: Path, **changes: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(RANKS), str(Path(tiny.__file__)), str(folder)),
            json.dumps(changes),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_ranks_do_the_same_steps_and_end_with_the_same_weights(folder: Path) -> None:
    process = torchrun(folder, epochs=2)
    told, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    first, second = (checkpoint.load(folder / f"rank{rank}.pt") for rank in range(RANKS))
    assert first.step == second.step == 2 * STEPS
    trained = [name for name in first.network if not name.endswith(("_mean", "_var", "_tracked"))]
    assert trained
    for name in trained:  # statistics of batch norm are each rank's own until the next step
        assert torch.equal(first.network[name], second.network[name]), name
    # One set of outputs, one voice.
    assert sorted(path.name for path in (folder / "run").glob("*.pt")) == ["best.pt", "last.pt"]
    lines = [json.loads(line) for line in told.splitlines()]
    assert [line["epoch"] for line in lines if "rate" in line] == [1, 2]


def test_all_ranks_go_on_from_what_the_leader_has(folder: Path) -> None:
    stopped = torchrun(folder, epochs=50)
    assert stopped.stdout is not None
    for line in stopped.stdout:
        if json.loads(line).get("epoch") == 1:
            break
    stopped.send_signal(signal.SIGTERM)  # torchrun passes it on to its children
    stopped.communicate(timeout=120)
    assert stopped.returncode != 0
    kept = checkpoint.load(folder / "run/last.pt")
    assert kept.step > STEPS
    process = torchrun(folder, epochs=kept.epoch + 1, resume=True)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    first, second = (checkpoint.load(folder / f"rank{rank}.pt") for rank in range(RANKS))
    assert first.step == second.step == (kept.epoch + 1) * STEPS
    assert torch.equal(first.network["model.0.conv.weight"], second.network["model.0.conv.weight"])


def test_an_error_on_one_rank_ends_all(folder: Path) -> None:
    process = torchrun(folder, epochs=500, fails=1)
    _, errors = process.communicate(timeout=300)  # 500 epochs would take an hour
    assert process.returncode != 0
    assert "no pictures" in errors
    assert not (folder / "rank0.pt").exists()
