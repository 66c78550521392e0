"""States by (error, kill), each effect on real files; the page with the outcomes is current."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import state_matrix
from tests.support.faults import Fault
from tests.support.state_matrix import Point, Scenario, Workshop
from updater.store.states import State

pytestmark = pytest.mark.once

RESULTS: dict[tuple[str, int, Fault], str] = {}
CASES = [(scenario, point, fault) for scenario, point in state_matrix.points() for fault in Fault]


def name(case: tuple[Scenario, Point, Fault]) -> str:
    scenario, point, fault = case
    return f"{scenario.name}-{point.number}-{point.state}-{point.path}-{fault}".replace(" ", "_")


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    with state_matrix.workshop() as place:
        yield place


@pytest.mark.parametrize("case", CASES, ids=map(name, CASES))
def test_whatever_goes_wrong_a_good_release_runs(
    case: tuple[Scenario, Point, Fault], workshop: Workshop
) -> None:
    scenario, point, fault = case
    RESULTS[scenario.name, point.number, fault] = workshop.strike(scenario, point, fault)


def test_every_state_was_struck() -> None:
    assert {point.state for _, point in state_matrix.points()} >= set(State)


def test_the_page_is_current() -> None:
    if len(RESULTS) < len(CASES):
        pytest.skip("only some of the cases were run")
    assert state_matrix.PAGE.read_text() == state_matrix.render(RESULTS), (
        "run python -m tests.support.state_matrix"
    )
