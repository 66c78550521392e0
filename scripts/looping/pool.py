"""Golden pictures for a model of few photographs.

The shipped ones are portraits, which a model that was trained for minutes may miss. So it may also
be held to photographs that it was trained on, and to parts of them around one bare head, which
otherwise stand in crowds. They go no further than the devices of this run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from scripts.cloud.assemble import POOL_NAME
from scripts.labelling import yolo
from scripts.labelling.picture import Box, BrokenLabelError, placed

MOST_OBJECTS = 3
MOST_OF_A_KIND = 60
HEAD = "head"
LEAST_HEAD_PX = 12.0
RIGHTS = {"licence": "in-house, not to be passed on", "source": "the set that was trained on"}

_QUALITY = 95


@dataclass(frozen=True, slots=True)
class _Candidate:
    image: Image.Image
    boxes: tuple[Box, ...]


def write(prepared: Path, folder: Path) -> int:
    """Writes a pool for ``publish.py --golden``, which chooses what the model can be held to.

    Args:
        prepared: data set of the step ``prepare``.
        folder: made.

    Returns:
        How many pictures.
    """
    folder.mkdir()
    pictures: list[dict[str, object]] = []
    whole = parts = 0
    for entry in yolo.read(prepared).entries:
        if entry.file is None or entry.part != "train":
            continue
        with Image.open(entry.file) as opened:
            image = opened.convert("RGB")
        boxes = tuple(box.scaled(*image.size) for box in entry.boxes)
        found = [_Candidate(image, boxes)] if _simple(boxes) and whole < MOST_OF_A_KIND else []
        whole += len(found)
        for part in _around_heads(image, boxes):
            if parts < MOST_OF_A_KIND:
                parts += 1
                found.append(part)
        for number, candidate in enumerate(found):
            name = f"{entry.file.stem}-{number}.jpg"
            candidate.image.save(folder / name, "JPEG", quality=_QUALITY)
            objects = [{"class_name": box.name, "box": box.corners} for box in candidate.boxes]
            pictures.append({"file": name, "objects": objects, **RIGHTS})
    (folder / POOL_NAME).write_text(json.dumps({"pictures": pictures}))
    return len(pictures)


def _simple(boxes: tuple[Box, ...]) -> bool:
    return len(boxes) <= MOST_OBJECTS and not any(box.ignore for box in boxes)


def _around_heads(image: Image.Image, boxes: tuple[Box, ...]) -> Iterator[_Candidate]:
    """Parts of a picture with one bare head in the upper middle, and what else is whole there."""
    for head in boxes:
        width, height = head.x2 - head.x1, head.y2 - head.y1
        if head.name != HEAD or min(width, height) < LEAST_HEAD_PX:
            continue
        left, top = max(0, round(head.x1 - 1.2 * width)), max(0, round(head.y1 - 0.6 * height))
        right = min(image.width, round(head.x2 + 1.2 * width))
        bottom = min(image.height, round(head.y2 + 2.0 * height))
        inside = []
        for box in boxes:
            moved = replace(
                box, x1=box.x1 - left, y1=box.y1 - top, x2=box.x2 - left, y2=box.y2 - top
            )
            # Of a person only the upper part is here, and that is what is to be found.
            clipped = replace(
                moved,
                x1=max(moved.x1, 0.0), y1=max(moved.y1, 0.0),
                x2=min(moved.x2, float(right - left)), y2=min(moved.y2, float(bottom - top)),
            )  # fmt: skip
            own = box.name == "person" and clipped.area > 0 and _holds(clipped, head, left, top)
            try:
                inside.append(clipped if own else placed(moved, right - left, bottom - top))
            except BrokenLabelError:
                continue
        if _simple(tuple(inside)):
            yield _Candidate(image.crop((left, top, right, bottom)), tuple(inside))


def _holds(person: Box, head: Box, left: int, top: int) -> bool:
    """Whether the head's middle lies in the person's box."""
    x, y = (head.x1 + head.x2) / 2 - left, (head.y1 + head.y2) / 2 - top
    return person.x1 < x < person.x2 and person.y1 < y < person.y2
