from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from skimage import data
from training.network import SigmoidMaps, YoloV5s, read_weights, transfer_head
from training.predict import detect, torch_maps
from training.prepare import coco_network


def test_parameters_are_those_of_the_published_network() -> None:
    # Ultralytics' table for v6.0 gives YOLOv5s 7,235,389 parameters with 80 classes.
    assert sum(p.numel() for p in YoloV5s(80).parameters()) == 7_235_389


def test_maps_have_the_three_strides() -> None:
    network = YoloV5s(3).eval()
    with torch.inference_mode():
        maps = SigmoidMaps(network)(torch.rand(2, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(2, 24, 8, 12), (2, 24, 4, 6), (2, 24, 2, 3)]
    assert all(float(m.min()) >= 0 and float(m.max()) <= 1 for m in maps)


def test_transferred_head_keeps_known_rows_and_is_undecided_on_new_ones() -> None:
    torch.manual_seed(0)
    old = YoloV5s(4)
    new = YoloV5s(2)
    new.load_state_dict(transfer_head(old.state_dict(), [None, 3], prior=0.25))
    features = torch.rand(1, 128, 5, 5)
    with torch.no_grad():
        before = old.head.m[0](features).reshape(3, 9, 25)
        after = new.head.m[0](features).reshape(3, 7, 25)
    torch.testing.assert_close(after[:, :5], before[:, :5])
    torch.testing.assert_close(after[:, 6], before[:, 8])
    torch.testing.assert_close(after[:, 5].sigmoid(), torch.full((3, 25), 0.25))


def test_published_weights_load_whole_and_find_the_astronaut(shared_data: Path) -> None:
    weights = shared_data / "weights" / "yolov5s_v6.0_coco.npz"
    assert set(read_weights(weights)) == set(YoloV5s(80).state_dict())
    network = coco_network(weights)
    anchors = network.head.anchors[0] * 8
    torch.testing.assert_close(anchors, torch.tensor([[10.0, 13], [16, 30], [33, 23]]))
    found = detect(data.astronaut().astype(np.uint8), 320, torch_maps(network), 0.5)
    assert 0 in found.classes  # COCO 0 is person
