"""What the daemon says of a release on probation: measured there, judged here.

The daemon writes it into its status file, field by field as below; the updater reads it and
decides (``updater.install.probation``). The daemon may not write to the store, the updater not to
the daemon's folders: a file each way is all that joins them.
"""

from __future__ import annotations

from dataclasses import dataclass

from updater.errors import StateError
from updater.fields import FieldReader

COUNT_MAX = 2**53
TIME_MAX = 1e12


@dataclass(frozen=True, slots=True)
class Comparison:
    """The running model beside its predecessor, on the same sampled frames.

    A *stable* object is one that the predecessor finds on two frames in a row at about the same
    place: only where the old model agrees with itself does it say anything about the new one. One
    place counts three times at most: a lamp that the predecessor took for a helmet all day long
    must not condemn a better model that does not.

    Attributes:
        samples: frames compared.
        stable: stable objects of the predecessor on them.
        found: of these, also found by the running model, of the same class.
        extra: objects of the running model that the predecessor does not have, at any score that
            it reports.
        done: whether the comparison is over (its time is up, or the predecessor cannot be run).
    """

    samples: int
    stable: int
    found: int
    extra: int
    done: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """A release that is current but not committed, as the daemon sees it.

    Attributes:
        digest: of its manifest, 64 hex digits.
        running: false while it is being loaded, or if it could not be.
        healthy_s: seconds since its first frame, in this process.
        processed: frames looked at since then, with or without inference.
        inferred: of these, with inference.
        failed: frames that could not be looked at since then.
        invoke_p50_ms: median time of the model, 0 if it has not run yet.
        previous_invoke_p50_ms: the predecessor's on this device, 0 if not known.
        comparison: None where there is no predecessor to compare with.
        error: why it could not be loaded, "" otherwise.
    """

    digest: str
    running: bool
    healthy_s: float
    processed: int
    inferred: int
    failed: int
    invoke_p50_ms: float
    previous_invoke_p50_ms: float
    comparison: Comparison | None
    error: str


@dataclass(frozen=True, slots=True)
class DaemonReport:
    """The part of the daemon's status file that the updater reads.

    Attributes:
        pid: of the daemon.
        written_monotonic_s: when the file was written, on the clock that all processes share since
            boot.
        model_version: of the running model.
        model_digest: of its manifest; "" for a bare model without one.
        trial: None unless a release is on probation.
    """

    pid: int
    written_monotonic_s: float
    model_version: str
    model_digest: str
    trial: Trial | None


def read_report(raw: object, *, where: str) -> DaemonReport:
    """Reads a parsed status file; what the updater has no use for is skipped.

    Raises:
        StateError: a field is missing or not what it must be.
    """
    if not isinstance(raw, dict):
        raise StateError("must be an object", where=where)
    names = ("pid", "written_monotonic_s", "model_version", "model_digest")
    reader = FieldReader({n: raw[n] for n in names if n in raw}, where=where, error=StateError)
    trial = raw.get("trial")
    digest = raw.get("model_digest")
    return DaemonReport(
        pid=reader.integer("pid", 1, 2**31),
        written_monotonic_s=reader.number("written_monotonic_s", 0.0, TIME_MAX),
        model_version=reader.text("model_version"),
        model_digest=reader.text("model_digest") if digest else "",
        trial=None if trial is None else _trial(FieldReader(
            trial, where=f"{where}: trial", error=StateError
        )),
    )  # fmt: skip


def _trial(reader: FieldReader) -> Trial:
    comparison = reader.optional_sub("comparison")
    trial = Trial(
        digest=reader.text("digest"),
        running=reader.flag("running"),
        healthy_s=reader.number("healthy_s", 0.0, TIME_MAX),
        processed=reader.integer("processed", 0, COUNT_MAX),
        inferred=reader.integer("inferred", 0, COUNT_MAX),
        failed=reader.integer("failed", 0, COUNT_MAX),
        invoke_p50_ms=reader.number("invoke_p50_ms", 0.0, TIME_MAX),
        previous_invoke_p50_ms=reader.number("previous_invoke_p50_ms", 0.0, TIME_MAX),
        comparison=None if comparison is None else _comparison(comparison),
        error=reader.optional_text("error"),
    )
    reader.finish()
    return trial


def _comparison(reader: FieldReader) -> Comparison:
    comparison = Comparison(
        samples=reader.integer("samples", 0, COUNT_MAX),
        stable=reader.integer("stable", 0, COUNT_MAX),
        found=reader.integer("found", 0, COUNT_MAX),
        extra=reader.integer("extra", 0, COUNT_MAX),
        done=reader.flag("done"),
    )
    reader.finish()
    return comparison
