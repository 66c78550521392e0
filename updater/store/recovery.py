"""What is done after a kill, a power cut or damage: a plan, from the journal and what is on disk.

Pure: the plan is carried out by :class:`updater.store.store.Store`, in its order, and a plan made
again after a kill in the middle of it leads to the same end. The rule it keeps: ``current`` is the
candidate while that is on probation, and the committed release otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from updater import versions
from updater.errors import ProbationError
from updater.store import moves, states
from updater.store.journal import Event, Journal, Origin, Outcome, Release
from updater.store.states import State, Step

ACTION = "recover"


@dataclass(frozen=True, slots=True)
class Observed:
    """What lies in the store.

    Attributes:
        link: what ``current`` says, word for word; None if it is no link or not there.
        whole: the releases whose every file is there with its size (after a thorough look: with
            its hash).
        folders: every path in ``releases/``, whole or not.
        floor: the software's own model; None if there is none, or it is not whole.
        litter: paths of what no finished write leaves behind: in ``staging/``, and temporary
            files.
    """

    link: str | None
    whole: tuple[Release, ...] = ()
    folders: tuple[str, ...] = ()
    floor: Release | None = None
    litter: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a path in the store that nothing refers to."""

    path: str


@dataclass(frozen=True, slots=True)
class Write:
    """Replace the journal by the plan's."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Let ``current`` be this release."""

    release: Release


@dataclass(frozen=True, slots=True)
class Remove:
    """Take a folder out of ``releases/``, then delete it."""

    path: str


Effect = Delete | Write | Switch | Remove


@dataclass(frozen=True, slots=True)
class Plan:
    """What recovery makes of the store.

    Attributes:
        journal: the new one.
        effects: what is done, in this order. What is only in the way goes first, so that a full
            disk has room for the journal; the journal goes before the switch that it announces,
            and no folder goes before ``current`` is another.
        events: what there is to tell, also appended to the journal's history.
    """

    journal: Journal
    effects: tuple[Effect, ...]
    events: tuple[Event, ...]


def plan(
    journal: Journal,
    observed: Observed,
    *,
    now: float,
    daemon_start: bool = False,
    written: bool = True,
) -> Plan:
    """What is to be done so that journal and ``current`` agree on a whole release.

    Args:
        journal: as found, or :func:`rebuild`'s.
        observed: what lies in the store.
        now: seconds since 1970, by the device's clock.
        daemon_start: counts one start of the daemon with a release on probation.
        written: whether ``journal`` is the file's content; false writes it in any case.
    """
    found = _with_floor(journal, observed)
    found = _choose_committed(found, observed, now)
    found = _judge_candidate(found, observed, now, daemon_start)
    found = _forget_missing(found, observed, now)
    return Plan(
        journal=found,
        effects=_effects(found, observed, changed=not written or found != journal),
        events=_new_events(journal, found),
    )


def rebuild(observed: Observed, *, reason: str, now: float) -> Journal:
    """A journal from what lies on the disk, where there is none or it cannot be read.

    The release that ``current`` names counts as good, or else the newest one. Which bundles failed
    here is forgotten with the journal.

    Args:
        observed: what lies in the store.
        reason: why, for the history; "" for a store that is new.
        now: seconds since 1970, by the device's clock.
    """
    bundles = sorted(observed.whole, key=lambda each: versions.order(each.version))
    floor = () if observed.floor is None else (observed.floor,)
    releases = (*floor, *bundles)
    running = [each for each in releases if each.path == observed.link]
    committed = (running or list(releases) or [None])[-1]
    found = Journal(committed=committed, releases=releases)
    found = replace(found, previous=moves.next_good(found))
    if not reason:
        return found
    event = Event(
        action=ACTION,
        outcome=Outcome.INTERRUPTED,
        version="" if committed is None else committed.version,
        digest="" if committed is None else committed.digest,
        reason=reason,
        exit_code=0,
        at_unix_s=now,
    )
    return moves.record(found, event)


def _with_floor(journal: Journal, observed: Observed) -> Journal:
    """The journal with the floor as it is now: a new version of the software brings a new one."""
    floor = observed.floor

    def as_it_is(release: Release | None) -> Release | None:
        return floor if release is not None and release.origin is Origin.FLOOR else release

    bundles = tuple(each for each in journal.releases if each.origin is Origin.BUNDLE)
    return replace(
        journal,
        committed=as_it_is(journal.committed),
        previous=as_it_is(journal.previous),
        releases=bundles if floor is None else (floor, *bundles),
    )


def _choose_committed(journal: Journal, observed: Observed, now: float) -> Journal:
    """The journal with a committed release that is whole, if there is any but the one on trial."""
    committed = journal.committed
    if committed is not None and _is_whole(committed, observed):
        return journal
    chosen = _fallback(journal, observed)
    kept = tuple(
        each for each in journal.releases if committed is None or each.path != committed.path
    )
    if chosen is not None and all(each.path != chosen.path for each in kept):
        kept = (*kept, chosen)
    previous = None if chosen == journal.previous else journal.previous
    found = replace(journal, committed=chosen, previous=previous, releases=kept)
    return found if committed is None else moves.record(found, _lost(committed, chosen, now))


def _fallback(journal: Journal, observed: Observed) -> Release | None:
    """The last good release that is whole; otherwise any that is: better than a blind camera.

    Where nothing was good yet there is nothing to fall back to, and an unproven bundle stays out.
    """
    trial = _on_trial(journal)
    activated = journal.candidate is not None and journal.candidate.state is State.ACTIVATED
    if activated and trial is not None and trial.path != observed.link:
        trial = None  # it never ran and is dropped
    whole = [each for each in observed.whole if trial is None or each.path != trial.path]
    paths = {each.path for each in whole} | {each.path for each in (observed.floor,) if each}
    standing = tuple(each for each in journal.releases if each.path in paths)
    if journal.previous is not None and journal.previous in standing:
        return journal.previous
    good = moves.next_good(replace(journal, committed=None, releases=standing))
    if good is not None:
        return good
    failed = {failure.digest for failure in journal.failures}
    unknown = [] if journal.committed is None else whole
    by_worth = sorted(
        {each.path: each for each in (*unknown, *standing)}.values(),
        key=lambda each: (each.digest not in failed, versions.order(each.version)),
    )
    return by_worth[-1] if by_worth else None


def _judge_candidate(
    journal: Journal, observed: Observed, now: float, daemon_start: bool
) -> Journal:
    candidate = journal.candidate
    if candidate is None:
        return journal
    release = candidate.release
    whole = release is not None and _is_whole(release, observed)
    linked = release is not None and observed.link == release.path
    match candidate.state:
        case State.ACTIVATED if linked:
            on_probation = moves.advance(journal, Step.SWITCH)
            return _judge_probation(on_probation, whole, now, daemon_start)
        case State.ON_PROBATION:
            return _judge_probation(journal, whole, now, daemon_start)
        case State.COMMITTED:
            return _finish_commit(journal, release if whole else None)
        case State.ROLLED_BACK | State.FAILED:
            return journal
        case _:
            return moves.drop(journal, now=now, action=ACTION)


def _finish_commit(journal: Journal, release: Release | None) -> Journal:
    """A committed candidate is what is committed, unless it was lost since."""
    if release is None:
        return replace(journal, candidate=None)
    if journal.committed is not None and journal.committed.path == release.path:
        return journal
    return moves.promote(journal, release)


def _judge_probation(journal: Journal, whole: bool, now: float, daemon_start: bool) -> Journal:
    """A release on probation stays there unless it is damaged or had its starts.

    It also stays where there is nothing to go back to.
    """
    found = moves.count_start(journal) if daemon_start else journal
    starts = 0 if found.candidate is None else found.candidate.starts
    if (whole and starts < moves.STARTS_MAX) or found.committed is None:
        return found
    reason = f"no verdict in {starts} starts of the daemon" if whole else "its folder is damaged"
    return moves.roll_back(
        found, reason=reason, exit_code=ProbationError.exit_code, now=now, action=ACTION,
        remember=whole,
    )  # fmt: skip


def _forget_missing(journal: Journal, observed: Observed, now: float) -> Journal:
    """The journal without releases that are damaged or gone, and with a ``previous`` if it can."""
    found = journal
    for release in journal.releases:
        if not _is_whole(release, observed):
            left = tuple(each for each in found.releases if each != release)
            found = moves.record(replace(found, releases=left), _lost(release, None, now))
    previous = found.previous
    if previous is None or not _is_whole(previous, observed):
        return replace(found, previous=moves.next_good(found))
    return found


def _lost(release: Release, instead: Release | None, now: float) -> Event:
    """What is told of a release that cannot be used any more."""
    way_out = "" if instead is None else f"; back to {instead.name}"
    return Event(
        action=ACTION,
        outcome=Outcome.FAILED if instead is None else Outcome.ROLLED_BACK,
        version=release.version,
        digest=release.digest,
        reason=f"{release.name} is damaged or gone{way_out}",
        exit_code=0,
        at_unix_s=now,
    )


def _effects(journal: Journal, observed: Observed, *, changed: bool) -> tuple[Effect, ...]:
    running = _running(journal)
    kept = {each.path for each in (journal.committed, journal.previous, running) if each}
    kept |= {each.path for each in journal.releases}
    if running is None and observed.link is not None:
        kept.add(observed.link)  # there is nothing better, and perhaps something can be saved
    effects: list[Effect] = [Delete(path) for path in observed.litter]
    if changed:
        effects.append(Write())
    if running is not None and running.path != observed.link:
        effects.append(Switch(running))
    effects += [Remove(path) for path in observed.folders if path not in kept]
    return tuple(effects)


def _running(journal: Journal) -> Release | None:
    """What ``current`` must be."""
    return _on_trial(journal) or journal.committed


def _on_trial(journal: Journal) -> Release | None:
    """The candidate's release while ``current`` may be it."""
    candidate = journal.candidate
    live = candidate is not None and candidate.state in states.CURRENT
    return candidate.release if live and candidate is not None else None


def _is_whole(release: Release, observed: Observed) -> bool:
    if release.origin is Origin.FLOOR:
        return observed.floor == release
    return any(
        (each.path, each.digest) == (release.path, release.digest) for each in observed.whole
    )


def _new_events(before: Journal, after: Journal) -> tuple[Event, ...]:
    """What the plan appended; the history is bounded, so length alone does not tell."""
    old = set(before.history)
    return tuple(each for each in after.history if each not in old)
