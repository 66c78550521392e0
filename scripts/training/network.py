"""YOLOv5s v6.0 in torch.

The graph is the published one (backbone of C3 blocks and SPPF, PANet neck, three anchor
heads), written so that the names of the parameters are those of the published weights
(``model.<layer>.…``). Layer numbers below are those names' numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.anchors import ANCHORS_PER_LEVEL, ANCHORS_PX, STRIDES_PX

_BN_EPS = 1e-3  # the published weights were trained with this, not with torch's 1e-5
_BN_MOMENTUM = 0.03

#: Names in the published file that are derived from others and not loaded.
_DERIVED = frozenset({"model.24.anchor_grid"})


class Conv(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, pad: int | None = None
    ) -> None:
        super().__init__()
        padding = kernel // 2 if pad is None else pad
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=_BN_EPS, momentum=_BN_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return functional.silu(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    """1x1 then 3x3 convolution, with a residual where ``shortcut``."""

    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels, 1)
        self.cv2 = Conv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y: Tensor = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C3(nn.Module):
    """Cross-stage partial block with three 1x1 convolutions."""

    def __init__(self, inputs: int, outputs: int, depth: int, shortcut: bool = True) -> None:
        super().__init__()
        hidden = outputs // 2
        self.cv1 = Conv(inputs, hidden, 1)
        self.cv2 = Conv(inputs, hidden, 1)
        self.cv3 = Conv(2 * hidden, outputs, 1)
        self.m = nn.Sequential(*(Bottleneck(hidden, shortcut) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y: Tensor = self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))
        return y


class SPPF(nn.Module):
    """Spatial pyramid pooling by three chained 5x5 max pools."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        hidden = inputs // 2
        self.cv1 = Conv(inputs, hidden, 1)
        self.cv2 = Conv(4 * hidden, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        levels = [self.cv1(x)]
        for _ in range(3):
            levels.append(functional.max_pool2d(levels[-1], 5, 1, 2))
        y: Tensor = self.cv2(torch.cat(levels, 1))
        return y


class Detect(nn.Module):
    """One 1x1 convolution a level: ``anchors * (4 box + 1 objectness + classes)`` channels."""

    anchors: Tensor

    def __init__(self, classes: int, inputs: tuple[int, int, int]) -> None:
        super().__init__()
        outputs = ANCHORS_PER_LEVEL * (5 + classes)
        self.m = nn.ModuleList(nn.Conv2d(c, outputs, 1) for c in inputs)
        anchors = torch.tensor(ANCHORS_PX) / torch.tensor(STRIDES_PX).view(3, 1, 1)
        self.register_buffer("anchors", anchors)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Apply the block."""
        return [conv(x) for conv, x in zip(self.m, levels, strict=True)]


class YoloV5s(nn.Module):
    """YOLOv5s v6.0: ``[B,3,H,W]`` in 0 to 1 RGB to three raw head maps.

    The maps are ``[B, 3·(5+classes), H/s, W/s]`` for the strides 8, 16 and 32, channels
    ordered anchor-major: for each anchor x, y, w, h, objectness, classes, before the sigmoid.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        idle = nn.Identity()  # upsample and concat have no weights but do have a number
        self.model = nn.ModuleList(
            [
                Conv(3, 32, 6, 2, 2),  # 0
                Conv(32, 64, 3, 2),
                C3(64, 64, 1),
                Conv(64, 128, 3, 2),
                C3(128, 128, 2),  # 4, stride 8
                Conv(128, 256, 3, 2),
                C3(256, 256, 3),  # 6, stride 16
                Conv(256, 512, 3, 2),
                C3(512, 512, 1),
                SPPF(512, 512),  # 9, stride 32
                Conv(512, 256, 1),
                idle,
                idle,
                C3(512, 256, 1, shortcut=False),  # 13
                Conv(256, 128, 1),
                idle,
                idle,
                C3(256, 128, 1, shortcut=False),  # 17, stride 8
                Conv(128, 128, 3, 2),
                idle,
                C3(256, 256, 1, shortcut=False),  # 20, stride 16
                Conv(256, 256, 3, 2),
                idle,
                C3(512, 512, 1, shortcut=False),  # 23, stride 32
                Detect(classes, (128, 256, 512)),
            ]
        )

    @property
    def head(self) -> Detect:
        """The detection head."""
        head = self.model[24]
        assert isinstance(head, Detect)
        return head

    def channels_last(self) -> Self:
        """Lay the weights out for NHWC arithmetic, the faster one on CPUs and tensor cores."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map a batch to its three raw head maps."""
        m = self.model
        x = m[2](m[1](m[0](x)))
        stride8 = m[4](m[3](x))
        stride16 = m[6](m[5](stride8))
        top = m[10](m[9](m[8](m[7](stride16))))
        middle = m[14](m[13](torch.cat((_double(top), stride16), 1)))
        out8 = m[17](torch.cat((_double(middle), stride8), 1))
        out16 = m[20](torch.cat((m[18](out8), middle), 1))
        out32 = m[23](torch.cat((m[21](out16), top), 1))
        maps: list[Tensor] = m[24]([out8, out16, out32])
        return maps


class SigmoidMaps(nn.Module):
    """The network as exported: the same maps after the sigmoid, as a tuple."""

    def __init__(self, network: YoloV5s) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Apply the block."""
        small, middle, large = (m.sigmoid() for m in self.network(x))
        return small, middle, large


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read published weights, kept as one ``.npz`` of half-precision arrays.

    Args:
        path: The ``.npz`` file; its names are those of ``YoloV5s.state_dict()``.

    Returns:
        Name to float32 tensor (counters stay int64).
    """
    with np.load(path, allow_pickle=False) as arrays:
        named = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in named.items()
        if name not in _DERIVED
    }


def transfer_head(
    weights: dict[str, Tensor], rows: list[int | None], prior: float = 0.3
) -> dict[str, Tensor]:
    """Make the head rows of another set of classes from those of the published weights.

    Box and objectness rows are kept. A class that the published model knows keeps its row; a
    new class gets a zero row whose bias gives every cell the probability ``prior``, so that
    training starts from "undecided" and not from a random opinion.

    Args:
        weights: Weights of the published model, as ``read_weights`` gives them.
        rows: For each new class the published class it continues, or None.
        prior: Probability that a new class starts with.

    Returns:
        A copy of ``weights`` with head tensors for ``len(rows)`` classes.
    """
    result = dict(weights)
    bias_of_new = float(np.log(prior / (1.0 - prior)))
    for level in range(len(STRIDES_PX)):
        name = f"model.24.m.{level}"
        weight = weights[f"{name}.weight"]
        old_weight = weight.reshape(ANCHORS_PER_LEVEL, -1, *weight.shape[1:])
        old_bias = weights[f"{name}.bias"].reshape(ANCHORS_PER_LEVEL, -1)
        parts_w, parts_b = [old_weight[:, :5]], [old_bias[:, :5]]
        for row in rows:
            if row is None:
                parts_w.append(torch.zeros_like(old_weight[:, :1]))
                parts_b.append(torch.full_like(old_bias[:, :1], bias_of_new))
            else:
                parts_w.append(old_weight[:, 5 + row : 6 + row])
                parts_b.append(old_bias[:, 5 + row : 6 + row])
        result[f"{name}.weight"] = torch.cat(parts_w, 1).flatten(0, 1)
        result[f"{name}.bias"] = torch.cat(parts_b, 1).flatten(0, 1)
    return result
