from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scripts.iou import Corners, iou

BOXES = st.tuples(*[st.floats(0, 1000) for _ in range(4)]).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)
TINY = (0.0, 0.0, 1e-180, 1e-180)


@given(BOXES, BOXES)
@example(TINY, TINY)
def test_a_share_without_an_order(a: Corners, b: Corners) -> None:
    assert 0.0 <= iou(a, b) <= 1.0
    assert iou(a, b) == pytest.approx(iou(b, a))


def test_values() -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    assert iou(box, box) == 1.0
    assert iou(box, (5.0, 0.0, 15.0, 10.0)) == pytest.approx(1 / 3)
    assert iou(box, (10.0, 0.0, 20.0, 10.0)) == 0.0
    assert iou(TINY, TINY) == 0.0
