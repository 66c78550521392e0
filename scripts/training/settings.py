"""What one training run is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from training.origin import Setting

#: Input sizes and how often each is drawn: on average the cost of 414 px.
MULTI_SCALE_PX = {320: 0.25, 384: 0.25, 416: 0.25, 448: 0.12, 512: 0.08, 640: 0.05}

_ALWAYS_TOLD = ("epochs", "batch", "seed")
_TOLD_IF_UNUSUAL = (
    "budget_s",
    "rate",
    "weight_decay",
    "warmup_steps",
    "mosaic",
    "calm",
    "evaluate_every",
    "evaluate_px",
    "frozen",
)


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """One training run.

    Attributes:
        data: Prepared data set.
        weights: Published COCO weights (``.npz``), or a checkpoint (``.pt``) to start from.
        output: Folder for ``last.pt`` (to go on from) and ``best.pt`` (the model alone).
        epochs: Planned epochs.
        budget_s: Time after which the schedule ends even if epochs are left.
        batch: Pictures a step, over all ranks.
        mosaic: Share of mosaics, until ``calm`` of the run is left.
        calm: Share of the run, at its end, on plain pictures.
        frozen: Number of first layers that stay as they are; 3 (down to stride 4) saves about a
            fifth of the time.
        save_every_s: Time after which ``last.pt`` is written within an epoch, too: no more than
            this is lost when the machine goes without a word.
        live_every_s: Time after which a read-only copy of it is put beside it, which Valohai
            uploads at once; None for never.
        resume: Go on from the furthest checkpoint in ``output`` and ``resume_from``, if there is
            one. It must be of the same data, batch and seed.
        resume_from: Further folders in which checkpoints may be.
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
    save_every_s: float = 600.0
    live_every_s: float | None = None
    resume: bool = False
    resume_from: tuple[Path, ...] = ()

    def told(self) -> dict[str, Setting]:
        """What may be told of it with the model, short enough for a manifest.

        Of settings that decide the result, these always and others where they are not as the
        commit has them by default, which is told beside them.
        """
        usual = type(self)(self.data, self.weights, self.output)
        found: dict[str, Setting] = {"weights": self.weights.name}
        found |= {name: getattr(self, name) for name in _ALWAYS_TOLD}
        for name in _TOLD_IF_UNUSUAL:
            value = getattr(self, name)
            if value != getattr(usual, name):
                found[name] = value
        if self.sizes_px != usual.sizes_px:
            shares = (f"{size}:{share:g}" for size, share in self.sizes_px.items())
            found["sizes_px"] = " ".join(shares)
        return found
