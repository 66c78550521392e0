"""Whoever labels. Here a stand-in: it knows the ground truth of what the cameras were shown."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scripts.labelling.picture import Box
from scripts.labelling.pictures import measure
from scripts.looping import cameras
from scripts.looping.photographs import Photograph
from updater.errors import SitewatchError

MOST_DIFFERENCE = 6.0
"""Grey levels, on average over 32x32 cells, between a photograph and a frame of it that was encoded
three times. The next photograph differs by tens."""


class UnknownPictureError(SitewatchError):
    """A picture that no camera was shown."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class _Known:
    grid: NDArray[np.float32]
    boxes: tuple[Box, ...]


class Truth:
    """What is on the pictures that the cameras took.

    Args:
        photographs: all that were shown.
        folder: for pictures that are made to compare with.
    """

    def __init__(self, photographs: Iterable[Photograph], folder: Path) -> None:
        folder.mkdir(parents=True)
        self._known = []
        for number, photograph in enumerate(photographs):
            path = folder / f"{number:04}.png"
            cameras.shown(photograph).save(path)
            at = cameras.place(photograph.width, photograph.height)
            boxes = tuple(
                Box(b.name, b.x1 + at.left, b.y1 + at.top, b.x2 + at.left, b.y2 + at.top)
                for b in photograph.boxes
            )
            self._known.append(_Known(measure(path).grid.astype(np.float32), boxes))

    def __call__(self, picture: Path) -> Sequence[Box]:
        """The boxes on a picture, in its pixels.

        Raises:
            UnknownPictureError: it is of none of the photographs.
        """
        grid = measure(picture).grid.astype(np.float32)
        differences = [float(np.abs(known.grid - grid).mean()) for known in self._known]
        best = int(np.argmin(differences))
        if differences[best] > MOST_DIFFERENCE:
            raise UnknownPictureError(
                f"looks like no photograph ({differences[best]:.1f} levels)", where=str(picture)
            )
        return self._known[best].boxes


class Annotator(Protocol):
    """Labels tasks. A real labelling server would be another one of these."""

    name: str

    def label(self, tasks: Path, pictures: Mapping[str, Path]) -> str:
        """Labels every task.

        Args:
            tasks: file of ``label-studio-tasks.json``.
            pictures: the pictures, by their address in the tasks.

        Returns:
            Label Studio's export "JSON".
        """


class StandIn:
    """Writes what Label Studio would export if somebody had drawn the ground truth.

    Args:
        boxes: what is on a picture.
    """

    name = "a stand-in for people with Label Studio"

    def __init__(self, boxes: Callable[[Path], Sequence[Box]]) -> None:
        self._boxes = boxes

    def label(self, tasks: Path, pictures: Mapping[str, Path]) -> str:
        """See :class:`Annotator`."""
        exported = []
        for number, task in enumerate(json.loads(tasks.read_text(encoding="utf-8")), 1):
            drawn = self._boxes(pictures[task["data"]["image"]])
            exported.append(annotated(task, number, drawn))
        return json.dumps(exported, indent=1)


def annotated(task: Mapping[str, Any], number: int, boxes: Sequence[Box]) -> dict[str, Any]:
    """A task as Label Studio exports it.

    Args:
        task: as it was imported.
        number: its id.
        boxes: in pixels of a camera's picture.
    """
    side = cameras.SIDE_PX
    result = [
        {
            "id": f"{number}-{index}",
            "type": "rectanglelabels",
            "from_name": "label",
            "to_name": "image",
            "origin": "manual",
            "original_width": side,
            "original_height": side,
            "image_rotation": 0,
            "value": {
                "x": box.x1 * 100 / side,
                "y": box.y1 * 100 / side,
                "width": (box.x2 - box.x1) * 100 / side,
                "height": (box.y2 - box.y1) * 100 / side,
                "rotation": 0,
                "rectanglelabels": [box.name],
            },
        }
        for index, box in enumerate(boxes)
    ]
    own = copy.deepcopy(dict(task))
    own["predictions"] = [one.get("id", index) for index, one in enumerate(task["predictions"], 1)]
    annotation = {"id": number, "was_cancelled": False, "ground_truth": False, "result": result}
    return {**own, "id": number, "annotations": [annotation]}
