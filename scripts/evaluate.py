#!/usr/bin/env python3
"""Evaluate a checkpoint, or exported .tflite files, on the validation photographs and on clips."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from training.checkpoint import load_network
from training.clips import frames_with, read_frames
from training.command import run
from training.dataset import load_examples, part_sha256
from training.errors import count_errors, working_points
from training.evaluate import figures, find_all, invoke_ms
from training.places import input_folder, output_folder
from training.predict import Maps, tflite_maps, torch_maps
from training.report import say

_SCORES = [round(0.05 * i, 2) for i in range(2, 17)]


def main() -> None:
    """Parse the command line and run the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    data = input_folder("prepared", output_folder("prepared"))
    parser.add_argument("model", type=Path, help="checkpoint .pt or exported .tflite")
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--part", default="val")
    parser.add_argument("--size", type=int, nargs="+", default=[416], help="input sizes in pixels")
    parser.add_argument("--errors", type=float, metavar="SCORE", help="analyse errors at SCORE")
    parser.add_argument("--time", action="store_true", help="milliseconds at 1 and 2 threads")
    parser.add_argument("--clip", type=Path, nargs="*", default=[], help="videos to look at")
    parser.add_argument("--clip-score", type=float, default=0.35)
    parser.add_argument("--clip-every", type=int, default=2, help="take every n-th frame")
    options = parser.parse_args()
    examples = load_examples(options.data, options.part)
    identity = {f"{options.part}_sha256": part_sha256(options.data, options.part)}
    name = options.model.name
    for size in options.size:
        maps = _open(options.model)
        found = find_all(examples, size, maps)
        say(step="evaluate", model=name, size_px=size, **figures(examples, found), **identity)
        if options.errors is not None:
            errors = asdict(count_errors(examples, found, options.errors))
            say(step="errors", model=name, size_px=size, score=options.errors, **errors)
            for point in working_points(examples, found, _SCORES):
                say(step="threshold", model=name, size_px=size, f1=point.f1, **asdict(point))
        if options.time:
            times = {f"threads_{n}_ms": invoke_ms(_open(options.model, n), size) for n in (1, 2)}
            say(step="time", model=name, size_px=size, **times)
        for clip in options.clip:
            frames = read_frames(clip, options.clip_every)
            seen = frames_with(frames, size, maps, options.clip_score)
            say(step="clip", model=name, size_px=size, clip=clip.name, **seen)


def _open(model: Path, threads: int = 1) -> Maps:
    if model.suffix == ".tflite":
        return tflite_maps(model, threads)
    return torch_maps(load_network(model))


if __name__ == "__main__":
    run(main)
