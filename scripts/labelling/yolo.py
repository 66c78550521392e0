"""YOLO folders: Ultralytics' and CVAT's (``data.yaml``), Label Studio's, and Darknet's.

One text file a picture, one line a box: ``class cx cy w h``, relative to the picture. An empty file
says nothing: Label Studio writes one for a task that nobody opened, as for one without objects.
A data set of ours also has ``ignore/``, laid out like ``labels/``: boxes that count neither way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from scripts.labelling.picture import PARTS, Box, BrokenLabelError, Entry
from scripts.labelling.problems import Kind, LabellingError, Problem, Reading
from scripts.labelling.reading import BOXES_MAX, decimal, parse_json, read_text
from scripts.labelling.references import IMAGE_SUFFIXES, is_picture, parts

_LABEL_MAX_BYTES: Final = 1024 * 1024
_LIST_MAX_BYTES: Final = 64 * 1024 * 1024
_CLASSES_MAX: Final = 1000
_PART_NAMES: Final = {"train": "train", "val": "val", "valid": "val", "test": "test"}
_DARKNET: Final = re.compile(r"obj_(?P<part>\w+?)_data")


@dataclass(frozen=True, slots=True)
class _Pair:
    """A picture and its label file; either may be missing."""

    reference: str
    label: Path
    picture: Path | None
    part: str | None
    ignored: Path | None = None


def read(path: Path, *, empty_is_background: bool = False) -> Reading:
    """What a YOLO folder says.

    Args:
        path: The folder, or its ``data.yaml``.
        empty_is_background: Whether an empty or absent label file means that somebody looked and
            there is no object.

    Raises:
        LabellingError: It is not a YOLO folder, or its classes cannot be told.
    """
    root = path if path.is_dir() else path.parent
    if not root.is_dir():
        raise LabellingError("no such folder", where=str(path))
    names = class_names(path)
    entries: list[Entry] = []
    problems: list[Problem] = []
    for pair in _pairs(root):
        try:
            boxes = _boxes(pair.label, names)
            ignored = _boxes(pair.ignored, names) if pair.ignored else None
        except BrokenLabelError as error:
            problems.append(Problem(str(error.args[1]), error.args[0], Kind.BROKEN, pair.reference))
            continue
        if not boxes and not empty_is_background:
            what = "no label file" if boxes is None else "an empty label file"
            problems.append(
                Problem(
                    str(pair.label), f"{what}: nobody may have looked", Kind.UNLABELLED,
                    pair.reference,
                )
            )  # fmt: skip
            continue
        entries.append(
            Entry(
                reference=pair.reference,
                boxes=(*(boxes or ()), *(replace(box, ignore=True) for box in ignored or ())),
                where=str(pair.label),
                unit="relative",
                part=pair.part,
                file=pair.picture,
            )
        )
    if not entries and not problems:
        raise LabellingError(
            "neither pictures nor labels",
            where=str(root),
            hint="A YOLO folder has them in images/ and labels/",
        )
    return Reading(tuple(entries), tuple(problems))


def class_names(path: Path) -> tuple[str, ...]:
    """The classes of a YOLO folder by number.

    From ``data.yaml``, ``notes.json`` and ``classes.txt`` (Label Studio: in alphabetical order, not
    in that of the labelling interface), or ``obj.names`` (Darknet). Two that disagree are an error.

    Raises:
        LabellingError: There are none, or they disagree.
    """
    root = path if path.is_dir() else path.parent
    yaml_file = path if path.is_file() else root / "data.yaml"
    found: dict[str, tuple[str, ...]] = {}
    if yaml_file.is_file():
        found[yaml_file.name] = _yaml_names(yaml_file)
    if (notes := root / "notes.json").is_file():
        found["notes.json"] = _notes_names(notes)
    for listing in ("classes.txt", "obj.names"):
        if (root / listing).is_file():
            lines = read_text(root / listing, _LABEL_MAX_BYTES).splitlines()
            found[listing] = tuple(line.strip() for line in lines if line.strip())
    if not found:
        raise LabellingError(
            "the classes have no names",
            where=str(path),
            hint="data.yaml, classes.txt or obj.names must name them",
        )
    first, *others = found.items()
    for name, classes in others:
        if classes != first[1]:
            raise LabellingError(
                f"{first[0]} and {name} name different classes: "
                f"{', '.join(first[1])[:200]} and {', '.join(classes)[:200]}",
                where=str(root),
            )
    if not 0 < len(first[1]) <= _CLASSES_MAX or len(set(first[1])) != len(first[1]):
        raise LabellingError("no classes, too many, or one twice", where=f"{root / first[0]}")
    return first[1]


def _yaml_names(path: Path) -> tuple[str, ...]:
    try:
        # Only here: what reads no data.yaml needs no PyYAML.
        import yaml  # noqa: PLC0415
    except ImportError as error:
        raise LabellingError(
            "PyYAML is not installed", where=str(path), hint="pip install PyYAML"
        ) from error
    try:
        document: Any = yaml.safe_load(read_text(path, _LABEL_MAX_BYTES))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise LabellingError(f"not YAML: {reason}", where=str(path)) from error
    names = document.get("names") if isinstance(document, dict) else None
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(each, str) and each for each in names):
        raise LabellingError(
            "must be a list of texts, or texts numbered from 0", where=f"{path}: names"
        )
    return tuple(names)


def _notes_names(path: Path) -> tuple[str, ...]:
    try:
        document = parse_json(read_text(path, _LABEL_MAX_BYTES))
        numbered = {int(each["id"]): str(each["name"]) for each in document["categories"]}
    except (ValueError, TypeError, KeyError) as error:
        raise LabellingError("must have categories with id and name", where=str(path)) from error
    if set(numbered) != set(range(len(numbered))):
        raise LabellingError("ids must count from 0", where=f"{path}: categories")
    return tuple(numbered[number] for number in range(len(numbered)))


def _pairs(root: Path) -> Iterator[_Pair]:
    """Every picture and every label file, once each."""
    seen: set[Path] = set()
    for pair in _present(root):
        seen.add(pair.label)
        yield pair
    yield from _listed_only(root, seen)


def _present(root: Path) -> Iterator[_Pair]:
    # Ultralytics, CVAT, Label Studio: images/[train/]a.jpg beside labels/[train/]a.txt.
    for pair in _in_folder(root / "images", root / "labels", parts_inside=True):
        yield replace(pair, ignored=root / "ignore" / pair.label.relative_to(root / "labels"))
    for folder in sorted(root.iterdir()):
        if (folder / "images").is_dir() and folder.name in _PART_NAMES:  # Roboflow: train/images
            yield from _in_folder(folder / "images", folder / "labels", _PART_NAMES[folder.name])
        elif (found := _DARKNET.fullmatch(folder.name)) and folder.is_dir():
            yield from _in_folder(folder, folder, _PART_NAMES.get(found["part"]))


def _in_folder(
    images: Path, labels: Path, part: str | None = None, *, parts_inside: bool = False
) -> Iterator[_Pair]:
    """Pictures and label files of the same relative path.

    Args:
        images: Folder of the pictures; may be absent.
        labels: Folder of the label files; may be absent.
        part: Of all that lies there.
        parts_inside: Whether a first folder called like a part is one, and no more of the name.
    """
    pictures: dict[Path, Path] = {}
    for picture in sorted(images.rglob("*")):
        if picture.suffix.lower() in IMAGE_SUFFIXES and picture.is_file():
            stem = picture.relative_to(images).with_suffix("")
            if stem in pictures:
                # a.jpg and a.png share a.txt; which of them it is about nobody can tell.
                raise LabellingError(
                    f"{picture.name} and {pictures[stem].name} would share one label file",
                    where=str(images),
                )
            pictures[stem] = picture
    files = {file.relative_to(labels).with_suffix("") for file in labels.rglob("*.txt")}
    for stem in sorted(files | set(pictures)):
        found, own, name = pictures.get(stem), part, stem
        if parts_inside and len(stem.parts) > 1 and stem.parts[0] in _PART_NAMES:
            own, name = _PART_NAMES[stem.parts[0]], Path(*stem.parts[1:])
        reference = f"{name.as_posix()}{found.suffix if found else ''}"
        yield _Pair(reference, labels / f"{stem}.txt", found, own)


def _listed_only(root: Path, seen: set[Path]) -> Iterator[_Pair]:
    """Pictures of ``train.txt`` and its like that have no label file (and are not here either)."""
    for name, part in _PART_NAMES.items():
        listing = root / f"{name}.txt"
        if not listing.is_file():
            continue
        for line in read_text(listing, _LIST_MAX_BYTES).splitlines():
            if not is_picture(line.strip()):
                continue
            folders = parts(line.strip())
            inner = folders[1:] if folders[0] == "data" else folders
            label = _label_of(root, inner)
            if label not in seen:
                seen.add(label)
                yield _Pair("/".join(inner), label, None, part)


def _label_of(root: Path, picture: Sequence[str]) -> Path:
    """The label file of a listed picture: ``images`` becomes ``labels``, else it lies beside it."""
    changed = list(picture)
    if "images" in changed:
        last = len(changed) - 1 - changed[::-1].index("images")
        changed[last] = "labels"
    return root.joinpath(*changed).with_suffix(".txt")


def _boxes(path: Path, names: Sequence[str]) -> tuple[Box, ...] | None:
    """The boxes in a label file; None when there is no file.

    Raises:
        BrokenLabelError: With the file and line as its second argument.
    """
    if not path.exists():
        return None
    try:
        lines = read_text(path, _LABEL_MAX_BYTES).splitlines()
    except LabellingError as error:
        raise BrokenLabelError(error.what, error.where) from error
    boxes = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                boxes.append(_box(line, names))
            except BrokenLabelError as error:
                raise BrokenLabelError(str(error), f"{path}:{number}") from error
            if len(boxes) > BOXES_MAX:
                raise BrokenLabelError(f"more than {BOXES_MAX} boxes", f"{path}:{number}")
    return tuple(boxes)


def _box(line: str, names: Sequence[str]) -> Box:
    words = line.split()
    if len(words) != 5:
        kind = {6: "a score: predictions, not labels"}.get(
            len(words), "no box: expected class cx cy w h"
        )
        raise BrokenLabelError(f"{len(words)} values are {kind}")
    if not words[0].isascii() or not words[0].isdigit() or int(words[0]) >= len(names):
        raise BrokenLabelError(
            f"class {words[0][:20]!r}, and there are {len(names)} ({', '.join(names)[:80]}), from 0"
        )
    cx, cy, w, h = (
        decimal(word, name) for word, name in zip(words[1:], ("cx", "cy", "w", "h"), strict=True)
    )
    # Past these a file is in pixels; a little past 1 is a rounding of the tool.
    if not (0 < w <= 1.001 and 0 < h <= 1.001 and 0 <= cx <= 1 and 0 <= cy <= 1):
        raise BrokenLabelError(f"centre and size must be relative (0 to 1), found {line[:80]!r}")
    return Box(names[int(words[0])], cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)


def lines(boxes: Sequence[Box], classes: Sequence[str], width: int, height: int) -> str:
    """Boxes in pixels as a label file; seven digits, finer than a hundredth of a pixel."""
    made = []
    for box in boxes:
        cx, cy = (box.x1 + box.x2) / 2 / width, (box.y1 + box.y2) / 2 / height
        w, h = (box.x2 - box.x1) / width, (box.y2 - box.y1) / height
        made.append(f"{classes.index(box.name)} {cx:.7f} {cy:.7f} {w:.7f} {h:.7f}\n")
    return "".join(made)


def data_yaml(classes: Sequence[str], present: Sequence[str]) -> str:
    """The description of a data set as Ultralytics' tools read it.

    Args:
        classes: By number.
        present: Parts that have pictures.
    """
    places = "".join(f"{part}: images/{part}\n" for part in PARTS if part in present)
    # A JSON text is a YAML text, whatever is in it.
    names = "".join(f"  {number}: {json.dumps(name)}\n" for number, name in enumerate(classes))
    return f"path: .\n{places}names:\n{names}"
