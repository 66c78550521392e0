"""What one training run is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from training.origin import Setting

#: Input sizes and how often each is drawn: on average the cost of 414 px.
MULTI_SCALE_PX = {320: 0.25, 384: 0.25, 416: 0.25, 448: 0.12, 512: 0.08, 640: 0.05}


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
        """What may be told of it with the model: everything that decides the result."""
        return {
            "weights": self.weights.name,
            "epochs": self.epochs,
            "budget_s": self.budget_s,
            "batch": self.batch,
            "rate": self.rate,
            "weight_decay": self.weight_decay,
            "warmup_steps": self.warmup_steps,
            "mosaic": self.mosaic,
            "calm": self.calm,
            "evaluate_every": self.evaluate_every,
            "evaluate_px": self.evaluate_px,
            "sizes_px": " ".join(f"{size}:{share:g}" for size, share in self.sizes_px.items()),
            "frozen": self.frozen,
            "seed": self.seed,
        }
