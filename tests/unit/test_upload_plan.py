from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from updater.upload.plan import RANDOM_EVERY, Budget, Candidate, in_order, make

ROOMY = Budget(max_files=1000, max_bytes=10**9)


def candidate(
    number: int, value: float = 0.5, *, random: bool = False, size_bytes: int = 100
) -> Candidate:
    return Candidate(f"{number:010d}-20261122T174812Z-1f0c9a3e", value, random, size_bytes)


def numbers(candidates: tuple[Candidate, ...] | list[Candidate]) -> list[int]:
    return [int(one.name[:10]) for one in candidates]


candidates_strategy = st.lists(
    st.builds(
        candidate,
        st.integers(0, 10**6),
        st.floats(0, 1),
        random=st.booleans(),
        size_bytes=st.integers(1, 1000),
    ),
    unique_by=lambda one: one.name,
    max_size=40,
)
budgets = st.builds(Budget, st.integers(1, 30), st.integers(1, 5000))


def test_best_value_first_then_age() -> None:
    plan = make([candidate(1, 0.2), candidate(4, 0.9), candidate(2, 0.9), candidate(3, 1.0)], ROOMY)
    assert numbers(plan.chosen) == [3, 2, 4, 1]
    assert plan.left == 0


def test_every_fourth_is_the_oldest_random_one_whatever_it_is_worth() -> None:
    chosen = [candidate(n, 1.0) for n in range(10, 20)]
    drawn = [candidate(n, value, random=True) for n, value in ((3, 0.5), (1, 0.5), (2, 0.99))]
    assert numbers(in_order(drawn + chosen))[3::4] == [1, 2, 3]


def test_random_ones_alone_go_by_age() -> None:
    drawn = [candidate(n, 1 / n, random=True) for n in (5, 2, 9, 1)]
    assert numbers(in_order(drawn)) == [1, 2, 5, 9]


def test_a_large_picture_leaves_room_for_smaller_ones() -> None:
    plan = make(
        [candidate(1, 0.9, size_bytes=300), candidate(2, 0.5, size_bytes=100)], Budget(10, 200)
    )
    assert numbers(plan.chosen) == [2]
    assert plan.left == 1


def test_no_random_picture_is_passed_over_for_its_size() -> None:
    drawn = [
        candidate(1, random=True, size_bytes=100),
        candidate(2, random=True, size_bytes=150),
        candidate(3, random=True, size_bytes=50),
    ]
    assert numbers(make(drawn, Budget(10, 200)).chosen) == [1]
    assert numbers(make(drawn[1:], Budget(10, 200)).chosen) == [2, 3]


def test_a_random_picture_that_can_never_fit_blocks_nothing() -> None:
    drawn = [candidate(1, random=True, size_bytes=1000), candidate(2, random=True)]
    assert numbers(make(drawn, Budget(10, 200)).chosen) == [2]


@given(candidates_strategy)
def test_the_order_is_of_all_and_of_the_set(candidates: list[Candidate]) -> None:
    ordered = in_order(candidates)
    assert sorted(numbers(ordered)) == sorted(numbers(candidates))
    assert in_order(reversed(candidates)) == ordered
    plain = [one.value for one in ordered if not one.random]
    assert plain == sorted(plain, reverse=True)


@given(candidates_strategy)
def test_random_ones_are_served_in_every_four(candidates: list[Candidate]) -> None:
    ordered = in_order(candidates)
    drawn = sum(one.random for one in candidates)
    for start in range(0, len(ordered) - RANDOM_EVERY + 1, RANDOM_EVERY):
        served = sum(one.random for one in ordered[: start + RANDOM_EVERY])
        assert served >= min(drawn, start // RANDOM_EVERY + 1)


@given(candidates_strategy, budgets)
def test_the_budget_holds_and_nothing_is_lost(candidates: list[Candidate], budget: Budget) -> None:
    plan = make(candidates, budget)
    assert len(plan.chosen) <= budget.max_files
    assert sum(one.size_bytes for one in plan.chosen) <= budget.max_bytes
    assert len(set(plan.chosen)) == len(plan.chosen)
    assert plan.left == len(candidates) - len(plan.chosen)


@given(candidates_strategy, budgets)
def test_what_is_chosen_of_the_random_ones_is_the_oldest_of_those_that_fit(
    candidates: list[Candidate], budget: Budget
) -> None:
    sent = [one for one in make(candidates, budget).chosen if one.random]
    possible = sorted(
        (one for one in candidates if one.random and one.size_bytes <= budget.max_bytes),
        key=lambda one: one.name,
    )
    assert sent == possible[: len(sent)]


@given(candidates_strategy, budgets)
def test_run_after_run_everything_that_fits_is_sent_once(
    candidates: list[Candidate], budget: Budget
) -> None:
    waiting = list(candidates)
    sent: list[Candidate] = []
    while chosen := make(waiting, budget).chosen:
        sent += chosen
        waiting = [one for one in waiting if one not in chosen]
    assert len(sent) == len(set(sent))
    assert all(one.size_bytes > budget.max_bytes for one in waiting)
