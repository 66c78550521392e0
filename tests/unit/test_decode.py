"""Decoding against a plain float reference: a loop over every cell, written apart from the code."""

from __future__ import annotations

import sys
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from daemon.detection.candidates import FEW, Candidates
from daemon.detection.decode import box_unit, check_scores, make_decoder
from daemon.detection.head_maps import HeadMapsDecoder
from daemon.detection.layout import (
    HeadMapsLayout,
    OutputLayout,
    TableLayout,
    input_layout,
    output_layout,
)
from daemon.detection.nms import MAX_CANDIDATES
from daemon.detection.tensors import ModelTensors, TensorInfo
from tests.support.models import ANCHORS, STRIDES
from updater.errors import ModelError
from updater.manifest import OutputSpec

WIDTH, HEIGHT = 64, 96
PICTURE = TensorInfo("picture", (1, HEIGHT, WIDTH, 3), "int8", 1 / 255, -128)
AXES = ("h,w,af", "af,h,w", "a,h,w,f", "h,w,a,f")
DTYPES = ("int8", "uint8", "float32")

Row = tuple[int, float, float, float, float, float]
"""Class, score, x1, y1, x2, y2."""


def quantised(
    real: NDArray[np.float64], dtype: str, scale: float
) -> tuple[TensorInfo, NDArray[Any], NDArray[np.float64]]:
    """A tensor of a type, its values, and the real numbers that they now stand for."""
    if dtype == "float32":
        values = real.astype(np.float32)
        return TensorInfo("out", values.shape, dtype), values, values.astype(np.float64)
    zero = -128 if dtype == "int8" else 0
    limits = np.iinfo(dtype)
    integers = (np.rint(real / scale) + zero).clip(limits.min, limits.max).astype(dtype)
    stands_for = (integers.astype(np.float64) - zero) * scale
    return TensorInfo("out", integers.shape, dtype, scale, zero), integers, stands_for


def laid_out(cells: NDArray[Any], axes: str) -> NDArray[Any]:
    """``cells`` of shape (h, w, a, f) as a tensor with the given order of axes."""
    rows, columns, anchors, fields = cells.shape
    flat = cells.reshape(rows, columns, anchors * fields)
    return {
        "h,w,af": flat,
        "af,h,w": flat.transpose(2, 0, 1),
        "a,h,w,f": cells.transpose(2, 0, 1, 3),
        "h,w,a,f": cells,
    }[axes][np.newaxis].copy()


def plain_maps(maps: list[NDArray[np.float64]], threshold: float) -> list[Row]:
    found: list[Row] = []
    for cells, stride, anchors in zip(maps, STRIDES, ANCHORS, strict=True):
        for row, column, anchor in product(*map(range, cells.shape[:3])):
            x, y, w, h, objectness, *classes = cells[row, column, anchor].tolist()
            centre_x, centre_y = (2 * x - 0.5 + column) * stride, (2 * y - 0.5 + row) * stride
            half_w = (2 * w) ** 2 * anchors[anchor][0] / 2
            half_h = (2 * h) ** 2 * anchors[anchor][1] / 2
            for class_id, probability in enumerate(classes):
                if (score := objectness * probability) >= threshold:
                    found.append(
                        (
                            class_id,
                            score,
                            centre_x - half_w,
                            centre_y - half_h,
                            centre_x + half_w,
                            centre_y + half_h,
                        )
                    )
    return found


def plain_table(
    lines: NDArray[np.float64], *, objectness: bool, unit: tuple[int, int], threshold: float
) -> list[Row]:
    found: list[Row] = []
    for line in lines.tolist():
        x, y, w, h = line[0] * unit[0], line[1] * unit[1], line[2] * unit[0], line[3] * unit[1]
        factor, classes = (line[4], line[5:]) if objectness else (1.0, line[4:])
        for class_id, probability in enumerate(classes):
            score = min(factor, 1.0) * min(probability, 1.0)
            if score >= threshold:
                found.append((class_id, score, x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    return found


def assert_same(candidates: Candidates, expected: list[Row]) -> None:
    """The same rows in any order, to float32's precision."""
    assert len(candidates.scores) == len(expected)
    if not expected:
        return
    got = np.column_stack((candidates.class_ids, candidates.scores, candidates.boxes))
    apart = np.abs(got[:, np.newaxis] - np.array(expected)).max(axis=2)
    assert apart.min(axis=1).max() < 1e-3
    assert apart.min(axis=0).max() < 1e-3


def head_maps_layout(tensors: tuple[TensorInfo, ...], class_count: int) -> OutputLayout:
    shown = ModelTensors((PICTURE,), tensors)
    return output_layout(shown, input_layout(shown, None), class_count, None)


@pytest.mark.parametrize("class_count", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axes", AXES)
def test_head_maps(axes: str, dtype: str, class_count: int) -> None:
    rng = np.random.default_rng([len(axes), AXES.index(axes), class_count])
    order = (2, 0, 1)  # the tensors come in any order
    maps, tensors, outputs = [], [], []
    for stride in STRIDES:
        shape = (HEIGHT // stride, WIDTH // stride, 3, 5 + class_count)
        _, values, real = quantised(rng.random(shape), dtype, 1 / 256)
        output = laid_out(values, axes)
        scale, zero = (1 / 256, -128 if dtype == "int8" else 0) if dtype != "float32" else (0.0, 0)
        tensors.append(TensorInfo(f"map{stride}", output.shape, dtype, scale, zero))
        outputs.append(output)
        maps.append(real)
    layout = head_maps_layout(tuple(tensors[i] for i in order), class_count)
    assert isinstance(layout, HeadMapsLayout)
    assert [entry.axes.value for entry in layout.maps] == [axes.replace("af", "a·f")] * 3
    decoder = make_decoder(layout, WIDTH, HEIGHT)

    for threshold in (0.20011, 0.50003, 0.9001):
        candidates = decoder.candidates([outputs[i] for i in order], threshold)
        assert_same(candidates, plain_maps(maps, threshold))


def test_head_maps_of_different_types_and_scales() -> None:
    rng = np.random.default_rng(5)
    maps, tensors, outputs = [], [], []
    for stride, dtype, scale in zip(STRIDES, DTYPES, (1 / 256, 1 / 200, 0.0), strict=True):
        shape = (HEIGHT // stride, WIDTH // stride, 3, 7)
        info, values, real = quantised(rng.random(shape), dtype, scale or 1.0)
        outputs.append(laid_out(values, "h,w,af"))
        tensors.append(TensorInfo("map", outputs[-1].shape, dtype, info.scale, info.zero_point))
        maps.append(real.clip(0, 1))
    layout = head_maps_layout(tuple(tensors), 2)

    candidates = make_decoder(layout, WIDTH, HEIGHT).candidates(outputs, 0.60001)

    assert_same(candidates, plain_maps(maps, 0.60001))


@pytest.mark.parametrize("class_count", [1, 4])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("unit", ["pixels", "fraction"])
@pytest.mark.parametrize("candidates_last", [False, True])
@pytest.mark.parametrize("family", ["yolov5", "ultralytics"])
def test_tables(
    family: str, candidates_last: bool, unit: str, dtype: str, class_count: int
) -> None:
    rng = np.random.default_rng([class_count, DTYPES.index(dtype), int(candidates_last)])
    objectness = family == "yolov5"
    fields = (5 if objectness else 4) + class_count
    lines = rng.random((150, fields))
    size = np.array([WIDTH, HEIGHT] * 2)
    if unit == "pixels":
        lines[:, :4] *= size
    # One scale for boxes and scores: in pixels it leaves only scores of 0 and 1 of an 8-bit type.
    scale = HEIGHT / 255 if unit == "pixels" else 1 / 255
    _, values, real = quantised(lines, dtype, scale)
    output = (values.T if candidates_last else values)[np.newaxis].copy()
    zero = -128 if dtype == "int8" else 0
    info = TensorInfo("out", output.shape, dtype, *(() if dtype == "float32" else (scale, zero)))
    shown = ModelTensors((PICTURE,), (info,))
    spec = OutputSpec(family, box_unit=unit)
    layout = output_layout(shown, input_layout(shown, None), class_count, spec)
    assert layout == TableLayout(info, class_count, objectness, candidates_last, unit)
    assert box_unit(layout, output) == unit
    decoder = make_decoder(layout, WIDTH, HEIGHT)

    for threshold in (0.10007, 0.40009, 0.9003):
        expected = plain_table(
            real,
            objectness=objectness,
            unit=(WIDTH, HEIGHT) if unit == "fraction" else (1, 1),
            threshold=threshold,
        )
        assert_same(decoder.candidates([output], threshold), expected)


def table(values: NDArray[np.float32], *, objectness: bool = True) -> TableLayout:
    info = TensorInfo("out", (1, *values.shape), "float32")
    classes = values.shape[1] - (5 if objectness else 4)
    return TableLayout(info, classes, objectness, candidates_last=False, box_unit="pixels")


def test_only_the_strongest_candidates_are_kept_when_there_are_too_many() -> None:
    values = np.full((MAX_CANDIDATES + 500, 6), 0.9, np.float32)
    values[:, 5] = np.linspace(0.1, 0.9, len(values), dtype=np.float32)

    candidates = make_decoder(table(values), 64, 64).candidates([values[np.newaxis]], 0.01)

    assert len(candidates.scores) == MAX_CANDIDATES
    assert (
        min(candidates.scores) >= np.sort(values[:, 5].astype(float) * float(np.float32(0.9)))[500]
    )


def test_a_threshold_that_no_integer_reaches_finds_nothing() -> None:
    info = TensorInfo("out", (1, 2, 6), "int8", 0.001, 0)
    layout = TableLayout(info, 1, has_objectness=True, candidates_last=False, box_unit="pixels")
    values = np.full((1, 2, 6), 127, np.int8)

    assert len(make_decoder(layout, 64, 64).candidates([values], 0.2).scores) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_box_that_is_not_finite_is_an_error(bad: float) -> None:
    values = np.array([[bad, 5, 5, 5, 0.9, 0.9]], np.float32)
    with pytest.raises(ModelError, match="not finite"):
        make_decoder(table(values), 64, 64).candidates([values[np.newaxis]], 0.25)


def test_a_score_that_is_not_a_number_is_no_candidate() -> None:
    values = np.array([[5, 5, 5, 5, np.nan, 0.9], [9, 9, 4, 4, 0.9, 0.9]], np.float32)
    candidates = make_decoder(table(values), 64, 64).candidates([values[np.newaxis]], 0.25)
    assert candidates.boxes == [[7, 7, 11, 11]]


@pytest.mark.parametrize("bad", [-4.0, 3.5, np.nan])
@pytest.mark.parametrize("objectness", [True, False])
def test_scores_that_are_no_probabilities_are_refused(bad: float, objectness: bool) -> None:
    values = np.full((8, 7), 0.5, np.float32)
    values[:, :4] = 40  # boxes may be anything
    layout = table(values, objectness=objectness)
    check_scores(layout, [values[np.newaxis]])

    values[3, 6] = bad
    with pytest.raises(ModelError, match="sigmoid"):
        check_scores(layout, [values[np.newaxis]])


@given(
    seed=st.integers(0, 2**32 - 1),
    axes=st.sampled_from(AXES),
    dtypes=st.tuples(*[st.sampled_from(DTYPES[:2])] * 3),
    scales=st.tuples(*[st.sampled_from([1 / 256, 1 / 255, 0.0041, 1 / 200])] * 3),
    threshold=st.floats(0.05, 1.0),
    class_count=st.integers(1, 4),
)
def test_one_by_one_and_at_once_agree_to_the_last_bit(
    seed: int,
    axes: str,
    dtypes: tuple[str, ...],
    scales: tuple[float, ...],
    threshold: float,
    class_count: int,
) -> None:
    rng = np.random.default_rng(seed)
    maps, tensors, outputs = [], [], []
    for stride, dtype, scale in zip(STRIDES, dtypes, scales, strict=True):
        shape = (HEIGHT // stride, WIDTH // stride, 3, 5 + class_count)
        info, values, real = quantised(rng.random(shape) ** 3, dtype, scale)
        outputs.append(laid_out(values, axes))
        tensors.append(TensorInfo("map", outputs[-1].shape, dtype, scale, info.zero_point))
        maps.append(real)
    layout = head_maps_layout(tuple(tensors), class_count)
    assert isinstance(layout, HeadMapsLayout)
    every = sum(cells.shape[0] * cells.shape[1] * 3 for cells in maps)

    singly = HeadMapsDecoder(layout, few=every).candidates(outputs, threshold)
    at_once = HeadMapsDecoder(layout, few=0).candidates(outputs, threshold)

    assert list(singly.boxes) == list(at_once.boxes)
    assert list(singly.scores) == list(at_once.scores)
    assert list(singly.class_ids) == list(at_once.class_ids)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("dtype", DTYPES[:2])
@pytest.mark.parametrize("objects", [0, 1, FEW, FEW + 1])
def test_a_nearly_empty_picture(axes: str, dtype: str, objects: int) -> None:
    """What a camera sees: the few candidates stand alone on a background of nothing."""
    rng = np.random.default_rng([objects, AXES.index(axes)])
    maps, tensors, outputs = [], [], []
    for stride in STRIDES:
        cells = rng.random((HEIGHT // stride, WIDTH // stride, 3, 8))
        cells[..., 4] *= 0.2
        maps.append(cells)
    for at in rng.permutation(HEIGHT * WIDTH // STRIDES[0] ** 2)[:objects]:
        row, column = divmod(int(at), WIDTH // STRIDES[0])
        maps[0][row, column, int(at) % 3, 4:] = 0.9
    for index, cells in enumerate(maps):
        info, values, maps[index] = quantised(cells, dtype, 1 / 256)
        outputs.append(laid_out(values, axes))
        tensors.append(TensorInfo("map", outputs[-1].shape, dtype, 1 / 256, info.zero_point))
    decoder = make_decoder(head_maps_layout(tuple(tensors), 3), WIDTH, HEIGHT)

    for _ in range(2):  # marks of the last frame must not stay
        candidates = decoder.candidates(outputs, 0.40011)
        assert_same(candidates, plain_maps(maps, 0.40011))
        assert len(candidates) == 3 * objects
    nothing = [np.full_like(output, np.iinfo(dtype).min) for output in outputs]
    assert len(decoder.candidates(nothing, 0.40011)) == 0
    assert len(decoder.candidates(outputs, 0.9999)) == 0


def test_views_of_the_outputs_do_not_stay_behind() -> None:
    """The runtimes refuse to run while somebody holds a view of their memory."""
    for count in (1, FEW + 1):
        values = np.zeros((1, 32, 32, 18), np.int8)
        values[0, 0].reshape(-1)[4 : 4 + 6 * count : 6] = 127
        values[0, 0].reshape(-1)[5 : 5 + 6 * count : 6] = 127
        others = [np.zeros((1, 16, 16, 18), np.int8), np.zeros((1, 8, 8, 18), np.int8)]
        info = [TensorInfo("m", part.shape, "int8", 1 / 128, 0) for part in (values, *others)]
        shown = ModelTensors((TensorInfo("in", (1, 256, 256, 3), "int8", 1 / 255, -128),), (*info,))
        layout = output_layout(shown, input_layout(shown, None), 1, None)
        before = sys.getrefcount(values)

        found = make_decoder(layout, 256, 256).candidates([values, *others], 0.5)

        assert len(found) == count
        assert sys.getrefcount(values) == before
