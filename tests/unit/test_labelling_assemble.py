"""Several sources become one data set: each photograph once, in one part, with labels that hold."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from scripts.labelling import coco, yolo
from scripts.labelling.assemble import AssembleSettings, Assembly, assemble, check_share
from scripts.labelling.classes import class_map
from scripts.labelling.dataset import write
from scripts.labelling.picture import Box, same_boxes
from scripts.labelling.problems import Kind, LabellingError
from scripts.labelling.report import counts, render
from scripts.labelling.sources import Source, parse_source
from scripts.labelling.split import SplitRule
from tests.support.labelled import BOXES, CLASSES, labelled, scene, write_capture, write_picture
from updater.errors import UsageError


def coco_source(
    folder: Path,
    boxes: dict[int, tuple[Box, ...]],
    *,
    name: str = "instances.json",
    classes: tuple[str, ...] = CLASSES,
) -> Source:
    """A COCO folder of pictures by seed."""
    pictures = [
        (labelled(folder / "images" / f"{seed}.jpg", seed, found), f"{seed}.jpg", "")
        for seed, found in boxes.items()
    ]
    path = folder / "annotations" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(coco.document(pictures, classes)))
    return Source("coco", folder)


def assembled(*sources: Source, split: SplitRule | None = None, pictures: Path | None = None,
              options: tuple[str, ...] = ()) -> Assembly:  # fmt: skip
    return assemble(
        AssembleSettings(
            sources=sources,
            classes=class_map(CLASSES, options),
            pictures=(pictures,) if pictures else (),
            split=split or SplitRule(0.3),
        )
    )


def kinds(assembly: Assembly) -> list[Kind]:
    return [problem.kind for problem in assembly.problems]


def test_the_same_photograph_of_two_sources_is_taken_once_from_the_later(tmp_path: Path) -> None:
    old = coco_source(tmp_path / "old", {1: BOXES, 2: BOXES})
    new = coco_source(tmp_path / "new", {1: BOXES[:1], 3: BOXES})
    found = assembled(old, new)
    assert len(found.samples) == 3
    boxes = {sample.picture.path.name: len(sample.picture.boxes) for sample in found.samples}
    assert boxes == {"1.jpg": 1, "2.jpg": 2, "3.jpg": 2}
    (problem,) = found.problems
    assert problem.kind is Kind.DUPLICATE
    assert "labelled otherwise, later, in" in problem.what
    assert not found.dropped


def test_one_source_that_contradicts_itself_is_left_out_there(tmp_path: Path) -> None:
    source = coco_source(tmp_path, {1: BOXES, 2: BOXES})
    coco_source(tmp_path, {1: BOXES[:1], 3: BOXES}, name="more.json")
    found = assembled(source)
    assert [sample.picture.path.name for sample in found.samples if sample] != ["1.jpg"]
    assert len(found.samples) == 2
    assert kinds(found) == [Kind.CONFLICT, Kind.CONFLICT]
    coco_source(tmp_path, {1: BOXES}, name="more.json")
    assert kinds(assembled(source)) == [Kind.DUPLICATE]


def test_growing_data_moves_nothing_between_parts(tmp_path: Path) -> None:
    few = assembled(coco_source(tmp_path / "few", dict.fromkeys(range(12), BOXES)))
    before = {sample.picture.sha256: sample.part for sample in few.samples}
    many = assembled(
        coco_source(tmp_path / "more", dict.fromkeys(range(12, 40), BOXES)),
        coco_source(tmp_path / "again", dict.fromkeys(range(12), BOXES)),
    )
    after = {sample.picture.sha256: sample.part for sample in many.samples}
    assert len(after) == 40
    assert set(after.values()) == {"train", "val"}
    assert {sha: after[sha] for sha in before} == before


def test_one_cameras_day_stays_together(tmp_path: Path) -> None:
    captures = tmp_path / "captures"
    files = {
        (device, day): [
            write_capture(captures, number * 100 + day * 10 + n, device=device, day=day)
            for n in range(4)
        ]
        for number, device in enumerate(("cam-1", "cam-2"), 1)
        for day in (20, 21, 22)
    }
    tasks = [
        {
            "id": index,
            "data": {"image": f"s3://pictures/site-7/{path.relative_to(captures).as_posix()}"},
            "annotations": [{"result": []}],
        }
        for index, path in enumerate(path for group in files.values() for path in group)
    ]
    export = tmp_path / "export" / "export.json"
    export.parent.mkdir()
    export.write_text(json.dumps(tasks))
    found = assembled(Source("label-studio", export), pictures=captures, split=SplitRule(0.5))
    assert len(found.samples) == 24
    parts: dict[str, set[str]] = {}
    for sample in found.samples:
        parts.setdefault(sample.group, set()).add(sample.part)
    assert set(parts) == {f"cam-{c}/2026-11-{d}" for c in (1, 2) for d in (20, 21, 22)}
    assert all(len(part) == 1 for part in parts.values())
    assert set.union(*parts.values()) == {"train", "val"}


def yolo_source(folder: Path, names: dict[str, int]) -> Source:
    """A YOLO folder of pictures: path below ``images`` to seed."""
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    for name, seed in names.items():
        write_picture(folder / "images" / name, seed)
        label = (folder / "labels" / name).with_suffix(".txt")
        label.parent.mkdir(exist_ok=True)
        label.write_text("1 0.5 0.5 0.25 0.25\n")
    return Source("yolo", folder)


def test_parts_of_a_source_are_kept_and_validation_wins(tmp_path: Path) -> None:
    first = yolo_source(tmp_path / "a", {"train/1.jpg": 1, "val/2.jpg": 2, "train/3.jpg": 3})
    second = yolo_source(tmp_path / "b", {"train/other.jpg": 2, "val/3.jpg": 3})
    for order in ((first, second), (second, first)):
        found = assembled(*order)
        assert sorted(sample.part for sample in found.samples) == ["train", "val", "val"]
    anew = assembled(first, split=SplitRule(0.0, keep=False))
    assert {sample.part for sample in anew.samples} == {"train"}


def test_a_photograph_saved_again_is_not_trained_on_and_validated_on(tmp_path: Path) -> None:
    source = yolo_source(tmp_path, {"train/1.jpg": 1, "val/2.jpg": 2})
    again = tmp_path / "images" / "train" / "again.png"
    scene(2).resize((640, 360), Image.Resampling.BICUBIC).save(again)
    (tmp_path / "labels" / "train" / "again.txt").write_text("1 0.5 0.5 0.25 0.25\n")
    found = assembled(source)
    assert [(s.part, s.picture.path.name) for s in found.samples if s.part == "val"] == [
        ("val", "2.jpg")
    ]
    assert len(found.samples) == 2
    (problem,) = found.problems
    assert (problem.kind, problem.reference) == (Kind.LEAK, "again.png")


def test_whatever_is_wrong_with_one_picture_leaves_it_out_with_its_place(tmp_path: Path) -> None:
    source = coco_source(
        tmp_path,
        {
            1: BOXES,
            2: BOXES,
            3: (Box("hat", 1, 2, 30, 40),),
            4: (Box("head", 400, 20, 500, 60),),
            5: BOXES,
            6: BOXES,
        },
        classes=(*CLASSES, "hat"),
    )
    path = tmp_path / "annotations" / "instances.json"
    document = json.loads(path.read_text())
    for image in document["images"]:
        del image["sha256"]
    document["images"][1]["width"] = 321
    document["images"][5]["file_name"] = "elsewhere.jpg"
    path.write_text(json.dumps(document))
    five = tmp_path / "images" / "5.jpg"
    five.write_bytes(five.read_bytes()[:3000])
    found = assembled(source)
    assert [sample.picture.path.name for sample in found.samples] == ["1.jpg"]
    assert kinds(found) == [Kind.SIZE, Kind.CLASS, Kind.BROKEN, Kind.UNREADABLE, Kind.MISSING]
    assert [problem.where.rpartition(": ")[2] for problem in found.problems] == [
        f"image {n}" for n in (2, 3, 4, 5, 6)
    ]
    with pytest.raises(LabellingError, match=r"5 of 6 labelled pictures .* --map"):
        check_share(found, 0.5)
    check_share(found, 0.9)
    mapped = assembled(source, options=("hat=helmet",))
    assert Kind.CLASS not in kinds(mapped)


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabellingError, match="no picture with labels is left"):
        check_share(Assembly((), (), {}), 1.0)
    with pytest.raises(LabellingError, match="no COCO file"):
        assembled(Source("coco", tmp_path / "absent.json"))


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("coco:a/b.json", Source("coco", Path("a/b.json"))),
        ("yolo+persons:C:x", Source("yolo", Path("C:x"), add_persons=True)),
        ("/plain/folder", None),
        ("plain", None),
        ("/odd:folder", None),
    ],
)
def test_sources_are_named_with_their_format(text: str, source: Source | None) -> None:
    assert parse_source(text) == source
    assert source is None or source.name == text


@pytest.mark.parametrize("text", ["voc:a", "coco:", "coco+persons+persons:a"])
def test_a_source_of_no_format_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--source"):
        parse_source(text)


def test_what_is_written_can_be_read_again_alike(tmp_path: Path) -> None:
    boxes = {n: (*BOXES, Box("person", 5, 5, 90, 120, ignore=True)) for n in range(6)}
    found = assembled(coco_source(tmp_path / "in", {**boxes, 6: ()}))
    output = tmp_path / "out"
    write(found, CLASSES, output)
    again = yolo.read(output, empty_is_background=True)
    assert yolo.class_names(output) == CLASSES
    by_name = {entry.file.name: entry for entry in again.entries if entry.file}
    for sample in found.samples:
        entry = by_name[f"{sample.picture.sha256[:20]}.jpg"]
        assert entry.part == sample.part
        back = [box.scaled(320, 180) for box in entry.boxes]
        assert same_boxes(back, sample.picture.boxes, within=0.01)
    assert len(list((output / "ignore").rglob("*.txt"))) == 6
    rows = [json.loads(line) for line in (output / "pictures.jsonl").read_text().splitlines()]
    assert sorted(row["file"] for row in rows) == sorted(
        path.relative_to(output).as_posix() for path in (output / "images").rglob("*.jpg")
    )
    listed = counts(found, CLASSES)
    assert listed["train/head"] + listed["val/head"] == 6
    assert listed["train/person"] + listed["val/person"] == 0


def test_a_second_run_leaves_nothing_of_the_first_and_spares_what_is_not_ours(
    tmp_path: Path,
) -> None:
    output = tmp_path / "out"
    write(assembled(coco_source(tmp_path / "a", {1: BOXES, 2: BOXES})), CLASSES, output)
    (output / "notes.md").write_text("mine")
    write(assembled(coco_source(tmp_path / "b", {3: BOXES})), CLASSES, output)
    assert len(list((output / "images").rglob("*.jpg"))) == 1
    assert (output / "notes.md").exists()
    foreign = yolo_source(tmp_path / "theirs", {"1.jpg": 1}).path
    with pytest.raises(LabellingError, match="holds images, labels from elsewhere"):
        write(assembled(coco_source(tmp_path / "c", {3: BOXES})), CLASSES, foreign)


class Loads(HTMLParser):
    """Everything that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses.extend(str(v) for k, v in attrs if k in ("src", "href"))


def test_the_report_is_one_file_and_believes_no_name(tmp_path: Path) -> None:
    source = coco_source(tmp_path, {1: BOXES, 2: (), 3: BOXES})
    path = tmp_path / "annotations" / "instances.json"
    document = json.loads(path.read_text())
    document["images"][2].update(file_name="<script>x</script>.jpg", sha256="ab" * 32)
    document["images"][0]["group"] = "<b>cam</b>"
    path.write_text(json.dumps(document))
    text = render(assembled(source), CLASSES, "Data & more")
    page = Loads()
    page.feed(text)
    assert len(page.addresses) == 2
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert page.tags.isdisjoint({"script", "b", "link"})
    assert "Data &amp; more" in text
    assert "picture not found" in text
    assert re.search(r"2 photographs with 2 boxes; 1 labelled pictures left out", text)
