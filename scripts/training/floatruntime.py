"""The float network in the place of the device's inference runtime.

An experiment can so run the device's own detector (letterbox, decoder, suppression) on a network
that was never exported. int8 moves the mean mAP50 by less than a point (docs/model.md).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch

from daemon.config import CapturesConfig, ModelConfig, TrackerConfig
from daemon.detection.detector import Detector
from daemon.detection.model import ModelFiles
from daemon.detection.runtime import RuntimeKind
from daemon.detection.tensors import ModelTensors, TensorInfo, TensorValues
from training.anchors import ANCHORS_PER_LEVEL, STRIDES_PX
from training.dataset import CLASSES
from training.network import SigmoidMaps, YoloV5s
from updater.manifest import Thresholds

#: Those of the bundle that the package carries.
_THRESHOLDS = Thresholds(score=0.4, iou=0.6)


class FloatRuntime:
    """A network as the device's ``InferenceRuntime``: NHWC from 0 to 1 in, three maps out."""

    kind = RuntimeKind("torch", "torch", "torch")

    def __init__(self, network: YoloV5s, size_px: int) -> None:
        self._maps = SigmoidMaps(network).eval()
        fields = ANCHORS_PER_LEVEL * (5 + network.classes)
        self.tensors = ModelTensors(
            (TensorInfo("picture", (1, size_px, size_px, 3), "float32"),),
            tuple(
                TensorInfo(f"stride {s}", (1, size_px // s, size_px // s, fields), "float32")
                for s in STRIDES_PX
            ),
        )
        self._last = torch.zeros(1, 3, size_px, size_px)

    def invoke(self, values: TensorValues) -> tuple[TensorValues, ...]:
        """The three maps of one picture ``[1,S,S,3]``."""
        self._last = torch.from_numpy(np.array(values)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            return tuple(m.permute(0, 2, 3, 1).contiguous().numpy() for m in self._maps(self._last))

    def invoke_only(self) -> None:
        """Run on the picture of the last call."""
        with torch.inference_mode():
            self._maps(self._last)

    def close(self) -> None:
        """Nothing to free."""


def device_detector(network: YoloV5s, size_px: int, version: str) -> Detector:
    """The device's detector on a float network, reporting what tracker and captures can use."""
    files = ModelFiles(
        where=Path("torch"),
        content=b"",
        sha256=hashlib.sha256(b"").hexdigest(),
        classes=CLASSES,
        version=version,
        thresholds=_THRESHOLDS,
    )
    least = min(TrackerConfig().low_score, CapturesConfig().band_low)
    return Detector(files, FloatRuntime(network, size_px), ModelConfig(score_threshold=least))
