"""What every round trip starts from and ends with."""

from __future__ import annotations

from pathlib import Path

from scripts.labelling.assemble import AssembleSettings, Assembly, assemble
from scripts.labelling.classes import class_map
from scripts.labelling.picture import Box, LabelledPicture, same_boxes
from scripts.labelling.sources import Source
from tests.support.labelled import BOXES, CLASSES, labelled

ODD = (Box("person", 0.0, 0.0, 319.7, 179.2), Box("head", 7.33, 11.17, 19.91, 31.03))


def pictures(folder: Path, count: int = 4) -> list[LabelledPicture]:
    """Pictures in two cameras' folders, some of one base name, with boxes off the pixels."""
    return [
        labelled(folder / f"cam{n % 2}" / f"{n // 2}.jpg", n, (BOXES, ODD)[n % 2])
        for n in range(count)
    ]


def read(form: str, path: Path, folder: Path, *, empty: bool = False) -> Assembly:
    """One export as the data set is made of it."""
    return assemble(
        AssembleSettings(
            sources=(Source(form, path),),
            classes=class_map(CLASSES, ()),
            pictures=(folder,),
            empty_is_background=empty,
        )
    )


def check(found: Assembly, expected: list[LabelledPicture]) -> None:
    """Every picture is there with the same classes, boxes within half a pixel."""
    assert not found.problems
    boxes = {sample.picture.sha256: sample.picture.boxes for sample in found.samples}
    assert set(boxes) == {picture.sha256 for picture in expected}
    for picture in expected:
        assert same_boxes(boxes[picture.sha256], picture.boxes)
