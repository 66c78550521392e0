"""Runs the loop demonstration; ``scripts/loop-demo`` is its command."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from scripts.looping import plan
from scripts.looping.annotator import Annotator, InLabelStudio, StandIn, Truth
from scripts.looping.narration import Narrator
from scripts.looping.plan import Size
from scripts.looping.result import Result
from scripts.looping.rounds import Loop
from scripts.training.places import shared_data
from tests.support.label_studio import LabelStudioError
from updater.errors import SitewatchError

OUTPUT = Path(__file__).resolve().parents[2] / "demo-output/loop"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    usual = Size()
    made = argparse.ArgumentParser(prog="scripts/loop-demo", description=__doc__)
    add = made.add_argument
    add("--devices", type=int, default=usual.devices, help="default: %(default)s")
    add("--start", type=int, default=usual.start, help="photographs of the first model")
    add("--each", type=int, default=usual.each, help="photographs that each camera shows")
    add("--epochs", type=int, default=usual.first_epochs, help="of the first training")
    add("--more-epochs", type=int, default=usual.next_epochs, help="of the second")
    add(
        "--label-studio",
        action="store_true",
        help="label in a real one (scripts/setup-cloud --label-studio)",
    )
    add("--keep", action="store_true", help="leave the working folder, also when all went well")
    return made


def demonstrate(size: Size, work: Path, *, real_label_studio: bool) -> Result:
    """Everything, in an empty folder."""
    made = plan.with_training(shared_data(), work, size)

    def annotator(truth: Truth) -> Annotator:
        return InLabelStudio(truth, work / "label-studio") if real_label_studio else StandIn(truth)

    return Loop(made, work, Narrator(), annotator).run()


def main() -> int:
    """Reads the command line; an error becomes one line and an exit code."""
    given = parser().parse_args()
    # A polite kill must end all servers and daemons, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    size = Size(
        devices=given.devices, start=given.start, each=given.each,
        first_epochs=given.epochs, next_epochs=given.more_epochs,
    )  # fmt: skip
    # Not below a home folder: the updater gives up root's rights, and must reach its files.
    work = Path(tempfile.mkdtemp(prefix="sitewatch-loop-", dir="/var/tmp"))
    work.chmod(0o755)
    try:
        result = demonstrate(size, work, real_label_studio=given.label_studio)
    except SitewatchError as error:
        print(f"loop-demo: NOT as expected: {error}\nSee {work}", file=sys.stderr)
        return error.exit_code
    except (AssertionError, LabelStudioError) as error:
        print(f"loop-demo: NOT as expected: {error}\nSee {work}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\n{result.rendered()}")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "result.json").write_text(json.dumps(asdict(result), indent=1) + "\n")
    (OUTPUT / "result.txt").write_text(result.rendered() + "\n")
    if given.keep:
        print(f"\nThe working folder, photographs of people in it: {work}")
    else:
        shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
