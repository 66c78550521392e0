"""Parts of a simulated fleet are processes; one is asked on its standard input, a line at a time.

Each question and each answer is one JSON value on a line. A part ends with its input.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
ANSWER_S = 120.0
END_S = 30.0


def answer(respond: Callable[[Any], Any]) -> None:
    """Answers questions until there are no more."""
    for line in sys.stdin:
        print(json.dumps(respond(json.loads(line))), flush=True)


def say(value: object) -> None:
    """Says something that nobody has asked: that the part is ready."""
    print(json.dumps(value), flush=True)


class Part:
    """A process that answers.

    Args:
        module: below ``tests.support.fleet``.
        settings: its only argument, as JSON.
        log: takes what it writes to standard error.

    Attributes:
        ready: what it said first.
    """

    def __init__(self, module: str, settings: object, log: Path) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"tests.support.fleet.{module}", json.dumps(settings)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, text=True,
            )  # fmt: skip
        self._log = log
        self._killed_s = 0.0
        self.ready: Any = None

    def wait_ready(self) -> Any:
        """What it says when it is ready."""
        self.ready = self._read()
        return self.ready

    def ask(self, question: object) -> Any:
        """Asks, and waits for the answer."""
        self.tell(question)
        return self._read()

    def tell(self, question: object) -> None:
        """Asks; the answer must be fetched by :meth:`wait_ready`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._process.kill()
        self._end()

    def stop(self) -> None:
        """Lets it end."""
        if self._process.poll() is not None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"does not end:\n{self._log.read_text()[-2000:]}") from None
        finally:
            self._end()

    def _end(self) -> None:
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                stream.close()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"it has ended:\n{self._log.read_text()[-2000:]}"
        return json.loads(line)


def processor_s(pid: int) -> float:
    """Processor time of a process and its threads so far, seconds.

    The clock of a process other than ours: clock_getcpuclockid(3), as Linux numbers them
    (MAKE_PROCESS_CPUCLOCK of linux/posix-timers.h, with CPUCLOCK_SCHED).
    """
    return time.clock_gettime((~pid << 3) | 2)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no memory")
