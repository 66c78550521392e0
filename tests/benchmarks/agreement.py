"""How far good models agree: what a probation's limits must leave room for.

``python -m tests.benchmarks.agreement MODEL MODEL… --pictures DIR``: each model in turn as the
predecessor of each other one, counted as ``daemon.swap.comparison`` counts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from dataclasses import replace
from pathlib import Path

from daemon.config import ModelConfig
from daemon.detection.detector import Detector
from daemon.sources.folder import read_picture
from daemon.sources.picture import ArrayPicture
from daemon.swap.comparison import Places, Tally, compare

CLASSES = ("helmet", "head", "person")
SCORE = 0.4
PICTURES = 150


def main() -> None:
    """Prints one JSON object a pair of models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="a .tflite file")
    parser.add_argument("--pictures", type=Path, required=True, metavar="DIR")
    arguments = parser.parse_args()
    paths = sorted(arguments.pictures.rglob("*.jpg"))[:PICTURES]
    tallies = measure(arguments.models, paths)
    for (old, new), tally in tallies.items():
        figures = {
            "predecessor": old.name,
            "model": new.name,
            "pictures": tally.samples,
            "objects": tally.stable,
            "found": round(tally.found / max(1, tally.stable), 3),
            "extra_per_picture": round(tally.extra / max(1, tally.samples), 2),
        }
        print(json.dumps(figures))


def measure(models: list[Path], pictures: list[Path]) -> dict[tuple[Path, Path], Tally]:
    """Counts over the pictures, by predecessor and model."""
    with tempfile.TemporaryDirectory() as folder:
        labels = Path(folder, "labels.txt")
        labels.write_text("\n".join(CLASSES) + "\n")
        config = ModelConfig(
            bundle=models[0], labels=labels, runtime="litert", score_threshold=SCORE,
            runtime_cache=Path(folder, "runtime.json"),
        )  # fmt: skip
        detectors = {path: Detector.open(replace(config, bundle=path)) for path in models}
    tallies = dict.fromkeys(itertools.permutations(models, 2), Tally())
    for path in pictures:
        picture = ArrayPicture(read_picture(path))
        found = {model: detector.detect(picture) for model, detector in detectors.items()}
        for old, new in tallies:
            # A photograph has no frame before it: all that the predecessor finds is stable.
            tallies[old, new] += compare(
                found[old], found[old], found[new], Places(),
                predecessor_score=SCORE, running_score=SCORE,
            )  # fmt: skip
    return tallies


if __name__ == "__main__":
    main()
