from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from daemon.captures.budget import HALF_LIFE_S, Budget, Entry, expired, make_room, value_now

NOW_S = 1e6


def entry(
    name: str,
    value: float = 0.5,
    *,
    size_bytes: int = 100,
    elapsed_s: float = NOW_S,
    random: bool = False,
    stored: bool = False,
) -> Entry:
    return Entry(name, size_bytes, value, elapsed_s, random, stored, ("any",))


def names(going: Sequence[Entry] | None) -> list[str] | None:
    return None if going is None else [one.name for one in going]


def test_the_least_valuable_goes_first() -> None:
    kept = [entry("a", 0.5), entry("b", 0.2), entry("c", 0.9)]
    assert names(make_room(kept, Budget(3, 10_000), NOW_S, entry("new", 0.6))) == ["b"]
    assert names(make_room(kept, Budget(2, 10_000), NOW_S, entry("new", 0.6))) == ["b", "a"]


def test_the_new_one_is_refused_if_it_is_the_least_valuable() -> None:
    kept = [entry("a", 0.5), entry("b", 0.2)]
    assert make_room(kept, Budget(2, 10_000), NOW_S, entry("new", 0.1)) is None
    assert names(make_room(kept, Budget(3, 10_000), NOW_S, entry("new", 0.1))) == []


def test_value_halves_in_a_week() -> None:
    old = entry("old", 0.8, elapsed_s=NOW_S - HALF_LIFE_S)
    assert value_now(old, NOW_S) == 0.4
    assert value_now(entry("future", 0.8, elapsed_s=NOW_S + 100), NOW_S) == 0.8
    kept = [old, entry("b", 0.5)]
    assert names(make_room(kept, Budget(2, 10_000), NOW_S, entry("new", 0.6))) == ["old"]


def test_what_is_stored_elsewhere_goes_before_all() -> None:
    kept = [
        entry("a", 0.1),
        entry("b", 1.0, stored=True),
        entry("c", 1.0, random=True, stored=True),
    ]
    assert names(make_room(kept, Budget(3, 10_000), NOW_S, entry("new", 0.05))) in (["b"], ["c"])


def test_random_pictures_never_go_for_their_value() -> None:
    kept = [entry("r", 0.0, random=True), *(entry(f"c{i}", 0.9) for i in range(7))]
    assert names(make_room(kept, Budget(8, 10_000), NOW_S, entry("new", 0.95))) == ["c6"]
    assert make_room([kept[0]], Budget(1, 10_000), NOW_S, entry("new", 1.0)) is None


def test_of_the_random_pictures_the_oldest_goes_when_they_exceed_their_share() -> None:
    drawn = [entry(f"r{i}", 0.9 - i / 10, elapsed_s=i, random=True) for i in range(2)]
    kept = [*drawn, *(entry(f"c{i}", 0.1) for i in range(6))]
    new = entry("new", 0.0, random=True)
    assert names(make_room(kept, Budget(8, 10_000), NOW_S, new)) == ["r0"]
    assert names(make_room(kept[1:], Budget(7, 10_000), NOW_S, new)) == ["c5"]


def test_random_pictures_over_their_share_make_room_for_others() -> None:
    drawn = [entry(f"r{i}", 0.5, elapsed_s=i, random=True) for i in range(4)]
    assert names(make_room(drawn, Budget(4, 10_000), NOW_S, entry("new", 0.1))) == ["r0"]


def test_bytes_count_as_well_as_files() -> None:
    kept = [entry("a", 0.1), entry("b", 0.2), entry("c", 0.9)]
    new = entry("new", 0.5, size_bytes=150)
    assert names(make_room(kept, Budget(10, 300), NOW_S, new)) == ["a", "b"]
    assert make_room(kept, Budget(10, 300), NOW_S, entry("huge", 1.0, size_bytes=301)) is None


def test_a_smaller_budget_is_kept_after_a_restart() -> None:
    kept = [entry("a", 0.1), entry("b", 0.2), entry("c", 0.9)]
    assert names(make_room(kept, Budget(1, 10_000), NOW_S)) == ["a", "b"]


def test_only_what_is_too_old_expires() -> None:
    kept = [entry("old", elapsed_s=0.0), entry("new"), entry("unknown", elapsed_s=float("inf"))]
    assert names(expired(kept, NOW_S, NOW_S - 1)) == ["old"]


ENTRIES = st.lists(
    st.builds(
        entry,
        st.uuids().map(str),
        st.floats(0, 1),
        size_bytes=st.integers(1, 500),
        elapsed_s=st.floats(0, NOW_S),
        random=st.booleans(),
        stored=st.booleans(),
    ),
    max_size=25,
    unique_by=lambda one: one.name,
)


@given(ENTRIES, st.integers(1, 12), st.integers(100, 3000))
def test_the_budget_is_never_exceeded_and_little_goes(
    offered: list[Entry], max_files: int, max_bytes: int
) -> None:
    budget = Budget(max_files, max_bytes)
    kept: list[Entry] = []
    for new in offered:
        going = make_room(kept, budget, NOW_S, new)
        if going is None:
            continue
        gone = {one.name for one in going}
        assert gone <= {one.name for one in kept}
        left = [one for one in kept if one.name not in gone]
        chosen = [one for one in left if not one.random and not one.stored]
        for victim in going:
            # nothing worth less than a victim stays, in the pool of those that go for their value
            if not victim.random and not victim.stored:
                assert all(value_now(victim, NOW_S) <= value_now(one, NOW_S) for one in chosen)
                assert new.random or value_now(victim, NOW_S) <= new.value
            if victim.random and not victim.stored:
                assert all(
                    victim.elapsed_s <= one.elapsed_s
                    for one in left
                    if one.random and not one.stored
                )
        if going:
            # the last one to go was needed
            again = [*left, going[-1], new]
            over_files = len(again) > max_files
            assert over_files or sum(one.size_bytes for one in again) > max_bytes
        kept = [*left, new]
        assert len(kept) <= max_files
        assert sum(one.size_bytes for one in kept) <= max_bytes
