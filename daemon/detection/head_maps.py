"""From sigmoid head maps to candidate boxes.

Nearly all of an output is background. So candidates are marked first, on the tensors as they are
(int8 objectness), and only the few that pass become floats: one by one while they are few, by
arrays beyond that. Both ways give the very same numbers.
The boxes follow YOLOv5 since v6.0 (its ``models/yolo.py``, class ``Detect``): with sigmoid values
``s``, cell ``c``, stride ``t`` and anchor ``a``: ``xy = (2s - 0.5 + c) t``, ``wh = (2s)² a``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.detection.candidates import FEW, NOTHING, Candidates
from daemon.detection.layout import Axes, HeadMap, HeadMapsLayout
from daemon.detection.quantisation import Dequantiser
from daemon.detection.scores import check_finite, from_arrays, scored
from daemon.detection.tensors import TensorInfo, TensorValues

_OBJECTNESS = 4
"""Field that holds the objectness; the four before it are the box, those after it the classes."""

_PLACE = struct.Struct("=5f")
"""A line of :func:`_places`."""


class HeadMapsDecoder:
    """Decodes sigmoid head maps.

    Args:
        layout: of the outputs.
        few: up to so many candidates are decoded one by one.
    """

    def __init__(self, layout: HeadMapsLayout, *, few: int = FEW) -> None:
        # One mark a candidate of all maps together: one search tells that there is nothing.
        self._marks = bytearray(sum(_size(entry) for entry in layout.maps))
        flags = np.frombuffer(self._marks, np.bool_)
        maps = []
        begin = 0
        for entry in layout.maps:
            end = begin + _size(entry)
            tensor = layout.tensors[entry.output]
            maps.append(_Map(entry, tensor, 5 + layout.class_count, flags[begin:end], begin))
            begin = end
        self._maps = tuple(maps)
        # Floats, of models too slow to matter here, are always decoded by arrays.
        self._is_float = any(part.numbers.is_float for part in maps)
        self._few = 0 if self._is_float else few
        self._threshold = self._least = math.nan
        self._clamp = any(part.numbers.may_exceed_one for part in maps)

    def candidates(self, outputs: Sequence[TensorValues], threshold: float) -> Candidates:
        """See :class:`daemon.detection.decode.Decoder`."""
        if threshold != self._threshold:
            self._adopt(threshold)
        for part in self._maps:
            part.mark(outputs[part.output])
        count = self._marks.count(1)
        if not count:
            return NOTHING
        return self._one_by_one(outputs) if count <= self._few else self._at_once(outputs)

    def _adopt(self, threshold: float) -> None:
        for part in self._maps:
            part.gate = part.numbers.gate(threshold)
        self._least = float(np.float32(threshold))  # as the gates compare
        self._threshold = threshold

    def _one_by_one(self, outputs: Sequence[TensorValues]) -> Candidates:
        find, least = self._marks.find, self._least
        boxes: list[list[float]] = []
        scores: list[float] = []
        class_ids: list[int] = []
        for part in self._maps:
            position = find(1, part.begin, part.end)
            if position < 0:
                continue
            real, probability = part.numbers.by_byte, part.probability_by_byte
            values: Any = memoryview(outputs[part.output].data)
            while position >= 0:
                index = position - part.begin
                x, y, w, h, objectness, *classes = part.read_line(values, part.line_start(index))
                certainty = probability[objectness]
                for class_id, byte in enumerate(classes):
                    score = probability[byte] * certainty
                    if score >= least:
                        left, top, factor, half_w, half_h = part.read_place(index)
                        cx, cy = real[x] * factor + left, real[y] * factor + top
                        half_w *= real[w] * real[w]
                        half_h *= real[h] * real[h]
                        boxes.append([cx - half_w, cy - half_h, cx + half_w, cy + half_h])
                        scores.append(score)
                        class_ids.append(class_id)
                position = find(1, position + 1, part.end)
        return Candidates(boxes, scores, class_ids)

    def _at_once(self, outputs: Sequence[TensorValues]) -> Candidates:
        chosen = [part.chosen(outputs[part.output]) for part in self._maps]
        rows = np.concatenate([fields for fields, _ in chosen])
        places = np.concatenate([place for _, place in chosen])
        passed, class_ids, scores = scored(
            rows[:, 5:], rows[:, _OBJECTNESS], self._least, clamp=self._clamp
        )
        box, place = rows[passed, :4], places[passed]
        centre = box[:, :2] * place[:, 2:3] + place[:, :2]
        half = box[:, 2:] * box[:, 2:] * place[:, 3:5]
        found = from_arrays(centre, half, scores, class_ids)
        if self._is_float:
            check_finite(found.boxes)
        return found


class _Map:
    """One head map, and the marks of its candidates.

    Args:
        entry: the map.
        tensor: that holds it.
        fields: values a candidate.
        marks: one a candidate, in the order in which the map lists them.
        begin: index of its first candidate among those of all maps.
    """

    def __init__(
        self,
        entry: HeadMap,
        tensor: TensorInfo,
        fields: int,
        marks: NDArray[np.bool_],
        begin: int,
    ) -> None:
        self.output = entry.output
        self.numbers = Dequantiser(tensor)
        self.probability_by_byte = tuple(min(value, 1.0) for value in self.numbers.by_byte)
        self.gate: Any = None
        self.begin = begin
        self.end = begin + len(marks)
        self._fields = fields
        self._cells = entry.rows * entry.columns
        self._fields_first = entry.axes is Axes.FIELDS_ROWS_COLUMNS
        self._objectness = _objectness(entry.axes, fields)
        self._marks = marks
        self._shaped = marks.reshape(np.empty(tensor.shape, np.bool_)[self._objectness].shape)
        self._places = _places(entry)
        self._place_bytes = self._places.data
        gap = f"{self._cells - 1}x" if self._fields_first else ""
        self.read_line = struct.Struct("=" + gap.join("B" * fields)).unpack_from

    def mark(self, output: TensorValues) -> None:
        """Marks the candidates whose objectness reaches the gate."""
        if self.gate is None:
            self._marks[:] = False
        else:
            np.greater_equal(output[self._objectness], self.gate, self._shaped)

    def line_start(self, index: int) -> int:
        """Where a candidate's first field lies in an 8-bit tensor, for ``read_line``."""
        if self._fields_first:
            anchor, cell = divmod(index, self._cells)
            return anchor * self._fields * self._cells + cell
        return index * self._fields

    def read_place(self, index: int) -> tuple[float, float, float, float, float]:
        """The line of :func:`_places` of a candidate."""
        return _PLACE.unpack_from(self._place_bytes, index * _PLACE.size)

    def chosen(self, output: TensorValues) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Real values and places of all that are marked: shapes (n, fields) and (n, 5)."""
        passed = self._marks.nonzero()[0]
        if self._fields_first:
            anchor, cell = np.divmod(passed, self._cells)
            rows = output.reshape(-1, self._fields, self._cells)[anchor, :, cell]
        else:
            rows = output.reshape(-1, self._fields)[passed]
        # As wide as Python's own floats, so that both ways agree to the last bit.
        return (
            self.numbers.real(rows).astype(np.float64),
            self._places[passed].astype(np.float64),
        )


def _size(entry: HeadMap) -> int:
    return entry.rows * entry.columns * len(entry.anchors)


def _objectness(axes: Axes, fields: int) -> tuple[Any, ...]:
    """The index that shows a map's objectness, in the order of :func:`_places`."""
    if axes is Axes.ROWS_COLUMNS_FIELDS:
        return ..., slice(_OBJECTNESS, None, fields)
    if axes is Axes.FIELDS_ROWS_COLUMNS:
        return 0, slice(_OBJECTNESS, None, fields)
    return ..., _OBJECTNESS


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
