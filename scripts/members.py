#!/usr/bin/env python3
"""Say how torchrun starts here: the members of Valohai's distributed task, or this machine alone.

arguments=$(python scripts/members.py) && torchrun $arguments scripts/train.py …
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from training.command import run
from training.members import ALONE, arguments, read_members


def main() -> None:
    """Print torchrun's arguments on one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = os.environ.get("VH_CONFIG_DIR")
    parser.add_argument(
        "--file", type=Path, default=Path(folder, "distributed.json") if folder else None,
        help="Valohai's distributed.json (default: %(default)s, if it is there)",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=29400, help="of the first member")
    options = parser.parse_args()
    found = options.file is not None and options.file.exists()
    words = arguments(read_members(options.file), options.port) if found else ALONE
    print(*words)


if __name__ == "__main__":
    run(main)
