"""Whatever an export holds, a reader answers with entries and problems, or refuses the file."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.labelling import coco, labelbox, labelstudio, sama
from scripts.labelling.picture import BrokenLabelError, placed
from scripts.labelling.problems import LabellingError, Reading
from tests.unit.test_labelling_files import document
from tests.unit.test_labelling_tools import box_row, sama_task, studio_task

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["vector_tagging", "a.jpg", "rectangle", "data"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
READERS: dict[str, tuple[Callable[[Path], Reading], Callable[[], Any]]] = {
    "label-studio": (labelstudio.read, lambda: [studio_task(), studio_task()]),
    "labelbox": (labelbox.read, box_row),
    "sama": (sama.read, lambda: {"tasks": [sama_task(), sama_task()]}),
    "coco": (coco.read, document),
}


def places(value: Any, trail: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    found = [trail] if trail else []
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in inner:
            found.extend(places(each, (*trail, key)))
    return found


def at(value: Any, trail: tuple[Any, ...]) -> Any:
    for key in trail:
        value = value[key]
    return value


@pytest.mark.parametrize("form", READERS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_damaged_place_is_reported_and_never_guessed(
    form: str, tmp_path: Path, data: st.DataObject
) -> None:
    read, make = READERS[form]
    whole = copy.deepcopy(make())
    trail = data.draw(st.sampled_from(places(whole)))
    parent = at(whole, trail[:-1])
    if data.draw(st.booleans()):
        parent[trail[-1]] = data.draw(VALUES)
    else:
        del parent[trail[-1]]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(whole))
    try:
        found = read(path)
    except LabellingError as error:
        assert str(path) in str(error)
        return
    for problem in found.problems:
        assert str(path) in problem.where
        assert problem.what
    for entry in found.entries:
        scale = (320, 180) if entry.unit == "relative" else (1, 1)
        for box in entry.boxes:
            assert box.name
            try:
                placed(box.scaled(*scale), 320, 180)
            except BrokenLabelError as error:
                assert str(error)


@pytest.mark.parametrize("form", READERS)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
def test_any_json_at_all(form: str, tmp_path: Path, value: Any) -> None:
    path = tmp_path / "export.json"
    path.write_text(json.dumps(value))
    try:
        found = READERS[form][0](path)
    except LabellingError as error:
        assert str(path) in str(error)
    else:
        assert not found.entries or form == "sama"
