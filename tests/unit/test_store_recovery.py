"""Recovery's plan over every state, every place of ``current`` and every damage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product

import pytest

from tests.support.journals import FLOOR, GOOD, NEW, OLD, candidate, journal
from updater.store import moves, recovery
from updater.store.journal import Journal, Origin, Outcome, Release
from updater.store.recovery import Delete, Observed, Plan, Remove, Switch, Write
from updater.store.states import CURRENT, FINAL, State

pytestmark = pytest.mark.once

ELSEWHERE = "/home/somebody/model"
LINKS = (NEW.path, GOOD.path, OLD.path, FLOOR.path, ELSEWHERE, None)
RELEASES = (FLOOR, OLD, GOOD, NEW)


def observed(
    link: str | None = GOOD.path,
    *,
    damaged: tuple[Release, ...] = (),
    missing: tuple[Release, ...] = (),
    litter: tuple[str, ...] = (),
) -> Observed:
    bundles = [each for each in (OLD, GOOD, NEW) if each not in missing]
    return Observed(
        link=link,
        whole=tuple(each for each in bundles if each not in damaged),
        folders=tuple(each.path for each in bundles),
        floor=None if FLOOR in damaged or FLOOR in missing else FLOOR,
        litter=litter,
    )


def plan(found: Journal, seen: Observed, *, daemon_start: bool = False) -> Plan:
    return recovery.plan(found, seen, now=20.0, daemon_start=daemon_start)


def carried_out(planned: Plan, seen: Observed) -> Observed:
    for effect in planned.effects:
        match effect:
            case Switch(release):
                seen = replace(seen, link=release.path)
            case Remove(path):
                seen = replace(
                    seen,
                    whole=tuple(each for each in seen.whole if each.path != path),
                    folders=tuple(each for each in seen.folders if each != path),
                )
            case Delete(path):
                seen = replace(seen, litter=tuple(each for each in seen.litter if each != path))
            case Write():
                pass
    return seen


def every_state() -> Iterator[Journal]:
    yield journal()
    for state in State:
        yield from (journal(state, starts=starts) for starts in range(moves.STARTS_MAX + 1))


def some(releases: tuple[Release, ...]) -> Iterator[tuple[Release, ...]]:
    for count in range(len(releases) + 1):
        yield from combinations(releases, count)


def describe(found: Journal) -> str:
    if found.candidate is None:
        return "none"
    return f"{found.candidate.state}-{found.candidate.starts}"


@pytest.mark.parametrize("daemon_start", [False, True])
@pytest.mark.parametrize("found", list(every_state()), ids=describe)
def test_whatever_is_found_a_whole_release_runs(found: Journal, daemon_start: bool) -> None:
    for link, damaged in product(LINKS, some(RELEASES)):
        seen = observed(link, damaged=damaged, litter=("staging/1.0",))
        planned = plan(found, seen, daemon_start=daemon_start)
        after = carried_out(planned, seen)
        whole = {each.path for each in (*after.whole, after.floor) if each is not None}
        assert after.link in whole or len(damaged) == len(RELEASES), (link, damaged)
        assert_sound(planned, seen, after)
        again = plan(planned.journal, after)
        assert (again.effects, again.journal) == ((), planned.journal), (link, damaged)


def assert_sound(planned: Plan, seen: Observed, after: Observed) -> None:
    """What holds for every plan."""
    kinds = [type(each) for each in planned.effects]
    assert kinds == sorted(kinds, key=[Delete, Write, Switch, Remove].index)
    removed = {each.path for each in planned.effects if isinstance(each, Remove)}
    assert after.link not in removed
    assert FLOOR.path not in removed
    assert set(after.folders) <= {each.path for each in needed(planned.journal)} | {seen.link}
    if planned.journal.committed is not None:
        assert planned.journal.committed in planned.journal.releases
    assert planned.journal.previous is None or planned.journal.previous != planned.journal.committed
    candidate_now = planned.journal.candidate
    assert candidate_now is None or candidate_now.state in FINAL | {State.ON_PROBATION}
    if Switch in kinds and seen.link is not None:
        assert after.link != seen.link


def needed(found: Journal) -> list[Release]:
    live = found.candidate if found.candidate and found.candidate.state in CURRENT else None
    return [
        each
        for each in (*found.releases, found.previous, live.release if live else None)
        if each is not None
    ]


def state_after(planned: Plan) -> State:
    assert planned.journal.candidate is not None
    return planned.journal.candidate.state


@pytest.mark.parametrize("state", [State.FETCHED, State.VERIFIED, State.STAGED, State.TESTED])
def test_an_unfinished_installation_is_dropped_and_may_be_repeated(state: State) -> None:
    planned = plan(journal(state), observed())
    assert state_after(planned) is State.FAILED
    assert planned.journal.failures == ()
    assert planned.effects == (Write(), Remove(NEW.path))
    assert [event.outcome for event in planned.events] == [Outcome.INTERRUPTED]


def test_activated_and_not_switched_is_dropped() -> None:
    planned = plan(journal(State.ACTIVATED), observed(GOOD.path))
    assert state_after(planned) is State.ROLLED_BACK
    assert planned.journal.failures == ()
    assert planned.effects == (Write(), Remove(NEW.path))


def test_activated_and_switched_is_on_probation() -> None:
    planned = plan(journal(State.ACTIVATED), observed(NEW.path))
    assert state_after(planned) is State.ON_PROBATION
    assert planned.effects == (Write(),)
    assert planned.events == ()


def test_activated_and_switched_to_a_damaged_folder() -> None:
    planned = plan(journal(State.ACTIVATED), observed(NEW.path, damaged=(NEW,)))
    assert state_after(planned) is State.ROLLED_BACK
    assert planned.effects == (Write(), Switch(GOOD), Remove(NEW.path))


def test_probation_goes_on() -> None:
    planned = plan(journal(State.ON_PROBATION, starts=2), observed(NEW.path))
    assert planned.effects == ()
    assert planned.journal == journal(State.ON_PROBATION, starts=2)


def test_the_third_start_without_a_verdict_is_the_last() -> None:
    found = journal(State.ON_PROBATION)
    for starts in (1, 2):
        planned = plan(found, observed(NEW.path), daemon_start=True)
        found = planned.journal
        assert found.candidate is not None
        assert (found.candidate.state, found.candidate.starts) == (State.ON_PROBATION, starts)
        assert planned.effects == (Write(),)
    planned = plan(found, observed(NEW.path), daemon_start=True)
    assert state_after(planned) is State.ROLLED_BACK
    assert planned.effects == (Write(), Switch(GOOD), Remove(NEW.path))
    assert planned.journal.failures[-1].reason == "no verdict in 3 starts of the daemon"
    assert planned.events[-1].exit_code == 13


def test_a_start_counts_on_probation_only() -> None:
    for state in FINAL:
        planned = plan(journal(state), observed(link_for(state)), daemon_start=True)
        assert Write() not in planned.effects


def link_for(state: State) -> str:
    return NEW.path if state is State.COMMITTED else GOOD.path


def test_damage_on_probation_is_not_the_bundles_fault() -> None:
    planned = plan(journal(State.ON_PROBATION), observed(NEW.path, damaged=(NEW,)))
    assert state_after(planned) is State.ROLLED_BACK
    assert planned.journal.failures == ()
    assert planned.events[-1].reason == "its folder is damaged"


def test_probation_with_nothing_to_go_back_to_stays() -> None:
    alone = Journal(candidate=candidate(State.ON_PROBATION, starts=3))
    seen = Observed(link=NEW.path, whole=(NEW,), folders=(NEW.path,))
    assert plan(alone, seen).effects == ()


def test_given_up_with_nothing_to_go_back_to_it_still_runs() -> None:
    seen = Observed(link=NEW.path, whole=(NEW,), folders=(NEW.path,))
    alone = Journal(candidate=candidate(State.ROLLED_BACK))
    assert plan(alone, seen).effects == ()
    assert plan(alone, seen).journal == alone


def test_an_unproven_bundle_on_an_empty_store_does_not_run() -> None:
    seen = Observed(link=None, whole=(NEW,), folders=(NEW.path,))
    for state in (State.STAGED, State.FAILED):
        planned = plan(Journal(candidate=candidate(state)), seen)
        assert planned.effects[-1] == Remove(NEW.path)
        assert planned.journal.committed is None


def test_rolled_back_and_not_switched_is_finished() -> None:
    planned = plan(journal(State.ROLLED_BACK), observed(NEW.path))
    assert planned.effects == (Switch(GOOD), Remove(NEW.path))


def test_committed_in_name_only_is_finished() -> None:
    found = replace(journal(), candidate=candidate(State.COMMITTED))
    planned = plan(found, observed(NEW.path))
    assert (planned.journal.committed, planned.journal.previous) == (NEW, GOOD)
    assert planned.effects == (Write(),)


def test_a_commit_whose_release_was_lost_is_not_finished_later() -> None:
    planned = plan(journal(State.COMMITTED), observed(NEW.path, damaged=(NEW,)))
    assert planned.journal.candidate is None
    assert (planned.journal.committed, planned.journal.previous) == (GOOD, OLD)
    assert planned.effects == (Write(), Switch(GOOD), Remove(NEW.path))
    back = plan(planned.journal, observed(GOOD.path))
    assert back.journal.committed == GOOD


@pytest.mark.parametrize(
    ("damaged", "chosen"),
    [((GOOD,), OLD), ((GOOD, OLD), FLOOR), ((GOOD, FLOOR), OLD), ((OLD,), GOOD)],
)
def test_a_damaged_release_is_replaced_by_the_last_good_one(
    damaged: tuple[Release, ...], chosen: Release
) -> None:
    planned = plan(journal(), observed(GOOD.path, damaged=damaged, missing=(NEW,)))
    assert planned.journal.committed == chosen
    assert carried_out(planned, observed(GOOD.path, damaged=damaged)).link == chosen.path
    lost = [each for each in damaged if each is not FLOOR]
    assert {event.version for event in planned.events} == {each.version for each in lost}
    removed = {each.path for each in planned.effects if isinstance(each, Remove)}
    assert removed == {each.path for each in lost}


def test_a_failed_release_is_not_gone_back_to_unless_there_is_no_other() -> None:
    left = moves.leave(journal(State.COMMITTED), GOOD, reason="by hand", now=1.0)
    planned = plan(left, observed(GOOD.path, damaged=(GOOD, OLD)))
    assert planned.journal.committed == FLOOR
    planned = plan(left, observed(GOOD.path, damaged=(GOOD, OLD, FLOOR)))
    assert planned.journal.committed == NEW


@pytest.mark.parametrize("link", [None, ELSEWHERE, OLD.path])
def test_current_is_what_the_journal_says(link: str | None) -> None:
    assert plan(journal(), observed(link, missing=(NEW,))).effects == (Switch(GOOD),)


def test_what_nobody_knows_is_removed_and_what_is_half_written_deleted() -> None:
    litter = ("staging/9.9", ".journal.json.abc")
    planned = plan(journal(), observed(litter=litter))
    assert planned.effects == (*map(Delete, litter), Remove(NEW.path))


def test_a_new_version_of_the_software_brings_a_new_floor() -> None:
    newer = replace(FLOOR, version="0.95", digest="e" * 64)
    found = replace(journal(), committed=FLOOR, previous=FLOOR)
    seen = replace(observed(FLOOR.path, missing=(NEW,)), floor=newer)
    planned = plan(found, seen)
    assert planned.journal.committed == newer
    assert planned.journal.releases == (newer, OLD, GOOD)
    assert planned.events == ()


def test_a_floor_that_is_gone_is_no_longer_gone_back_to() -> None:
    planned = plan(journal(), observed(missing=(NEW, FLOOR)))
    assert planned.journal.releases == (OLD, GOOD)


def test_an_empty_store_gets_the_floor() -> None:
    seen = Observed(link=None, floor=FLOOR)
    planned = recovery.plan(
        recovery.rebuild(seen, reason="", now=1.0), seen, now=1.0, written=False
    )
    assert planned.effects == (Write(), Switch(FLOOR))
    assert planned.journal == Journal(committed=FLOOR, releases=(FLOOR,))


def test_an_empty_store_without_a_floor_stays_empty() -> None:
    seen = Observed(link=None)
    assert recovery.plan(Journal(), seen, now=1.0).effects == ()


@pytest.mark.parametrize(
    ("link", "committed", "previous"),
    [
        (GOOD.path, GOOD, NEW),
        (FLOOR.path, FLOOR, NEW),
        (None, NEW, GOOD),
        (ELSEWHERE, NEW, GOOD),
    ],
)
def test_a_journal_is_built_from_what_runs_and_from_the_newest(
    link: str | None, committed: Release, previous: Release
) -> None:
    seen = replace(observed(link), whole=(NEW, GOOD, OLD))
    found = recovery.rebuild(seen, reason="not JSON", now=1.0)
    assert (found.committed, found.previous) == (committed, previous)
    assert found.releases == (FLOOR, OLD, GOOD, NEW)
    assert found.history[-1].reason == "not JSON"
    again = recovery.plan(found, seen, now=2.0)
    assert not [each for each in again.effects if isinstance(each, Remove)]


def test_the_floor_is_never_a_folder_of_the_store() -> None:
    assert all(
        each.origin is Origin.BUNDLE or each.path.startswith("/") for each in journal().releases
    )
