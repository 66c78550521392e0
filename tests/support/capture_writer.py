"""A process that stores captures as fast as it can, to be killed: ``… FOLDER [FILES]``.

Prints the name of each capture once it is stored.
"""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path

from daemon.captures.buffer import CaptureBuffer
from daemon.clock import Clock
from tests.support.captures import config, decision


def main() -> None:
    """Stores captures of random value until it is killed."""
    folder, max_files = Path(sys.argv[1]), int(sys.argv[2])
    chance = random.Random()
    clock = Clock()
    buffer = CaptureBuffer(config(folder, max_files=max_files), "cam-1", clock=clock)
    for number in itertools.count():
        found = decision(value=chance.random(), sequence=number, monotonic_s=clock.monotonic_s())
        outcome = buffer.store(found, chance.randbytes(chance.randrange(1, 200_000)))
        print(outcome.name or outcome.refusal, flush=True)


if __name__ == "__main__":
    main()
