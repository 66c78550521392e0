"""Whoever labels. Here a stand-in: it knows the ground truth of what the cameras were shown."""

from __future__ import annotations

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
from tests.support import label_studio
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
    """Labels tasks."""

    name: str

    def label(self, tasks: Path, pictures: Mapping[str, Path]) -> str:
        """Labels every task.

        Args:
            tasks: ``label-studio-tasks.json``, its ``label-studio-config.xml`` beside it.
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
            exported.append(
                {
                    **task,
                    "id": number,
                    "predictions": [],
                    "annotations": [
                        {"id": number, "was_cancelled": False, "result": regions(drawn)}
                    ],
                }
            )
        return json.dumps(exported, indent=1)


class InLabelStudio:
    """Draws the ground truth in a real Label Studio: imports, submits and exports by its API.

    Args:
        boxes: what is on a picture.
        folder: for the server's files; made.
    """

    name = "a stand-in for people, in a real Label Studio"

    def __init__(self, boxes: Callable[[Path], Sequence[Box]], folder: Path) -> None:
        self._boxes, self._folder = boxes, folder

    def label(self, tasks: Path, pictures: Mapping[str, Path]) -> str:
        """See :class:`Annotator`.

        Raises:
            LabelStudioError: the server does not start, or refuses something.
        """
        config = tasks.with_name("label-studio-config.xml").read_text(encoding="utf-8")
        with label_studio.start(self._folder) as studio:
            project = studio.create_project(config)
            studio.import_tasks(project, json.loads(tasks.read_text(encoding="utf-8")))
            for task in studio.tasks(project):
                drawn = self._boxes(pictures[task["data"]["image"]])
                begun = [prediction["id"] for prediction in task["predictions"]]
                prediction = begun[0] if begun else None
                studio.annotate(task["id"], regions(drawn), prediction=prediction)
            return studio.export(project).decode()


def regions(boxes: Sequence[Box]) -> list[dict[str, Any]]:
    """Boxes as the labelling interface submits them.

    Args:
        boxes: in pixels of a camera's picture.
    """
    side = cameras.SIDE_PX
    return [
        {
            "id": f"drawn-{number}",
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
        for number, box in enumerate(boxes)
    ]
