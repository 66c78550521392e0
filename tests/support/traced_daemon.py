"""``python -m tests.support.traced_daemon TRACE run …``: the daemon, which notes each frame.

At its end it writes one line for each frame: its number, the monotonic time at which the loop was
done with it, and the version of the model that looked at it (``-`` where none did).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from daemon import cli
from daemon.commands import run
from daemon.frames import Frame
from daemon.service import Service

TRACE: list[tuple[int, float, str]] = []


class TracedService(Service):
    """A service that remembers when it was done with each frame."""

    def _guarded_look(self, frame: Frame) -> None:
        version = self.pipeline.detector.model_version
        super()._guarded_look(frame)
        TRACE.append((frame.sequence, time.monotonic(), version))


def main() -> int:
    vars(run)["Service"] = TracedService
    trace = Path(sys.argv.pop(1))
    try:
        return cli.main(sys.argv[1:])
    finally:
        trace.write_text("".join(f"{number} {at_s!r} {by}\n" for number, at_s, by in TRACE))


if __name__ == "__main__":
    sys.exit(main())
