"""``python -m daemon.detection.runtime_probe RUNTIME THREADS < model.tflite``: times one runtime.

A process of its own: a runtime built for another processor may end it with an illegal instruction,
and the loser's libraries do not stay in the camera process's memory. One JSON object is printed:
``{"median_ms": 12.1}`` or ``{"error": "why not"}``.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import numpy as np

from daemon.detection.runtime import KINDS, TfliteRuntime
from updater.errors import ModelError

WARM_UP_RUNS = 2
MAX_RUNS = 12
MAX_RUNNING_S = 3.0
"""Long enough for two digits; a slow model on a Pi still gets two or three runs."""


def main(name: str, threads: int) -> dict[str, float | str]:
    """The median time of an invoke with the model on standard input, or why there is none."""
    kind = next(kind for kind in KINDS if kind.name == name)
    try:
        runtime = TfliteRuntime(kind, sys.stdin.buffer.read(), threads=threads, where="the model")
        tensor = runtime.tensors.inputs[0]
        runtime.invoke(np.zeros(tensor.shape, tensor.dtype))
        return {"median_ms": median_invoke_ms(runtime)}
    except ModelError as error:
        return {"error": error.what}


def median_invoke_ms(runtime: TfliteRuntime) -> float:
    """The median of bare invokes after a warm-up; the input must have been set once."""
    for _ in range(WARM_UP_RUNS):
        runtime.invoke_only()
    times_s: list[float] = []
    while len(times_s) < MAX_RUNS and sum(times_s) < MAX_RUNNING_S:
        start_s = time.perf_counter()
        runtime.invoke_only()
        times_s.append(time.perf_counter() - start_s)
    return statistics.median(times_s) * 1000


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))  # noqa: T201 - its one answer
