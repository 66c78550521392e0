#!/usr/bin/env python3
"""Prepare a data set for training: check the labels and add persons by pseudo-labels."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.command import run
from training.places import input_folder, output_folder, shared_data
from training.prepare import PrepareSettings, prepare
from training.pseudo import PseudoRule


def main() -> None:
    """Parse the command line and run the step."""
    shared = shared_data()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--source", type=Path, default=input_folder("dataset", shared / "hardhat"),
        help="data set in YOLO layout (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--weights", type=Path, help="COCO weights (.npz)",
        default=input_folder("weights", shared / "weights") / "yolov5s_v6.0_coco.npz",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, default=output_folder("prepared"))
    parser.add_argument("--person-score", type=float, default=PseudoRule().label)
    options = parser.parse_args()
    rule = PseudoRule(label=options.person_score)
    prepare(PrepareSettings(options.source, options.weights, options.output, rule=rule))


if __name__ == "__main__":
    run(main)
