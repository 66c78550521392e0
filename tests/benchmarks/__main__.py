"""``python -m tests.benchmarks NAME``: one JSON object as result."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from daemon.paths import default_bundle
from tests.benchmarks import broker, fleet, install, latency, memory, still, swap

MEASURES: dict[str, Callable[[Path, Path, int | None], dict[str, Any]]] = {
    "latency": latency.measure,
    "crowd": partial(latency.measure, count=4),
    "memory": memory.measure,
    "still": still.measure,
    "swap": swap.measure,
    "install": install.measure,
    "broker": broker.measure,
    "fleet": lambda folder, _bundle, _amount: fleet.measure(folder),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(MEASURES))
    parser.add_argument("--model", type=Path, help="bundle folder (default: the shipped one)")
    parser.add_argument("--amount", type=int, help="frames, events, changes or rounds")
    parser.add_argument("--devices", type=int, nargs="+", help="sizes of the fleet")
    arguments = parser.parse_args()
    if arguments.devices:
        MEASURES["fleet"] = lambda folder, _bundle, _amount: fleet.measure(
            folder, arguments.devices
        )
    with tempfile.TemporaryDirectory(prefix="sitewatch-") as folder:
        result = MEASURES[arguments.name](
            Path(folder), arguments.model or default_bundle(), arguments.amount
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
