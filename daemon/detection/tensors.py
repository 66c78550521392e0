"""What a runtime tells about a model's tensors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

TensorValues = NDArray[Any]
"""The values of a tensor in its own type: int8, uint8 or float32."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output tensor.

    Attributes:
        name: in the model.
        shape: with the batch dimension first.
        dtype: numpy's name: ``int8``, ``uint8``, ``float32`` …
        scale: of the affine quantisation; 0 if the tensor is not quantised.
        zero_point: the integer whose real value is 0.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0

    def __str__(self) -> str:
        text = f"{self.name} {self.dtype}[{','.join(map(str, self.shape))}]"
        return f"{text} scale {self.scale:g} zero {self.zero_point}" if self.scale else text


@dataclass(frozen=True, slots=True)
class ModelTensors:
    """All tensors that a model shows to the outside.

    Attributes:
        inputs: in the runtime's order.
        outputs: in the runtime's order.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]

    def __str__(self) -> str:
        return f"inputs: {_listed(self.inputs)}; outputs: {_listed(self.outputs)}"


def _listed(tensors: Iterable[TensorInfo]) -> str:
    return ", ".join(map(str, tensors)) or "none"
