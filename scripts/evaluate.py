#!/usr/bin/env python3
"""Evaluate a checkpoint, or an exported .tflite file, on the validation photographs and on clips.

With --report as an HTML page, too; with --production also against the model that it shall replace.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training.checkpoint import load, load_network
from training.clips import frames_with, read_frames
from training.command import run
from training.comparison import Change, compare
from training.dataset import CLASSES, Example, load_examples, part_sha256
from training.decode import Found
from training.errors import count_errors, working_points
from training.evaluate import MAIN_CLASSES, find_all, invoke_ms, judged
from training.metrics import Evaluation, summary
from training.model_report import WORKING_SCORE, ModelReport, write_report
from training.origin import Origin
from training.places import input_folder, output_folder
from training.predict import Maps, tflite_maps, torch_maps
from training.report import say, say_into

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
    several = parser.add_argument_group("report")
    several.add_argument("--report", type=Path, metavar="HTML", help="write one, of the last size")
    several.add_argument("--score", type=float, default=WORKING_SCORE, help="working threshold")
    several.add_argument("--checkpoint", type=Path, help="that the model was made of: its origin")
    several.add_argument("--production", type=Path, help="model to compare with, on the same")
    several.add_argument(
        "--production-figures", type=Path, metavar="JSONL",
        help="write its figures here, for scripts/publish.py",
    )  # fmt: skip
    options = parser.parse_args()
    examples = load_examples(options.data, options.part)
    identity = {f"{options.part}_sha256": part_sha256(options.data, options.part)}
    name = options.model.name
    for size in options.size:
        maps = _open(options.model)
        found = find_all(examples, size, maps)
        evaluation = judged(examples, found)
        values = summary(evaluation.precision, MAIN_CLASSES)
        say(step="evaluate", model=name, size_px=size, **values, **identity)
        old: Evaluation | None = None
        changes: list[Change] = []
        if options.production is not None:
            old = judged(examples, find_all(examples, size, _open(options.production)))
            values = summary(old.precision, MAIN_CLASSES)
            if options.production_figures is not None:
                told = {"model": options.production.name, "size_px": size, **values, **identity}
                say_into(options.production_figures, step="evaluate", **told)
            changes = compare(evaluation, old, CLASSES, MAIN_CLASSES)
            say(step="comparison", model=name, size_px=size, **_told(changes))
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
    if options.report is not None:
        report = _report(options, examples, found, evaluation, identity)
        write_report(replace(report, production=old, changes=changes), options.report)


def _report(
    options: argparse.Namespace,
    examples: Sequence[Example],
    found: Sequence[Found],
    evaluation: Evaluation,
    identity: dict[str, str],
) -> ModelReport:
    """What is known of the model itself."""
    facts, history = identity, []
    if options.checkpoint is not None:
        state = load(options.checkpoint)
        origin = Origin.from_plain(state.origin)
        facts = {**(origin.facts() if origin else {}), "epoch": str(state.epoch), **identity}
        history = state.history
    return ModelReport(
        model=options.model.name,
        size_px=options.size[-1],
        examples=examples,
        found=found,
        evaluation=evaluation,
        facts=facts,
        history=history,
        score=options.score,
    )


def _told(changes: Sequence[Change]) -> dict[str, float]:
    """Changes as metadata: none is named as a figure is, or the gate would take it for one."""
    told = {}
    for each in changes:
        told[f"{each.name}_gain"] = each.gain
        told[f"{each.name}_gain_low"], told[f"{each.name}_gain_high"] = each.low, each.high
    return told


def _open(model: Path, threads: int = 1) -> Maps:
    if model.suffix == ".tflite":
        return tflite_maps(model, threads)
    return torch_maps(load_network(model))


if __name__ == "__main__":
    run(main)
