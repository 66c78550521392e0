from __future__ import annotations

import pytest

from scripts.cloud.errors import GateError
from scripts.cloud.golden import Allowed, Found, Golden, choose, judge
from scripts.iou import Corners

BOX: Corners = (10.0, 10.0, 50.0, 50.0)
FAR: Corners = (100.0, 100.0, 150.0, 150.0)
HEAD = Allowed("head.jpg", (("head", BOX),))
BOTH = Allowed("both.jpg", (("head", BOX), ("helmet", FAR)))
NOBODY = Allowed("nobody.jpg", ())


def test_the_truth_is_the_pictures_and_the_score_a_share_of_the_models() -> None:
    golden = judge(HEAD, [Found("head", 0.8, (12.0, 10.0, 50.0, 50.0))], 0.4)
    assert isinstance(golden, Golden)
    (wanted,) = golden.objects
    assert (wanted.class_name, wanted.box, wanted.min_score) == ("head", BOX, 0.56)


@pytest.mark.parametrize(
    ("picture", "found", "reason"),
    [
        (HEAD, [], "does not find the head"),
        (HEAD, [Found("helmet", 0.9, BOX)], "does not find the head"),
        (HEAD, [Found("head", 0.9, FAR)], "does not find the head"),
        (HEAD, [Found("head", 0.38, BOX)], "finds the head at 0.38 only"),
        (NOBODY, [Found("head", 0.35, BOX)], "finds a head that is not there, at 0.35"),
        (
            HEAD,
            [Found("head", 0.9, BOX), Found("head", 0.8, BOX)],
            "finds a head that is not there, at 0.80",
        ),
    ],
)
def test_what_a_model_cannot_be_held_to(picture: Allowed, found: list[Found], reason: str) -> None:
    assert judge(picture, found, 0.4) == reason


def test_weak_detections_do_not_count() -> None:
    assert isinstance(judge(NOBODY, [Found("head", 0.33, BOX)], 0.4), Golden)


def test_every_kind_is_proven_first_then_the_surest() -> None:
    found = {
        "head.jpg": [Found("head", 0.9, BOX)],
        "both.jpg": [Found("head", 0.5, BOX), Found("helmet", 0.5, FAR)],
        "sure.jpg": [Found("head", 0.95, BOX)],
    }
    sure = Allowed("sure.jpg", HEAD.objects)
    chosen = choose([HEAD, BOTH, NOBODY, sure], found, threshold=0.4, most=3)
    assert [golden.name for golden in chosen] == ["sure.jpg", "both.jpg", "nobody.jpg"]
    assert len(choose([HEAD, BOTH, NOBODY, sure], found, threshold=0.4)) == 4


def test_a_kind_that_nothing_proves_is_refused() -> None:
    found = {"head.jpg": [Found("head", 0.9, BOX)], "nobody.jpg": [Found("head", 0.9, BOX)]}
    with pytest.raises(GateError, match=r"nothing is: nobody\.jpg: finds a head that is not there"):
        choose([HEAD, NOBODY], found, threshold=0.4)
    with pytest.raises(GateError, match=r"proves helmet: both\.jpg: does not find the head"):
        choose([HEAD, BOTH], found, threshold=0.4)
