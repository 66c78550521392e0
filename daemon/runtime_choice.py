"""Which runtime runs a model: the configured one, or the faster of those installed."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from daemon import runtime_cache
from daemon.config import ModelConfig
from daemon.model import ModelFiles
from daemon.runtime import KINDS, RuntimeKind, TfliteRuntime, installed
from daemon.runtime_cache import Question
from updater.errors import ModelError

log = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 120.0
"""A runtime that has not answered by then is not used: on a Pi 3 s of import and 5 s of runs."""

MACHINE_FILES = (Path("/proc/device-tree/model"), Path("/proc/cpuinfo"))


def open_runtime(files: ModelFiles, config: ModelConfig) -> TfliteRuntime:
    """Loads a model in the runtime that the configuration asks for.

    With ``auto`` and several runtimes installed each is measured once for this model, machine and
    number of threads; one that cannot be imported or cannot load the model is logged and skipped
    as long as another works.

    Raises:
        ModelError: none works; the message has every reason.
    """
    present = installed()
    wanted = [entry for entry in present if config.runtime in ("auto", entry[0].name)]
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
    kinds = _by_speed(files, wanted, config) if len(wanted) > 1 else [wanted[0][0]]
    failures: list[ModelError] = []
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


def _by_speed(
    files: ModelFiles, present: Sequence[tuple[RuntimeKind, str]], config: ModelConfig
) -> list[RuntimeKind]:
    """The runtimes, fastest first; those that failed to answer are left to the end."""
    question = Question(
        model_sha256=files.sha256,
        machine=machine(),
        runtimes=tuple(f"{kind.name} {version}" for kind, version in present),
        threads=config.threads,
    )
    milliseconds = runtime_cache.recall(config.runtime_cache, question)
    if milliseconds is None:
        milliseconds = {}
        for kind, _ in present:
            if (median_ms := _probe(kind, files, config.threads)) is not None:
                milliseconds[kind.name] = median_ms
        if milliseconds:
            runtime_cache.remember(config.runtime_cache, question, milliseconds)
    kinds = [kind for kind, _ in present]
    return sorted(kinds, key=lambda kind: milliseconds.get(kind.name, float("inf")))


def _probe(kind: RuntimeKind, files: ModelFiles, threads: int) -> float | None:
    """The median invoke in a process of its own, milliseconds; None if it failed (logged)."""
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "daemon.runtime_probe", kind.name, str(threads)],
            input=files.content,
            capture_output=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    except subprocess.TimeoutExpired:
        log.warning("runtime %s gave no answer in %g s", kind.name, PROBE_TIMEOUT_S)
        return None
    except OSError as error:
        log.warning("runtime %s cannot be measured: %s", kind.name, error.strerror)
        return None
    try:
        answer = json.loads(done.stdout)
        median_ms = float(answer["median_ms"])
    except (ValueError, KeyError, TypeError):
        log.warning("runtime %s cannot run the model: %s", kind.name, _reason(done))
        return None
    log.info("runtime %s: %.1f ms with %d threads", kind.name, median_ms, threads)
    return median_ms


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    text = done.stdout.decode(errors="replace").strip()
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return text or f"exit code {done.returncode} {''.join(last)}"


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
