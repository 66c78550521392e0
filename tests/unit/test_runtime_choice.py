"""The choice between the real runtimes that are installed here."""

from __future__ import annotations

import json
import logging
import platform
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.config import ModelConfig
from daemon.detection import runtime_choice
from daemon.detection.model import read_model
from daemon.detection.runtime import LITERT, TFLITE_RUNTIME, RuntimeKind, installed
from daemon.detection.runtime_choice import check_runtimes, machine, open_runtime
from tests.support.models import config as shared_config
from tests.support.models import write_bundle
from updater.errors import ModelError

BOTH = pytest.mark.skipif(len(installed()) < 2, reason="tflite-runtime has no wheel here")


def config(folder: Path, *, runtime: str) -> ModelConfig:
    """The tiny model with a cache of this test's own."""
    return replace(shared_config(folder, runtime=runtime), runtime_cache=folder / "runtime.json")


ABSENT = RuntimeKind("absent", "no_such_runtime.interpreter", "no-such-runtime")


@pytest.mark.parametrize("kind", [kind for kind, _ in installed()], ids=lambda kind: kind.name)
def test_a_bundle_in_the_configured_runtime_is_not_measured(
    tmp_path: Path, kind: RuntimeKind
) -> None:
    wanted = replace(config(tmp_path, runtime=kind.name), bundle=write_bundle(tmp_path / "bundle"))
    assert open_runtime(read_model(wanted), wanted).kind == kind
    assert not wanted.runtime_cache.exists()


def test_whether_there_is_a_runtime_whatever_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_runtimes(config(tmp_path, runtime="auto"))
    monkeypatch.setattr(runtime_choice, "installed", lambda: [(ABSENT, "1"), (LITERT, "2.0")])
    check_runtimes(config(tmp_path, runtime="auto"))
    monkeypatch.setattr(runtime_choice, "installed", lambda: [(ABSENT, "1")])
    with pytest.raises(ModelError, match="absent cannot be imported"):
        check_runtimes(config(tmp_path, runtime="auto"))
    with pytest.raises(ModelError, match="litert is not installed"):
        check_runtimes(config(tmp_path, runtime="litert"))


@BOTH
def test_auto_measures_both_once_and_keeps_the_faster(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = config(tmp_path, runtime="auto")
    files = read_model(wanted)

    with caplog.at_level(logging.INFO):
        first = open_runtime(files, wanted)

    (entry,) = json.loads(wanted.runtime_cache.read_text())
    times = entry["milliseconds"]
    assert set(times) == {"litert", "tflite-runtime"}
    assert first.kind.name == min(times, key=times.get)
    assert entry["question"]["model_sha256"] == files.sha256
    assert entry["question"]["threads"] == 1
    before = wanted.runtime_cache.read_bytes()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert open_runtime(files, wanted).kind == first.kind
    assert " ms with" not in caplog.text
    assert wanted.runtime_cache.read_bytes() == before


@BOTH
@pytest.mark.parametrize("faster", [LITERT, TFLITE_RUNTIME], ids=lambda kind: kind.name)
def test_what_was_measured_decides(tmp_path: Path, faster: RuntimeKind) -> None:
    wanted = config(tmp_path, runtime="auto")
    files = read_model(wanted)
    open_runtime(files, wanted)
    (entry,) = json.loads(wanted.runtime_cache.read_text())
    entry["milliseconds"] = {
        kind.name: 1.0 if kind is faster else 2.0 for kind in (LITERT, TFLITE_RUNTIME)
    }
    wanted.runtime_cache.write_text(json.dumps([entry]))

    assert open_runtime(files, wanted).kind == faster


def test_a_runtime_that_fails_is_named_and_another_takes_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = [(ABSENT, "1.0"), (LITERT, "2.0")]
    monkeypatch.setattr(runtime_choice, "installed", lambda: present)
    wanted = config(tmp_path, runtime="auto")

    with caplog.at_level(logging.WARNING):
        assert open_runtime(read_model(wanted), wanted).kind == LITERT

    assert caplog.text.count("a runtime was skipped") == 1
    assert "absent" in caplog.text


def test_reasons_of_all_runtimes_are_told_when_none_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(ABSENT, name="other")
    monkeypatch.setattr(runtime_choice, "installed", lambda: [(ABSENT, "1"), (other, "1")])
    wanted = config(tmp_path, runtime="auto")

    with pytest.raises(ModelError) as caught:
        open_runtime(read_model(wanted), wanted)

    assert "absent ended with code 1" in str(caught.value)
    assert "other ended with code 1" in str(caught.value)
    assert not wanted.runtime_cache.exists()


@pytest.mark.parametrize("kind", [kind for kind, _ in installed()], ids=lambda kind: kind.name)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9])
def test_a_bare_model_that_is_cut_off_does_not_end_this_process(
    tmp_path: Path, kind: RuntimeKind, share: float
) -> None:
    """In a runtime's own process it may well end with a segmentation fault."""
    wanted = config(tmp_path, runtime=kind.name)
    whole = wanted.bundle.read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(whole[: int(len(whole) * share)])
    wanted = replace(wanted, bundle=path)
    with pytest.raises(ModelError) as caught:
        open_runtime(read_model(wanted), wanted)
    assert kind.name in str(caught.value)
    assert str(path) in str(caught.value)


def test_no_runtime_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_choice, "installed", tuple)
    wanted = config(tmp_path, runtime="auto")
    with pytest.raises(ModelError, match="pip install ai-edge-litert or tflite-runtime"):
        open_runtime(read_model(wanted), wanted)


def test_the_configured_runtime_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_choice, "installed", lambda: [(LITERT, "2.0")])
    wanted = config(tmp_path, runtime="tflite-runtime")
    with pytest.raises(ModelError, match="tflite-runtime is not installed") as caught:
        open_runtime(read_model(wanted), wanted)
    assert "pip install tflite-runtime" in str(caught.value)


@BOTH
def test_a_cache_that_cannot_be_written_does_not_stop_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = replace(config(tmp_path, runtime="auto"), runtime_cache=Path("/proc/no/cache.json"))
    with caplog.at_level(logging.WARNING):
        open_runtime(read_model(wanted), wanted)
    assert "cannot be written, the next start measures again" in caplog.text


def test_the_machine_is_told_by_its_processor_or_board() -> None:
    assert machine().startswith(platform.machine())
    assert "\0" not in machine()
    assert "\n" not in machine()


def test_a_board_is_told_by_the_device_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = tmp_path / "model"
    board.write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    monkeypatch.setattr(runtime_choice, "MACHINE_FILES", (board,))
    assert machine() == f"{platform.machine()} Raspberry Pi 5 Model B Rev 1.0"
    monkeypatch.setattr(runtime_choice, "MACHINE_FILES", (tmp_path / "absent",))
    assert machine() == platform.machine()


def test_a_probe_finds_the_code_from_any_working_directory() -> None:
    probe = runtime_choice.CODE.joinpath(*runtime_choice.PROBE.split("."))
    assert probe.with_suffix(".py").is_file()


@BOTH
def test_a_first_start_waits_for_no_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_choice, "MEASURE_AFTER_S", 0.0)
    wanted = replace(config(tmp_path, runtime="auto"), bundle=write_bundle(tmp_path / "bundle"))
    files = read_model(wanted)

    assert open_runtime(files, wanted, at_once=True).kind == LITERT

    (later,) = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    later.join()
    (entry,) = json.loads(wanted.runtime_cache.read_text())
    assert set(entry["milliseconds"]) == {"litert", "tflite-runtime"}
    # The next start knows, and measures nothing.
    entry["milliseconds"] = {"litert": 2.0, "tflite-runtime": 1.0}
    wanted.runtime_cache.write_text(json.dumps([entry]))
    assert open_runtime(files, wanted, at_once=True).kind == TFLITE_RUNTIME


@BOTH
def test_a_bare_model_is_tried_even_at_once(tmp_path: Path) -> None:
    wanted = config(tmp_path, runtime="auto")
    open_runtime(read_model(wanted), wanted, at_once=True)
    assert wanted.runtime_cache.exists()
