#!/usr/bin/env python3
"""Captures to the labelling tools (out), and labels from them (back)."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cloud.report import say
from scripts.labelling import sama
from scripts.labelling.assemble import AssembleSettings, assemble, check_share
from scripts.labelling.captures import read_captures
from scripts.labelling.classes import class_map
from scripts.labelling.report import counts, write_report
from scripts.labelling.review import review
from scripts.labelling.sources import FORMATS, parse_source
from scripts.labelling.way_back import write_labels
from scripts.labelling.way_out import TOOLS, WayOut, write_tasks
from scripts.training.command import run
from scripts.training.places import input_folder, input_path, output_folder
from updater.errors import UsageError

#: The model's, as in training.dataset, which needs torch.
CLASSES = ("helmet", "head", "person")


def main() -> None:
    """Parse the command line and run the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    _add_out(commands.add_parser("out", help="write captures with pre-labels as tasks"))
    _add_back(commands.add_parser("back", help="take labels out of a tool's export"))
    options = parser.parse_args()
    options.run(options)


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_out)
    parser.add_argument(
        "--captures", type=Path, default=input_folder("captures", Path("captures")),
        help="copy of the bucket, or of one device's captures (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--address", required=True,
        help="where the tool finds that folder: s3://BUCKET/PREFIX; for Labelbox https://…",
    )  # fmt: skip
    parser.add_argument("--tool", choices=tuple(TOOLS), action="append", required=True)
    parser.add_argument("--most", type=int, help="only so many pictures, the most valuable first")
    parser.add_argument(
        "--least-score", type=float, default=0.2,
        help="weaker detections are no pre-labels (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, default=output_folder("tasks"))
    names = sama.Names()
    parser.add_argument("--sama-input", default=names.picture, help="default: %(default)s")
    parser.add_argument("--sama-output", default=names.output, help="default: %(default)s")
    parser.add_argument("--sama-tag", default=names.tag, help="default: %(default)s")


def _out(options: argparse.Namespace) -> None:
    if options.most is not None and options.most < 1:
        raise UsageError("must be 1 or more", where="--most")
    found, problems = read_captures(
        options.captures, options.address, least_score=options.least_score
    )
    chosen = found[: options.most]
    settings = WayOut(
        CLASSES, sama.Names(options.sama_input, options.sama_output, options.sama_tag)
    )
    for problem in problems:
        say(step="labels-out", left_out=problem.where, why=problem.what)
    for tool in options.tool:
        files = write_tasks(tool, chosen, options.output, settings)
        say(step="labels-out", tool=tool, files=[str(path) for path in files])
    say(
        step="labels-out",
        captures=len(found),
        pictures=len(chosen),
        prelabels=sum(len(capture.picture.boxes) for capture in chosen),
        left_out=len(problems),
    )


def _add_back(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_back)
    parser.add_argument(
        "--source", action="append", required=True, metavar="FORMAT:PATH",
        help=f"an export; FORMAT is one of {', '.join(FORMATS)}",
    )  # fmt: skip
    parser.add_argument(
        "--captures", type=Path, default=input_folder("captures", Path("captures")),
        help="the pictures that were sent, with their sidecars (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--map", action="append", default=[], metavar="NAME=CLASS")
    parser.add_argument("--empty-is-background", action="store_true")
    parser.add_argument("--most-dropped", type=float, default=0.1, metavar="SHARE")
    parser.add_argument(
        "--least-score", type=float, default=0.2, help="that the pre-labels had to have"
    )
    parser.add_argument("--output", type=Path, default=output_folder("labels"))


def _back(options: argparse.Namespace) -> None:
    sources = []
    for text in options.source:
        if (source := parse_source(text)) is None:
            raise UsageError(f"{text[:80]!r} is not FORMAT:PATH", where="--source")
        sources.append(replace(source, path=input_path(source.path)))
    assembly = assemble(
        AssembleSettings(
            sources=tuple(sources),
            classes=class_map(CLASSES, options.map),
            pictures=(options.captures,),
            empty_is_background=options.empty_is_background,
        )
    )
    check_share(assembly, options.most_dropped)
    path = write_labels(assembly, CLASSES, options.output)
    write_report(assembly, CLASSES, options.output / "report.html", "Labels that came back")
    sent, _ = read_captures(options.captures, "", least_score=options.least_score)
    proposed = {capture.picture.sha256: capture.picture.boxes for capture in sent}
    pairs = [
        (proposed[sample.picture.sha256], sample.picture.boxes)
        for sample in assembly.samples
        if sample.picture.sha256 in proposed
    ]
    changed = review(pairs)
    say(
        step="labels-back",
        file=str(path),
        captures=len(sent),
        labelled=len(pairs),
        kept=changed.kept,
        relabelled=changed.relabelled,
        removed=changed.removed,
        added=changed.added,
    )
    say(step="labels-back", **counts(assembly, CLASSES))


if __name__ == "__main__":
    run(main)
