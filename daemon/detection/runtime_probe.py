"""``python -m daemon.detection.runtime_probe NAME THREADS BEST < model.tflite``: times a runtime.

A process of its own: a runtime built for another processor may end it with an illegal instruction,
and the loser's libraries do not stay in the camera process's memory. One JSON object is printed:
``{"median_ms": 12.1}`` or ``{"error": "why not"}``.
"""

from __future__ import annotations

import json
import signal
import statistics
import sys
import time

import numpy as np

from daemon.detection.runtime import KINDS, InferenceRuntime, TfliteRuntime
from updater import linux
from updater.errors import ModelError

WARM_UP_RUNS = 2
MAX_RUNS = 12
MAX_RUNNING_S = 3.0
"""Long enough for two digits; a slow model on a Pi still gets two or three runs."""


CLEARLY_SLOWER = 2.0
"""How often the best time so far a run must take for the rest to be spared. On x86-64
tflite-runtime takes seven times litert's in int8: the camera would wait for nothing."""


def main(name: str, threads: int, best_ms: float) -> dict[str, float | str]:
    """The median time of an invoke with the model on standard input, or why there is none.

    Args:
        name: of the runtime.
        threads: of the runtime.
        best_ms: of the runtimes timed before; infinite for the first.
    """
    # Who measures beside its work may end in the middle of it.
    linux.die_with_parent(signal.SIGKILL)
    kind = next(kind for kind in KINDS if kind.name == name)
    try:
        runtime = TfliteRuntime(kind, sys.stdin.buffer.read(), threads=threads, where="the model")
        tensor = runtime.tensors.inputs[0]
        runtime.invoke(np.zeros(tensor.shape, tensor.dtype))
        return {"median_ms": median_invoke_ms(runtime, best_ms)}
    except ModelError as error:
        return {"error": error.what}


def median_invoke_ms(runtime: InferenceRuntime, best_ms: float) -> float:
    """The median of bare invokes after a warm-up; the input must have been set once.

    Where every run of the warm-up is clearly slower than ``best_ms`` it ends there, with the
    fastest of them: one slow run may be another process's doing, each of them is not.
    """
    warm_up_s = [_time_s(runtime) for _ in range(WARM_UP_RUNS)]
    if min(warm_up_s) * 1000 > CLEARLY_SLOWER * best_ms:
        return min(warm_up_s) * 1000
    times_s: list[float] = []
    while len(times_s) < MAX_RUNS and sum(times_s) < MAX_RUNNING_S:
        times_s.append(_time_s(runtime))
    return statistics.median(times_s) * 1000


def _time_s(runtime: InferenceRuntime) -> float:
    start_s = time.perf_counter()
    runtime.invoke_only()
    return time.perf_counter() - start_s


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))  # noqa: T201 - its one answer
