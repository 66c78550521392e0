"""The real ``sitewatch run`` as a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WAIT_S = 90.0
"""How long something that must happen may take: generous, since the machine may be busy."""


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
    """Waits until the condition holds.

    Raises:
        AssertionError: it never did.
    """
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, f"never happened: {what}"
        time.sleep(0.05)


@dataclass
class DaemonSetup:
    """A configuration below a folder, and processes that run with it.

    Attributes:
        folder: of this test.
        bundle: the model.
        sections: the configuration's sections, changed at will before :meth:`start`.
        program: the module that is run, with arguments before ``run``.
    """

    folder: Path
    bundle: Path
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    program: tuple[str, ...] = ("daemon",)

    def __post_init__(self) -> None:
        self.sections = {
            "device": {"id": "cam"},
            "model": {
                "bundle": str(self.bundle),
                "runtime": "litert",
                "runtime_cache": str(self.folder / "runtime.json"),
            },
            "mqtt": {"enabled": False, "port": 1, "state_every_s": 1.0},
            "outbox": {"path": str(self.folder / "outbox.sqlite3")},
            "captures": {"folder": str(self.folder / "captures"), "free_floor_bytes": 0},
            "health": {
                "status_file": str(self.folder / "status.json"),
                "status_every_s": 0.5,
                "metrics_port": 0,
            },
            **self.sections,
        }

    @property
    def config_file(self) -> Path:
        """The configuration, as last written."""
        return self.folder / "sitewatch.toml"

    def write(self) -> Path:
        """Writes the configuration."""
        lines = []
        for name, values in self.sections.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        self.config_file.write_text("\n".join(lines) + "\n")
        return self.config_file

    def command(self, *options: str) -> list[str]:
        """The command line of a run."""
        config = str(self.write())
        return [sys.executable, "-m", *self.program, "run", "--config", config, *options]

    def run(self, *options: str, environment: Mapping[str, str] | None = None) -> Finished:
        """Runs to the end."""
        done = subprocess.run(
            self.command(*options),
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S * 4,
            env={**os.environ, **(environment or {})},
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def start(self, *options: str, environment: Mapping[str, str] | None = None) -> Running:
        """Starts a process and goes on."""
        log = (self.folder / "log").open("a")
        out = (self.folder / "out").open("a")
        process = subprocess.Popen(
            self.command(*options),
            stdout=out,
            stderr=log,
            env={**os.environ, **(environment or {})},
        )
        log.close()
        out.close()
        return Running(self, process)


@dataclass(frozen=True)
class Finished:
    """A run that has ended.

    Attributes:
        code: exit code.
        out: standard output.
        err: standard error.
    """

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output, one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        """The last line."""
        return self.lines[-1]


@dataclass
class Running:
    """A run that goes on; kills the process when its context ends."""

    setup: DaemonSetup
    process: subprocess.Popen[bytes]

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def log(self) -> str:
        """Standard error of all runs in this folder."""
        return (self.setup.folder / "log").read_text()

    @property
    def out(self) -> str:
        """Standard output of all runs in this folder."""
        return (self.setup.folder / "out").read_text()

    @property
    def status(self) -> dict[str, Any]:
        """The status file; empty before the first."""
        path = self.setup.folder / "status.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def wait_for_frames(self, count: int = 1) -> None:
        """Waits until so many frames were looked at."""
        self.wait_for(
            lambda: self.status.get("frames", {}).get("processed", 0) >= count, f"{count} frames"
        )

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Waits while the process lives."""

        def met() -> bool:
            held = condition()
            assert held or self.process.poll() is None, f"ended before {what}: {self.log[-2000:]}"
            return held

        wait_for(met, what)

    def wait_for_log(self, text: str) -> None:
        """Waits until the log says something."""
        self.wait_for(lambda: text in self.log, f"{text!r} in the log")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and waits for the end."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)
