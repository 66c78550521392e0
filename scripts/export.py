#!/usr/bin/env python3
"""Export a checkpoint to fully int8 .tflite files, one for each input size."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from training.checkpoint import load_network
from training.command import run
from training.dataset import picture_paths, read_picture
from training.export import describe, export_int8
from training.places import input_folder, output_folder
from training.prepare import coco_network
from training.report import say


def main() -> None:
    """Parse the command line and run the step."""
    training = input_folder("training", output_folder("training"))
    data = input_folder("prepared", output_folder("prepared"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checkpoint", type=Path, default=training / "best.pt",
        help="checkpoint .pt, or the published weights .npz (80 classes)",
    )  # fmt: skip
    parser.add_argument("--data", type=Path, default=data, help="for calibration pictures")
    parser.add_argument("--size", type=int, nargs="+", default=[416], help="input size in pixels")
    parser.add_argument("--calibration", type=int, default=128, help="calibration pictures")
    parser.add_argument("--output", type=Path, default=output_folder("export"))
    options = parser.parse_args()
    load = coco_network if options.checkpoint.suffix == ".npz" else load_network
    network = load(options.checkpoint)
    paths = picture_paths(options.data, "train")
    chosen = np.linspace(0, len(paths) - 1, min(options.calibration, len(paths))).astype(int)
    pictures = [read_picture(paths[i]) for i in chosen]
    for size in options.size:
        target = options.output / f"model-{size}.tflite"
        export_int8(network, pictures, size, target)
        say(step="export", size_px=size, file=str(target), **describe(target))


if __name__ == "__main__":
    run(main)
