from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.support.journals import FLOOR, GOOD, NEW, OLD, candidate, journal, release
from updater.errors import BusyError, ProbationError, StateError
from updater.store import moves, states
from updater.store.journal import Failure, Journal, Outcome
from updater.store.states import State, Step

pytestmark = pytest.mark.once


def state(found: Journal) -> State:
    assert found.candidate is not None
    return found.candidate.state


def begin(found: Journal) -> Journal:
    return moves.begin(found, source="model.zip", archive_sha256="b" * 64, now=9.0)


def walk() -> list[Journal]:
    """Every journal on the way of NEW from the archive to its commit."""
    found = [begin(journal())]
    found.append(moves.verify(found[-1], version=NEW.version, digest=NEW.digest))
    found.append(moves.stage(found[-1], NEW))
    found += [
        tested := moves.advance(found[-1], Step.TEST),
        active := moves.advance(tested, Step.ACTIVATE),
        probation := moves.advance(active, Step.SWITCH),
        moves.commit(probation, now=10.0),
    ]
    return found


def test_the_way_to_a_commit() -> None:
    assert [state(each) for each in walk()] == [
        State.FETCHED, State.VERIFIED, State.STAGED, State.TESTED, State.ACTIVATED,
        State.ON_PROBATION, State.COMMITTED,
    ]  # fmt: skip


def test_only_a_commit_changes_what_a_rollback_goes_to() -> None:
    *before, committed = walk()
    for each in before:
        assert (each.committed, each.previous, each.releases) == (GOOD, OLD, (FLOOR, OLD, GOOD))
    assert (committed.committed, committed.previous) == (NEW, GOOD)
    assert committed.releases == (FLOOR, OLD, GOOD, NEW)
    assert committed.history[-1].outcome is Outcome.SUCCESS


def test_each_step_writes_a_journal_of_its_own() -> None:
    assert all(old != new for old, new in pairwise(walk()))


@pytest.mark.parametrize("at", sorted(states.CURRENT))
def test_nothing_begins_while_another_is_on_probation(at: State) -> None:
    with pytest.raises(BusyError, match=r"3\.0 is on probation.*roll it back"):
        begin(journal(at))


@pytest.mark.parametrize("at", sorted(states.CURRENT))
def test_what_cannot_be_rolled_back_is_in_nobodys_way(at: State) -> None:
    assert state(begin(Journal(candidate=candidate(at)))) is State.FETCHED


@pytest.mark.parametrize("at", sorted(set(State) - states.CURRENT - states.FINAL))
def test_nothing_begins_over_what_was_not_recovered(at: State) -> None:
    with pytest.raises(StateError, match="recover"):
        begin(journal(at))


@pytest.mark.parametrize("at", sorted(states.FINAL))
def test_what_is_over_is_replaced(at: State) -> None:
    assert state(begin(journal(at))) is State.FETCHED


def test_another_folder_than_the_verified_bundle_is_not_staged() -> None:
    with pytest.raises(StateError, match=r"2\.0-.* is not the bundle that was verified"):
        moves.stage(walk()[1], GOOD)


@pytest.mark.parametrize("step", sorted(set(Step) - {Step.TEST, Step.ACTIVATE, Step.SWITCH}))
def test_a_step_that_brings_something_needs_its_own_function(step: Step) -> None:
    with pytest.raises(StateError, match="takes more than a name"):
        moves.advance(journal(State.STAGED), step)


def test_a_step_without_a_candidate() -> None:
    with pytest.raises(StateError, match="without a candidate"):
        moves.commit(journal(), now=1.0)


def test_a_failure_is_remembered_with_its_reason_and_its_archive() -> None:
    found = moves.fail(journal(State.STAGED), reason="too slow", exit_code=9, now=11.0)
    assert state(found) is State.FAILED
    assert found.failures == (Failure(NEW.digest, "a" * 64, "3.0", "too slow", 11.0),)
    event = found.history[-1]
    assert (event.outcome, event.exit_code, event.reason) == (Outcome.FAILED, 9, "too slow")


def test_what_was_not_the_bundles_fault_is_not_held_against_it() -> None:
    found = moves.fail(
        journal(State.STAGED), reason="disk full", exit_code=8, now=11.0, remember=False
    )
    assert found.failures == ()
    assert found.history[-1].reason == "disk full"


def test_the_same_bundle_failing_again_is_one_failure() -> None:
    found = journal(State.STAGED)
    for reason in ("once", "twice"):
        found = moves.fail(
            replace(found, candidate=candidate(State.STAGED)), reason=reason, exit_code=9, now=1.0
        )
    assert [each.reason for each in found.failures] == ["twice"]


def test_a_retry_that_succeeds_is_forgiven() -> None:
    failed = moves.fail(journal(State.STAGED), reason="too slow", exit_code=9, now=1.0)
    again = replace(failed, candidate=candidate(State.ON_PROBATION))
    assert moves.commit(again, now=2.0).failures == ()


def test_rolled_back_to_what_is_committed() -> None:
    found = moves.roll_back(journal(State.ON_PROBATION), reason="blind", exit_code=13, now=12.0)
    assert state(found) is State.ROLLED_BACK
    assert (found.committed, found.previous) == (GOOD, OLD)
    assert found.failures[-1].reason == "blind"
    assert found.history[-1].outcome is Outcome.ROLLED_BACK


def test_rolled_back_further() -> None:
    found = moves.roll_back(
        journal(State.ON_PROBATION), reason="by hand", exit_code=0, now=12.0, to=OLD
    )
    assert (found.committed, found.previous) == (OLD, GOOD)
    assert [each.digest for each in found.failures] == [NEW.digest]


def test_a_rollback_does_not_go_to_what_it_leaves() -> None:
    with pytest.raises(StateError, match="is what is to be left"):
        moves.roll_back(journal(State.ON_PROBATION), reason="x", exit_code=0, now=1.0, to=NEW)


def test_nothing_to_go_back_to() -> None:
    alone = Journal(candidate=candidate(State.ON_PROBATION))
    for found in (alone, Journal(committed=GOOD)):
        with pytest.raises(StateError, match="no other release"):
            moves.rollback_target(found)
    given_up = moves.roll_back(alone, reason="blind", exit_code=13, now=1.0)
    assert (state(given_up), given_up.committed) == (State.ROLLED_BACK, None)
    assert state(begin(given_up)) is State.FETCHED


def test_a_release_that_ran_for_want_of_another_is_not_gone_back_to() -> None:
    failed = Failure(GOOD.digest, "", GOOD.version, "blind", 1.0)
    found = replace(journal(State.ON_PROBATION), failures=(failed,))
    assert moves.commit(found, now=1.0).previous is None


@pytest.mark.parametrize("at", sorted(set(State) - states.FINAL - {State.ON_PROBATION}))
def test_an_interrupted_candidate_is_dropped_and_not_blamed(at: State) -> None:
    found = moves.drop(journal(at), now=1.0)
    assert state(found) in states.FINAL
    assert found.failures == ()
    assert found.history[-1].outcome is Outcome.INTERRUPTED
    assert found.history[-1].reason == f"interrupted while it was {at}"
    assert (found.committed, found.previous) == (GOOD, OLD)


def test_leaving_a_committed_release() -> None:
    found = moves.leave(journal(State.COMMITTED), GOOD, reason="by hand", now=13.0)
    assert (found.committed, found.previous) == (GOOD, OLD)
    assert found.releases == (FLOOR, OLD, GOOD, NEW)
    assert found.failures == (Failure(NEW.digest, "a" * 64, "3.0", "by hand", 13.0),)
    assert found.candidate is not None
    assert (found.candidate.state, found.candidate.release) == (State.ROLLED_BACK, NEW)


def test_going_to_a_release_forgives_it() -> None:
    left = moves.leave(journal(State.COMMITTED), GOOD, reason="by hand", now=1.0)
    found = moves.leave(left, NEW, reason="by hand", now=2.0)
    assert found.committed == NEW
    assert [each.digest for each in found.failures] == [GOOD.digest]


def test_the_floor_may_be_left_and_is_not_refused() -> None:
    found = moves.leave(replace(journal(), committed=FLOOR), GOOD, reason="by hand", now=1.0)
    assert found.failures == ()


def test_leaving_for_itself_or_in_the_middle_of_something_is_refused() -> None:
    with pytest.raises(StateError, match="committed already"):
        moves.leave(journal(), GOOD, reason="x", now=1.0)
    with pytest.raises(StateError, match=r"3\.0 is on_probation"):
        moves.leave(journal(State.ON_PROBATION), OLD, reason="x", now=1.0)


@pytest.mark.parametrize("wanted", ["1.0", OLD.name])
def test_a_release_is_called_by_version_or_name(wanted: str) -> None:
    assert moves.rollback_target(journal(), wanted) == OLD
    assert moves.rollback_target(journal(State.ON_PROBATION), wanted) == OLD


def test_where_a_rollback_goes_by_itself() -> None:
    assert moves.rollback_target(journal(State.ON_PROBATION)) == GOOD
    assert moves.rollback_target(journal(State.COMMITTED)) == GOOD
    assert moves.rollback_target(journal()) == OLD


def test_a_release_that_is_not_kept_or_not_the_only_one() -> None:
    with pytest.raises(StateError, match=r"no release '7\.0'.*list"):
        moves.rollback_target(journal(), "7.0")
    other = replace(OLD, digest="c" * 64, path="releases/1.0-cccccccccccc")
    with pytest.raises(StateError, match=r"several releases are '1\.0'.*1\.0-cccccccccccc"):
        moves.rollback_target(replace(journal(), releases=(OLD, other)), "1.0")


def test_the_next_good_one_is_the_newest_that_did_not_fail_and_the_floor_comes_last() -> None:
    found = journal()
    assert moves.next_good(found) == OLD
    failed = Failure(OLD.digest, "", OLD.version, "blind", 1.0)
    assert moves.next_good(replace(found, failures=(failed,))) == FLOOR
    assert moves.next_good(Journal(committed=FLOOR, releases=(FLOOR,))) is None


def test_starts_are_counted_on_probation_only_and_not_for_ever() -> None:
    for at in set(State) - {State.ON_PROBATION}:
        assert moves.count_start(journal(at)) == journal(at)
    found = journal(State.ON_PROBATION)
    for expected in (1, 2, 3, 3):
        found = moves.count_start(found)
        assert found.candidate is not None
        assert found.candidate.starts == expected


def test_a_second_judge_is_told_what_the_first_one_said() -> None:
    waiting = moves.require_unjudged(journal(State.ON_PROBATION))
    assert waiting.version == "3.0"
    judged = moves.roll_back(journal(State.ON_PROBATION), reason="blind", exit_code=13, now=1.0)
    with pytest.raises(ProbationError, match=r"3\.0 was rolled back: blind"):
        moves.require_unjudged(judged)
    with pytest.raises(StateError, match="no release is on probation"):
        moves.require_unjudged(journal(State.COMMITTED))


def test_everything_stays_bounded() -> None:
    found = journal()
    for number in range(120):
        one = release(f"9.{number}")
        found = replace(found, candidate=candidate(State.ON_PROBATION, of=one))
        found = moves.commit(found, now=1.0, reason="r" * 10_000)
        found = replace(found, candidate=candidate(State.STAGED, of=release(f"8.{number}")))
        found = moves.fail(found, reason="r" * 10_000, exit_code=9, now=1.0)
    assert len(found.history) == moves.HISTORY_MAX
    assert len(found.failures) == moves.FAILURES_MAX
    assert len(found.releases) == moves.RELEASES_MAX
    assert FLOOR in found.releases
    assert found.committed in found.releases
    assert found.previous in found.releases
    assert max(len(each.reason) for each in found.history) == moves.REASON_MAX_CHARACTERS


def test_a_clock_before_1970_is_no_reason_to_fail() -> None:
    found = moves.begin(journal(), source="x", archive_sha256="", now=-5.0)
    assert found.candidate is not None
    assert found.candidate.began_unix_s == 0.0
