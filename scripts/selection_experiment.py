#!/usr/bin/env python3
"""Does choosing pictures pay? What the device's selection chooses, against chance, as mAP.

Goes on where an earlier run ended. --report prints the table of docs/selection.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training import command
from training.places import input_folder, output_folder, shared_data
from training.report import say

from scripts.selection import results
from scripts.selection.table import insert, report

_RESULTS = Path(__file__).resolve().parents[1] / "docs" / "selection.jsonl"


def main() -> None:
    """Parse the command line and run the step."""
    # An option that is not given is left to Experiment, which has the only copy of defaults.
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    data = input_folder("prepared", output_folder("prepared"))
    weights = input_folder("weights", shared_data() / "weights") / "yolov5s_v6.0_coco.npz"
    parser.add_argument("--data", type=Path, default=data, help="prepared data set")
    parser.add_argument("--weights", type=Path, default=weights, help="COCO weights (.npz)")
    parser.add_argument("--work", type=Path, default=output_folder("selection"))
    parser.add_argument("--results", type=Path, default=_RESULTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, 11)))
    parser.add_argument(
        "--controls",
        action="store_true",
        help="also train on with as many boxes by chance, with no further picture, and with all",
    )
    parser.add_argument("--device", metavar="NAME", help="name of this version of the selection")
    parser.add_argument("--start", type=int, help="pictures of the starting model")
    parser.add_argument("--counts", type=int, nargs="+", help="how many further pictures")
    parser.add_argument("--size-px", type=int)
    parser.add_argument("--start-epochs", type=int)
    parser.add_argument("--steps", type=int, help="of each training that goes on")
    parser.add_argument("--jobs", type=int, help="trainings at a time, one thread each")
    parser.add_argument("--report", action="store_true", help="only print the tables")
    parser.add_argument("--page", type=Path, help="with --report: write them into this page")
    parser.add_argument(
        "--resample", action="store_true", help="only print bootstrap intervals over val (--work)"
    )
    options = vars(parser.parse_args())
    seeds, controls = options.pop("seeds"), options.pop("controls", False)
    only_resample = options.pop("resample", False)
    if options.pop("report", False):
        tables = report(results.read(options["results"]))
        if page := options.get("page"):
            page.write_text(insert(page.read_text(), tables))
        print(tables)
        return
    # Read when torch is loaded, here and in the trainings' processes: one thread each, and none
    # that spins while it waits, is fastest where several trainings share the cores.
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    from training.experiment import Experiment, resampled, run  # noqa: PLC0415

    if "counts" in options:
        options["counts"] = tuple(options["counts"])
    experiment = Experiment(**options)
    if only_resample:
        for (arm, pictures), span in resampled(experiment).items():
            say(step="resample", arm=arm, pictures=pictures, **asdict(span))
    else:
        run(experiment, seeds, controls=controls)


if __name__ == "__main__":
    command.run(main)
