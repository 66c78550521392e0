from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from daemon.annotate import COLOURS, OTHER_COLOUR, Mark, draw, encode_jpeg, marks
from daemon.detection.detections import Detections
from daemon.frames import Box, RgbImage


def noise(width: int, height: int) -> RgbImage:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def detections(*rows: tuple[int, float, tuple[float, float, float, float]]) -> Detections:
    return Detections(
        boxes=np.array([row[2] for row in rows], np.float32).reshape(-1, 4),
        scores=np.array([row[1] for row in rows], np.float32),
        class_ids=np.array([row[0] for row in rows], np.int32),
        classes=("helmet", "head", "crane"),
        width=400,
        height=300,
        model_version="1",
    )


def test_marks_tell_class_and_score_strongest_on_top() -> None:
    found = detections((1, 0.91, (1, 2, 30, 40)), (2, 0.5, (5, 6, 70, 80)))
    assert marks(found) == (
        Mark(Box(5, 6, 70, 80), "crane 0.50", OTHER_COLOUR),
        Mark(Box(1, 2, 30, 40), "head 0.91", COLOURS["head"]),
    )


def test_boxes_are_drawn_where_they_are_and_the_picture_itself_stays() -> None:
    rgb = np.zeros((300, 400, 3), np.uint8)
    drawn = draw(rgb, detections((0, 0.9, (100, 100, 200, 250))))

    assert not rgb.any()
    colour = list(COLOURS["helmet"])
    for y, x in ((150, 100), (150, 200), (250, 150), (100, 199)):
        assert drawn[y, x].tolist() == colour
    assert not drawn[150, 150].any()
    assert not drawn[270:].any()
    # The label stands above the box, on the class's colour.
    assert (drawn[:98, 100:200] == colour).all(axis=2).any()


@pytest.mark.parametrize(
    "box", [Box(0, 0, 400, 300), Box(-50, -50, 20, 20), Box(390, 290, 900, 900), Box(5, 5, 5, 5)]
)
@pytest.mark.parametrize("text", ["", "helmet 0.93", "голова 0.5", "x" * 200])
def test_any_box_and_any_label_can_be_drawn(box: Box, text: str) -> None:
    rgb = np.zeros((300, 400, 3), np.uint8)
    drawn = draw(rgb, [Mark(box, text, (255, 0, 0))])
    assert drawn.shape == rgb.shape
    assert drawn.dtype == np.uint8


def test_labels_of_boxes_that_lie_together_do_not_cover_each_other() -> None:
    rgb = np.zeros((300, 400, 3), np.uint8)
    box = Box(100, 100, 300, 250)
    colours = ((255, 0, 0), (0, 255, 0), (0, 0, 255))

    def pixels(colour: tuple[int, int, int], *drawn: Mark) -> int:
        return int((draw(rgb, drawn) == colour).all(axis=2).sum())

    together = [Mark(box, "person 0.93", colour) for colour in colours]
    frame = pixels(colours[0], Mark(box, "", colours[0]))
    for colour in colours:
        label = pixels(colour, Mark(box, "person 0.93", colour)) - frame
        seen = pixels(colour, *together) - (frame if colour == colours[-1] else 0)
        assert seen > 0.8 * label > 0


def test_the_most_important_label_stands_above_its_box() -> None:
    rgb = np.zeros((300, 400, 3), np.uint8)
    box = Box(100, 100, 300, 250)
    drawn = draw(rgb, [Mark(box, "person", (0, 255, 0)), Mark(box, "bare head", (255, 0, 0))])
    assert (drawn[80:98, 100:120] == (255, 0, 0)).all(axis=2).any()
    assert not (drawn[:98, 100:120] == (0, 255, 0)).all(axis=2).any()


def test_nothing_to_draw_is_the_picture() -> None:
    rgb = noise(64, 48)
    np.testing.assert_array_equal(draw(rgb, []), rgb)


@pytest.mark.parametrize("max_bytes", [2_000, 10_000, 60_000, 150_000])
def test_a_jpeg_keeps_to_its_size(max_bytes: int) -> None:
    data = encode_jpeg(noise(640, 360), quality=90, max_bytes=max_bytes)

    assert len(data) <= max_bytes
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.width / image.height == pytest.approx(16 / 9, rel=0.05)


def test_quality_gives_way_before_size() -> None:
    whole = encode_jpeg(noise(640, 360), quality=90)
    data = encode_jpeg(noise(640, 360), quality=90, max_bytes=len(whole) * 2 // 3)
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (640, 360)


def test_a_picture_that_fits_is_encoded_once_as_asked() -> None:
    rgb = noise(320, 180)
    assert encode_jpeg(rgb, quality=80, max_bytes=10**6) == encode_jpeg(rgb, quality=80)


def test_a_limit_that_nothing_can_keep() -> None:
    with pytest.raises(ValueError, match="100 bytes"):
        encode_jpeg(noise(640, 360), quality=90, max_bytes=100)
