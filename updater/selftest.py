"""Proves a bundle on this device before it becomes current: ``sitewatch selftest`` in a sandbox.

The model is read by a large library written in C++; whatever it does with a model it was not made
for, it does with an account without rights, within limits and without a network.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from updater import confined, sandbox
from updater.atomic import write_atomically
from updater.confined import Finished
from updater.errors import (
    BundleError,
    ConfigError,
    ModelError,
    SelfTestError,
    SitewatchError,
    StorageError,
    UsageError,
)
from updater.fields import FieldReader
from updater.options import option

log = logging.getLogger(__name__)

CODE = Path(__file__).resolve().parent.parent
FOLDER_MODE = 0o755
REASON_MAX_CHARACTERS = 300

STOPPED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""Sent by people and service managers; the model has no part in it."""

OUT_OF_MEMORY = ("MemoryError", "bad_alloc", "Cannot allocate memory", "failed to allocate")
"""What Python, C++, the C library and XNNPACK write before they end."""

NOT_A_VERDICT = frozenset({UsageError.exit_code, ConfigError.exit_code, sandbox.NOT_STARTED})
NOT_INSTALLED = ("No module named", "ImportError", "cannot open shared object")
"""In the last line of a Python that lacks something: it is not the bundle's fault."""


@dataclass(frozen=True, slots=True)
class SelfTestLimits:
    """The proof before a release becomes current, in a process of its own."""

    time_limit_s: float = option(
        300.0, "Seconds after which it is ended and the release fails.", minimum=1.0,
        maximum=86_400.0,
    )  # fmt: skip
    memory_limit_bytes: int = option(
        300_000_000, "Most memory for data that it may take, bytes. The shipped model takes half "
        "of the default with 4 threads.", minimum=100_000_000, maximum=100_000_000_000,
    )  # fmt: skip
    threads: int = option(
        2, "Threads of the inference runtime; the same as the daemon's model.threads, or the time "
        "measured says nothing.", minimum=1, maximum=16,
    )  # fmt: skip
    runtime: str = option(
        "auto", "Inference runtime; the same as the daemon's model.runtime.",
        choices=("auto", "litert", "tflite-runtime"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proof:
    """What ``sitewatch selftest --json`` says.

    Attributes:
        version: of the bundle.
        passed: whether nothing is wrong.
        failures: what is wrong, one clause each.
        runtime: that ran the model.
        threads: of the runtime.
        golden: golden pictures looked at.
        invoke_ms: median time of the model.
        invoke_limit_ms: greatest median allowed; 0: none.
        rss_mb: resident memory with the model loaded, millions of bytes.
    """

    version: str
    passed: bool
    failures: tuple[str, ...]
    runtime: str
    threads: int
    golden: int
    invoke_ms: float
    invoke_limit_ms: float
    rss_mb: float


@dataclass(frozen=True, slots=True)
class SelfTestReport:
    """What came of a self-test; kept beside the releases.

    Attributes:
        passed: whether the bundle works here.
        reason: why it does not, one clause; "" where it does.
        proof: what the self-test itself said; None where it did not come to that.
        exit_code: of its process; negative for a signal.
        wall_s: how long it took.
        peak_bytes: most resident memory of its largest process.
        isolation: what kept it from the network: ``namespace``, ``filter``.
        isolated: whether anything did.
        at_unix_s: when it ended, by the device's clock.
    """

    passed: bool
    reason: str
    proof: Proof | None
    exit_code: int
    wall_s: float
    peak_bytes: int
    isolation: tuple[str, ...]
    isolated: bool
    at_unix_s: float


def run(
    bundle: Path,
    limits: SelfTestLimits,
    *,
    command: tuple[str, ...] | None = None,
    keep_as: Path | None = None,
) -> SelfTestReport:
    """Proves an unpacked bundle on this device.

    Args:
        bundle: its folder, absolute or relative to the working directory.
        limits: of the process.
        command: how ``sitewatch`` is started; None: with this interpreter and this code.
        keep_as: file for the report, whatever it says; its folder is made. None: not kept.

    Raises:
        BundleError: the bundle is damaged.
        ModelError: no runtime can run the model.
        SelfTestError: it runs, but not as it should: what it finds, its time, memory, a crash.
        ConfigError: the self-test itself cannot be run here, which says nothing of the bundle.
        StorageError: the report cannot be written.
        KeyboardInterrupt: it was stopped from outside, as by a service manager; no verdict.
    """
    finished = confined.run(
        [
            *(command or (sys.executable, "-P", "-B", "-m", "daemon")),
            *("selftest", "--json", "--runtime", limits.runtime),
            *("--threads", str(limits.threads), "--", str(bundle)),
        ],
        environment=environment(),
        time_limit_s=limits.time_limit_s,
        # Each thread can use as much as there is time; the interpreter starts with one more.
        cpu_time_s=math.ceil(limits.time_limit_s * (limits.threads + 1)),
        data_bytes=limits.memory_limit_bytes,
    )
    if finished.exit_code < 0 and -finished.exit_code in STOPPED and not finished.timed_out:
        raise KeyboardInterrupt
    if not finished.isolation:
        log.warning("warning: the self-test ran with the network in reach: the kernel refuses both "
                    "a network namespace and a filter")  # fmt: skip
    proof, failure = judge(finished, limits)
    report = SelfTestReport(
        passed=failure is None,
        reason="" if failure is None else failure.what,
        proof=proof,
        exit_code=finished.exit_code,
        wall_s=round(finished.wall_s, 3),
        peak_bytes=finished.peak_bytes,
        isolation=finished.isolation,
        isolated=bool(finished.isolation),
        at_unix_s=time.time(),
    )
    if keep_as is not None:
        _keep(report, keep_as)
    if failure is not None:
        raise failure
    return report


def environment() -> Mapping[str, str]:
    """All that the self-test's process finds in its environment: nothing of the caller's."""
    # A system's own start script may have added folders below the code, with libraries in them.
    inner = [path for path in sys.path if Path(path).is_relative_to(CODE) and path != str(CODE)]
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join([str(CODE), *inner]),
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        # No folder: nothing could be written there anyway, and nothing of the account's is read.
        "HOME": os.devnull,
        "XDG_CACHE_HOME": os.devnull,
        "XDG_STATE_HOME": os.devnull,
    }


def judge(finished: Finished, limits: SelfTestLimits) -> tuple[Proof | None, SitewatchError | None]:
    """What a finished self-test says of the bundle: its proof, and the error if there is one.

    Raises:
        ConfigError: it says nothing of the bundle: the command does not know what it is asked.
    """
    proof = read_proof(finished.stdout)
    code, last = finished.exit_code, _last_line(finished.stderr)
    if finished.timed_out:
        return proof, SelfTestError(
            f"no result within {limits.time_limit_s:g} s", where="self-test"
        )
    if code == 0:
        if proof is None or not proof.passed:
            return proof, SelfTestError("ended well without a proof", where="self-test")
        return proof, None
    if code == SelfTestError.exit_code and proof is not None and proof.failures:
        first, *others = proof.failures
        more = f", and {len(others)} more" if others else ""
        return proof, SelfTestError(_short(f"{first}{more}"), where="self-test")
    for kind in (BundleError, ModelError, SelfTestError):
        if code == kind.exit_code:
            return proof, kind(_short(last), where="self-test")
    if code in NOT_A_VERDICT or (code == 1 and any(word in last for word in NOT_INSTALLED)):
        raise ConfigError(_short(last), where="self-test", hint="Install the package again")
    return proof, SelfTestError(_end(code, finished.stderr, last, limits), where="self-test")


def read_proof(text: str) -> Proof | None:
    """The JSON object that a self-test prints; None where there is none, or not such a one."""
    try:
        raw = json.loads(text)
        names = Proof.__dataclass_fields__
        reader = FieldReader(
            {name: raw[name] for name in names if name in raw}, where="", error=SelfTestError
        )
        return Proof(
            version=reader.text("version"),
            passed=reader.flag("passed"),
            failures=reader.texts("failures", at_most=10_000),
            runtime=reader.text("runtime"),
            threads=reader.integer("threads", 1, 1024),
            golden=reader.integer("golden", 0, 10_000),
            invoke_ms=reader.number("invoke_ms", 0.0, 1e9),
            invoke_limit_ms=reader.number("invoke_limit_ms", 0.0, 1e9),
            rss_mb=reader.number("rss_mb", 0.0, 1e9),
        )
    except (ValueError, TypeError, RecursionError, SelfTestError):
        return None


def _end(code: int, stderr: str, last: str, limits: SelfTestLimits) -> str:
    """How a process ended that had no time for a word of its own."""
    if any(word in stderr for word in OUT_OF_MEMORY):
        return f"needs more memory than the {limits.memory_limit_bytes / 1e6:g} MB that it may take"
    if code == -signal.SIGXCPU:
        return "used up its processor time"
    if code == -signal.SIGKILL:
        return "was killed, as the kernel does when memory is short"
    if code < 0:
        return f"crashed ({signal.Signals(-code).name})"
    return _short(f"ended with exit code {code}: {last}")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].removeprefix("sitewatch: ") if lines else "it said nothing"


def _short(text: str) -> str:
    """A clause for one line of a log: no control characters, not too long."""
    clean = "".join(c if c.isprintable() else " " for c in text).rstrip(". ")
    return clean if len(clean) <= REASON_MAX_CHARACTERS else f"{clean[:REASON_MAX_CHARACTERS]}…"


def _keep(report: SelfTestReport, path: Path) -> None:
    try:
        path.parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot be made: {error.strerror}", where=str(path.parent)) from error
    write_atomically(path, (json.dumps(asdict(report), indent=2) + "\n").encode())
