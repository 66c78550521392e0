from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from daemon.tracking.assignment import assign

Costs = NDArray[np.float64]
# Whole numbers: sums are exact, ties are many, and both are the hard cases.
ENTRY = st.one_of(st.integers(0, 12).map(float), st.just(math.inf))


@st.composite
def tables(draw: st.DrawFn) -> Costs:
    shape = draw(st.tuples(st.integers(0, 4), st.integers(0, 5)))
    if draw(st.booleans()):
        shape = shape[::-1]
    return draw(arrays(np.float64, shape, elements=ENTRY))


def best_by_trying_all(cost: Costs, worst: float) -> float:
    """The least sum of ``cost - worst`` over every possible matching."""
    rows, columns = cost.shape
    if rows > columns:
        return best_by_trying_all(cost.T, worst)
    best = 0.0
    for chosen in itertools.permutations(range(columns), rows):
        gains = [min(0.0, cost[row, column] - worst) for row, column in enumerate(chosen)]
        best = min(best, sum(gains))
    return best


@given(tables(), st.integers(0, 13).map(float))
def test_is_the_best_of_all_matchings(cost: Costs, worst: float) -> None:
    pairs = assign(cost, worst)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert list(pairs) == sorted(pairs)
    assert all(cost[pair] <= worst for pair in pairs)
    assert sum(cost[pair] - worst for pair in pairs) == best_by_trying_all(cost, worst)


@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (64, 64)])
def test_agrees_with_scipy_on_large_tables(shape: tuple[int, int]) -> None:
    optimize = pytest.importorskip("scipy.optimize")  # of the test environment, not of the device
    cost = np.random.default_rng(5).random(shape)
    rows, columns = optimize.linear_sum_assignment(cost)
    assert sum(cost[pair] for pair in assign(cost, 2.0)) == pytest.approx(cost[rows, columns].sum())


def test_one_good_pair_is_worth_more_than_two_bad_ones() -> None:
    cost = np.array([[0.1, 1.9], [1.9, math.inf]])
    assert assign(cost, 2.0) == ((0, 0),)
