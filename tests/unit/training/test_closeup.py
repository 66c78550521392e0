from __future__ import annotations

import numpy as np
import pytest
from training.augment import AugmentSettings
from training.closeup import close_up, large_enough

HELMET, HEAD = 0, 1


@pytest.mark.parametrize("fraction", [0.12, 0.3, 0.7])
@pytest.mark.parametrize("seed", range(8))
def test_the_head_takes_its_share_and_its_box_fits_it(seed: int, fraction: float) -> None:
    picture = np.zeros((120, 200, 3), np.uint8)
    picture[30:70, 150:180] = (0, 255, 0)
    boxes = np.asarray([[HEAD, 150, 30, 180, 70]], np.float32)
    cut, moved = close_up(
        picture,
        boxes,
        0,
        fraction=fraction,
        settings=AugmentSettings(),
        rng=np.random.default_rng(seed),
    )
    side = cut.shape[0]
    assert cut.shape == (side, side, 3)
    assert 40 / side == pytest.approx(fraction, abs=0.02)
    rows, columns = np.nonzero((cut == (0, 255, 0)).all(2))
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert moved[0].tolist() == [HEAD, *seen]


def test_large_heads_of_one_class_are_chosen() -> None:
    boxes = np.asarray(
        [[HEAD, 0, 0, 10, 20], [HEAD, 0, 0, 10, 10], [HELMET, 0, 0, 50, 50]], np.float32
    )
    assert large_enough(boxes, HEAD, 14.0).tolist() == [0]
    assert large_enough(boxes[:0], HEAD, 14.0).tolist() == []
