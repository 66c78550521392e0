"""What the end of a self-test's process says of the bundle."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import replace

import pytest

from updater import selftest
from updater.confined import Finished
from updater.errors import BundleError, ConfigError, ModelError, SelfTestError, SitewatchError
from updater.selftest import CODE, SelfTestLimits, environment, judge, read_proof

LIMITS = SelfTestLimits()
RECORD = {
    "bundle": "b",
    "version": "1.2",
    "passed": True,
    "failures": [],
    "runtime": "litert",
    "threads": 2,
    "golden": 5,
    "invoke_ms": 10.5,
    "invoke_limit_ms": 0.0,
    "rss_mb": 120.0,
}
GOOD = Finished(
    exit_code=0, timed_out=False, stdout=json.dumps(RECORD), stderr="", wall_s=1.0,
    peak_bytes=10**8, isolation=("filter",),
)  # fmt: skip


def failed(*failures: str) -> str:
    return json.dumps(RECORD | {"passed": False, "failures": list(failures)})


def test_a_proof() -> None:
    proof, failure = judge(GOOD, LIMITS)
    assert failure is None
    assert proof is not None
    assert (proof.version, proof.golden, proof.invoke_ms) == ("1.2", 5, 10.5)


@pytest.mark.parametrize(
    ("finished", "kind", "message"),
    [
        (replace(GOOD, exit_code=4, stdout="", stderr="a\nsitewatch: b/x.jpg: cannot be read.\n"),
         BundleError, "self-test: b/x.jpg: cannot be read"),
        (replace(GOOD, exit_code=5, stdout="", stderr="sitewatch: b: unknown layout"),
         ModelError, "self-test: b: unknown layout"),
        (replace(GOOD, exit_code=9, stdout=failed("a.jpg: no head is found"), stderr="sitewatch"),
         SelfTestError, "self-test: a.jpg: no head is found"),
        (replace(GOOD, exit_code=9, stdout=failed("a", "b", "c"), stderr="sitewatch: a; b; c"),
         SelfTestError, "self-test: a, and 2 more"),
        (replace(GOOD, exit_code=9, stdout="", stderr="sitewatch: b: a; b"),
         SelfTestError, "self-test: b: a; b"),
        (replace(GOOD, exit_code=-9, timed_out=True),
         SelfTestError, "self-test: no result within 300 s"),
        (replace(GOOD, exit_code=-9), SelfTestError,
         "self-test: was killed, as the kernel does when memory is short"),
        (replace(GOOD, exit_code=-11), SelfTestError, "self-test: crashed (SIGSEGV)"),
        (replace(GOOD, exit_code=-6, stderr="terminate called after throwing 'std::bad_alloc'\n"),
         SelfTestError, "self-test: needs more memory than the 300 MB that it may take"),
        (replace(GOOD, exit_code=1, stderr="Traceback …\nMemoryError\n"),
         SelfTestError, "self-test: needs more memory than the 300 MB that it may take"),
        (replace(GOOD, exit_code=-int(signal.SIGXCPU)), SelfTestError,
         "self-test: used up its processor time"),
        (replace(GOOD, exit_code=1, stderr="Traceback …\nKeyError: 'x'\n"), SelfTestError,
         "self-test: ended with exit code 1: KeyError: 'x'"),
        (replace(GOOD, exit_code=1), SelfTestError,
         "self-test: ended with exit code 1: it said nothing"),
        (replace(GOOD, stdout=""), SelfTestError, "self-test: ended well without a proof"),
        (replace(GOOD, stdout=failed("a")), SelfTestError, "self-test: ended well without a proof"),
        (replace(GOOD, exit_code=4, stderr="sitewatch: a\x1b[2Jb\x07"), BundleError,
         "self-test: a [2Jb"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_bundle(
    finished: Finished, kind: type[SitewatchError], message: str
) -> None:
    _, failure = judge(finished, LIMITS)
    assert type(failure) is kind
    assert str(failure) == message


def test_a_reason_is_one_clause_of_bounded_length() -> None:
    _, failure = judge(replace(GOOD, exit_code=9, stdout=failed("x" * 4000)), LIMITS)
    assert failure is not None
    assert len(failure.what) == selftest.REASON_MAX_CHARACTERS + 1


@pytest.mark.parametrize(
    ("code", "stderr"),
    [
        (2, "sitewatch selftest: error: unrecognized arguments: --json"),
        (3, "sitewatch: x: no"),
        (127, "no such file"),
        (1, "/usr/bin/python3: No module named daemon"),
        (1, "ImportError: cannot import name 'x'"),
    ],
)
def test_what_is_wrong_with_the_installation_is_not_the_bundles_fault(
    code: int, stderr: str
) -> None:
    with pytest.raises(ConfigError, match=r"^self-test: .*\. Install the package again$"):
        judge(replace(GOOD, exit_code=code, stdout="", stderr=stderr), LIMITS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "3",
        "{}",
        "[" * 10_000,
        json.dumps(RECORD | {"invoke_ms": float("nan")}),
        json.dumps(RECORD | {"golden": "5"}),
        json.dumps({k: v for k, v in RECORD.items() if k != "passed"}),
    ],
)
def test_what_is_no_proof(text: str) -> None:
    assert read_proof(text) is None


def test_a_proof_may_say_more_than_is_asked() -> None:
    assert read_proof(json.dumps(RECORD | {"new": 1})) == read_proof(GOOD.stdout)


def test_the_environment_is_not_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("LD_PRELOAD", "/tmp/x.so")
    monkeypatch.setattr(sys, "path", ["", "/somewhere", str(CODE), str(CODE / "vendor")])
    found = environment()
    assert not {"AWS_SECRET_ACCESS_KEY", "LD_PRELOAD"} & set(found)
    assert found["PYTHONPATH"] == f"{CODE}:{CODE / 'vendor'}"
