"""Labels that came back from a tool, in one normal form for the next data set: a COCO folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from scripts.labelling import coco
from scripts.labelling.assemble import Assembly
from scripts.labelling.dataset import file_name, link
from scripts.labelling.problems import LabellingError

_FILE: Final = "instances.json"


def write_labels(assembly: Assembly, classes: tuple[str, ...], output: Path) -> Path:
    """Write ``annotations/instances.json``, the pictures beside it, and what was left out.

    Every picture in it was looked at by a person, also one without a box; the data set that is made
    of it gives the parts.

    Args:
        assembly: What came back.
        classes: The model's.
        output: A folder of its own.

    Returns:
        The COCO file.

    Raises:
        LabellingError: The folder is not empty, or cannot be written.
    """
    path = output / "annotations" / _FILE
    try:
        if output.exists() and any(output.iterdir()):
            raise LabellingError(
                "is not empty", where=str(output), hint="Each delivery has a folder of its own"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        for sample in assembly.samples:
            link(sample.picture.path, output / "images" / file_name(sample))
        document = coco.document(
            [(sample.picture, file_name(sample), sample.group) for sample in assembly.samples],
            classes,
        )
        dropped = "".join(
            json.dumps(asdict(problem), ensure_ascii=False) + "\n" for problem in assembly.problems
        )
        (output / "dropped.jsonl").write_text(dropped, encoding="utf-8")
        path.write_text(json.dumps(document) + "\n", encoding="utf-8")
    except OSError as error:
        raise LabellingError(f"cannot be written: {error}", where=str(output)) from error
    return path
