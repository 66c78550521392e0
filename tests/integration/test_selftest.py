"""The real ``sitewatch selftest`` in the sandbox, on good bundles and on those gone wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import rights
from tests.support.damage import shuffle_weights, truncate_model
from tests.support.models import SCENE, write_bundle
from updater import confined, selftest
from updater.confined import Finished
from updater.errors import BundleError, ConfigError, ModelError, SelfTestError
from updater.manifest import MODEL_NAME
from updater.sandbox import FILTER
from updater.selftest import SelfTestLimits

LIMITS = SelfTestLimits(runtime="litert")


@pytest.fixture
def own_bundle(tmp_path: Path, bundle: Path) -> Path:
    """A copy of the shipped bundle, to be damaged."""
    return Path(shutil.copytree(bundle, tmp_path / "bundle"))


def command(code: str) -> tuple[str, ...]:
    """A stand-in for ``sitewatch`` that behaves in some way that the real one should not."""
    return (sys.executable, "-P", "-c", code)


@pytest.mark.parametrize("runtime", ["auto", "litert"])
def test_the_shipped_bundle(bundle: Path, tmp_path: Path, runtime: str) -> None:
    kept = tmp_path / "reports" / "2026.11.22-abc.json"

    report = selftest.run(bundle, SelfTestLimits(runtime=runtime), keep_as=kept)

    assert report.passed
    assert report.proof is not None
    assert report.proof.golden > 0
    assert report.isolated, "neither a namespace nor a filter holds on this machine"
    limit_bytes = selftest.SelfTestLimits().memory_limit_bytes
    assert 0 < report.peak_bytes < max(limit_bytes, rights.own_peak_bytes() + 1_000_000)
    as_json = asdict(report) | {"isolation": list(report.isolation)}
    as_json["proof"] = asdict(report.proof) | {"failures": []}
    assert json.loads(kept.read_text()) == as_json


def test_a_small_bundle_named_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "staging" / "b")
    monkeypatch.chdir(tmp_path)
    assert selftest.run(Path("staging/b"), LIMITS).passed


def test_weights_that_changed_places_are_seen_on_the_golden_pictures(
    own_bundle: Path, tmp_path: Path
) -> None:
    shuffle_weights(own_bundle)
    kept = tmp_path / "reports" / "b.json"

    with pytest.raises(SelfTestError, match=r"^self-test: golden/.*, and \d+ more$") as caught:
        selftest.run(own_bundle, LIMITS, keep_as=kept)

    report = json.loads(kept.read_text())
    assert (report["passed"], report["reason"]) == (False, caught.value.what)
    assert report["proof"]["failures"]


def test_a_promise_that_the_model_does_not_keep(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b", shown=SCENE[:1])
    with pytest.raises(SelfTestError) as caught:
        selftest.run(bundle, LIMITS)
    assert str(caught.value) == (
        "self-test: golden/scene.png: no yellow is found at [16, 96, 32, 112]"
    )


def test_a_model_that_is_too_slow(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b", invoke_limit_ms=1e-6)
    with pytest.raises(SelfTestError, match=r"^self-test: a run takes .* ms, and 1e-06 are"):
        selftest.run(bundle, LIMITS)


@pytest.mark.parametrize("share", [0.5, 0.001, 0.0])
@pytest.mark.parametrize("runtime", ["auto", "litert"])
def test_a_truncated_model_under_a_true_manifest(
    own_bundle: Path, share: float, runtime: str
) -> None:
    truncate_model(own_bundle, share)
    with pytest.raises(ModelError, match="cannot load the model"):
        selftest.run(own_bundle, SelfTestLimits(runtime=runtime))


def test_a_damaged_model(own_bundle: Path) -> None:
    with (own_bundle / MODEL_NAME).open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(BundleError) as caught:
        selftest.run(own_bundle, LIMITS)
    assert "model.tflite: 1000 bytes, and the manifest says" in str(caught.value)


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json: cannot be read: No such file"):
        selftest.run(tmp_path / "none", LIMITS)


def test_one_that_never_ends(tmp_path: Path) -> None:
    endless = command("import time; print('x', flush=True); time.sleep(3600)")
    kept = tmp_path / "reports" / "b.json"
    with pytest.raises(SelfTestError) as caught:
        selftest.run(tmp_path, SelfTestLimits(time_limit_s=1.0), command=endless, keep_as=kept)
    assert str(caught.value) == "self-test: no result within 1 s"
    assert json.loads(kept.read_text())["exit_code"] == -signal.SIGKILL


def test_one_that_takes_too_much_memory(tmp_path: Path) -> None:
    greedy = command("bytearray(400_000_000)")
    with pytest.raises(SelfTestError) as caught:
        selftest.run(tmp_path, LIMITS, command=greedy)
    assert str(caught.value) == "self-test: needs more memory than the 300 MB that it may take"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os.abort()", "self-test: crashed (SIGABRT)"),
        ("import ctypes; ctypes.string_at(0)", "self-test: crashed (SIGSEGV)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
         "self-test: was killed, as the kernel does when memory is short"),
        ("raise RuntimeError('x')", "self-test: ended with exit code 1: RuntimeError: x"),
        ("pass", "self-test: ended well without a proof"),
        ("print('{' * 1_000_000)", "self-test: ended well without a proof"),
    ],
)  # fmt: skip
def test_one_that_ends_badly(tmp_path: Path, code: str, message: str) -> None:
    with pytest.raises(SelfTestError) as caught:
        selftest.run(tmp_path, LIMITS, command=command(code))
    assert str(caught.value) == message


def test_one_that_is_stopped_from_outside_is_no_verdict(tmp_path: Path) -> None:
    stopped = command("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    kept = tmp_path / "reports" / "b.json"
    with pytest.raises(KeyboardInterrupt):
        selftest.run(tmp_path, LIMITS, command=stopped, keep_as=kept)
    assert not kept.exists()


def test_a_sitewatch_that_is_not_installed_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^/no/sitewatch: cannot be started: No such file"):
        selftest.run(tmp_path, LIMITS, command=("/no/sitewatch",))


def test_a_device_without_a_runtime_is_no_verdict(tmp_path: Path) -> None:
    """An upgrade of NumPy may break it; the bundle must be installable once it is mended."""
    hidden = (
        "import sys; sys.modules.update(ai_edge_litert=None, tflite_runtime=None)\n"
        "from daemon.cli import main; sys.exit(main())"
    )
    with pytest.raises(ConfigError, match=r"litert is not installed.*pip install"):
        selftest.run(write_bundle(tmp_path / "b"), LIMITS, command=command(hidden))


def test_without_isolation_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """This kernel refuses neither, so what the sandbox told is taken away afterwards."""
    bundle = write_bundle(tmp_path / "b")
    run = confined.run

    def without_isolation(command: Sequence[str], **options: Any) -> Finished:
        return replace(run(command, **options), isolation=())

    monkeypatch.setattr(confined, "run", without_isolation)
    report = selftest.run(bundle, LIMITS)
    assert (report.passed, report.isolated) == (True, False)
    assert caplog.messages == [
        "warning: the self-test ran with the network in reach: the kernel refuses both a network "
        "namespace and a filter"
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_after_root_has_given_up_its_rights(tmp_path: Path, project_root: Path) -> None:
    """As the command line does it, with the store below a folder that only root can enter."""
    write_bundle(tmp_path / "store" / "staging" / "b")
    code = """
import sys
from pathlib import Path
from updater import privileges, selftest
store = privileges.give_up("nobody", store=Path(sys.argv[1]))
report = selftest.run(store / "staging/b", selftest.SelfTestLimits(runtime="litert"),
                      keep_as=store / "reports/b.json")
print(report.passed, *report.isolation)
"""
    done = rights.run(sys.executable, code, tmp_path / "store", path=project_root)

    passed, *isolation = done.stdout.split()
    assert passed == "True"
    assert FILTER in isolation
    assert (tmp_path / "store/reports/b.json").stat().st_uid == rights.NOBODY_ID
