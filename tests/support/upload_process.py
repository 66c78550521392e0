"""A process that uploads captures: ``… FOLDER URL KEY-FILE BUCKET PREFIX DEVICE [N]``.

With N it kills itself at the N-th thing it does to the folder or the network, counted from 1, as
Python's audit events tell them (PEP 578): before a file of the folder is opened or made, before a
lock is taken, before a connection is made. If it lives it prints how many there were, and the most
memory that it had, in bytes.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

from updater.upload import credentials
from updater.upload.body import Pace
from updater.upload.names import Destination
from updater.upload.plan import Budget
from updater.upload.s3 import Bucket, Endpoint
from updater.upload.upload import Upload

COUNTED = ("fcntl.flock", "socket.connect")


class Counter:
    """Counts, and kills the process when the time has come.

    Args:
        folder: the captures.
        fatal: the number of the event that is not survived; 0 for none.
    """

    def __init__(self, folder: str, fatal: int) -> None:
        self._folder = folder
        self._fatal = fatal
        self.count = 0

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """An audit hook."""
        if event not in COUNTED and not any(
            isinstance(one, str) and one.startswith(self._folder) for one in arguments
        ):
            return
        self.count += 1
        if self.count == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


def most_memory_bytes() -> int:
    """The peak of this process; getrusage's would be its parent's where that was larger."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def main() -> None:
    """Uploads everything."""
    folder, url, key_file, bucket_name, prefix, device, *fatal = sys.argv[1:]
    counter = Counter(folder, int(fatal[0]) if fatal else 0)
    with Path(key_file).open("rb") as file:
        key = credentials.read(file, where=key_file)
    bucket = Bucket(bucket_name, Endpoint(url=url, proxy="none"), key)
    destination = Destination(bucket_name, prefix, device)
    sys.addaudithook(counter)
    run = Upload(Path(folder), destination, bucket, pace=Pace(0), sleep=lambda _: None)
    run.run(Budget(1000, 10**9))
    print(counter.count, most_memory_bytes())


if __name__ == "__main__":
    main()
