"""``sitewatch selftest``: proves a bundle on this very machine."""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from daemon.commands.options import add_runtime_options, model_config
from daemon.config import ModelConfig
from daemon.detection.runtime_choice import check_runtimes
from daemon.proof import Proof, prove
from updater.errors import ConfigError, ModelError, SelfTestError

DEFAULT_THREADS = 2

EPILOG = """\
examples:
  sitewatch selftest packaging/model
  sitewatch selftest --json --runtime litert --threads 1 /var/lib/sitewatch/models/current

Every golden picture of the bundle must show what the manifest says, no more and no less; every
value that the model gives must be finite; the median time must keep the manifest's limit.
exit codes: 0 the bundle works here, 3 there is no runtime to try it with, 4 it is damaged, 5 no
runtime can run it, 9 it does not do what it should
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "selftest",
        help="prove that a model bundle works on this machine",
        description="Runs a bundle's golden pictures on this machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder with manifest.json")
    add_runtime_options(parser, threads=DEFAULT_THREADS)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; the exit code.

    Raises:
        BundleError: the bundle is damaged.
        ConfigError: there is no runtime that works here, which says nothing of the bundle.
        ModelError: no runtime can run the model.
        SelfTestError: it runs, but not as it should.
    """
    config = model_config(arguments, arguments.bundle)
    try:
        proof = prove(config)
    except ModelError:
        _check_runtimes(config)
        raise
    print(json.dumps(_record(proof)) if arguments.json else _text(proof))
    if proof.failures:
        raise SelfTestError("; ".join(proof.failures), where=str(proof.bundle))
    return 0


def _check_runtimes(config: ModelConfig) -> None:
    """Tells a machine without a runtime from a model that none can run."""
    try:
        check_runtimes(config)
    except ModelError as error:
        raise ConfigError(error.what, where="model.runtime", hint=error.hint) from error


def _record(proof: Proof) -> dict[str, object]:
    return {
        "bundle": str(proof.bundle),
        "version": proof.version,
        "passed": not proof.failures,
        "failures": list(proof.failures),
        "runtime": proof.runtime,
        "threads": proof.threads,
        "golden": proof.golden,
        "invoke_ms": round(statistics.median(proof.invoke_ms), 3),
        "invoke_limit_ms": proof.invoke_limit_ms,
        "rss_mb": round(proof.resident_bytes / 1e6, 1),
    }


def _text(proof: Proof) -> str:
    limit = f" (limit {proof.invoke_limit_ms:g})" if proof.invoke_limit_ms else ""
    verdict = "FAILED" if proof.failures else "passed"
    return (
        f"{proof.bundle}: version {proof.version}, {proof.golden} golden pictures, "
        f"{statistics.median(proof.invoke_ms):.1f} ms{limit} in {proof.runtime} with "
        f"{proof.threads} threads: {verdict}"
    )
