"""Which runtime runs a model: the configured one, or the faster of those installed."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from daemon.config import ModelConfig
from daemon.detection import runtime_cache
from daemon.detection.model import ModelFiles
from daemon.detection.runtime import (
    KINDS,
    RuntimeKind,
    TfliteRuntime,
    import_runtime,
    installed,
    quiet_stderr,
)
from daemon.detection.runtime_cache import Question
from updater.errors import ModelError

log = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 120.0
"""A runtime that has not answered by then is not used: on a Pi 3 s of import and 5 s of runs."""

CODE = Path(__file__).resolve().parents[2]
"""The folder that holds the package ``daemon``; the working directory is anywhere."""

PROBE = "daemon.detection.runtime_probe"

MEASURE_AFTER_S = 30.0
"""By then a camera that has just been started watches, and the card is no longer busy."""

MACHINE_FILES = (Path("/proc/device-tree/model"), Path("/proc/cpuinfo"))


def open_runtime(files: ModelFiles, config: ModelConfig, *, at_once: bool = False) -> TfliteRuntime:
    """Loads a model in the runtime that the configuration asks for.

    With ``auto`` and several runtimes installed each is measured once for this model, machine and
    number of threads, in a process of its own; one that cannot be imported or cannot run the model
    is logged and skipped as long as another works. A bare ``.tflite``, whose integrity no manifest
    vouches for, is tried like that in any case: a damaged one ends a runtime's process with a
    segmentation fault.

    Args:
        files: the model.
        config: how to run it.
        at_once: a bundle that was never measured starts in the runtime that is usually the faster
            one, and is measured a little later, beside its work; the next start knows.

    Raises:
        ModelError: none works; the message has every reason.
    """
    wanted = _wanted(config)
    kinds, failures = [wanted[0][0]], list[ModelError]()
    if len(wanted) > 1 or files.output is None:
        kinds, failures = _by_speed(
            files, wanted, config, at_once=at_once and files.output is not None
        )
    for kind in kinds:
        try:
            runtime = TfliteRuntime(
                kind, files.content, threads=config.threads, where=str(files.where)
            )
        except ModelError as error:
            failures.append(error)
            continue
        for failure in failures:
            log.warning("a runtime was skipped: %s", failure)
        log.info("model %s runs in %s, %d threads", files.version, kind.name, config.threads)
        return runtime
    if len(failures) == 1:
        raise failures[0]
    raise ModelError(
        "no runtime can run the model: " + "; ".join(error.what for error in failures),
        where=str(files.where),
    ) from (failures[0] if failures else None)


def check_runtimes(config: ModelConfig) -> None:
    """Whether there is a runtime at all, whatever the model.

    Raises:
        ModelError: none of those that the configuration asks for is installed, or can be imported.
    """
    failures = list[ModelError]()
    for kind, _ in _wanted(config):
        try:
            with quiet_stderr():
                import_runtime(kind, where="model.runtime")
        except ModelError as error:
            failures.append(error)
        else:
            return
    raise failures[0]


def _wanted(config: ModelConfig) -> list[tuple[RuntimeKind, str]]:
    """The runtimes present that the configuration asks for, with their versions; at least one."""
    wanted = [entry for entry in installed() if config.runtime in ("auto", entry[0].name)]
    if not wanted:
        what = "no runtime is" if config.runtime == "auto" else f"{config.runtime} is not"
        packages = " or ".join(
            kind.distribution for kind in KINDS if config.runtime in ("auto", kind.name)
        )
        raise ModelError(
            f"{what} installed",
            where="model.runtime",
            hint=f"Install it: pip install {packages}",
        )
    return wanted


def _by_speed(
    files: ModelFiles,
    present: Sequence[tuple[RuntimeKind, str]],
    config: ModelConfig,
    *,
    at_once: bool,
) -> tuple[list[RuntimeKind], list[ModelError]]:
    """The runtimes that run the model, fastest first, and why the others do not."""
    kinds = [kind for kind, _ in present]
    question = Question(
        model_sha256=files.sha256,
        machine=machine(),
        runtimes=tuple(f"{kind.name} {version}" for kind, version in present),
        threads=config.threads,
    )
    milliseconds = runtime_cache.recall(config.runtime_cache, question)
    failures: list[ModelError] = []
    if milliseconds is None and at_once:
        later = threading.Timer(
            MEASURE_AFTER_S, _measure, (question, kinds, files, config.runtime_cache)
        )
        later.daemon = True
        later.start()
        return kinds, failures
    if milliseconds is None:
        milliseconds, failures = _measure(question, kinds, files, config.runtime_cache)
    kinds = [kind for kind in kinds if kind.name in milliseconds]
    return sorted(kinds, key=lambda kind: milliseconds[kind.name]), failures


def _measure(
    question: Question, kinds: Sequence[RuntimeKind], files: ModelFiles, cache: Path
) -> tuple[dict[str, float], list[ModelError]]:
    """Times the runtimes and remembers what came of it; and why one gave no time."""
    milliseconds: dict[str, float] = {}
    failures: list[ModelError] = []
    for kind in kinds:
        try:
            best_ms = min(milliseconds.values(), default=math.inf)
            milliseconds[kind.name] = _probe(kind, files, question.threads, best_ms)
        except ModelError as error:
            log.info("no time is known for %s: %s", kind.name, error)
            failures.append(error)
    if milliseconds:
        runtime_cache.remember(cache, question, milliseconds)
    return milliseconds, failures


def _probe(kind: RuntimeKind, files: ModelFiles, threads: int, best_ms: float) -> float:
    """The median invoke in a process of its own, milliseconds; see ``runtime_probe``.

    Raises:
        ModelError: it did not get that far.
    """
    paths = [str(CODE), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", PROBE, kind.name, str(threads), str(best_ms)],
            input=files.content,
            capture_output=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        median_ms = float(json.loads(done.stdout)["median_ms"])
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{kind.name} gave no answer in {PROBE_TIMEOUT_S:g} s", where=str(files.where)
        ) from error
    except OSError as error:
        raise ModelError(
            f"{kind.name} cannot be tried: {error.strerror}", where=str(files.where)
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(_reason(kind, done), where=str(files.where)) from error
    log.info("runtime %s: %.1f ms with %d threads", kind.name, median_ms, threads)
    return median_ms


def _reason(kind: RuntimeKind, done: subprocess.CompletedProcess[bytes]) -> str:
    """Why a probe gave no time: its own words, or how it ended."""
    try:
        return str(json.loads(done.stdout)["error"])
    except (ValueError, KeyError, TypeError):
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"code {done.returncode}"
        return " ".join([f"{kind.name} ended with {how} when given the model", *last])


def machine() -> str:
    """Architecture and processor or board, for example ``aarch64 Raspberry Pi 5 Model B``."""
    for path in MACHINE_FILES:
        try:
            with path.open(errors="replace") as file:
                text = file.read(8192)
        except OSError:
            continue  # a Pi has the first file, a PC the second
        names = [
            line.partition(":")[2] for line in text.splitlines() if line.startswith("model name")
        ]
        name = names[0] if names else (text if path.name == "model" else "")
        if name.strip("\0 \n"):
            return f"{platform.machine()} {name.strip(chr(0) + ' ' + chr(10))}"
    return platform.machine()
