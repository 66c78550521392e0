"""The report of a model: one HTML file that says how it was made, what it can do and what not."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from scripts.labelling.page import Row, Shade, data_uri, figure, key, page, table
from training.charts import learning_curves, precision_recall
from training.comparison import Change
from training.dataset import CLASSES, Example
from training.decode import Found
from training.errors import working_points
from training.evaluate import MAIN_CLASSES
from training.matching import LEAST_IOU, confusion, matched
from training.metrics import Evaluation, summary
from training.worst import KINDS, draw, worst
from updater.atomic import write_atomically

REPORT_NAME: Final = "report.html"
#: The threshold that bundles work at (scripts/bundle.py).
WORKING_SCORE: Final = 0.35
_SCORES: Final = tuple(round(0.1 * i, 1) for i in range(2, 9))
_WORST_OF_A_KIND: Final = 16
_MEAN: Final = "mean of " + " and ".join(MAIN_CLASSES)
_TITLES: Final = dict(
    zip(KINDS, ("Taken for the other", "Seen, and not there", "There, and not seen"), strict=True)
)


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What a report is made of.

    Attributes:
        model: File name of the model.
        size_px: Input size that it was judged at.
        examples: The pictures that it was judged on.
        found: Its detections on them, down to very low scores.
        evaluation: What follows.
        facts: Where it comes from, by name.
        history: Of training, one entry an epoch; empty where it is not known.
        score: Working threshold.
        production: Figures of the model in production on the same pictures; None for none.
        changes: From that to this.
    """

    model: str
    size_px: int
    examples: Sequence[Example]
    found: Sequence[Found]
    evaluation: Evaluation
    facts: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    score: float = WORKING_SCORE
    production: Evaluation | None = None
    changes: Sequence[Change] = ()


def write_report(report: ModelReport, path: Path) -> None:
    """Write the report; it shows people, so it belongs where the pictures belong.

    Raises:
        StorageError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, render(report).encode())


def render(report: ModelReport) -> str:
    """The report as HTML without anything to load."""
    pictures = matched(report.examples, report.found, report.score)
    sections = [
        f"<p>{len(report.examples)} photographs that training did not see, letterboxed to "
        f"{report.size_px} px; {html.escape(_MEAN)} decides, persons are judged against labels "
        "that another model made.</p>",
        "<h2>Figures</h2>",
        table(["class", "mAP50", "mAP50-95"], _figures(report.evaluation)),
        *_comparison(report.changes),
        *_curves(report),
        "<h2>Working points</h2><p>Helmets and heads together; a confusion is a miss and a false "
        "alarm.</p>",
        table(["score", "precision", "recall", "F1"], _points(report)),
        f"<h2>Confusion at score {report.score:g}, IoU {LEAST_IOU:g}</h2>",
        "<p>One to one: a second box on what is found already is one too many here, and not above."
        "</p>",
        table(["is \\ said", *CLASSES, "nothing"], _confusion(confusion(pictures))),
        f"<h2>Worst errors at score {report.score:g}</h2>",
        f"<p>{key(MAIN_CLASSES)}thick: the label; thin, with its score: what the model says. A "
        "label that is missing looks like a false alarm.</p>",
    ]
    errors = worst(pictures, _WORST_OF_A_KIND)
    for kind in KINDS:
        own = [error for error in errors if error.kind == kind]
        sections.append(f"<h3>{_TITLES[kind]}</h3>" + ("" if own else "<p>None.</p>"))
        sections.extend(figure(draw(each), f"{each.caption} · {each.example.name}") for each in own)
    sections.append("<h2>Where it comes from</h2>")
    sections.append(table(["what", ""], report.facts.items()))
    return page(f"Model {report.model}", sections)


def _figures(evaluation: Evaluation) -> Iterable[Row]:
    flat = summary(evaluation.precision, MAIN_CLASSES)
    for name in CLASSES:
        yield name, _number(flat[f"{name}_map50"]), _number(flat[f"{name}_map50_95"])
    yield _MEAN, _number(flat["map50"]), _number(flat["map50_95"])


def _number(value: float, form: str = ".3f") -> str:
    return format(value, form) if math.isfinite(value) else "not known"


def _comparison(changes: Sequence[Change]) -> list[str]:
    if not changes:
        return []
    rows = [
        (
            each.name if each.name in CLASSES else _MEAN,
            _number(each.old),
            _number(each.new),
            _number(each.gain, "+.3f"),
            f"{_number(each.low, '+.3f')} to {_number(each.high, '+.3f')}",
        )
        for each in changes
    ]
    return [
        "<h2>Against the model in production</h2>",
        table(["mAP50", "production", "this one", "change", "95 % interval"], rows),
        "<p>Paired bootstrap over the photographs: an interval with zero in it may be chance.</p>",
    ]


def _curves(report: ModelReport) -> list[str]:
    models = {"this": report.evaluation.precision}
    if report.production is not None:
        models["production"] = report.production.precision
    made = ["<h2>Precision and recall</h2>", _chart(precision_recall(models), "precision, recall")]
    if report.history:
        made += ["<h2>Training</h2>", _chart(learning_curves(report.history), "losses and mAP50")]
    return made


def _chart(svg: bytes, text: str) -> str:
    uri = data_uri("image/svg+xml", svg)
    return f'<p><img class="chart" src="{uri}" alt="{html.escape(text)}"></p>'


def _points(report: ModelReport) -> Iterable[Row]:
    scores = sorted({*_SCORES, report.score})
    for point in working_points(report.examples, report.found, scores):
        numbers = (point.precision, point.recall, point.f1)
        name = f"{point.score:g}{' (works here)' if point.score == report.score else ''}"
        yield name, *(f"{number:.3f}" for number in numbers)


def _confusion(counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Iterable[Row]:
    for name, row in zip((*CLASSES, "nothing"), counts.tolist(), strict=True):
        total = max(sum(row), 1)
        cells: list[object] = [Shade(value, value / total) for value in row]
        if name == "nothing":
            cells[-1] = ""  # what is not there and not seen cannot be counted
        yield name, *cells
