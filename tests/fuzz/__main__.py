"""Fuzzes the reading of bundles: ``python -m tests.fuzz --minutes 30``.

With atheris the mutations are guided by which lines of ``updater`` they reach, without it they are
blind; either way the same kinds of mutations are tried on the same path.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import importlib.util
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

CPU_LIMIT_S = 10.0
"""Of the processor's time for one archive; the slowest takes a hundredth."""

REPORT_S = 60.0
FIRST_INPUTS = 500
FIRST_INPUT_BYTES = 600
EPILOG = """\
exit codes: 0 nothing found, 1 a finding (its archive is kept, see FOLDER), 2 arguments

examples:
  python -m tests.fuzz --minutes 30
  python -m tests.fuzz --replay build/fuzz/1234567890ab.zip
"""


class Run:
    """Tries archives until the processor's time is spent or something is found."""

    def __init__(self, minutes: float, findings: Path) -> None:
        from tests.fuzz.harness import Sandbox  # noqa: PLC0415  (after the instrumentation)

        # Before the sandbox becomes the working directory.
        self._findings = findings.absolute()
        self._sandbox = Sandbox()
        self._end_s = minutes * 60.0
        self._outcomes: collections.Counter[str] = collections.Counter()
        self._reported_s = 0.0
        signal.signal(signal.SIGVTALRM, _hangs)

    def try_out(self, data: bytes) -> None:
        """Tries one; ends the process after a finding, or when the time is over."""
        signal.setitimer(signal.ITIMER_VIRTUAL, CPU_LIMIT_S)
        try:
            outcome = self._sandbox.try_out(data)
        except BaseException as error:  # noqa: BLE001  (anything at all is a finding)
            self._found(data, error)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        self._outcomes[outcome.error] += 1
        spent_s = time.process_time()
        if spent_s >= self._end_s:
            self._say(spent_s)
            print("fuzz: nothing found", flush=True)
            self._leave(0)
        if spent_s - self._reported_s >= REPORT_S:
            self._reported_s = spent_s
            self._say(spent_s)

    def _found(self, data: bytes, error: BaseException) -> None:
        self._findings.mkdir(parents=True, exist_ok=True)
        path = self._findings / f"{hashlib.sha256(data).hexdigest()[:12]}.zip"
        path.write_bytes(data)
        self._say(time.process_time())
        traceback.print_exception(error)
        print(f"fuzz: FOUND: {error!r}; python -m tests.fuzz --replay {path}", flush=True)
        self._leave(1)

    def _say(self, spent_s: float) -> None:
        tried = self._outcomes.total()
        good = self._outcomes[""]
        print(
            f"fuzz: {spent_s / 60:.1f} min of the processor, {tried} archives, {good} accepted, "
            f"{len(self._outcomes)} different outcomes",
            flush=True,
        )

    def _leave(self, code: int) -> None:
        self._sandbox.close()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # libFuzzer takes any other end for a crash


def main() -> None:
    """Parses the command line and runs."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description="Fuzzes the reading of bundles.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="of the processor (default: 1)")
    parser.add_argument("--seed", type=int, default=None, help="first seed (default: by chance)")
    parser.add_argument("--blind", action="store_true", help="do without atheris")
    parser.add_argument(
        "--findings", type=Path, metavar="FOLDER", default=Path("build/fuzz"),
        help="takes archives that were found (default: build/fuzz)",
    )  # fmt: skip
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try this archive alone")
    options = parser.parse_args()
    seed = time.time_ns() % 2**31 if options.seed is None else options.seed
    if options.replay is not None:
        data = options.replay.read_bytes()
        Run(1.0, options.findings).try_out(data)
        print("fuzz: nothing found in it")
    elif options.blind or importlib.util.find_spec("atheris") is None:
        print(f"fuzz: without coverage, seed {seed}", flush=True)
        _blind(Run(options.minutes, options.findings), seed)
    else:
        print(f"fuzz: guided by coverage, seed {seed}", flush=True)
        _guided(lambda: Run(options.minutes, options.findings), options.findings.absolute(), seed)


def _blind(run: Run, seed: int) -> None:
    from tests.fuzz.choices import RandomChoices  # noqa: PLC0415
    from tests.fuzz.mutation import make  # noqa: PLC0415

    while True:
        run.try_out(make(RandomChoices(seed)))
        seed += 1


def _guided(start: Callable[[], Run], findings: Path, seed: int) -> None:
    atheris: Any = importlib.import_module("atheris")
    # Only what is imported in here reports which lines it runs.
    with atheris.instrument_imports(include=["updater"]):
        from tests.fuzz.choices import AtherisChoices  # noqa: PLC0415
        from tests.fuzz.mutation import make  # noqa: PLC0415

        run = start()

    def try_one(data: bytes) -> None:
        run.try_out(make(AtherisChoices(atheris.FuzzedDataProvider(data))))

    # What libFuzzer learns is kept outside of the sandbox, where nothing is looked for.
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory() as corpus:
        _sow(Path(corpus), seed)
        findings.mkdir(parents=True, exist_ok=True)
        # libFuzzer's own limits count the wall's time, in which a busy machine may do nothing.
        arguments = ["-max_len=4096", "-rss_limit_mb=1024", "-timeout=3600", "-verbosity=0",
                     "-report_slow_units=3600", f"-artifact_prefix={findings}/"]  # fmt: skip
        atheris.Setup([sys.argv[0], *arguments, f"-seed={seed}", corpus], try_one)
        atheris.Fuzz()


def _sow(corpus: Path, seed: int) -> None:
    """First decisions of every kind; from none at all libFuzzer takes long to learn."""
    chance = random.Random(seed)
    for number in range(FIRST_INPUTS):
        (corpus / str(number)).write_bytes(chance.randbytes(FIRST_INPUT_BYTES))


def _hangs(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {CPU_LIMIT_S:g} s of the processor for one archive")


if __name__ == "__main__":
    main()
