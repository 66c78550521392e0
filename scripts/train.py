#!/usr/bin/env python3
"""Fine-tune YOLOv5s on a prepared data set.

On several GPUs, or as one single-thread process a core on a CPU that other work shares:
    torchrun --nproc-per-node 2 scripts/train.py …
"""

from __future__ import annotations

import argparse
from pathlib import Path

from training.places import input_folder, output_folder, shared_data
from training.train import TrainSettings, train


def main() -> None:
    weights = input_folder("weights", shared_data() / "weights") / "yolov5s_v6.0_coco.npz"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=input_folder("prepared", output_folder("prepared")))
    parser.add_argument("--weights", type=Path, default=weights, help="COCO .npz or a checkpoint .pt")
    parser.add_argument("--output", type=Path, default=output_folder("training"))
    parser.add_argument("--epochs", type=int, default=TrainSettings.epochs)
    parser.add_argument("--budget-minutes", type=float, help="end the schedule after this time")
    parser.add_argument("--batch", type=int, default=TrainSettings.batch)
    parser.add_argument("--rate", type=float, default=TrainSettings.rate)
    parser.add_argument("--mosaic", type=float, default=TrainSettings.mosaic)
    parser.add_argument("--calm", type=float, default=TrainSettings.calm)
    parser.add_argument("--workers", type=int, default=TrainSettings.workers)
    parser.add_argument("--seed", type=int, default=TrainSettings.seed)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    train(
        TrainSettings(
            data=options.data,
            weights=options.weights,
            output=options.output,
            epochs=options.epochs,
            budget_s=options.budget_minutes * 60 if options.budget_minutes else None,
            batch=options.batch,
            rate=options.rate,
            mosaic=options.mosaic,
            calm=options.calm,
            workers=options.workers,
            seed=options.seed,
            resume=options.resume,
        )
    )


if __name__ == "__main__":
    main()
