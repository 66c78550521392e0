"""Affine quantisation of tensors, ``real = (integer - zero_point) * scale``, by tables.

An 8-bit tensor has 256 values, so a table says everything once and for all; the comparison with a
threshold moves into the integers, and most of a model's output is never turned into floats.
The formula: Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", 2018, equation 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.tensors import TensorInfo, TensorValues

WHITE = 255
"""Greatest value of a channel of a picture."""


@dataclass(frozen=True, slots=True)
class Dequantiser:
    """The real values of an output tensor.

    Attributes:
        dtype: ``int8``, ``uint8`` or ``float32``.
        table: float32, shape (256,), real values by the integer's bit pattern (as uint8); empty
            for float tensors.
        least: integer of ``ascending[0]``.
        ascending: float32, shape (256,), real values from the least integer to the greatest.
    """

    dtype: str
    table: NDArray[np.float32]
    least: int
    ascending: NDArray[np.float32]

    def real(self, values: TensorValues) -> NDArray[np.float32]:
        """The real values of some of the tensor's values, of any shape."""
        if self.dtype == "float32":
            return values.astype(np.float32, copy=False)
        result: NDArray[np.float32] = self.table[values.view(np.uint8)]
        return result

    def gate(self, threshold: float) -> Any:
        """The least value of the tensor whose real value reaches a threshold.

        Comparing with it gives exactly what comparing the real float32 values would give.

        Returns:
            A scalar of the tensor's type, so that numpy compares without widening; None if no
            value reaches the threshold.
        """
        if self.dtype == "float32":
            return np.float32(threshold)
        position = int(np.searchsorted(self.ascending, np.float32(threshold), side="left"))
        if position == len(self.ascending):
            return None
        return np.dtype(self.dtype).type(self.least + position)


def dequantiser(tensor: TensorInfo) -> Dequantiser:
    """The table of an output tensor (its scale is positive: ``layout`` has checked)."""
    if tensor.dtype == "float32":
        nothing = np.empty(0, np.float32)
        return Dequantiser("float32", nothing, 0, nothing)
    least = int(np.iinfo(tensor.dtype).min)
    integers = np.arange(least, least + 256)
    ascending = ((integers - tensor.zero_point) * tensor.scale).astype(np.float32)
    table = np.empty(256, np.float32)
    table[integers.astype(np.uint8)] = ascending
    return Dequantiser(tensor.dtype, table, least, ascending)


def pixel_table(tensor: TensorInfo, white: float) -> TensorValues:
    """What each of the 256 values of a picture's channel is in an input tensor.

    Args:
        tensor: the input tensor; a quantised one without a scale takes pixels as they are.
        white: real value of a full-white pixel.

    Returns:
        Shape (256,), of the tensor's type.
    """
    pixels = np.arange(256)
    if tensor.dtype == "float32":
        return (pixels * (white / WHITE)).astype(np.float32)
    limits = np.iinfo(tensor.dtype)
    if tensor.scale == 0:
        return (pixels + int(limits.min)).astype(tensor.dtype)
    integers = np.rint(pixels * (white / WHITE / tensor.scale)) + tensor.zero_point
    table: TensorValues = integers.clip(limits.min, limits.max).astype(tensor.dtype)
    return table
