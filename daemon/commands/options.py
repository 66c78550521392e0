"""The options that all commands with a model share."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from daemon.config import CACHE_DIR, Config, ModelConfig
from daemon.paths import default_bundle, without_installation

RUNTIMES = ("auto", "litert", "tflite-runtime")
THREADS_MAX = 16


def add_model_options(parser: argparse.ArgumentParser, *, threads: int) -> None:
    """Adds ``--model``, ``--labels``, ``--runtime`` and ``--threads``.

    Args:
        parser: of the command.
        threads: the default number of threads.
    """
    parser.add_argument(
        "--model",
        type=Path,
        metavar="BUNDLE|TFLITE",
        help="folder of a model bundle, or a .tflite file (default: the installed bundle)",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="class names, one a line, for a .tflite file (default: the same name with .txt)",
    )
    add_runtime_options(parser, threads=threads)


def add_runtime_options(parser: argparse.ArgumentParser, *, threads: int) -> None:
    """Adds ``--runtime`` and ``--threads``."""
    parser.add_argument(
        "--runtime", choices=RUNTIMES, default="auto", help="inference runtime (default: auto)"
    )
    parser.add_argument(
        "--threads",
        type=thread_count,
        default=threads,
        help=f"threads of the runtime, 1 to {THREADS_MAX} (default: {threads})",
    )


def model_config(arguments: argparse.Namespace, bundle: Path | None = None) -> ModelConfig:
    """The model configuration that the options describe.

    Args:
        arguments: of a parser with the options above.
        bundle: where the model is; None takes ``--model`` or the default.

    Raises:
        BundleError: no model is named and none is installed.
    """
    where = bundle or arguments.model or default_bundle()
    config = ModelConfig(
        bundle=where,
        labels=getattr(arguments, "labels", None),
        runtime=arguments.runtime,
        threads=arguments.threads,
    )
    if os.access(CACHE_DIR, os.W_OK):
        return config
    # Not the daemon's user: what 'auto' measures goes to the user's own cache.
    own = without_installation(Config(model=config)).model
    return replace(config, runtime_cache=own.runtime_cache)


def thread_count(text: str) -> int:
    """An argument from 1 to 16."""
    return _whole(text, 1, THREADS_MAX)


def frame_count(text: str) -> int:
    """An argument from 1 to a million."""
    return _whole(text, 1, 1_000_000)


def score(text: str) -> float:
    """An argument from 0.001 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.001 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a score from 0.001 to 1")
    return value


def _whole(text: str, least: int, most: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
    return value
