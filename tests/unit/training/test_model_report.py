"""The report: complete, self-contained, bounded, and it believes no name."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training.charts import learning_curves
from training.comparison import compare
from training.dataset import CLASSES, Example
from training.decode import Found
from training.evaluate import MAIN_CLASSES, judged
from training.matching import matched
from training.model_report import ModelReport, render, write_report
from training.worst import KINDS, draw, worst

HELMET, HEAD, PERSON = range(3)
EVIL = '"><script>alert(1)</script>'


def example(name: str, *rows: tuple[int, ...]) -> Example:
    picture = np.random.default_rng(len(name)).integers(0, 256, (120, 160, 3), np.uint8)
    return Example(name, picture, np.asarray(rows, np.float32).reshape(-1, 5))


def found(*rows: tuple[int, float, tuple[int, ...]]) -> Found:
    return Found(
        np.asarray([box for _, _, box in rows], np.float32).reshape(-1, 4),
        np.asarray([score for _, score, _ in rows], np.float32),
        np.asarray([label for label, _, _ in rows], np.int64),
    )


EXAMPLES = [
    example(f"right {EVIL}", (HELMET, 10, 10, 50, 50), (PERSON, 0, 0, 60, 110)),
    example(f"wrong {EVIL}", (HELMET, 10, 10, 50, 50), (HEAD, 100, 80, 120, 100)),
]
FOUND = [
    found((HELMET, 0.9, (10, 10, 50, 50)), (PERSON, 0.9, (0, 0, 60, 110))),
    found((HEAD, 0.8, (11, 10, 50, 50)), (HELMET, 0.7, (130, 5, 155, 30))),
]
HISTORY = [
    {"epoch": number, "box": 0.1, "objectness": 2.0 / number, "label": 0.4, "map50": 0.1 * number}
    | {f"{name}_map50": 0.1 * number for name in CLASSES}
    for number in (1, 2, 3)
]


@pytest.fixture
def report() -> ModelReport:
    return ModelReport(
        model="model-416.tflite",
        size_px=416,
        examples=EXAMPLES,
        found=FOUND,
        evaluation=judged(EXAMPLES, FOUND),
        facts={"commit": EVIL, "dataset_version": "0123456789abcdef"},
        history=HISTORY,
    )


class Outline(HTMLParser):
    """Tags, and where pictures and links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def test_everything_is_in_it_and_nothing_is_loaded(report: ModelReport) -> None:
    text = render(report)
    outline = Outline(text)
    for heading in ("Figures", "Precision and recall", "Training", "Working points", "Confusion"):
        assert f"<h2>{heading}" in text
    assert "Against the model in production" not in text
    assert {"script", "link", "iframe", "object"}.isdisjoint(outline.tags)
    assert all(address.startswith("data:image/") for address in outline.addresses)
    assert outline.tags.count("figure") == 3  # one of each kind of error
    assert "dataset_version" in text


def test_the_confusion_table_has_the_counts(report: ModelReport) -> None:
    text = render(report)
    rows = re.findall(r"<tr><td>(helmet|head|person|nothing)</td>((?:<td[^>]*>\d*</td>){4})", text)
    counts = {name: re.findall(r"<td[^>]*>(\d*)</td>", cells) for name, cells in rows}
    assert counts["helmet"] == ["1", "1", "0", "0"]
    assert counts["head"] == ["0", "0", "0", "1"]
    assert counts["nothing"] == ["1", "0", "0", ""]


def test_a_comparison_tells_old_new_and_interval(report: ModelReport) -> None:
    evaluation = report.evaluation
    changes = compare(evaluation, evaluation, CLASSES, MAIN_CLASSES)
    text = render(replace(report, production=evaluation, changes=changes))
    assert "Against the model in production" in text
    assert "+0.000 to +0.000" in text
    # Without any label of a class nothing is known of it, and the page says so.
    none = judged([replace(each, boxes=each.boxes[:0]) for each in EXAMPLES], FOUND)
    text = render(
        replace(report, evaluation=none, changes=compare(none, none, CLASSES, MAIN_CLASSES))
    )
    assert "not known to not known" in text
    assert not re.search(r">[+-]?nan", text)


def test_it_stays_small_however_many_errors_there_are(report: ModelReport) -> None:
    many = [example(f"{number}", (HEAD, 10, 10, 50, 50)) for number in range(200)]
    noise = [found((HELMET, 0.9, (100, 50, 140, 90))) for _ in many]
    text = render(replace(report, examples=many, found=noise, evaluation=judged(many, noise)))
    assert Outline(text).tags.count("figure") == 2 * 16
    assert len(text) < 2_000_000


def test_the_worst_come_first_and_persons_are_left_out() -> None:
    examples = [
        example("a", (PERSON, 0, 0, 60, 110), (HEAD, 60, 60, 70, 70), (HEAD, 80, 20, 120, 60))
    ]
    errors = worst(matched(examples, [found((PERSON, 0.9, (90, 0, 150, 110)))], 0.3), most=9)
    assert [(error.kind, error.caption) for error in errors] == [
        ("missed", "head of 40 px"),
        ("missed", "head of 10 px"),
    ]
    assert {error.kind for error in errors} <= set(KINDS)


def test_an_error_is_drawn_with_its_surroundings_even_at_the_edge() -> None:
    examples = [example("a", (HELMET, 0, 0, 30, 30))]
    (error,) = worst(matched(examples, [found()], 0.3), most=1)
    image = Image.open(io.BytesIO(draw(error)))
    assert (image.format, image.size) == ("JPEG", (240, 240))
    # The label's green frame: 30 px of the picture are 60 px (120 px are shown, its height).
    red, green, blue = image.getpixel((59, 20))  # type: ignore[misc]
    assert green > red + 30
    assert green > blue + 30


def test_a_chart_is_the_same_each_time_and_shows_its_text() -> None:
    chart = learning_curves(HISTORY)
    assert chart == learning_curves(HISTORY)
    assert b"objectness" in chart
    assert b"<script" not in chart


def test_it_is_written_whole(report: ModelReport, tmp_path: Path) -> None:
    write_report(report, tmp_path / "new/report.html")
    text = (tmp_path / "new/report.html").read_text()
    assert text.endswith("</html>\n")
    (svg, *_) = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", text)
    assert base64.b64decode(svg).lstrip().startswith(b"<?xml")
