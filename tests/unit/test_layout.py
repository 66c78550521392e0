from __future__ import annotations

from dataclasses import replace

import pytest

from daemon.detection.layout import (
    ANCHORS,
    Axes,
    HeadMapsLayout,
    InputLayout,
    TableLayout,
    input_layout,
    output_layout,
)
from daemon.detection.tensors import ModelTensors, TensorInfo
from updater.errors import ModelError
from updater.manifest import InputSpec, OutputSpec

PICTURE = TensorInfo("picture", (1, 320, 320, 3), "int8", 1 / 255, -128)


def tensors(*outputs: TensorInfo, picture: TensorInfo = PICTURE) -> ModelTensors:
    return ModelTensors((picture,), outputs)


def sigmoid(*shape: int) -> TensorInfo:
    return TensorInfo("map", shape, "int8", 1 / 256, -128)


@pytest.mark.parametrize(
    ("picture", "width", "height", "channels_first", "white"),
    [
        (TensorInfo("i", (1, 320, 416, 3), "int8", 1 / 255, -128), 416, 320, False, 1.0),
        (TensorInfo("i", (1, 3, 320, 416), "float32"), 416, 320, True, 1.0),
        (TensorInfo("i", (1, 320, 320, 3), "uint8", 1.0, 0), 320, 320, False, 255.0),
        (TensorInfo("i", (1, 320, 320, 3), "uint8"), 320, 320, False, 1.0),
    ],
)
def test_bare_inputs(
    picture: TensorInfo, width: int, height: int, channels_first: bool, white: float
) -> None:
    expected = InputLayout(picture, width, height, channels_first, white)
    assert input_layout(tensors(picture=picture), None) == expected


def test_the_manifest_tells_what_white_is() -> None:
    spec = InputSpec(320, 320, "NHWC", 255.0)
    assert input_layout(tensors(), spec).white == 255.0


@pytest.mark.parametrize(
    "spec", [InputSpec(416, 320), InputSpec(320, 416), InputSpec(320, 320, "NCHW")]
)
def test_an_input_that_is_not_the_manifests(spec: InputSpec) -> None:
    with pytest.raises(ModelError, match="the model takes 320x320 NHWC"):
        input_layout(tensors(), spec)


@pytest.mark.parametrize(
    ("picture", "match"),
    [
        (TensorInfo("i", (1, 320, 320, 1), "int8", 1 / 255, -128), "three channels"),
        (TensorInfo("i", (2, 320, 320, 3), "int8", 1 / 255, -128), "input is not"),
        (TensorInfo("i", (1, 320, 960), "int8", 1 / 255, -128), "input is not"),
        (TensorInfo("i", (1, 320, 320, 3), "int16", 1 / 255, 0), "of type int16"),
    ],
)
def test_inputs_that_are_no_picture(picture: TensorInfo, match: str) -> None:
    with pytest.raises(ModelError, match=match):
        input_layout(tensors(picture=picture), None)


def test_two_inputs_are_refused() -> None:
    with pytest.raises(ModelError, match="2 inputs"):
        input_layout(ModelTensors((PICTURE, PICTURE), ()), None)


def test_bare_head_maps_get_the_published_anchors() -> None:
    shown = tensors(sigmoid(1, 10, 10, 24), sigmoid(1, 40, 40, 24), sigmoid(1, 20, 20, 24))

    layout = output_layout(shown, input_layout(shown, None), 3, None)

    assert isinstance(layout, HeadMapsLayout)
    assert [(m.output, m.stride, m.rows, m.columns) for m in layout.maps] == [
        (1, 8, 40, 40),
        (2, 16, 20, 20),
        (0, 32, 10, 10),
    ]
    assert tuple(m.anchors for m in layout.maps) == ANCHORS
    assert {m.axes for m in layout.maps} == {Axes.ROWS_COLUMNS_FIELDS}


def test_the_manifests_strides_and_anchors_hold() -> None:
    shown = tensors(sigmoid(1, 20, 20, 14))
    spec = OutputSpec("head_maps", strides=(16,), anchors=(((5.0, 6.0), (7.0, 8.0)),))

    layout = output_layout(shown, input_layout(shown, None), 2, spec)

    assert isinstance(layout, HeadMapsLayout)
    assert layout.maps[0].anchors == ((5.0, 6.0), (7.0, 8.0))
    assert layout.maps[0].stride == 16


@pytest.mark.parametrize(
    ("shape", "objectness", "last"),
    [
        ((1, 6300, 8), True, False),
        ((1, 8, 6300), True, True),
        ((1, 7, 2100), False, True),
        ((1, 2100, 7), False, False),
        ((1, 8, 8), True, False),
        ((1, 7, 7), False, True),
    ],
)
def test_bare_tables(shape: tuple[int, ...], objectness: bool, last: bool) -> None:
    shown = tensors(sigmoid(*shape))
    layout = output_layout(shown, input_layout(shown, None), 3, None)
    assert layout == TableLayout(sigmoid(*shape), 3, objectness, last, box_unit="")


@pytest.mark.parametrize(
    "outputs",
    [
        (),
        (sigmoid(1, 1000),),
        (sigmoid(1, 6300, 9),),
        (sigmoid(1, 6300, 8), sigmoid(1, 6300, 8)),
        (sigmoid(2, 6300, 8),),
        (sigmoid(1, 40, 40, 24), sigmoid(1, 20, 20, 24)),
        (sigmoid(1, 40, 40, 24), sigmoid(1, 20, 20, 24), sigmoid(1, 20, 20, 24)),
        (sigmoid(1, 40, 40, 24), sigmoid(1, 20, 20, 24), sigmoid(1, 10, 10, 21)),
    ],
)
def test_an_unknown_layout_lists_every_tensor(outputs: tuple[TensorInfo, ...]) -> None:
    shown = tensors(*outputs)

    with pytest.raises(ModelError) as caught:
        output_layout(shown, input_layout(shown, None), 3, None)

    assert caught.value.exit_code == 5
    assert "any known layout for 3 classes" in str(caught.value)
    for tensor in (PICTURE, *outputs):
        assert str(tensor) in str(caught.value)
    assert "picture int8[1,320,320,3] scale 0.00392157 zero -128" in str(caught.value)


@pytest.mark.parametrize("layout", ["yolov5", "ultralytics"])
def test_another_layout_than_the_manifests(layout: str) -> None:
    shown = tensors(sigmoid(1, 10, 10, 24), sigmoid(1, 40, 40, 24), sigmoid(1, 20, 20, 24))
    with pytest.raises(ModelError, match=f"layout '{layout}' of the manifest"):
        output_layout(shown, input_layout(shown, None), 3, OutputSpec(layout))


@pytest.mark.parametrize(
    ("change", "match"),
    [({"dtype": "int16"}, "of type int16"), ({"scale": 0.0}, "has no scale")],
)
def test_outputs_of_a_type_that_cannot_be_read(change: dict[str, object], match: str) -> None:
    shown = tensors(replace(sigmoid(1, 6300, 8), **change))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=match):
        output_layout(shown, input_layout(shown, None), 3, None)
