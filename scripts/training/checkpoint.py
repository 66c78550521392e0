"""Checkpoints: written whole or not at all, read without running code from the file.

``last.pt`` holds everything that a run is, so that this one file is enough to go on elsewhere.
Chance is not in it: every picture follows from (seed, epoch, position) alone (`EpochSampler`),
and nothing else in training draws a number.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from training.dataset import CLASSES
from training.network import YoloV5s
from updater.atomic import fsync_folder
from updater.errors import SitewatchError, StorageError

_READ_ONLY: Final = 0o444
#: What torch raises on files that are cut, of another kind, or hold something else.
_DAMAGE: Final = (
    OSError, RuntimeError, ValueError, TypeError, EOFError, pickle.UnpicklingError,
)  # fmt: skip


class CheckpointError(SitewatchError):
    """A checkpoint cannot be read, or is not of the run that shall go on."""

    exit_code = 27


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run's state between two steps; ``average`` is the network to evaluate and export.

    Attributes:
        epoch: Epochs that are complete.
        step: Steps done in all.
        elapsed_s: Time used up, over all parts of the run.
        best: Greatest fitness so far.
        average_steps: Of the average.
        average, network: Weights.
        optimizer: Its state; empty in a checkpoint that is only a model (``best.pt``).
        batch: Batches done of the epoch under way; 0 between two epochs.
        calm: Whether that epoch goes without mosaics.
        sums: Of that epoch's losses.
        best_epoch: After which it was best; 0 if never.
        best_average: Weights of the best, which ``best.pt`` can be made again of.
        history: Of complete epochs, one object each.
        origin: `training.origin.Origin`, as plain values.
    """

    epoch: int
    step: int
    elapsed_s: float
    best: float
    average_steps: int
    average: dict[str, Tensor]
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    batch: int = 0
    calm: bool = False
    sums: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    best_average: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def resumable(self) -> bool:
        """Whether a run can go on from it."""
        return bool(self.optimizer)


def save(path: Path, state: Checkpoint) -> None:
    """Write ``path`` so that a kill or a power cut leaves the old file or the new one, whole.

    Raises:
        StorageError: It cannot be written; nothing half-written stays.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save({name: getattr(state, name) for name in Checkpoint.__slots__}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        fsync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into the latter
        with contextlib.suppress(OSError):  # the first error is the one to tell
            temporary.unlink()
        raise StorageError(
            f"cannot be written: {error}", where=str(path), hint="Free space on the disk"
        ) from error


def save_live(path: Path, step: int) -> Path:
    """Put a read-only copy beside a checkpoint, under a name of its own.

    Valohai uploads an output at once when it becomes read-only, then removes it from the machine,
    and advises against one name for several
    (https://docs.valohai.com/executions/live-outputs).
    """
    copy = path.with_name(f"{path.stem}-{step:06d}{path.suffix}")
    temporary = path.with_name(f".{copy.name}.tmp")
    try:
        shutil.copyfile(path, temporary)
        temporary.replace(copy)
        copy.chmod(_READ_ONLY)  # only now: under the other name nobody would look for it
    except OSError as error:
        raise StorageError(f"cannot be written: {error.strerror}", where=str(copy)) from error
    return copy


def load(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: It is missing, damaged or something else.
    """
    try:
        return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except _DAMAGE as error:
        raise CheckpointError(
            f"is no checkpoint: {str(error).splitlines()[0][:200]}", where=str(path)
        ) from error


def furthest(folders: Iterable[Path]) -> tuple[Path, Checkpoint] | None:
    """The checkpoint in ``folders`` that a run can go on from with the least work lost.

    A file that cannot be read is told and passed over, if there is another.

    Raises:
        CheckpointError: There are checkpoints, and none can be read.
    """
    found: tuple[Path, Checkpoint] | None = None
    damaged: CheckpointError | None = None
    for path in sorted({path for folder in folders for path in folder.glob("*.pt")}):
        try:
            state = load(path)
        except CheckpointError as error:
            damaged = error
            print(f"passed over: {error}", file=sys.stderr)
            continue
        if state.resumable and (found is None or state.step >= found[1].step):
            found = path, state
    if found is None and damaged is not None:
        raise damaged
    return found


def load_network(path: Path) -> YoloV5s:
    """The averaged network of a checkpoint, ready to run."""
    return to_network(load(path).average)


def to_network(weights: dict[str, Tensor]) -> YoloV5s:
    """Weights as a network, ready to run."""
    network = YoloV5s(len(CLASSES))
    network.load_state_dict(weights)
    network.eval()
    return network.channels_last()
