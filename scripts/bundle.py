#!/usr/bin/env python3
"""Make a model bundle's folder from an exported .tflite and its evaluation (not yet signed)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training.bundle import BundleSettings, make_bundle
from training.command import run
from training.places import input_folder, output_folder
from training.report import say

from updater.manifest import Thresholds


def main() -> None:
    """Parse the command line and run the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    export = input_folder("export", output_folder("export"))
    parser.add_argument("--model", type=Path, default=export / "model-416.tflite")
    parser.add_argument("--size", type=int, default=416, help="input size in pixels")
    parser.add_argument("--version", required=True, help="of the bundle, e.g. 2026.11.22")
    parser.add_argument("--score", type=float, default=0.35, help="working score threshold")
    parser.add_argument("--iou", type=float, default=0.5, help="overlap that NMS joins")
    parser.add_argument("--figures", type=Path, required=True, help="lines of scripts/evaluate.py")
    parser.add_argument(
        "--device-class", action="append", default=[], metavar="CLASS", help="default: for all"
    )
    parser.add_argument(
        "--no-golden", action="store_true",
        help="leave the golden pictures to publish.py, which chooses those that the model proves",
    )  # fmt: skip
    parser.add_argument(
        "--checkpoint", type=Path,
        help="that the model was exported from: data, commit and settings go into the provenance",
    )  # fmt: skip
    parser.add_argument("--provenance", action="append", default=[], metavar="NAME=TEXT")
    parser.add_argument("--output", type=Path, default=output_folder("bundle"))
    options = parser.parse_args()
    provenance = dict(entry.split("=", 1) for entry in options.provenance)
    manifest = make_bundle(
        BundleSettings(
            model=options.model,
            size_px=options.size,
            version=options.version,
            thresholds=Thresholds(options.score, options.iou),
            figures=options.figures,
            provenance=provenance,
            output=options.output,
            device_classes=tuple(options.device_class),
            golden=not options.no_golden,
            checkpoint=options.checkpoint,
        )
    )
    say(step="bundle", version=manifest.version, folder=str(options.output), **manifest.metrics)


if __name__ == "__main__":
    run(main)
