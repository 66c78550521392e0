"""From a model's raw output tensors to candidate boxes, before suppression.

Head maps are decoded in ``head_maps``; here is what both families share, and the tables whose boxes
the graph has decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from daemon.detection.candidates import NOTHING, Candidates
from daemon.detection.head_maps import HeadMapsDecoder
from daemon.detection.layout import HeadMapsLayout, OutputLayout, TableLayout
from daemon.detection.quantisation import Dequantiser
from daemon.detection.scores import check_finite, from_arrays, scored
from daemon.detection.tensors import TensorValues
from updater.errors import ModelError

_OBJECTNESS = 4
"""Field that holds the objectness, where there is one; the four before it are the box."""

SIGMOID_SLACK = 0.05
"""How far a score may lie outside 0 to 1 before it cannot be one (rounding of the last scale)."""

FRACTION_LIMIT = 2.0
"""Boxes over the whole input reach about 1 as fractions and its size in pixels; 2 parts them."""


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
        self._unit = np.array(unit * 2, np.float64)

    def candidates(self, outputs: Sequence[TensorValues], threshold: float) -> Candidates:
        """See :class:`Decoder`."""
        gate = self._numbers.gate(threshold)
        if gate is None:
            return NOTHING
        table = table_by_field(self._layout, outputs[0])
        if self._layout.has_objectness:
            strength = table[_OBJECTNESS]
        else:
            strength = table[self._first_class :].max(axis=0)
        passed = np.flatnonzero(strength >= gate)
        if len(passed) == 0:
            return NOTHING
        rows = self._numbers.real(table[:, passed]).T.astype(np.float64)
        objectness = rows[:, _OBJECTNESS] if self._layout.has_objectness else None
        chosen, class_ids, scores = scored(
            rows[:, self._first_class :],
            objectness,
            float(np.float32(threshold)),  # as the gate compares
            clamp=self._numbers.may_exceed_one,
        )
        box = rows[chosen, :4] * self._unit
        found = from_arrays(box[:, :2], box[:, 2:] / 2, scores, class_ids)
        if self._numbers.is_float:
            check_finite(found.boxes)
        return found


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
