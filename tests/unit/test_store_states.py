from __future__ import annotations

from itertools import product

import pytest

from updater.errors import StateError
from updater.store import states
from updater.store.states import FINAL, State, Step

pytestmark = pytest.mark.once

# Every state and what each step makes of it; "-" is refused.
TABLE = """
               verify     stage   test    activate   switch        commit     fail    roll_back
fetched        verified   -       -       -          -             -          failed  -
verified       -          staged  -       -          -             -          failed  -
staged         -          -       tested  -          -             -          failed  -
tested         -          -       -       activated  -             -          failed  -
activated      -          -       -       -          on_probation  -          -       rolled_back
on_probation   -          -       -       -          -             committed  -       rolled_back
committed      -          -       -       -          -             -          -       -
rolled_back    -          -       -       -          -             -          -       -
failed         -          -       -       -          -             -          -       -
"""


def read_table() -> dict[tuple[State, Step], str]:
    head, *rows = (line.split() for line in TABLE.strip().splitlines())
    return {
        (State(row[0]), Step(step)): result
        for row in rows
        for step, result in zip(head, row[1:], strict=True)
    }


def test_the_table_is_complete() -> None:
    assert set(read_table()) == set(product(State, Step))


@pytest.mark.parametrize(("state", "step"), list(product(State, Step)))
def test_every_state_and_step(state: State, step: Step) -> None:
    expected = read_table()[state, step]
    if expected == "-":
        with pytest.raises(StateError, match=f"'{step}' cannot follow '{state}'"):
            states.after(state, step)
    else:
        assert states.after(state, step) is State(expected)


def test_nothing_follows_a_final_state_and_every_other_one_can_be_given_up() -> None:
    for state in State:
        ways = [step for step in Step if (state, step) in states.TRANSITIONS]
        assert (not ways) == (state in FINAL)
        assert state in FINAL or {Step.FAIL, Step.ROLL_BACK} & set(ways)
