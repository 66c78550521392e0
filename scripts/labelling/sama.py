"""Sama: tasks with pre-annotations on the way out, delivered tasks on the way back. Pure.

Shapes are in pixels and lie in ``layers.vector_tagging``; in what they are wrapped differs from
project to project and is not documented, so they are looked for wherever they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts.labelling.captures import Capture
from scripts.labelling.picture import SAME_PX, Box, BrokenLabelError, Entry
from scripts.labelling.problems import Kind, LabellingError, Problem, Reading
from scripts.labelling.reading import (
    as_boxes,
    as_list,
    as_number,
    as_object,
    as_text,
    json_lines,
    read_json,
    sha256_in,
)
from scripts.labelling.references import is_picture

#: Tasks that one request takes.
TASKS_MAX: Final = 1000
_SHAPES: Final = "vector_tagging"
#: What a project's one output, input and tag are called in ours; a project may call them otherwise.
_OUTPUT, _INPUT, _TAG = "boxes", "url", "class"
#: Of several tags on a shape, those that can be its class.
_CLASS_TAGS: Final = ("class", "label", "name", "category")
#: Where a delivered task has its answers; its pre-annotations lie in ``data`` beside them.
_ANSWERS: Final = ("answers", "outputs", "output")
_DEPTH_MAX: Final = 16
_NODES_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Names:
    """What a Sama project calls its input, its output and the tag of a shape."""

    picture: str = _INPUT
    output: str = _OUTPUT
    tag: str = _TAG


def tasks(captures: Iterable[Capture], names: Names | None = None) -> list[dict[str, Any]]:
    """The entries of ``tasks`` in a request that creates them."""
    named = names or Names()
    return [
        {
            "data": {
                named.picture: capture.address,
                "name": f"{capture.device}/{capture.name}",
                "sha256": capture.picture.sha256,
                "group": capture.group,
                named.output: {
                    "layers": {
                        _SHAPES: [
                            {
                                "shapes": [
                                    _shape(box, index, named.tag)
                                    for index, box in enumerate(capture.picture.boxes, 1)
                                ],
                                "group_type": None,
                            }
                        ]
                    }
                },
            },
            "priority": 0,
            "submit": False,
        }
        for capture in captures
    ]


def requests(captures: Iterable[Capture], names: Names | None = None) -> Iterator[dict[str, Any]]:
    """Bodies of requests that create tasks, each with as many as one request takes."""
    every = tasks(captures, names)
    for start in range(0, len(every), TASKS_MAX):
        yield {"tasks": every[start : start + TASKS_MAX]}


def _shape(box: Box, index: int, tag: str) -> dict[str, Any]:
    x1, y1, x2, y2 = box.corners
    return {
        "type": "rectangle",
        "index": index,
        "tags": {tag: box.name},
        "points": [[x1, y1], [x2, y1], [x1, y2], [x2, y2]],
    }


def read(path: Path) -> Reading:
    """What people drew, in delivered tasks: a JSON document, or one object a line.

    Raises:
        LabellingError: The file cannot be read, or holds no tasks.
    """
    entries: list[Entry] = []
    problems: list[Problem] = []
    for where, task in _tasks(path):
        reference = ""
        try:
            if isinstance(task, BrokenLabelError):
                raise task
            raw = as_object(task, "a task")
            nodes = list(_nodes(raw))
            reference = _reference(nodes)
            found = _entry(nodes, reference, where)
        except BrokenLabelError as error:
            problems.append(Problem(where, str(error), Kind.BROKEN, reference))
            continue
        if found is None:
            what = f"nothing called {_SHAPES} in it"
            problems.append(Problem(where, what, Kind.UNLABELLED, reference))
        else:
            entries.append(found)
    return Reading(tuple(entries), tuple(problems))


def _tasks(path: Path) -> Iterator[tuple[str, Any]]:
    if path.suffix in (".ndjson", ".jsonl"):
        for line, task in json_lines(path):
            yield f"{path}:{line}", task
        return
    document = read_json(path)
    name, listed = ("", document) if isinstance(document, list) else _listed(document)
    if listed is None:
        if not any(key == _SHAPES for trail, _ in _nodes(document) for key in trail[-1:]):
            raise LabellingError(f"no list of tasks, and nothing called {_SHAPES}", where=str(path))
        yield f"{path}", document
        return
    for index, task in enumerate(listed):
        key = task.get("id") if isinstance(task, dict) else None
        label = f" (task {key})" if isinstance(key, str | int) else ""
        yield f"{path}: {name}[{index}]{label}", task


def _listed(document: Any) -> tuple[str, list[Any] | None]:
    """The list of tasks in an envelope: the first list of objects one level down."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name == _SHAPES or not isinstance(value, list) or not value:
                continue
            if all(isinstance(each, dict) for each in value):
                return name, value
    return "", None


def _nodes(
    value: Any, trail: tuple[str, ...] = (), left: list[int] | None = None
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value in a document with the keys that lead to it; shapes are not entered."""
    left = [_NODES_MAX] if left is None else left
    left[0] -= 1
    if len(trail) > _DEPTH_MAX or left[0] < 0:
        raise BrokenLabelError("nested too deeply, or too large")
    yield trail, value
    if trail and trail[-1] == _SHAPES:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _nodes(inner, (*trail, name), left)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _nodes(inner, (*trail, f"[{index}]"), left)


def _reference(nodes: list[tuple[tuple[str, ...], Any]]) -> str:
    """The task's picture: the only text in it that ends like one."""
    found = {value for _, value in nodes if isinstance(value, str) and is_picture(value)}
    named = [v for trail, v in nodes if trail[-1:] == (_INPUT,) and isinstance(v, str) and v]
    if len(found) == 1:
        return found.pop()
    if len(set(named)) == 1:
        return named[0]
    raise BrokenLabelError(f"{len(found)} pictures in the task, and no {_INPUT!r} that says which")


def _only_text(nodes: list[tuple[tuple[str, ...], Any]], name: str) -> str | None:
    found = {v for trail, v in nodes if trail[-1:] == (name,) and isinstance(v, str) and v}
    return found.pop() if len(found) == 1 else None


def _entry(nodes: list[tuple[tuple[str, ...], Any]], reference: str, where: str) -> Entry | None:
    places = [(trail, value) for trail, value in nodes if trail and trail[-1] == _SHAPES]
    answers = [place for place in places if not set(_ANSWERS).isdisjoint(place[0])]
    chosen = answers or places
    if not chosen:
        return None
    if len(chosen) > 1 and any(value != chosen[0][1] for _, value in chosen[1:]):
        names = ", ".join(".".join(trail) for trail, _ in chosen[:4])
        raise BrokenLabelError(f"{len(chosen)} places with shapes that differ: {names}")
    trail, groups = chosen[0]
    sha256 = _only_text(nodes, "sha256")
    return Entry(
        reference=reference,
        boxes=tuple(_boxes(groups, ".".join(trail))),
        where=where,
        sha256=sha256_in(sha256) if sha256 else None,
        group=_only_text(nodes, "group"),
    )


def _boxes(groups: Any, what: str) -> Iterator[Box]:
    for number, each in enumerate(as_list(groups, what)):
        group = as_object(each, f"{what}[{number}]")
        shapes = as_boxes(group.get("shapes"), f"{what}[{number}].shapes")
        for index, shape in enumerate(shapes):
            where = f"{what}[{number}].shapes[{index}]"
            yield _box(as_object(shape, where), where)


def _box(shape: dict[str, Any], where: str) -> Box:
    if (kind := shape.get("type")) != "rectangle":
        raise BrokenLabelError(f"{where}: {str(kind)[:40]!r} is not a rectangle")
    points = []
    for number, each in enumerate(as_list(shape.get("points"), f"{where}.points")):
        pair = as_list(each, f"{where}.points[{number}]")
        if len(pair) != 2:
            raise BrokenLabelError(f"{where}.points[{number}] is not a pair")
        points.append(tuple(as_number(v, f"{where}.points[{number}]") for v in pair))
    if len(points) not in (2, 4):
        raise BrokenLabelError(f"{where}: {len(points)} points of a rectangle")
    xs, ys = [x for x, _ in points], [y for _, y in points]
    # The order of the corners is not promised; that they are corners is.
    corners = {(_side(x, xs), _side(y, ys)) for x, y in points}
    if len(corners) != len(points) or any(None in corner for corner in corners):
        raise BrokenLabelError(f"{where}: its points are not the corners of an upright rectangle")
    name = _class(as_object(shape.get("tags"), f"{where}.tags"), where)
    return Box(name, min(xs), min(ys), max(xs), max(ys))


def _side(value: float, others: list[float]) -> str | None:
    """Which side a coordinate is on: ``low``, ``high``, or neither (None)."""
    low, high = min(others), max(others)
    if abs(value - low) <= SAME_PX and value - low <= high - value:
        return "low"
    return "high" if abs(value - high) <= SAME_PX else None


def _class(tags: dict[str, Any], where: str) -> str:
    """The class among a shape's tags: the only one, or the one that is called so."""
    names = [name for name in _CLASS_TAGS if name in tags] if len(tags) > 1 else list(tags)
    if len(names) != 1:
        raise BrokenLabelError(f"{where}.tags: which of {sorted(tags)[:8]} is the class?")
    value = tags[names[0]]
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return as_text(value, f"{where}.tags.{names[0]}")
