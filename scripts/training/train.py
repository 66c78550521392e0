"""Fine-tune YOLOv5s on a prepared data set."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from training import checkpoint
from training.augment import AugmentSettings
from training.checkpoint import Checkpoint
from training.dataset import (
    CLASSES,
    Batch,
    EpochSampler,
    Example,
    TrainingSet,
    collate,
    load_examples,
    part_sha256,
)
from training.distributed import World, agree, world
from training.ema import WeightAverage
from training.evaluate import evaluate
from training.loss import DetectionLoss
from training.network import YoloV5s, read_weights, transfer_head
from training.predict import torch_maps
from training.report import progress, say
from training.schedule import Schedule
from updater.errors import SitewatchError

#: Input sizes and how often each is drawn: on average the cost of 414 px.
MULTI_SCALE_PX = {320: 0.25, 384: 0.25, 416: 0.25, 448: 0.12, 512: 0.08, 640: 0.05}

#: Rows of the published COCO head that the classes continue (COCO 0 is person).
_COCO_ROWS: list[int | None] = [None, None, 0]

_PARTS = ("train", "val")

_GRADIENT_LIMIT = 10.0  # norm; a guard against one odd batch, rarely reached


class TrainingError(SitewatchError):
    """A training run cannot go on."""

    exit_code = 12


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """One training run.

    Attributes:
        data: Prepared data set.
        weights: Published COCO weights (``.npz``), or a checkpoint (``.pt``) to start from.
        output: Folder for ``last.pt`` and ``best.pt``.
        epochs: Planned epochs.
        budget_s: Time after which the schedule ends even if epochs are left.
        batch: Pictures a step, over all ranks.
        mosaic: Share of mosaics, until ``calm`` of the run is left.
        calm: Share of the run, at its end, on plain pictures.
        frozen: Number of first layers that stay as they are; 3 (down to stride 4) saves about a
            fifth of the time.
        resume: Go on from ``last.pt`` in ``output``, if it is there.
    """

    data: Path
    weights: Path
    output: Path
    epochs: int = 55
    budget_s: float | None = None
    batch: int = 16
    rate: float = 1e-3
    weight_decay: float = 0.02
    warmup_steps: int = 60
    mosaic: float = 0.7
    calm: float = 0.2
    evaluate_every: int = 4
    evaluate_px: int = 416
    sizes_px: dict[int, float] = field(default_factory=lambda: dict(MULTI_SCALE_PX))
    frozen: int = 0
    workers: int = 0
    seed: int = 1
    resume: bool = False


def train(settings: TrainSettings) -> None:
    """Train, evaluate every few epochs, keep the last and the best checkpoint."""
    with world() as here:
        torch.manual_seed(settings.seed)
        _Run(settings, here).go()


class _Run:
    """The state of one run; ``go`` is its only entry."""

    def __init__(self, settings: TrainSettings, here: World) -> None:
        self._settings, self._here = settings, here
        examples = load_examples(settings.data, "train")
        self._val: Sequence[Example] = load_examples(settings.data, "val") if here.leads else []
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
        network = _initial(settings.weights).to(here.device).channels_last()
        network.model[: settings.frozen].requires_grad_(False)
        self._network = network
        self._average = WeightAverage(network)
        self._optimizer = _optimizer(network, settings)
        self._loss = DetectionLoss(network.head.anchors, len(CLASSES)).to(here.device)
        self._epoch, self._step, self._best, self._elapsed_before_s = 0, 0, 0.0, 0.0
        self._schedule = Schedule(
            settings.rate,
            settings.warmup_steps,
            settings.epochs * len(self._sampler),
            settings.budget_s,
        )
        if settings.resume and (settings.output / "last.pt").exists():
            self._restore(checkpoint.load(settings.output / "last.pt"))
        self._started = time.monotonic()

    def go(self) -> None:
        """Train to the end of the schedule."""
        if self._here.leads:
            data = {f"{part}_sha256": part_sha256(self._settings.data, part) for part in _PARTS}
            say(step="data", train=len(self._calm_set), val=len(self._val), **data)
        module: nn.Module = self._network
        if self._here.ranks > 1:
            module = DistributedDataParallel(module)
        done = self._progress()
        while done < 1.0:
            calm = done >= 1 - self._settings.calm
            self._sampler.epoch = self._epoch
            self._sampler.mosaic_share = 0.0 if calm else self._settings.mosaic
            began = time.monotonic()
            parts = self._one_epoch(module, calm)
            self._epoch += 1
            done = self._progress()
            if self._here.leads:
                say(
                    epoch=self._epoch,
                    step=self._step,
                    progress=done,
                    rate=self._optimizer.param_groups[0]["lr"],
                    epoch_s=time.monotonic() - began,
                    elapsed_s=self._elapsed_s(),
                    **parts,
                )
                self._keep(final=done >= 1.0)

    def _one_epoch(self, module: nn.Module, calm: bool) -> dict[str, float]:
        loader: Iterable[Batch] = DataLoader(  # keys go in, batches come out
            self._calm_set if calm else self._lively_set,
            batch_sampler=self._sampler,
            collate_fn=collate,
            num_workers=self._settings.workers,
        )
        module.train()
        self._network.model[: self._settings.frozen].eval()  # nor do their statistics move
        sums: dict[str, Tensor] = {}
        quiet = not self._here.leads
        done = self._progress()
        for number, batch in enumerate(progress(loader, f"epoch {self._epoch + 1}", quiet=quiet)):
            share = max(done, self._schedule.progress(self._step, 0.0))
            rate = self._schedule.rate_at(self._step, share)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            for name, value in self._train_step(module, batch).items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value
            self._step += 1
            if number % 8 == 7:
                done = self._progress()
        return {name: float(value) / len(self._sampler) for name, value in sums.items()}

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

    def _keep(self, *, final: bool) -> None:
        """Save, and every few epochs see whether the averaged network is the best so far."""
        better = False
        if final or self._epoch % self._settings.evaluate_every == 0:
            figures = evaluate(
                self._val, self._settings.evaluate_px, torch_maps(self._average.network)
            )
            say(epoch=self._epoch, evaluated_px=self._settings.evaluate_px, **figures)
            fitness = 0.5 * figures["map50"] + 0.5 * figures["map50_95"]
            better = fitness > self._best
            self._best = max(self._best, fitness)
        state = Checkpoint(
            epoch=self._epoch,
            step=self._step,
            elapsed_s=self._elapsed_s(),
            best=self._best,
            average_steps=self._average.steps,
            average=self._average.network.state_dict(),
            network=self._network.state_dict(),
            optimizer=self._optimizer.state_dict(),
        )
        checkpoint.save(self._settings.output / "last.pt", state)
        if better:
            checkpoint.save(self._settings.output / "best.pt", state)

    def _restore(self, state: Checkpoint) -> None:
        self._network.load_state_dict(state.network)
        self._average.network.load_state_dict(state.average)
        self._average.steps = state.average_steps
        self._optimizer.load_state_dict(state.optimizer)
        self._epoch, self._step, self._best = state.epoch, state.step, state.best
        self._elapsed_before_s = state.elapsed_s

    def _elapsed_s(self) -> float:
        return self._elapsed_before_s + time.monotonic() - self._started

    def _progress(self) -> float:
        """Progress by the leader's clock, so that all ranks stop after the same epoch."""
        return agree(self._schedule.progress(self._step, self._elapsed_s()), self._here)


def _initial(weights: Path) -> YoloV5s:
    """The network to start from: the COCO weights with a new head, or a checkpoint's average."""
    network = YoloV5s(len(CLASSES))
    if weights.suffix == ".pt":
        network.load_state_dict(checkpoint.load(weights).average)
    else:
        network.load_state_dict(transfer_head(read_weights(weights), _COCO_ROWS))
    return network


def _optimizer(network: nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW; convolution weights decay, biases and batch norm do not."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    free = [p for p in network.parameters() if p.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": free, "weight_decay": 0.0},
        ],
        lr=settings.rate,
        betas=(0.9, 0.99),
    )
