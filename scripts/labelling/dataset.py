"""An assembled data set on disk: YOLO layout, its description, and a list of what is in it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from scripts.labelling import yolo
from scripts.labelling.assemble import Assembly, Sample
from scripts.labelling.picture import PARTS, Box
from scripts.labelling.problems import LabellingError

#: Of the sha256 in a file's name: 80 bits, so two photographs never share one.
NAME_DIGITS: Final = 20
#: What a data set consists of; anything else in the folder is somebody else's.
_OWN: Final = ("images", "labels", "ignore", "data.yaml", "pictures.jsonl", "dropped.jsonl")
_MARK: Final = "pictures.jsonl"


def file_name(sample: Sample) -> str:
    """A picture's name in a data set: its content, so that the same one never comes twice."""
    return f"{sample.picture.sha256[:NAME_DIGITS]}{sample.measured.suffix}"


def clear(output: Path) -> None:
    """Make the folder empty of an earlier data set: a stale picture could be in another part.

    Raises:
        LabellingError: There are files that no data set of ours has, or it cannot be emptied.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        present = [path.name for path in output.iterdir()]
        ours = (output / _MARK).exists()
        if (foreign := [name for name in present if name in _OWN]) and not ours:
            raise LabellingError(
                f"holds {', '.join(sorted(foreign))} from elsewhere",
                where=str(output),
                hint="Name an empty folder",
            )
        # The mark goes last: a run that was cut off is still recognised as ours.
        for name in (*(n for n in _OWN if n != _MARK), _MARK):
            path = output / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (output / _MARK).touch()
    except OSError as error:
        raise LabellingError(f"cannot be emptied: {error.strerror}", where=str(output)) from error


def write(assembly: Assembly, classes: Sequence[str], output: Path) -> None:
    """Write pictures (hard links where possible), labels, ``data.yaml`` and the two lists.

    Raises:
        LabellingError: The folder cannot be written, or holds something else.
    """
    clear(output)
    try:
        for sample in assembly.samples:
            name = Path(file_name(sample))
            place = output / "images" / sample.part / name
            link(sample.picture.path, place)
            known = [box for box in sample.picture.boxes if not box.ignore]
            doubtful = [box for box in sample.picture.boxes if box.ignore]
            _labels(output / "labels", sample, known, classes)
            if doubtful:
                _labels(output / "ignore", sample, doubtful, classes)
        present = {sample.part for sample in assembly.samples}
        (output / "data.yaml").write_text(
            yolo.data_yaml(classes, sorted(present, key=PARTS.index)), encoding="utf-8"
        )
        _lines(output / "dropped.jsonl", [asdict(problem) for problem in assembly.problems])
        _lines(output / _MARK, [_sample_line(sample) for sample in assembly.samples])
    except OSError as error:
        raise LabellingError(f"cannot be written: {error}", where=str(output)) from error


def link(source: Path, target: Path) -> None:
    """Hard-link, or copy where the file system does not allow it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _labels(root: Path, sample: Sample, boxes: Sequence[Box], classes: Sequence[str]) -> None:
    path = (root / sample.part / file_name(sample)).with_suffix(".txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = sample.picture
    path.write_text(yolo.lines(boxes, classes, picture.width, picture.height), encoding="utf-8")


def _sample_line(sample: Sample) -> dict[str, object]:
    return {
        "file": f"images/{sample.part}/{file_name(sample)}",
        "sha256": sample.picture.sha256,
        "part": sample.part,
        "group": sample.group,
        "source": sample.source.name,
        "where": sample.where,
        "original": sample.picture.path.name,
        "boxes": len(sample.picture.boxes),
    }


def _lines(path: Path, rows: Sequence[dict[str, object]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
