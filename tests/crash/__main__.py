"""``python -m tests.crash kill|error|powercut``: every point of every command, and a table."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.crash import upload
from tests.crash.points import Point, spread
from tests.crash.powercut import cut, record
from tests.crash.scenarios import SCENARIOS
from tests.crash.sweep import ERRORS, KILL, Outcome, Strike, Sweep, workplace
from tests.crash.upload import UploadSweep
from tests.support.s3_server import S3Server

GROUPS = {
    "open": ("openat",),
    "write": ("write", "pwrite64", "ftruncate", "sendto"),
    "fsync": ("fsync", "fdatasync"),
    "rename": ("rename", "renameat", "renameat2"),
    "link": ("link", "linkat", "symlink", "symlinkat"),
    "unlink": ("unlink", "unlinkat", "rmdir"),
    "mkdir": ("mkdir", "mkdirat"),
    "mode": ("chmod", "fchmod", "fchmodat", "fchown"),
    "close": ("close",),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("kill", "error", "powercut"))
    parser.add_argument("--only", default="", help="commands whose name begins so")
    parser.add_argument("--points", type=int, default=0, help="of each command; 0: all")
    parser.add_argument("--all-errors", action="store_true",
                        help="each error at each point, not one after the other")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    # As an exception, so that the server and the other processes end, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    began_s = time.monotonic()
    with workplace() as folder:
        if arguments.kind == "powercut":
            bad = power_cuts(folder, arguments.only, arguments.jobs)
        else:
            outcomes = list(struck(folder, arguments))
            print(table(outcomes))
            print(f"\nexit codes: {dict(sorted(Counter(o.code for o in outcomes).items()))}")
            bad = sum(bool(outcome.bad) for outcome in outcomes)
    print(f"{time.monotonic() - began_s:.0f} s")
    return 1 if bad else 0


def struck(folder: Path, arguments: argparse.Namespace) -> Iterator[Outcome]:
    """Strikes all that is asked for, and tells of it meanwhile."""

    def strikes(name: str, points: Sequence[Point]) -> list[Strike]:
        if arguments.points:
            points = spread(points, arguments.points, kind=lambda point: point.call)
        return strikes_of(name, points, arguments.kind, every=arguments.all_errors)

    chosen = [scenario for scenario in SCENARIOS if scenario.name.startswith(arguments.only)]
    if chosen:
        with Sweep(folder, jobs=arguments.jobs) as sweep:
            found = sweep.find(chosen)
            todo = [strike for name, points in found.items() for strike in strikes(name, points)]
            yield from told(sweep.strike(todo), len(todo))
    if upload.NAME.startswith(arguments.only):
        (folder / "upload").mkdir()
        server = S3Server(folder / "moto.log")
        try:
            uploads = UploadSweep.make(folder / "upload", server)
            todo = strikes(upload.NAME, uploads.find())
            yield from told(uploads.strike(todo), len(todo))
        finally:
            server.stop()


def told(outcomes: Iterable[Outcome], count: int) -> Iterator[Outcome]:
    """The outcomes, each bad one told at once, and how far it has come."""
    for number, outcome in enumerate(outcomes, 1):
        if outcome.bad:
            print(f"BAD {outcome}", file=sys.stderr, flush=True)
        elif number % 25 == 0:
            print(f"{number}/{count}", file=sys.stderr, flush=True)
        yield outcome


def power_cuts(folder: Path, only: str, jobs: int) -> int:
    """Cuts the power at every moment of every command; how many of the disks left are bad."""
    rows = [["command", "moments", "disks", "bad"], ["---", "---:", "---:", "---:"]]
    total = [0, 0, 0]
    chosen = [scenario for scenario in SCENARIOS if scenario.name.startswith(only)]
    with Sweep(folder, jobs=jobs) as sweep:
        sweep.find(chosen)
        for scenario in chosen:
            cuts = cut(record(sweep.prepared(scenario), scenario), folder)
            for problem in cuts.bad:
                print(f"BAD {scenario.name}: {problem}", file=sys.stderr, flush=True)
            counts = [cuts.moments, cuts.images, len(cuts.bad)]
            total = [a + b for a, b in zip(total, counts, strict=True)]
            rows.append([scenario.name, *map(str, counts)])
    rows.append(["**all**", *map(str, total)])
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return total[-1]


def strikes_of(name: str, points: Sequence[Point], kind: str, *, every: bool) -> list[Strike]:
    """The strikes of a scenario; of the errors one at each point, in turn, or each."""
    if kind == KILL:
        return [Strike(name, point, KILL) for point in points]
    if every:
        return [Strike(name, point, error) for point in points for error in ERRORS]
    return [Strike(name, point, ERRORS[place % len(ERRORS)]) for place, point in enumerate(points)]


def table(outcomes: Sequence[Outcome]) -> str:
    """Strikes by command and system call, in Markdown."""
    names = list(dict.fromkeys(outcome.strike.scenario for outcome in outcomes))
    head = ["command", *GROUPS, "all", "bad"]
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for name in [*names, ""]:
        own = [found for found in outcomes if name in ("", found.strike.scenario)]
        calls = [found.strike.point.call for found in own]
        counts = [sum(call in group for call in calls) for group in GROUPS.values()]
        bad = sum(bool(found.bad) for found in own)
        rows.append([name or "**all**", *map(str, (*counts, len(own), bad))])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
