"""Affine quantisation of tensors, ``real = (integer - zero_point) * scale``.

An 8-bit tensor has 256 values, so the comparison with a threshold can be moved into the integers
once and for all, and most of a model's output is never turned into floats.
The formula: Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", 2018, equation 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.detection.tensors import TensorInfo, TensorValues

WHITE = 255
"""Greatest value of a channel of a picture."""


class Dequantiser:
    """The real values of an output tensor.

    Args:
        tensor: the tensor; if it is quantised, its scale is positive (``layout`` has checked).

    Attributes:
        is_float: the tensor is not quantised.
        may_exceed_one: some of its values stand for more than 1.
        by_byte: the real value of each of its 256 integers, at the index that the integer's byte
            has without its sign; empty if it is not quantised.
    """

    def __init__(self, tensor: TensorInfo) -> None:
        self.is_float = tensor.dtype == "float32"
        self._dtype = np.dtype(tensor.dtype)
        self._zero = np.float32(tensor.zero_point)
        self._scale = np.float32(tensor.scale)
        self._gates: dict[float, Any] = {}
        self._least = 0 if self.is_float else int(np.iinfo(self._dtype).min)
        every = np.arange(self._least, self._least + 256)
        self._ascending = np.empty(0, np.float32)
        if not self.is_float:
            self._ascending = self.real(every.astype(self._dtype))
        self.by_byte: tuple[float, ...] = tuple(np.roll(self._ascending, self._least).tolist())
        self.may_exceed_one = self.is_float or bool(self._ascending[-1] > 1)

    def real(self, values: TensorValues) -> NDArray[np.float32]:
        """The real values of some of the tensor's values, of any shape.

        The product of an integer below 512 and a float32 is rounded once, so that every way to
        compute it gives the same float32.
        """
        if self.is_float:
            return values.astype(np.float32, copy=False)
        result: NDArray[np.float32] = np.subtract(values, self._zero, dtype=np.float32)
        result *= self._scale
        return result

    def gate(self, threshold: float) -> Any:
        """The least value of the tensor whose real value reaches a threshold.

        Comparing with it gives exactly what comparing the real float32 values would give.

        Returns:
            A scalar of the tensor's type, so that numpy compares without widening; None if no
            value reaches the threshold.
        """
        if threshold not in self._gates:
            self._gates = {threshold: self._find_gate(threshold)}  # one: it hardly ever changes
        return self._gates[threshold]

    def _find_gate(self, threshold: float) -> Any:
        if self.is_float:
            return np.float32(threshold)
        position = int(np.searchsorted(self._ascending, np.float32(threshold), side="left"))
        if position == len(self._ascending):
            return None
        return self._dtype.type(self._least + position)


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
