"""From a model's raw output tensors to candidate boxes, before suppression.

Nearly all of an output is background. So candidates are gated first, on the tensors as they are
(int8 objectness, or the greatest int8 class score), and only the few that pass become floats.
The boxes follow YOLOv5 since v6.0 (its ``models/yolo.py``, class ``Detect``): with sigmoid values
``s``, cell ``c``, stride ``t`` and anchor ``a``: ``xy = (2s - 0.5 + c) t``, ``wh = (2s)² a``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from daemon.detection.layout import Axes, HeadMap, HeadMapsLayout, OutputLayout, TableLayout
from daemon.detection.nms import MAX_CANDIDATES
from daemon.detection.quantisation import Dequantiser
from daemon.detection.tensors import TensorValues
from updater.errors import ModelError

_OBJECTNESS = 4
"""Field that holds the objectness, where there is one; the four before it are the box."""

SIGMOID_SLACK = 0.05
"""How far a score may lie outside 0 to 1 before it cannot be one (rounding of the last scale)."""

FRACTION_LIMIT = 2.0
"""Boxes over the whole input reach about 1 as fractions and its size in pixels; 2 parts them."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes over the threshold; one object gives several, a box one for each class that reaches it.

    Attributes:
        boxes: float32, shape (n, 4): x1, y1, x2, y2 in pixels of the model's input.
        scores: float32, shape (n,): objectness times class probability.
        class_ids: int32, shape (n,).
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]


class Decoder(Protocol):
    """Knows one model's layout."""

    def candidates(self, outputs: Sequence[TensorValues], threshold: float) -> Candidates:
        """The candidates of one inference.

        Args:
            outputs: every output tensor, in the runtime's order.
            threshold: least score, over 0.

        Raises:
            ModelError: a candidate is not finite.
        """


def make_decoder(layout: OutputLayout, width: int, height: int) -> Decoder:
    """The decoder of a layout.

    Args:
        layout: of the outputs; a :class:`TableLayout` must know its box unit.
        width: of the model's input, pixels.
        height: of the model's input, pixels.
    """
    if isinstance(layout, HeadMapsLayout):
        return HeadMapsDecoder(layout)
    return TableDecoder(layout, width, height)


class HeadMapsDecoder:
    """Decodes sigmoid head maps.

    Args:
        layout: of the outputs.
    """

    def __init__(self, layout: HeadMapsLayout) -> None:
        self._fields = 5 + layout.class_count
        self._maps = tuple(
            (entry, Dequantiser(layout.tensors[entry.output])) for entry in layout.maps
        )
        self._places = tuple(_places(entry) for entry in layout.maps)
        self._passed = tuple(np.zeros(len(table), np.bool_) for table in self._places)
        self._exact = not any(numbers.is_float for _, numbers in self._maps)
        self._clamp = any(numbers.may_exceed_one for _, numbers in self._maps)

    def candidates(self, outputs: Sequence[TensorValues], threshold: float) -> Candidates:
        """See :class:`Decoder`."""
        values: list[NDArray[np.float32]] = []
        places: list[NDArray[np.float32]] = []
        for (entry, numbers), table, through in zip(
            self._maps, self._places, self._passed, strict=True
        ):
            gate = numbers.gate(threshold)
            if gate is None:
                continue
            rows, objectness, by_candidate = self._view(entry, outputs[entry.output])
            # Most maps show nothing: a search of their bytes ends soonest.
            if not np.greater_equal(objectness, gate, through).any():
                continue
            passed = through.nonzero()[0]
            if by_candidate:
                chosen = rows[passed]
            else:
                anchor, cell = np.divmod(passed, rows.shape[2])
                chosen = rows[anchor, :, cell]
            values.append(numbers.real(chosen))
            places.append(table[passed])
        if not values:
            return _nothing()
        rows_real = values[0] if len(values) == 1 else np.concatenate(values)
        where = places[0] if len(places) == 1 else np.concatenate(places)
        chosen_rows, class_ids, scores = _scored(
            rows_real[:, 5:], rows_real[:, _OBJECTNESS], threshold, clamp=self._clamp
        )
        box, place = rows_real[chosen_rows, :4], where[chosen_rows]
        centre = box[:, :2] * place[:, 2:3] + place[:, :2]
        half = box[:, 2:] * box[:, 2:] * place[:, 3:5]
        return _candidates(centre, half, scores, class_ids, finite=self._exact)

    def _view(
        self, entry: HeadMap, output: TensorValues
    ) -> tuple[TensorValues, TensorValues, bool]:
        """The map by candidate, its objectness in the order of :func:`_places`, without a copy."""
        if entry.axes is Axes.FIELDS_ROWS_COLUMNS:
            rows = output.reshape(len(entry.anchors), self._fields, entry.rows * entry.columns)
            return rows, rows[:, _OBJECTNESS].reshape(-1), False
        rows = output.reshape(-1, self._fields)
        return rows, rows[:, _OBJECTNESS], True


class TableDecoder:
    """Decodes one tensor of N candidates whose boxes the graph has decoded.

    Args:
        layout: of the output.
        width: of the model's input, pixels.
        height: of the model's input, pixels.
    """

    def __init__(self, layout: TableLayout, width: int, height: int) -> None:
        self._layout = layout
        self._numbers = Dequantiser(layout.tensor)
        self._first_class = 5 if layout.has_objectness else 4
        unit = (width, height) if layout.box_unit == "fraction" else (1, 1)
        self._unit = np.array(unit * 2, np.float32)

    def candidates(self, outputs: Sequence[TensorValues], threshold: float) -> Candidates:
        """See :class:`Decoder`."""
        gate = self._numbers.gate(threshold)
        if gate is None:
            return _nothing()
        table = table_by_field(self._layout, outputs[0])
        if self._layout.has_objectness:
            strength = table[_OBJECTNESS]
        else:
            strength = table[self._first_class :].max(axis=0)
        passed = np.flatnonzero(strength >= gate)
        if len(passed) == 0:
            return _nothing()
        rows = self._numbers.real(table[:, passed]).T
        objectness = rows[:, _OBJECTNESS] if self._layout.has_objectness else None
        chosen, class_ids, scores = _scored(
            rows[:, self._first_class :], objectness, threshold, clamp=self._numbers.may_exceed_one
        )
        box = rows[chosen, :4] * self._unit
        exact = not self._numbers.is_float
        return _candidates(box[:, :2], box[:, 2:] / 2, scores, class_ids, finite=exact)


def table_by_field(layout: TableLayout, output: TensorValues) -> TensorValues:
    """The output as a view of shape (fields, N)."""
    table: TensorValues = output[0] if layout.candidates_last else output[0].T
    return table


def box_unit(layout: TableLayout, output: TensorValues) -> str:
    """Whether boxes are in ``pixels`` or a ``fraction`` of the input, told by their values.

    The candidates of one inference are spread over the whole input whatever the picture shows, so
    the greatest centre lies near 1 or near the input's size.

    Args:
        layout: of the output.
        output: of any one inference.
    """
    centres = Dequantiser(layout.tensor).real(table_by_field(layout, output)[:2].copy())
    return "pixels" if float(centres.max()) > FRACTION_LIMIT else "fraction"


def check_scores(layout: OutputLayout, outputs: Sequence[TensorValues]) -> None:
    """Refuses outputs whose scores cannot be probabilities.

    A model exported without its last sigmoid has the right shapes and gives nonsense.

    Args:
        layout: of the outputs.
        outputs: of any one inference, in the runtime's order.

    Raises:
        ModelError: a score is not finite, or lies outside 0 to 1.
    """
    if isinstance(layout, HeadMapsLayout):
        parts = list(zip(layout.tensors, outputs, strict=True))
    else:
        parts = [(layout.tensor, table_by_field(layout, outputs[0])[4:])]
    for tensor, part in parts:
        real = Dequantiser(tensor).real(np.array([part.min(), part.max()]))
        if not (real[0] >= -SIGMOID_SLACK and real[1] <= 1 + SIGMOID_SLACK):
            raise ModelError(
                f"scores from {real[0]:g} to {real[1]:g} are not probabilities, in {tensor}",
                hint="Export the model with the sigmoid as its last step",
            )


def _places(entry: HeadMap) -> NDArray[np.float32]:
    """What turns the sigmoid values of each cell and anchor of a map into its box.

    Returns:
        Shape (candidates, 5), in the order in which the map lists them: offset of x and of y,
        factor of both, factors of the squared width and height for *half* the box.
    """
    anchors = np.array(entry.anchors, np.float32)
    if entry.axes in (Axes.FIELDS_ROWS_COLUMNS, Axes.ANCHORS_ROWS_COLUMNS):
        anchor, row, column = np.indices((len(anchors), entry.rows, entry.columns)).reshape(3, -1)
    else:
        row, column, anchor = np.indices((entry.rows, entry.columns, len(anchors))).reshape(3, -1)
    places = np.empty((len(row), 5), np.float32)
    places[:, 0] = (column - 0.5) * entry.stride
    places[:, 1] = (row - 0.5) * entry.stride
    places[:, 2] = 2 * entry.stride
    places[:, 3:5] = 2 * anchors[anchor]
    return places


def _scored(
    classes: NDArray[np.float32],
    objectness: NDArray[np.float32] | None,
    threshold: float,
    *,
    clamp: bool,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Rows, classes and scores of what reaches the threshold, at most MAX_CANDIDATES of them."""
    if clamp:
        classes = np.minimum(classes, np.float32(1))
        objectness = None if objectness is None else np.minimum(objectness, np.float32(1))
    scores = classes if objectness is None else classes * objectness[:, np.newaxis]
    rows, class_ids = (scores >= np.float32(threshold)).nonzero()
    chosen: NDArray[np.float32] = scores[rows, class_ids]
    if len(chosen) > MAX_CANDIDATES:
        strongest = np.argsort(-chosen, kind="stable")[:MAX_CANDIDATES]
        return rows[strongest], class_ids[strongest], chosen[strongest]
    return rows, class_ids, chosen


def _candidates(
    centre: NDArray[np.float32],
    half: NDArray[np.float32],
    scores: NDArray[np.float32],
    class_ids: NDArray[np.intp],
    *,
    finite: bool,
) -> Candidates:
    """Corners from centres and half sides; ``finite`` where the type cannot hold anything else."""
    boxes = np.empty((len(scores), 4), np.float32)
    np.subtract(centre, half, out=boxes[:, :2])
    np.add(centre, half, out=boxes[:, 2:])
    if not finite and not np.isfinite(boxes).all():
        raise ModelError(
            "the model gave a box that is not finite",
            hint="The model is damaged or does not fit the runtime; try another runtime",
        )
    return Candidates(boxes, scores, class_ids.astype(np.int32))


def _nothing() -> Candidates:
    return Candidates(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))
