#!/usr/bin/env python3
"""Prepare a data set for training.

With a folder as its source: check a YOLO data set as it is, and add persons by pseudo-labels. With
FORMAT:PATH, as often as needed: what labelling tools exported becomes one data set with a report;
FORMAT+persons:PATH for exports in which persons are not labelled. See docs/labelling.md.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training.command import run
from training.dataset import CLASSES
from training.places import input_folder, input_path, output_folder, shared_data
from training.prepare import PrepareSettings, add_persons, prepare
from training.pseudo import PseudoRule
from training.report import progress, say

from scripts.labelling.assemble import AssembleSettings, assemble, check_share
from scripts.labelling.classes import class_map
from scripts.labelling.dataset import write
from scripts.labelling.report import counts, write_report
from scripts.labelling.sources import FORMATS, Source, parse_source
from scripts.labelling.split import SplitRule
from updater.errors import UsageError


def main() -> None:
    """Parse the command line and run the step."""
    options = _parser().parse_args()
    rule = PseudoRule(label=options.person_score)
    given = options.source or [str(input_folder("dataset", shared_data() / "hardhat"))]
    sources = [source for text in given if (source := parse_source(text))]
    if not sources and len(given) == 1:
        prepare(PrepareSettings(Path(given[0]), options.weights, options.output, rule=rule))
    elif len(sources) == len(given):
        _assemble(sources, options, rule)
    else:
        raise UsageError(
            "a plain folder goes alone",
            where="--source",
            hint=f"With others, name its format: yolo+persons:PATH; one of {', '.join(FORMATS)}",
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--source", action="append", metavar="[FORMAT:]PATH",
        help="data set, or exports in rising order of trust (default: the hard-hat set)",
    )  # fmt: skip
    parser.add_argument(
        "--weights", type=Path, help="COCO weights (.npz), to add persons",
        default=input_folder("weights", shared_data() / "weights") / "yolov5s_v6.0_coco.npz",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, default=output_folder("prepared"))
    parser.add_argument("--person-score", type=float, default=PseudoRule().label)
    several = parser.add_argument_group("with FORMAT:PATH")
    several.add_argument(
        "--pictures", type=Path, action="append", default=[],
        help="folder with pictures that an export does not contain",
    )  # fmt: skip
    several.add_argument(
        "--map", action="append", default=[], metavar="NAME=CLASS",
        help=f"a tool's class is one of {', '.join(CLASSES)}, or - to leave its boxes out",
    )  # fmt: skip
    several.add_argument(
        "--empty-is-background", action="store_true",
        help="pictures without a box in YOLO and COCO exports were looked at (default: left out)",
    )  # fmt: skip
    split = SplitRule()
    several.add_argument(
        "--val-share", type=float, default=split.val_share, help="default: %(default)s"
    )
    several.add_argument("--split-salt", default=split.salt, help="another one, another split")
    several.add_argument(
        "--split-anew", action="store_true", help="do not keep the parts that sources come with"
    )
    several.add_argument(
        "--most-dropped", type=float, default=0.1, metavar="SHARE",
        help="fail when more labelled pictures were left out (default: %(default)s)",
    )  # fmt: skip
    return parser


def _assemble(sources: list[Source], options: argparse.Namespace, rule: PseudoRule) -> None:
    if not 0 <= options.val_share <= 1 or not 0 <= options.most_dropped <= 1:
        raise UsageError("must be from 0 to 1", where="--val-share, --most-dropped")
    settings = AssembleSettings(
        sources=tuple(replace(source, path=input_path(source.path)) for source in sources),
        classes=class_map(CLASSES, options.map),
        pictures=tuple(options.pictures),
        split=SplitRule(options.val_share, options.split_salt, keep=not options.split_anew),
        empty_is_background=options.empty_is_background,
    )
    assembly = assemble(settings, progress)
    check_share(assembly, options.most_dropped)
    if any(source.add_persons for source in sources):
        assembly = add_persons(assembly, options.weights, rule)
    write(assembly, CLASSES, options.output)
    write_report(assembly, CLASSES, options.output / "report.html", "Data set")
    say(step="prepare", **counts(assembly, CLASSES))


if __name__ == "__main__":
    run(main)
