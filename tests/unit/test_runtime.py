"""The real runtimes, with models of a few kilobytes."""

from __future__ import annotations

import os

import numpy as np
import pytest

from daemon.detection.runtime import (
    KINDS,
    LITERT,
    RuntimeKind,
    TfliteRuntime,
    installed,
    quiet_stderr,
)
from tests.support.models import FOLDER
from updater.errors import ModelError

PRESENT = [kind for kind, _ in installed()]


def load(kind: RuntimeKind, name: str = "head_maps_int8", threads: int = 1) -> TfliteRuntime:
    content = (FOLDER / f"{name}.tflite").read_bytes()
    return TfliteRuntime(kind, content, threads=threads, where=name)


def grey(runtime: TfliteRuntime) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    tensor = runtime.tensors.inputs[0]
    return np.zeros(tensor.shape, tensor.dtype)


def test_at_least_one_runtime_is_installed() -> None:
    assert PRESENT
    assert all(version != "unknown" for _, version in installed())


@pytest.mark.parametrize("kind", PRESENT, ids=lambda kind: kind.name)
def test_tensors_are_described(kind: RuntimeKind) -> None:
    tensors = load(kind).tensors

    picture = tensors.inputs[0]
    assert (picture.shape, picture.dtype, picture.zero_point) == ((1, 64, 64, 3), "int8", -128)
    assert picture.scale == pytest.approx(1 / 255)
    assert {tensor.shape for tensor in tensors.outputs} == {
        (1, 8, 8, 21),
        (1, 4, 4, 21),
        (1, 2, 2, 21),
    }
    assert all(tensor.scale == 1 / 256 for tensor in tensors.outputs)


@pytest.mark.parametrize("kind", PRESENT, ids=lambda kind: kind.name)
@pytest.mark.parametrize("threads", [1, 2])
def test_outputs_come_in_the_order_of_the_tensors(kind: RuntimeKind, threads: int) -> None:
    runtime = load(kind, threads=threads)
    for _ in range(3):  # each run drops the views of the one before
        outputs = runtime.invoke(grey(runtime))
        assert [output.shape for output in outputs] == [t.shape for t in runtime.tensors.outputs]
        del outputs


def test_the_runtimes_agree() -> None:
    picture = np.random.default_rng(1).integers(-128, 128, (1, 64, 64, 3), dtype=np.int8)
    results = []
    for kind in PRESENT:
        runtime = load(kind)
        results.append([output.copy() for output in runtime.invoke(picture)])
    for outputs in results[1:]:
        for ours, theirs in zip(results[0], outputs, strict=True):
            # Kernels differ in the last bit of a rounding.
            assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


@pytest.mark.parametrize("kind", PRESENT, ids=lambda kind: kind.name)
def test_views_that_are_kept_stop_the_next_run(kind: RuntimeKind) -> None:
    runtime = load(kind)
    kept = runtime.invoke(grey(runtime))
    with pytest.raises(ModelError, match="reference to internal data"):
        runtime.invoke(grey(runtime))
    del kept
    runtime.invoke(grey(runtime))


@pytest.mark.parametrize("kind", PRESENT, ids=lambda kind: kind.name)
def test_values_of_the_wrong_shape_are_an_error(kind: RuntimeKind) -> None:
    with pytest.raises(ModelError, match="failed to run"):
        load(kind).invoke(np.zeros((1, 32, 32, 3), np.int8))


@pytest.mark.parametrize("kind", PRESENT, ids=lambda kind: kind.name)
@pytest.mark.parametrize("content", [b"", b"x" * 4000])
def test_a_damaged_model_cannot_be_loaded(kind: RuntimeKind, content: bytes) -> None:
    with pytest.raises(ModelError, match="cannot load the model"):
        TfliteRuntime(kind, content, threads=1, where="damaged")


def test_a_runtime_that_is_not_installed() -> None:
    absent = RuntimeKind("other", "no_such_runtime.interpreter", "no-such-runtime")
    with pytest.raises(ModelError, match="pip install no-such-runtime"):
        load(absent)


def test_the_kinds_have_the_names_of_the_configuration() -> None:
    assert [kind.name for kind in KINDS] == ["litert", "tflite-runtime"]


def test_loading_leaves_stderr_clean(capfd: pytest.CaptureFixture[str]) -> None:
    runtime = load(LITERT, "head_maps_float32")
    runtime.invoke(grey(runtime))
    assert capfd.readouterr().err == ""


def test_other_words_on_stderr_come_through(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
        os.write(2, b"ERROR: something is really wrong\n")
    os.write(2, b"INFO: after\n")
    assert capfd.readouterr().err == ("ERROR: something is really wrong\nINFO: after\n")
