"""Trials of the selection experiment: train, let a device choose, train on, evaluate.

Every trial of a seed starts from the same checkpoint and takes the same number of optimisation
steps, so that arms differ in nothing but the pictures.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import torch

from scripts.labelling.dataset import link
from scripts.selection import resample, results, stream
from scripts.selection.interval import Interval
from scripts.selection.resample import bootstrap
from scripts.selection.results import ALL, BOXES, DEVICE, MORE_STEPS, RANDOM, START, Result, Trial
from scripts.selection.stream import Eye, OnceSeen
from training.checkpoint import load_network
from training.dataset import (
    CLASSES,
    DatasetError,
    Example,
    load_examples,
    picture_paths,
    read_boxes,
)
from training.evaluate import MAIN_CLASSES, figures, find_all
from training.floatruntime import device_detector
from training.predict import torch_maps
from training.report import say
from training.train import TrainSettings, train

_LAST: Final = "last.pt"
_FOUND: Final = "found.npz"
_CHOSEN: Final = "chosen.json"


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is tried.

    Attributes:
        data: prepared data set.
        weights: COCO weights.
        work: folder for checkpoints, choices and detections.
        results: file of result lines.
        device: name under which what the device chooses is recorded.
        start: pictures of the starting model.
        counts: how many further pictures.
        size_px: input size, of training, device and validation.
        batch: pictures a step.
        start_epochs: of the starting model.
        steps: of each training that goes on from it, as nearly as whole epochs allow.
        rate: greatest learning rate of these.
        mosaic: share of mosaics, until ``calm`` of a training is left.
        calm: share of a training, at its end, on plain pictures.
        frozen: first layers that stay as they are; 10 are the backbone.
        jobs: trainings at a time, one thread each.
    """

    data: Path
    weights: Path
    work: Path
    results: Path
    device: str = DEVICE
    start: int = 120
    counts: tuple[int, ...] = (60, 120)
    size_px: int = 256
    batch: int = 8
    start_epochs: int = 10
    steps: int = 90
    rate: float = 5e-4
    mosaic: float = 0.4
    calm: float = 0.3
    frozen: int = 10
    jobs: int = 2


@dataclass(frozen=True, slots=True)
class _Task:
    """One training in a process of its own; all of it can be pickled.

    Attributes:
        names: photographs to train on.
        added: those of them that the starting model did not know.
    """

    trial: Trial
    weights: Path
    names: tuple[str, ...]
    added: tuple[str, ...] = ()
    epochs: int = 1
    rate: float = 1e-3
    warmup_steps: int = 20
    chosen: dict[str, int] = field(default_factory=dict)
    filled: int = 0


def trials(experiment: Experiment, seed: int, *, controls: bool) -> list[Trial]:
    """The trials of a seed, the starting model first.

    Args:
        experiment: what is tried.
        seed: which.
        controls: also train on with as many boxes by chance, with no further picture, and with all.
    """
    arms = (experiment.device, RANDOM)
    return [
        Trial(seed, START, 0),
        *(Trial(seed, arm, count) for count in experiment.counts for arm in arms),
        *([Trial(seed, BOXES, count) for count in experiment.counts] if controls else []),
        *([Trial(seed, MORE_STEPS, 0), Trial(seed, ALL, -1)] if controls else []),
    ]


def run(experiment: Experiment, seeds: Sequence[int], *, controls: bool = False) -> None:
    """Do what is left of some seeds; each result is written as soon as it is known.

    Args:
        experiment: what is tried.
        seeds: which; their starting models come first.
        controls: see :func:`trials`.

    Raises:
        DatasetError: there are too few photographs.
    """
    paths = {path.stem: path for path in picture_paths(experiment.data, "train")}
    if len(paths) < experiment.start + max(experiment.counts):
        raise DatasetError(f"only {len(paths)} photographs", where=str(experiment.data))
    orders = {
        seed: [sorted(paths)[i] for i in np.random.default_rng(seed).permutation(len(paths))]
        for seed in seeds
    }
    # A checkpoint without a result is what an interrupted training left.
    known_trials = {result.trial for result in results.read(experiment.results)}
    with ProcessPoolExecutor(experiment.jobs, get_context("spawn")) as pool:
        starts = [
            _Task(
                trial=Trial(seed, START, 0),
                weights=experiment.weights,
                names=tuple(orders[seed][: experiment.start]),
                epochs=experiment.start_epochs,
            )
            for seed in seeds
            if Trial(seed, START, 0) not in known_trials or not _start(experiment, seed).exists()
        ]
        _do(experiment, starts, pool)
        for seed in seeds:
            known, unknown = orders[seed][: experiment.start], orders[seed][experiment.start :]
            left = results.left(
                trials(experiment, seed, controls=controls)[1:], results.read(experiment.results)
            )
            tasks = (
                _going_on(experiment, trial, known, [paths[name] for name in unknown])
                for trial in left
            )
            _do(experiment, tasks, pool)


def resampled(experiment: Experiment, *, draws: int = 1000) -> dict[tuple[str, int], Interval]:
    """Differences in mAP50 (mean of helmet and head) to chance, by bootstrap over ``val``.

    Needs the detections that the trials left in the work folder.

    Returns:
        Arm and number of pictures to the mean difference over the seeds, and its interval.
    """
    examples = load_examples(experiment.data, "val")
    known = {each.trial for each in results.read(experiment.results)}
    spans = {}
    for arm, pictures in sorted({(t.arm, t.pictures) for t in known if t.pictures > 0}):
        seeds = [
            t.seed
            for t in sorted(known)
            if (t.arm, t.pictures) == (arm, pictures) and Trial(t.seed, RANDOM, pictures) in known
        ]
        if arm != RANDOM and seeds:
            first, second = (
                [
                    each
                    for seed in seeds
                    for each in _matched(experiment, Trial(seed, which, pictures), examples)
                ]
                for which in (arm, RANDOM)
            )
            spans[arm, pictures] = bootstrap(first, second, draws=draws)
    return spans


def _matched(
    experiment: Experiment, trial: Trial, examples: Sequence[Example]
) -> list[resample.Matched]:
    """A trial's detections of each main class, matched with the labels."""
    with np.load(_folder(experiment, trial) / _FOUND, allow_pickle=False) as found:
        pictures, boxes = found["picture"], found["boxes"]
        scores, classes = found["scores"], found["classes"]
    matched = []
    for label in (CLASSES.index(name) for name in MAIN_CLASSES):
        rows = [(pictures == number) & (classes == label) for number in range(len(examples))]
        matched.append(
            resample.match(
                [each.boxes[each.boxes[:, 0] == label][:, 1:] for each in examples],
                [boxes[row] for row in rows],
                [scores[row] for row in rows],
            )
        )
    return matched


def _going_on(
    experiment: Experiment, trial: Trial, known: Sequence[str], pool: Sequence[Path]
) -> _Task:
    added, chosen, filled = _further(experiment, trial, pool)
    names = (*known, *added)
    return _Task(
        trial,
        _start(experiment, trial.seed),
        names,
        added,
        epochs=max(1, round(experiment.steps / max(1, len(names) // experiment.batch))),
        rate=experiment.rate,
        chosen=chosen,
        filled=filled,
    )


def _further(
    experiment: Experiment, trial: Trial, pool: Sequence[Path]
) -> tuple[tuple[str, ...], dict[str, int], int]:
    """The further pictures of a trial, why a device kept them, and how many had to be filled up."""
    if trial.arm == MORE_STEPS:
        return (), {}, 0
    if trial.arm == ALL:
        return tuple(path.stem for path in pool), {}, 0
    by_chance = np.random.default_rng((trial.seed, 1)).permutation(len(pool))
    drawn = [pool[i].stem for i in by_chance]
    if trial.arm == RANDOM:
        return tuple(drawn[: trial.pictures]), {}, 0
    if trial.arm == BOXES:
        return _as_many_boxes(experiment, trial, drawn), {}, 0
    folder = _folder(experiment, trial) / "captures"
    shutil.rmtree(folder, ignore_errors=True)
    choice = stream.keep(
        pool,
        _eye(experiment, trial.seed),
        stream.device_config(folder, trial.pictures),
        seed=trial.seed,
    )
    shutil.rmtree(folder)
    filled = [name for name in drawn if name not in choice.names]
    filled = filled[: trial.pictures - len(choice.names)]
    names = (*choice.names, *filled)
    say(step="choose", seed=trial.seed, kept=len(choice.names), decided=choice.decided)
    (folder.parent / _CHOSEN).write_text(json.dumps(names))
    return names, choice.reasons, len(filled)


def _as_many_boxes(experiment: Experiment, trial: Trial, drawn: Sequence[str]) -> tuple[str, ...]:
    """The first of the drawn that have as many helmets and heads as what the device chose."""
    device = Trial(trial.seed, experiment.device, trial.pictures)
    chosen = json.loads((_folder(experiment, device) / _CHOSEN).read_text())

    def boxes(names: Sequence[str]) -> int:
        counts = _boxes(experiment.data, names)
        return sum(counts[name] for name in MAIN_CLASSES)

    wanted = boxes(chosen)
    enough = (n for n in range(1, len(drawn)) if boxes(drawn[:n]) >= wanted)
    return tuple(drawn[: next(enough, len(drawn))])


@functools.lru_cache(maxsize=1)
def _eye(experiment: Experiment, seed: int) -> Eye:
    """The device's detector with the starting model; it looks at each photograph once."""
    network = load_network(_start(experiment, seed))
    return OnceSeen(device_detector(network, experiment.size_px, f"seed {seed}"))


def _do(experiment: Experiment, tasks: Iterable[_Task], pool: Executor) -> None:
    """Train and evaluate, some at a time; what is chosen next is chosen meanwhile."""
    for waiting in [pool.submit(_train_and_evaluate, experiment, task) for task in tasks]:
        result = waiting.result()
        trial = result.trial
        if results.left([trial], results.read(experiment.results)):
            results.append(experiment.results, result)
        say(
            step="trial",
            seed=trial.seed,
            arm=trial.arm,
            pictures=trial.pictures,
            **result.figures,
        )


def _train_and_evaluate(experiment: Experiment, task: _Task) -> Result:
    torch.set_num_threads(1)
    folder = _folder(experiment, task.trial)
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    _link_part(experiment.data, data, "train", task.names)
    examples = load_examples(experiment.data, "val")
    # The run evaluates at its end; the figures are taken below, so one photograph is enough there.
    _link_part(experiment.data, data, "val", [examples[0].name])
    settings = TrainSettings(
        data=data,
        weights=task.weights,
        output=folder,
        epochs=task.epochs,
        batch=experiment.batch,
        rate=task.rate,
        warmup_steps=task.warmup_steps,
        mosaic=experiment.mosaic,
        calm=experiment.calm,
        evaluate_every=10_000,
        evaluate_px=experiment.size_px,
        sizes_px={experiment.size_px: 1.0},
        frozen=experiment.frozen,
        seed=task.trial.seed,
    )
    with (folder / "log.jsonl").open("w") as log, contextlib.redirect_stdout(log):
        train(settings)
    found = find_all(examples, experiment.size_px, torch_maps(load_network(folder / _LAST)))
    np.savez_compressed(
        folder / _FOUND,
        picture=np.repeat(np.arange(len(found)), [len(each) for each in found]),
        boxes=np.concatenate([each.boxes for each in found]),
        scores=np.concatenate([each.scores for each in found]),
        classes=np.concatenate([each.classes for each in found]),
    )
    result = Result(
        task.trial,
        steps=task.epochs * max(1, len(task.names) // experiment.batch),
        figures={n: v for n, v in figures(examples, found).items() if math.isfinite(v)},
        boxes=_boxes(experiment.data, task.added),
        chosen=task.chosen,
        filled=task.filled,
        size_px=experiment.size_px,
    )
    shutil.rmtree(data)
    if task.trial.arm != START:
        for path in folder.glob("*.pt"):
            path.unlink()
    return result


def _start(experiment: Experiment, seed: int) -> Path:
    return _folder(experiment, Trial(seed, START, 0)) / _LAST


def _folder(experiment: Experiment, trial: Trial) -> Path:
    folder = experiment.work / f"{trial.seed}-{trial.arm}-{trial.pictures}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _link_part(source: Path, target: Path, part: str, names: Sequence[str]) -> None:
    wanted = set(names)
    for path in picture_paths(source, part):
        if path.stem in wanted:
            link(path, target / "images" / part / path.name)
            for kind in ("labels", "ignore"):
                text = source / kind / part / f"{path.stem}.txt"
                if text.exists():
                    link(text, target / kind / part / text.name)


def _boxes(data: Path, names: Sequence[str]) -> dict[str, int]:
    """Labels of photographs, by class."""
    counts = dict.fromkeys(CLASSES, 0)
    for name in names:
        for label in read_boxes(data / "labels" / "train" / f"{name}.txt", 1, 1)[:, 0].tolist():
            counts[CLASSES[int(label)]] += 1
    return counts
