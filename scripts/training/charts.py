"""Charts of a report, as SVG that stands alone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scripts.labelling.page import colour
from training.dataset import CLASSES
from training.metrics import Precision

_LOSSES: Final = ("box", "objectness", "label")
_SIZE_IN: Final = (10.0, 3.4)
#: Text as text, and the same file each time.
_STYLE: Final[Any] = {"svg.fonttype": "none", "svg.hashsalt": "sitewatch", "font.size": 9.0}
_GREY: Final = "#555555"


def learning_curves(history: Sequence[Mapping[str, float]]) -> bytes:
    """Losses of each epoch, and mAP50 of those that were judged."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE_IN, layout="constrained")
        losses, precision = figure.subplots(1, 2, sharex=True)
        losses.xaxis.set_major_locator(MaxNLocator(integer=True))
        epochs = [entry["epoch"] for entry in history]
        for name in loss_names(history):
            losses.plot(epochs, [entry[name] for entry in history], label=name)
        _label(losses, "epoch", "loss")
        judged = [entry for entry in history if "map50" in entry]
        at = [entry["epoch"] for entry in judged]
        for name in CLASSES:
            values = [entry[f"{name}_map50"] for entry in judged]
            precision.plot(at, values, ".-", color=colour(name, CLASSES), label=name)
        mean = [entry["map50"] for entry in judged]
        precision.plot(at, mean, ".-", color="black", label="mean of helmet, head")
        precision.set_ylim(0, 1)
        _label(precision, "epoch", "mAP50 on val")
        return _svg(figure)


def precision_recall(curves: Mapping[str, Mapping[str, Precision]]) -> bytes:
    """Precision over recall at IoU 0.5, by class; the first model solid, a second one dashed."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.0, 4.0), layout="constrained")
        axes = figure.subplots()
        for (model, precision), dash in zip(curves.items(), ("-", "--"), strict=False):
            for name in CLASSES:
                curve = precision[name].curve
                if curve:
                    text = f"{name}, {model} ({precision[name].map50:.3f})"
                    axes.plot(
                        np.linspace(0, 1, len(curve)), curve, dash,
                        color=colour(name, CLASSES), label=text,
                    )  # fmt: skip
        axes.set_xlim(0, 1.01)
        axes.set_ylim(0, 1.02)
        _label(axes, "recall", "precision", place="lower left")
        return _svg(figure)


def loss_names(history: Sequence[Mapping[str, float]]) -> list[str]:
    """The parts of the loss that every epoch tells."""
    return [name for name in _LOSSES if history and all(name in entry for entry in history)]


def _label(axes: Axes, across: str, up: str, place: Literal["best", "lower left"] = "best") -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_GREY)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place, frameon=False)


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
