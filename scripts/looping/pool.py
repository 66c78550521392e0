"""Golden pictures for a model of few photographs.

The shipped ones are portraits, which a model that was trained for minutes may miss. So it may also
be held to photographs that it was trained on; they go no further than the devices of this run.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from PIL import Image

from scripts.cloud.assemble import POOL_NAME
from scripts.labelling import yolo

MOST_OBJECTS = 8
MOST_PICTURES = 60
RIGHTS = {"licence": "in-house, not to be passed on", "source": "the set that was trained on"}


def write(prepared: Path, folder: Path) -> int:
    """Writes a pool for ``publish.py --golden``: photographs of which all that is on them is known.

    Args:
        prepared: data set of the step ``prepare``.
        folder: made.

    Returns:
        How many photographs.
    """
    folder.mkdir()
    pictures: list[dict[str, object]] = []
    for entry in yolo.read(prepared).entries:
        known = not any(box.ignore for box in entry.boxes)
        if entry.file is None or entry.part != "train" or not known:
            continue
        if len(entry.boxes) > MOST_OBJECTS or len(pictures) >= MOST_PICTURES:
            continue
        shutil.copyfile(entry.file, folder / entry.file.name)
        with Image.open(entry.file) as image:
            width, height = image.size
        objects = [
            {"class_name": box.name, "box": box.scaled(width, height).corners}
            for box in entry.boxes
        ]
        pictures.append({"file": entry.file.name, "objects": objects, **RIGHTS})
    (folder / POOL_NAME).write_text(json.dumps({"pictures": pictures}))
    return len(pictures)
