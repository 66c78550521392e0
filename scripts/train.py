#!/usr/bin/env python3
"""Fine-tune YOLOv5s on a prepared data set.

On several GPUs, or as one single-thread process a core on a CPU that other work shares:
    torchrun --nproc-per-node 2 scripts/train.py …
Exit code 75: stopped by SIGTERM or SIGINT, the state is kept in last.pt; --resume goes on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training.command import run
from training.places import input_folder, output_folder, shared_data
from training.train import TrainSettings, train


def main() -> None:
    """Parse the command line and run the step."""
    weights = input_folder("weights", shared_data() / "weights") / "yolov5s_v6.0_coco.npz"
    data = input_folder("prepared", output_folder("prepared"))
    # An option that is not given is left to TrainSettings, which has the only copy of defaults.
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--data", type=Path, default=data, help="prepared data set")
    parser.add_argument("--weights", type=Path, default=weights, help="COCO .npz or own .pt")
    parser.add_argument("--output", type=Path, default=output_folder("training"))
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--budget-minutes", type=float, help="end the schedule after this time")
    parser.add_argument("--batch", type=int, help="pictures a step, over all processes")
    parser.add_argument("--rate", type=float, help="greatest learning rate")
    parser.add_argument("--mosaic", type=float, help="share of mosaics, 0 to 1")
    parser.add_argument("--calm", type=float, help="share of the run, at its end, without them")
    parser.add_argument("--frozen", type=int, help="first layers that stay as they are")
    parser.add_argument("--workers", type=int, help="loader processes; 0: in the training process")
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--save-minutes", type=float, help="keep the state within an epoch, too, after this time"
    )
    parser.add_argument(
        "--live-minutes", type=float,
        help="after this time put a read-only copy of it beside it, which Valohai uploads at once",
    )  # fmt: skip
    parser.add_argument(
        "--resume", action="store_true",
        help="go on from the furthest checkpoint in OUTPUT and Valohai's inputs checkpoint and "
        "_restart, if there is one",
    )  # fmt: skip
    options = vars(parser.parse_args())
    for name in ("budget", "save", "live"):
        if minutes := options.pop(f"{name}_minutes", None):
            options[f"{name}_s" if name == "budget" else f"{name}_every_s"] = minutes * 60
    output: Path = options["output"]
    options["resume_from"] = (input_folder("checkpoint", output), input_folder("_restart", output))
    train(TrainSettings(**options))


if __name__ == "__main__":
    run(main)
