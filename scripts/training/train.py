"""Fine-tune YOLOv5s on a prepared data set."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from training import checkpoint
from training.augment import AugmentSettings
from training.checkpoint import Checkpoint, CheckpointError, to_network
from training.dataset import (
    CLASSES,
    Batch,
    EpochSampler,
    Example,
    TrainingSet,
    collate,
    load_examples,
)
from training.decode import Picture
from training.distributed import World, agree, anyone, shared, world
from training.ema import WeightAverage
from training.evaluate import MAIN_CLASSES, evaluate, find_all, judged
from training.identity import identify
from training.interruption import Interruption, PreemptedError, heeded, leave_to_parent
from training.loss import DetectionLoss
from training.metrics import summary
from training.model_report import REPORT_NAME, ModelReport, write_report
from training.origin import Origin, origin_of
from training.predict import Floats, Maps, torch_maps
from training.report import progress, say
from training.schedule import Schedule
from training.settings import TrainSettings
from training.sidecar import describe
from training.start import initial_network, make_optimizer
from updater.errors import SitewatchError

__all__ = ["TrainSettings", "TrainingError", "train"]

LAST_NAME = "last.pt"
BEST_NAME = "best.pt"

#: What a run cannot change on its way: an epoch's batches follow from these.
_FIXED = ("batch", "seed")

_GRADIENT_LIMIT = 10.0  # norm; a guard against one odd batch, rarely reached


class TrainingError(SitewatchError):
    """A training run cannot go on."""

    exit_code = 27


def train(settings: TrainSettings) -> Checkpoint:
    """Train, evaluate every few epochs, keep the last and the best checkpoint.

    Returns:
        The state at the end, of this process.

    Raises:
        PreemptedError: SIGTERM or SIGINT came; ``last.pt`` holds the state between two steps.
        TrainingError: The loss is no number.
        CheckpointError: The run cannot go on from the checkpoint that is there.
        StorageError: A checkpoint cannot be written.
    """
    with world() as here, heeded() as interruption:
        torch.manual_seed(settings.seed)
        run = _Run(settings, here, interruption)
        run.go()
        return run.state()


class _StoppedEvaluating(Exception):  # noqa: N818 - not an error, a way out of an evaluation
    """Somebody asked to stop, in the middle of it."""


class _Run:
    """The state of one run; ``go`` is its only entry."""

    def __init__(self, settings: TrainSettings, here: World, interruption: Interruption) -> None:
        self._settings, self._here, self._interruption = settings, here, interruption
        examples = load_examples(settings.data, "train")
        self._val: Sequence[Example] = load_examples(settings.data, "val") if here.leads else []
        self._origin = origin_of(identify(settings.data), settings.told())
        self._calm_set = TrainingSet(examples, AugmentSettings(scale=(0.6, 1.5)))
        self._lively_set = TrainingSet(examples, AugmentSettings())
        self._sampler = EpochSampler(
            len(examples),
            max(1, settings.batch // here.ranks),
            settings.sizes_px,
            seed=settings.seed,
            rank=here.rank,
            ranks=here.ranks,
        )
        network = initial_network(settings.weights).to(here.device).channels_last()
        network.model[: settings.frozen].requires_grad_(False)
        self._network = network
        self._average = WeightAverage(network)
        self._optimizer = make_optimizer(network, settings)
        self._loss = DetectionLoss(network.head.anchors, len(CLASSES)).to(here.device)
        self._schedule = Schedule(
            settings.rate,
            settings.warmup_steps,
            settings.epochs * len(self._sampler),
            settings.budget_s,
        )
        self._epoch, self._step, self._elapsed_before_s = 0, 0, 0.0
        # Of the epoch under way.
        self._batch, self._calm = 0, False
        self._sums: dict[str, Tensor] = {}
        self._best, self._best_epoch = 0.0, 0
        self._best_average: dict[str, Tensor] = {}
        self._history: list[dict[str, float]] = []
        if settings.resume:
            self._resume()
        self._started = self._saved = self._live = time.monotonic()

    def go(self) -> None:
        """Train to the end of the schedule."""
        if self._here.leads:
            data = self._origin.data
            say(
                step="data",
                train=data.train_pictures,
                val=data.val_pictures,
                train_sha256=data.train_sha256,
                val_sha256=data.val_sha256,
                dataset_version=data.version,
                commit=self._origin.commit,
            )
        module: nn.Module = self._network
        if self._here.ranks > 1:
            module = DistributedDataParallel(module)
        done = self._progress()
        while done < 1.0 or self._batch:
            if not self._batch:
                self._calm = done >= 1 - self._settings.calm
            began = time.monotonic()
            self._batches(module)
            done = self._progress()
            figures = self._judge(final=done >= 1.0)
            self._complete_epoch(done, time.monotonic() - began, figures)
        if self._here.leads and self._best_average:  # checkpoints of before had none
            self._report()

    def _report(self) -> None:
        """The page of the best network; a kill in here loses nothing, ``--resume`` makes it."""
        size_px = self._settings.evaluate_px
        maps = self._until_stopped(torch_maps(to_network(self._best_average).to(self._here.device)))
        try:
            found = find_all(self._val, size_px, maps)
        except _StoppedEvaluating:
            raise PreemptedError("stopped before its report", hint="Go on with --resume") from None
        report = ModelReport(
            model=f"{BEST_NAME} (float)",
            size_px=size_px,
            examples=self._val,
            found=found,
            evaluation=judged(self._val, found),
            facts={**self._origin.facts(), "epoch": str(self._best_epoch)},
            history=self._history,
        )
        output = self._settings.output
        write_report(report, output / REPORT_NAME)
        figures = summary(report.evaluation.precision, MAIN_CLASSES)
        describe(output / BEST_NAME, tags=["model"], properties={**report.facts, **figures})
        describe(output / LAST_NAME, tags=["checkpoint"], properties=self._origin.facts())

    def _batches(self, module: nn.Module) -> None:
        """The batches that are left of the epoch under way."""
        self._sampler.epoch, self._sampler.skipped = self._epoch, self._batch
        self._sampler.mosaic_share = 0.0 if self._calm else self._settings.mosaic
        loader: Iterable[Batch] = DataLoader(  # keys go in, batches come out
            self._calm_set if self._calm else self._lively_set,
            batch_sampler=self._sampler,
            collate_fn=collate,
            num_workers=self._settings.workers,
            worker_init_fn=leave_to_parent,
        )
        module.train()
        self._network.model[: self._settings.frozen].eval()  # nor do their statistics move
        quiet = not self._here.leads
        done = self._progress()
        for batch in progress(loader, f"epoch {self._epoch + 1}", quiet=quiet):
            share = max(done, self._schedule.progress(self._step, 0.0))
            rate = self._schedule.rate_at(self._step, share)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            for name, value in self._train_step(module, batch).items():
                self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value
            self._step += 1
            self._batch += 1
            self._stop_if_asked()
            if self._batch % 8 == 0:
                done = self._progress()
            if time.monotonic() - self._saved > self._settings.save_every_s:
                self._save()

    def _train_step(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        device = self._here.device
        pictures = batch.pictures.to(device, non_blocking=True).float().div_(255)
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            maps = module(pictures)
        loss, parts = self._loss(maps, batch.targets.to(device))
        if not math.isfinite(float(loss.detach())):
            raise TrainingError(
                f"the loss is {float(loss.detach())}",
                where=f"step {self._step}",
                hint="Lower --rate, or look for broken labels",
            )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), _GRADIENT_LIMIT)
        self._optimizer.step()
        self._average.update(self._network)
        return dict(parts)

    def _judge(self, *, final: bool) -> dict[str, float]:
        """Figures of the averaged network, every few epochs and at the end; else nothing."""
        figures: dict[str, float] = {}
        due = final or (self._epoch + 1) % self._settings.evaluate_every == 0
        if self._here.leads and due and not self._interruption.requested:
            maps = self._until_stopped(torch_maps(self._average.network))
            with contextlib.suppress(_StoppedEvaluating):
                figures = evaluate(self._val, self._settings.evaluate_px, maps)
        self._stop_if_asked()  # with every batch of the epoch done, and the epoch not complete
        return figures

    def _until_stopped(self, maps: Maps) -> Maps:
        def checked(picture: Picture) -> Sequence[Floats]:
            if self._interruption.requested:
                raise _StoppedEvaluating
            return maps(picture)

        return checked

    def _complete_epoch(self, done: float, epoch_s: float, figures: dict[str, float]) -> None:
        losses = {name: float(value) / len(self._sampler) for name, value in self._sums.items()}
        self._epoch, self._batch, self._sums = self._epoch + 1, 0, {}
        if not self._here.leads:
            return
        told = {
            "epoch": self._epoch,
            "step": self._step,
            "progress": done,
            "rate": self._optimizer.param_groups[0]["lr"],
            "epoch_s": epoch_s,
            "elapsed_s": self._elapsed_s(),
            **losses,
        }
        say(**told)
        if figures:
            say(epoch=self._epoch, evaluated_px=self._settings.evaluate_px, **figures)
            self._keep_if_best(0.5 * figures["map50"] + 0.5 * figures["map50_95"])
        self._history.append({**told, **figures})
        self._save()

    def _keep_if_best(self, fitness: float) -> None:
        fitness = 0.0 if math.isnan(fitness) else fitness  # a class that val does not show
        if fitness > self._best or not self._best_epoch:
            self._best, self._best_epoch = fitness, self._epoch
            weights = self._average.network.state_dict()
            self._best_average = {name: value.detach().clone() for name, value in weights.items()}

    def _stop_if_asked(self) -> None:
        """All ranks stop between the same two steps; the leader keeps the state.

        Raises:
            PreemptedError: Somebody asked.
        """
        if anyone(self._interruption.requested, self._here):
            self._save()
            raise PreemptedError(
                f"stopped after step {self._step}",
                where=str(self._settings.output / LAST_NAME),
                hint="Go on with --resume",
            )

    def _save(self) -> None:
        """Write ``last.pt``, and ``best.pt`` if it is another; only the leader does."""
        self._saved = time.monotonic()
        if not self._here.leads:
            return
        state, output = self.state(), self._settings.output
        if self._best_epoch and self._best_epoch == self._epoch and not self._batch:
            self._write_best()
        checkpoint.save(output / LAST_NAME, state)
        live_s = self._settings.live_every_s
        if live_s is not None and time.monotonic() - self._live > live_s:
            checkpoint.save_live(output / LAST_NAME, self._step)
            self._live = time.monotonic()

    def _write_best(self) -> None:
        history = [entry for entry in self._history if entry["epoch"] <= self._best_epoch]
        then = history[-1]
        best = replace(
            self.state(),
            epoch=self._best_epoch,
            step=int(then["step"]),
            elapsed_s=then["elapsed_s"],
            average_steps=int(then["step"]),
            history=history,
            average=self._best_average,
            network={},
            optimizer={},
            best_average={},
            batch=0,
            sums={},
        )
        checkpoint.save(self._settings.output / BEST_NAME, best)

    def state(self) -> Checkpoint:
        """Everything that the run is."""
        return Checkpoint(
            epoch=self._epoch,
            step=self._step,
            elapsed_s=self._elapsed_s(),
            best=self._best,
            average_steps=self._average.steps,
            average=self._average.network.state_dict(),
            network=self._network.state_dict(),
            optimizer=self._optimizer.state_dict(),
            batch=self._batch,
            calm=self._calm,
            sums=self._sums,
            best_epoch=self._best_epoch,
            best_average=self._best_average,
            history=self._history,
            origin=self._origin.to_plain(),
        )

    def _resume(self) -> None:
        """Go on from the furthest checkpoint; the leader reads it and all ranks get it.

        Raises:
            CheckpointError: It is of other data, batch or seed.
        """
        folders = (self._settings.output, *self._settings.resume_from)
        found = checkpoint.furthest(folders) if self._here.leads else None
        state = shared(found[1] if found else None, self._here)
        if state is None:
            return
        self._check(Origin.from_plain(state.origin))
        self._network.load_state_dict(state.network)
        self._average.network.load_state_dict(state.average)
        self._average.steps = state.average_steps
        self._optimizer.load_state_dict(state.optimizer)
        self._epoch, self._step = state.epoch, state.step
        self._batch, self._calm = state.batch, state.calm
        self._sums = {name: value.to(self._here.device) for name, value in state.sums.items()}
        self._best, self._best_epoch = state.best, state.best_epoch
        self._best_average = state.best_average
        self._history = state.history
        self._elapsed_before_s = state.elapsed_s
        if found is not None:
            say(step="resume", file=found[0].name, steps_done=state.step, epochs_done=state.epoch)
            self._started = time.monotonic()
            if self._best_average:  # on another machine it is not there yet
                self._write_best()

    def _check(self, before: Origin | None) -> None:
        """Whether a run that began there is this one."""
        if before is None:
            return
        now = self._origin
        found = {name: (before.settings.get(name), now.settings[name]) for name in _FIXED}
        found["data"] = (before.data.version, now.data.version)
        wrong = [f"{name} was {old}, is {new}" for name, (old, new) in found.items() if old != new]
        if wrong:
            raise CheckpointError(
                f"is of another run: {'; '.join(wrong)}",
                where=LAST_NAME,
                hint="Take what it was, or start anew from its network: --weights last.pt",
            )
        self._origin = now.after(before)

    def _elapsed_s(self) -> float:
        return self._elapsed_before_s + time.monotonic() - self._started

    def _progress(self) -> float:
        """Progress by the leader's clock, so that all ranks stop after the same epoch."""
        return agree(self._schedule.progress(self._step, self._elapsed_s()), self._here)
