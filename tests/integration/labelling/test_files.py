"""Datumaro (which CVAT exports with), pycocotools and labelformat: their files are read back."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import datumaro
import pytest
from datumaro.components.annotation import Bbox
from datumaro.components.media import Image
from labelformat.formats.coco import COCOObjectDetectionOutput
from labelformat.formats.yolov8 import YOLOv8ObjectDetectionInput
from pycocotools.coco import COCO

from scripts.labelling import coco
from scripts.labelling.assemble import AssembleSettings, Assembly, assemble
from scripts.labelling.classes import class_map
from scripts.labelling.dataset import write
from scripts.labelling.picture import Box, LabelledPicture, same_boxes
from scripts.labelling.sources import Source
from tests.integration.labelling import vendor
from tests.support.labelled import CLASSES

#: CVAT numbers classes as its project lists them.
THEIRS = ("person", "helmet", "head")


def exported(
    pictures: Sequence[LabelledPicture], output: Path, form: str, *, media: bool = True
) -> Path:
    """What Datumaro writes, pictures of the second camera as validation."""
    items = [
        datumaro.DatasetItem(
            id=f"{picture.path.parent.name}/{picture.path.stem}",
            subset=("train", "val")[picture.path.parent.name == "cam1"],
            media=Image.from_file(path=str(picture.path), size=(picture.height, picture.width)),
            annotations=[
                Bbox(
                    b.x1, b.y1, b.x2 - b.x1, b.y2 - b.y1,
                    label=THEIRS.index(b.name), id=n, attributes={"occluded": False},
                )
                for n, b in enumerate(picture.boxes)
            ],
        )
        for picture in pictures
    ]  # fmt: skip
    made = datumaro.Dataset.from_iterable(items, categories=list(THEIRS))
    made.export(str(output), form, save_media=media)
    return output


@pytest.mark.parametrize("media", [True, False])
@pytest.mark.parametrize(
    ("form", "ours"), [("yolo_ultralytics", "cvat-yolo"), ("coco_instances", "cvat-coco"),
                       ("yolo", "yolo")],
)  # fmt: skip
def test_what_cvat_exports(tmp_path: Path, form: str, ours: str, media: bool) -> None:
    pictures = vendor.pictures(tmp_path / "pictures")
    output = exported(pictures, tmp_path / "export", form, media=media)
    # With its own pictures an export needs no others, and without them it has none.
    folder = output if media else tmp_path / "pictures"
    found = vendor.read(ours, output, folder)
    vendor.check(found, pictures)
    parts = {sample.picture.sha256: sample.part for sample in found.samples}
    assert parts == {p.sha256: ("train", "val")[p.path.parent.name == "cam1"] for p in pictures}


def test_pycocotools_reads_what_we_write_and_writes_what_we_read(tmp_path: Path) -> None:
    pictures = vendor.pictures(tmp_path / "pictures")
    names = [p.path.relative_to(tmp_path / "pictures").as_posix() for p in pictures]
    path = tmp_path / "ours.json"
    path.write_text(
        json.dumps(
            coco.document([(p, n, "") for p, n in zip(pictures, names, strict=True)], CLASSES)
        )
    )
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = COCO(str(path))
    categories = {c["id"]: c["name"] for c in theirs.loadCats(theirs.getCatIds())}
    for image in theirs.loadImgs(theirs.getImgIds()):
        picture = pictures[names.index(image["file_name"])]
        boxes = [
            Box(categories[a["category_id"]], x, y, x + w, y + h)
            for a in theirs.loadAnns(theirs.getAnnIds(imgIds=[image["id"]]))
            for x, y, w, h in [a["bbox"]]
        ]
        assert same_boxes(boxes, picture.boxes, within=1e-6)
    again = tmp_path / "theirs.json"
    dataset = theirs.dataset
    for image in dataset["images"]:
        for extra in ("sha256", "group", "reviewed"):
            del image[extra]
    again.write_text(json.dumps(dataset))
    vendor.check(vendor.read("coco", again, tmp_path / "pictures"), pictures)


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[tuple[Path, Assembly, list[LabelledPicture]]]:
    pictures = vendor.pictures(tmp_path / "pictures", 6)
    output = exported(pictures, tmp_path / "export", "yolo_ultralytics")
    found = assemble(AssembleSettings((Source("cvat-yolo", output),), class_map(CLASSES, ())))
    write(found, CLASSES, tmp_path / "ours")
    yield tmp_path / "ours", found, pictures


def test_labelformat_and_datumaro_read_the_data_set_that_we_write(
    ours: tuple[Path, Assembly, list[LabelledPicture]], tmp_path: Path
) -> None:
    folder, _, pictures = ours
    by_name = {picture.sha256[:20]: picture for picture in pictures}
    for part, count in (("train", 3), ("val", 3)):
        theirs = YOLOv8ObjectDetectionInput(folder / "data.yaml", part)
        read = list(theirs.get_labels())
        assert len(read) == count
        for label in read:
            boxes = [
                Box(o.category.name, o.box.xmin, o.box.ymin, o.box.xmax, o.box.ymax)
                for o in label.objects
            ]
            assert same_boxes(boxes, by_name[Path(label.image.filename).stem].boxes)
        written = tmp_path / f"{part}.json"
        COCOObjectDetectionOutput(written).save(theirs)
        found = vendor.read("coco", written, folder / "images")
        assert len(found.samples) == count


def test_datumaro_finds_the_same_in_our_data_set(
    ours: tuple[Path, Assembly, list[LabelledPicture]],
) -> None:
    folder, _, pictures = ours
    by_name = {picture.sha256[:20]: picture for picture in pictures}
    read = datumaro.Dataset.import_from(str(folder), "yolo")
    names = [each.name for each in read.categories()[datumaro.AnnotationType.label].items]
    assert tuple(names) == CLASSES
    assert len(read) == len(pictures)
    for item in read:
        boxes = [
            Box(names[a.label], a.x, a.y, a.x + a.w, a.y + a.h)
            for a in item.annotations
            if isinstance(a, Bbox)
        ]
        assert same_boxes(boxes, by_name[Path(item.id).name].boxes)
