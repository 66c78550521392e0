from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.support.journals import FLOOR, GOOD, NEW, OLD, candidate, journal, release
from updater.store.journal import Failure, Journal, Origin, Release
from updater.store.retention import superfluous
from updater.store.states import State

OLDEST = release("0.1")
MANY = replace(journal(), releases=(FLOOR, OLDEST, release("0.2"), OLD, GOOD))


def versions(found: tuple[Release, ...]) -> list[str]:
    return [each.version for each in found]


def test_the_oldest_goes_first() -> None:
    assert versions(superfluous(MANY, 3, 1000)) == ["0.1"]
    assert versions(superfluous(MANY, 2, 1000)) == ["0.1", "0.2"]
    assert versions(superfluous(MANY, 4, 1000)) == []


def test_bytes_count_as_well() -> None:
    assert versions(superfluous(MANY, 9, 39)) == ["0.1"]
    assert versions(superfluous(MANY, 9, 1)) == ["0.1", "0.2"]


def test_what_failed_goes_before_what_is_older() -> None:
    failed = Failure(MANY.releases[2].digest, "", "0.2", "blind", 1.0)
    assert versions(superfluous(replace(MANY, failures=(failed,)), 3, 1000)) == ["0.2"]


def test_what_current_says_stays_whatever_the_journal_thinks() -> None:
    assert versions(superfluous(MANY, 1, 1, current=OLDEST.path)) == ["0.2"]


releases = st.lists(st.integers(0, 30), unique=True, max_size=10).map(
    lambda numbers: tuple(release(f"5.{n}", size_bytes=1 + n) for n in numbers)
)


@given(st.data(), releases, st.integers(0, 8), st.integers(0, 100))
def test_what_is_needed_never_goes(
    data: st.DataObject, kept: tuple[Release, ...], keep: int, max_bytes: int
) -> None:
    pick = st.sampled_from([*kept, FLOOR])
    committed, previous, current, tried, failed = (data.draw(pick) for _ in range(5))
    found = Journal(
        committed=committed,
        previous=previous,
        candidate=candidate(State.ON_PROBATION, of=tried),
        releases=(FLOOR, *kept),
        failures=(Failure(failed.digest, "", failed.version, "blind", 1.0),),
    )
    gone = superfluous(found, keep, max_bytes, current=current.path)
    assert not {committed, previous, tried, current, FLOOR} & set(gone)
    left = [each for each in kept if each not in gone]
    needed = {each for each in (committed, previous, tried, current) if each in kept}
    fits = len(left) <= keep and sum(each.size_bytes for each in left) <= max_bytes
    assert fits or set(left) == needed
    assert all(each.origin is Origin.BUNDLE for each in gone)


@given(releases, st.integers(0, 8), st.integers(0, 100))
def test_nothing_goes_without_need(kept: tuple[Release, ...], keep: int, max_bytes: int) -> None:
    gone = superfluous(Journal(releases=kept), keep, max_bytes)
    if gone:
        left = [*(each for each in kept if each not in gone), gone[-1]]
        assert len(left) > keep or sum(each.size_bytes for each in left) > max_bytes


def test_a_release_rolled_back_by_hand_stays_until_the_next_installation() -> None:
    # Somebody may want to go there again, and that is what the candidate then says.
    found = replace(journal(State.ROLLED_BACK), releases=(FLOOR, OLD, GOOD, NEW))
    assert superfluous(found, 3, 1000) == ()
