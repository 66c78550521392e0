from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training.export import describe, export_int8
from training.network import YoloV5s
from training.predict import tflite_maps, torch_maps

SIZE_PX = 64


@pytest.mark.filterwarnings("ignore")  # of the converters, about their own insides
def test_int8_model_says_what_the_float_one_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = YoloV5s(3).eval().channels_last()  # as training leaves it
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (SIZE_PX, SIZE_PX, 3), np.uint8) for _ in range(8)]
    path = tmp_path / "model.tflite"
    export_int8(network, pictures, SIZE_PX, path)
    assert describe(path)["tensors"] == [
        "int8 1x64x64x3",
        "int8 1x8x8x24",
        "int8 1x4x4x24",
        "int8 1x2x2x24",
    ]
    plain, quantised = torch_maps(network)(pictures[0]), tflite_maps(path)(pictures[0])
    for expected, got in zip(plain, quantised, strict=True):
        assert np.abs(expected - got).max() < 0.05
