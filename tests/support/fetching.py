"""Fetches in tests: limits that fit a test, a clock that does not wait, and a process to kill.

As a program: ``python -m tests.support.fetching URL DOWNLOADS`` fetches and prints the file's
sha256, and by how many kilobytes the process's peak memory grew meanwhile.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from updater import fetch
from updater.fetch import Fetched, FetchPolicy, Received, Timing

POLICY = FetchPolicy(
    connect_timeout_s=20.0,
    read_timeout_s=20.0,
    total_timeout_s=300.0,
    free_margin_bytes=0,
    proxy="none",
)
"""Patient, since the machine of a test may be busy."""


@dataclass
class Scene:
    """One device's downloads, and what is seen of them.

    Attributes:
        downloads: the folder.
        waits: seconds that would have been waited between attempts.
        notes: what the progress said.
        on_wait: called in place of each wait, so that a test can mend what it broke.
        on_bytes: called with what is held, so that a test can break something.
    """

    downloads: Path
    waits: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    on_wait: Callable[[], None] = lambda: None
    on_bytes: Callable[[int], None] = lambda held: None

    def fetch(
        self,
        url: str,
        policy: FetchPolicy = POLICY,
        *,
        sha256: str | None = None,
        credentials: fetch.Credentials | None = None,
    ) -> Fetched:
        """Fetches; the dice always show the longest wait."""
        return fetch.fetch(
            url,
            self.downloads,
            policy,
            sha256=sha256,
            credentials=credentials,
            progress=self._progress,
            timing=Timing(sleep=self._sleep, random=lambda: 1.0),
        )

    @property
    def kept_bytes(self) -> int:
        """What lies there of unfinished downloads."""
        return sum(path.stat().st_size for path in self.downloads.glob("*.part"))

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.on_wait()

    def _progress(self, received: Received) -> None:
        if received.note:
            self.notes.append(received.note)
        else:
            self.on_bytes(received.held_bytes)


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and everything that a traceback could show of where it came from."""
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop()
        if found is not None:
            yield found
            waiting += [found.__cause__, found.__context__]


def peak_kilobytes() -> int:
    """The most memory that this process has used; unlike getrusage's, not its parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("the kernel does not tell")


def main() -> None:
    """Fetches twice: a little to load everything, then what is asked."""
    url, downloads = sys.argv[1], Path(sys.argv[2])
    if len(sys.argv) > 3:
        fetch.fetch(sys.argv[3], downloads, POLICY)
    before = peak_kilobytes()
    fetched = fetch.fetch(url, downloads, POLICY)
    print(fetched.sha256, peak_kilobytes() - before)


if __name__ == "__main__":
    main()
