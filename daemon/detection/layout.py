"""Which of the known layouts a model's tensors have, from its manifest or from their shapes.

Three families of outputs are read (C classes, A anchors a cell):

- ``head_maps``: one map for each stride, sigmoid already applied, A·(5+C) values a cell: what
  Sitewatch exports. ``[1,h,w,A·(5+C)]``, ``[1,A·(5+C),h,w]``, ``[1,A,h,w,5+C]`` or
  ``[1,h,w,A,5+C]``.
- ``yolov5``: ``[1,N,5+C]``, boxes decoded by the graph: YOLOv5's own export.
- ``ultralytics``: ``[1,4+C,N]`` (or ``[1,N,4+C]``) without objectness: YOLOv8 and later.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from daemon.detection.tensors import ModelTensors, TensorInfo
from updater.errors import ModelError
from updater.manifest import InputSpec, OutputSpec

DTYPES = ("int8", "uint8", "float32")
CHANNELS = 3

ANCHORS = (
    ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)),
    ((30.0, 61.0), (62.0, 45.0), (59.0, 119.0)),
    ((116.0, 90.0), (156.0, 198.0), (373.0, 326.0)),
)
"""Width and height in input pixels, by stride: the published table of YOLOv5 v6.0."""

STRIDES = (8, 16, 32)
"""Input pixels a cell of YOLOv5's three heads."""

WHOLE_PIXEL_RANGE = 2.0
"""An input tensor that reaches beyond this takes pixels from 0 to 255, otherwise from 0 to 1."""


class Axes(Enum):
    """The order of a head map's axes after the batch; ``f`` counts the 5+C fields."""

    ROWS_COLUMNS_FIELDS = "h,w,a·f"
    FIELDS_ROWS_COLUMNS = "a·f,h,w"
    ANCHORS_ROWS_COLUMNS = "a,h,w,f"
    ROWS_COLUMNS_ANCHORS = "h,w,a,f"


@dataclass(frozen=True, slots=True)
class InputLayout:
    """How a picture goes in.

    Attributes:
        tensor: the input tensor.
        width: pixels.
        height: pixels.
        channels_first: ``[1,3,h,w]`` instead of ``[1,h,w,3]``.
        white: real value of a full-white pixel.
    """

    tensor: TensorInfo
    width: int
    height: int
    channels_first: bool
    white: float


@dataclass(frozen=True, slots=True)
class HeadMap:
    """One head map.

    Attributes:
        output: index of its tensor among the model's outputs.
        axes: their order.
        rows: cells, top to bottom.
        columns: cells, left to right.
        stride: input pixels a cell.
        anchors: (width, height) in input pixels.
    """

    output: int
    axes: Axes
    rows: int
    columns: int
    stride: int
    anchors: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class HeadMapsLayout:
    """Maps in the order of their strides.

    Attributes:
        tensors: every output tensor, in the runtime's order.
        maps: the maps.
        class_count: classes.
    """

    tensors: tuple[TensorInfo, ...]
    maps: tuple[HeadMap, ...]
    class_count: int


@dataclass(frozen=True, slots=True)
class TableLayout:
    """One tensor with a line for each of N candidates: centre x, y, width, height, scores.

    Attributes:
        tensor: the output tensor.
        class_count: classes.
        has_objectness: a fifth value multiplies the class scores (``yolov5``).
        candidates_last: ``[1,fields,N]`` instead of ``[1,N,fields]``.
        box_unit: ``pixels`` of the input, ``fraction`` of it, or empty where neither manifest nor
            shapes tell: then the box values themselves have to.
    """

    tensor: TensorInfo
    class_count: int
    has_objectness: bool
    candidates_last: bool
    box_unit: str


OutputLayout = HeadMapsLayout | TableLayout


def input_layout(tensors: ModelTensors, spec: InputSpec | None) -> InputLayout:
    """How the model takes a picture.

    Args:
        tensors: the model's tensors.
        spec: from the manifest; None for a bare ``.tflite``.

    Raises:
        ModelError: not one picture of three channels, an unknown type, or not what the manifest
            says.
    """
    if len(tensors.inputs) != 1:
        raise _unknown(f"{len(tensors.inputs)} inputs instead of one picture", tensors)
    tensor = tensors.inputs[0]
    if len(tensor.shape) != 4 or tensor.shape[0] != 1:
        raise _unknown("the input is not [1,height,width,3] or [1,3,height,width]", tensors)
    channels_first = tensor.shape[1] == CHANNELS and tensor.shape[3] != CHANNELS
    if not channels_first and tensor.shape[3] != CHANNELS:
        raise _unknown("the input has no axis of three channels", tensors)
    _check_dtype(tensor, tensors, needs_scale=False)
    height, width = tensor.shape[2:] if channels_first else tensor.shape[1:3]
    if spec is None:
        white = 255.0 if 255 * tensor.scale > WHOLE_PIXEL_RANGE else 1.0
        return InputLayout(tensor, width, height, channels_first, white)
    found = (width, height, "NCHW" if channels_first else "NHWC")
    if found != (spec.width, spec.height, spec.layout):
        raise _unknown(
            f"the manifest says an input of {spec.width}x{spec.height} {spec.layout}, the model "
            f"takes {found[0]}x{found[1]} {found[2]}",
            tensors,
        )
    return InputLayout(tensor, width, height, channels_first, spec.scale)


def output_layout(
    tensors: ModelTensors, taken: InputLayout, class_count: int, spec: OutputSpec | None
) -> OutputLayout:
    """How the model gives its candidates.

    Args:
        tensors: the model's tensors.
        taken: its input.
        class_count: number of class names.
        spec: from the manifest; None for a bare ``.tflite``: then the shapes decide, and head
            maps are taken to have the strides and anchors of YOLOv5 v6.0.

    Raises:
        ModelError: no known layout, or not the one that the manifest says; the message lists
            every tensor.
    """
    for tensor in tensors.outputs:
        _check_dtype(tensor, tensors, needs_scale=True)
    if spec is not None and spec.layout == "head_maps":
        layout: OutputLayout | None = _head_maps(
            tensors.outputs, taken, class_count, spec.strides, spec.anchors
        )
    elif spec is not None:
        layout = _table(tensors.outputs, class_count, spec.layout, spec.box_unit)
    else:
        layout = (
            _head_maps(tensors.outputs, taken, class_count, STRIDES, ANCHORS)
            or _table(tensors.outputs, class_count, "yolov5", "")
            or _table(tensors.outputs, class_count, "ultralytics", "")
        )
    if layout is None:
        named = f"the layout {spec.layout!r} of the manifest" if spec else "any known layout"
        raise _unknown(f"the outputs do not have {named} for {class_count} classes", tensors)
    return layout


def _head_maps(
    outputs: tuple[TensorInfo, ...],
    taken: InputLayout,
    class_count: int,
    strides: tuple[int, ...],
    anchors: tuple[tuple[tuple[float, float], ...], ...],
) -> HeadMapsLayout | None:
    if len(outputs) != len(strides):
        return None
    maps = []
    for stride, row in zip(strides, anchors, strict=True):
        rows, columns = taken.height // stride, taken.width // stride
        known = _map_shapes(rows, columns, len(row), 5 + class_count)
        fitting = [
            (index, known[tensor.shape])
            for index, tensor in enumerate(outputs)
            if tensor.shape in known
        ]
        if len(fitting) != 1:
            return None
        maps.append(HeadMap(*fitting[0], rows, columns, stride, row))
    return HeadMapsLayout(outputs, tuple(maps), class_count)


def _map_shapes(rows: int, columns: int, anchors: int, fields: int) -> dict[tuple[int, ...], Axes]:
    return {
        (1, rows, columns, anchors * fields): Axes.ROWS_COLUMNS_FIELDS,
        (1, anchors * fields, rows, columns): Axes.FIELDS_ROWS_COLUMNS,
        (1, anchors, rows, columns, fields): Axes.ANCHORS_ROWS_COLUMNS,
        (1, rows, columns, anchors, fields): Axes.ROWS_COLUMNS_ANCHORS,
    }


def _table(
    outputs: tuple[TensorInfo, ...], class_count: int, layout: str, box_unit: str
) -> TableLayout | None:
    if len(outputs) != 1 or len(outputs[0].shape) != 3 or outputs[0].shape[0] != 1:
        return None
    has_objectness = layout == "yolov5"
    fields = (5 if has_objectness else 4) + class_count
    # Each family's usual order first: it wins where N happens to equal the number of fields.
    orders = (False, True) if has_objectness else (True, False)
    for candidates_last in orders:
        if outputs[0].shape[1 if candidates_last else 2] == fields:
            return TableLayout(outputs[0], class_count, has_objectness, candidates_last, box_unit)
    return None


def _check_dtype(tensor: TensorInfo, tensors: ModelTensors, *, needs_scale: bool) -> None:
    if tensor.dtype not in DTYPES:
        raise _unknown(f"{tensor.name} is of type {tensor.dtype}, not {', '.join(DTYPES)}", tensors)
    if needs_scale and tensor.dtype != "float32" and not tensor.scale > 0:
        raise _unknown(f"{tensor.name} is {tensor.dtype} but has no scale", tensors)


def _unknown(what: str, tensors: ModelTensors) -> ModelError:
    return ModelError(
        f"{what}; {tensors}",
        hint="Known outputs are three head maps, [1,N,5+classes] and [1,4+classes,N]; "
        "check that the labels are the model's",
    )
