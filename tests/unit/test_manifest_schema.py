"""The published schema and the reader on the device accept the same manifests."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from tests.support.signed import manifest
from updater import manifest as manifests
from updater.errors import BundleError
from updater.manifest import Manifest, from_json, to_json

SCHEMA = json.loads((Path(manifests.__file__).parent / "schemas/manifest.schema.json").read_text())


def _validator() -> Any:
    """A validator for which 1.0 is no whole number and true no number, as for the reader."""
    kind = jsonschema.Draft202012Validator
    kind.check_schema(SCHEMA)
    checker = kind.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    return jsonschema.validators.extend(kind, type_checker=checker)(SCHEMA)


VALIDATOR = _validator()
HEAD_MAPS = {
    "layout": "head_maps",
    "box_unit": "pixels",
    "strides": [8, 16],
    "anchors": [[[10, 13]], [[30, 61.5], [62, 45]]],
}
GOOD = (manifest(), manifest(output=HEAD_MAPS), manifest(golden=[], device_classes=["pi"]))


def accepts(raw: Any) -> bool:
    """Whether the device reads it."""
    try:
        from_json(json.dumps(raw).encode())
    except BundleError:
        return False
    return True


def allows(raw: Any) -> bool:
    """Whether the schema, and what stands beside it in the documentation, allow it."""
    return VALIDATOR.is_valid(raw) and not between_fields(raw)


def between_fields(raw: dict[str, Any]) -> list[str]:
    """What no schema can say, written down a second time from docs/bundle.md."""
    paths = [entry["path"] for entry in raw["files"]]
    output = raw["output"]
    faults = {
        "a path twice": len(set(paths)) < len(paths),
        "a golden picture not in files": any(p["file"] not in paths for p in raw["golden"]),
        "an unknown class": any(
            o["class_name"] not in raw["classes"] for p in raw["golden"] for o in p["objects"]
        ),
        "strides and anchors of different number": output["layout"] == "head_maps"
        and len(output["strides"]) != len(output["anchors"]),
    }
    return [fault for fault, found in faults.items() if found]


def test_the_good_ones_are_good_for_both() -> None:
    for raw in GOOD:
        VALIDATOR.validate(raw)
        assert accepts(raw)


def test_the_shipped_bundle_is_good_for_both(project_root: Path) -> None:
    raw = json.loads((project_root / "packaging/model/manifest.json").read_text())
    VALIDATOR.validate(raw)
    assert accepts(raw)


def test_every_field_has_a_description_and_is_documented(project_root: Path) -> None:
    text = (project_root / "docs/bundle.md").read_text()

    def visit(schema: dict[str, Any], name: str) -> None:
        for field, inner in schema.get("properties", {}).items():
            place = f"{name}.{field}" if name else field
            assert inner.get("description"), place
            assert f"`{place}`" in text, place
            visit(inner, place)
            visit(inner.get("items", {}), f"{place}[]")

    visit(SCHEMA, "")


def test_the_schema_knows_the_fields_of_the_dataclass() -> None:
    assert set(SCHEMA["properties"]) == {field.name for field in dataclasses.fields(Manifest)}


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)  # JSON has neither
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.one_of(
    st.none(), st.booleans(), TEXTS, st.integers(-(2**40), 2**40), st.integers(),
    NUMBERS, st.floats(0, 1),
    st.sampled_from((
        "", "a\n", "1.0\n", "../x", "model.tflite", "manifest.sig", "x" * 4096, "x" * 4097,
        0, 1, 2, 1.0, 31, 32, 4096, 4097, 2**31, 2**31 + 1, -0.0, 1e5, 1.1e5, 10**400, 1e308,
        "1.2.3.4", "1.2.3.4.5", "ab" * 32, "AB" * 32, "\u0661", "head", "NHWC",
    )),
)  # fmt: skip
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=4),
    st.dictionaries(TEXTS, SCALARS, max_size=3),
    st.sampled_from(([], {}, [[]], ["a", "a"], [["a"]], ["x"] * 51, [[[1, 2]]] * 9)),
)


def _places(raw: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: Any = raw.items() if isinstance(raw, dict) else enumerate(raw)
    found = [path] if path else []
    for key, value in inner if isinstance(raw, dict | list) else ():
        if isinstance(value, dict | list):
            found += _places(value, (*path, key))
        else:
            found.append((*path, key))
    return found


def mutate(raw: dict[str, Any], data: st.DataObject) -> None:
    """Changes, removes, doubles or adds one thing at any depth."""
    place = data.draw(st.sampled_from(_places(raw)))
    target: Any = raw
    for step in place[:-1]:
        target = target[step]
    value = copy.deepcopy(data.draw(VALUES))
    change = data.draw(st.sampled_from(("set", "set", "remove", "double", "add")))
    if change == "set":
        target[place[-1]] = value
    elif change == "remove":
        del target[place[-1]]
    elif isinstance(target, list):
        target.append(copy.deepcopy(target[place[-1]]) if change == "double" else value)
    else:
        target[data.draw(TEXTS)] = value


@given(st.data())
def test_both_agree_on_what_is_nearly_a_manifest(data: st.DataObject) -> None:
    raw = copy.deepcopy(data.draw(st.sampled_from(GOOD)))
    for _ in range(data.draw(st.integers(1, 3))):
        if _places(raw):
            mutate(raw, data)
    assert accepts(raw) == allows(raw), raw


@given(VALUES)
def test_both_agree_on_what_is_none(raw: Any) -> None:
    assert not accepts(raw)
    assert not VALIDATOR.is_valid(raw)


NAMES = st.from_regex(manifests.PATH_PATTERN, fullmatch=True).filter(
    lambda name: name not in manifests.NOT_LISTED
)
VERSIONS = st.from_regex(manifests.VERSION_PATTERN, fullmatch=True)


@st.composite
def manifests_made(draw: st.DrawFn) -> Manifest:
    """Manifests of every shape that the writer can make."""
    unit = st.floats(0, 1)
    paths = draw(st.lists(NAMES, max_size=4, unique=True))
    digests = st.text("0123456789abcdef", min_size=64, max_size=64)
    files = tuple(
        manifests.FileEntry(path, draw(st.integers(0, 2**31)), draw(digests))
        for path in dict.fromkeys([*paths, "model.tflite"])
    )
    texts = TEXTS.filter(bool)
    classes = tuple(draw(st.lists(texts, min_size=1, max_size=4, unique=True)))
    sides = st.floats(0.01, 1e5)
    maps = draw(st.integers(1, 3))
    heads = manifests.OutputSpec(
        "head_maps",
        strides=tuple(draw(st.lists(st.integers(1, 1024), min_size=maps, max_size=maps))),
        anchors=tuple(((draw(sides), draw(sides)),) for _ in range(maps)),
    )
    corner = st.floats(-1e5, 1e5)
    golden = tuple(
        manifests.GoldenPicture(
            draw(st.sampled_from(files)).path,
            tuple(
                manifests.GoldenObject(
                    draw(st.sampled_from(classes)),
                    (draw(corner), draw(corner), draw(corner), draw(corner)),
                    draw(unit),
                )
                for _ in range(draw(st.integers(0, 2)))
            ),
            draw(unit),
        )
        for _ in range(draw(st.integers(0, 2)))
    )
    return Manifest(
        version=draw(VERSIONS),
        name=draw(texts),
        classes=classes,
        input=manifests.InputSpec(draw(st.integers(32, 4096)), draw(st.integers(32, 4096))),
        output=draw(st.sampled_from((heads, manifests.OutputSpec("yolov5", "fraction")))),
        thresholds=manifests.Thresholds(draw(st.floats(0.001, 1)), draw(st.floats(0.01, 1))),
        files=files,
        golden=golden,
        minimum_daemon=draw(VERSIONS),
        device_classes=tuple(draw(st.lists(texts, max_size=2))),
        probation=manifests.Probation(draw(st.floats(0, 86400)), draw(st.integers(0, 10**6))),
        metrics=draw(st.dictionaries(TEXTS, NUMBERS, max_size=2)),
        provenance=draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
    )


@given(manifests_made())
def test_what_is_written_is_good_for_both_and_comes_back(made: Manifest) -> None:
    data = to_json(made)
    assert from_json(data) == made
    VALIDATOR.validate(json.loads(data))
