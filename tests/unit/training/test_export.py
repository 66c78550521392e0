from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training.export import ExportError, describe, export_int8, saturate
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


def test_ranges_are_narrowed_to_where_a_sigmoid_still_changes() -> None:
    def limits(low: float, high: float) -> dict[str, np.ndarray]:
        return {"min": np.full((1, 1), low, np.float32), "max": np.full((1, 1), high, np.float32)}

    head = "network/Detect_24/torch.nn.modules.conv.Conv2d"
    ranges = {f"{head}_{i};2": limits(-73.0, 38.0) for i in range(3)}
    ranges |= {"serving_default_args_0": limits(0.02, 0.98)}
    ranges |= {"silu": limits(-30.0, 40.0), "narrow": limits(-0.3, 2.0)}
    narrowed = saturate(ranges)
    expected = {f"{head}_{i};2": (-5, 5) for i in range(3)}
    expected |= {"serving_default_args_0": (0, 1)}
    expected |= {"silu": (-6, 40), "narrow": (pytest.approx(-0.3), 2)}
    got = {name: (float(v["min"][0, 0]), float(v["max"][0, 0])) for name, v in narrowed.items()}
    assert got == expected
    assert ranges["silu"]["min"][0, 0] == -30


def test_a_head_under_other_names_is_refused() -> None:
    with pytest.raises(ExportError, match="0 tensors of the head"):
        saturate({"conv": {"min": np.zeros(1, np.float32), "max": np.ones(1, np.float32)}})
