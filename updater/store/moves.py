"""What each step and each verdict makes of the journal: pure functions, a new journal for an old.

Whoever calls them writes the result before the effect that it announces is begun.
"""

from __future__ import annotations

from dataclasses import replace

from updater.errors import BusyError, ProbationError, StateError
from updater.store import states
from updater.store.journal import Candidate, Event, Failure, Journal, Origin, Outcome, Release
from updater.store.states import State, Step

HISTORY_MAX = 50
FAILURES_MAX = 50
RELEASES_MAX = 100
REASON_MAX_CHARACTERS = 500
SOURCE_MAX_CHARACTERS = 1000

STARTS_MAX = 3
"""The start of the daemon at which a release on probation is given up: it had the swap while
running, or the first start, and the second one."""

LIST_HINT = "'sitewatch-update list' shows those there are"


def begin(journal: Journal, *, source: str, archive_sha256: str, now: float) -> Journal:
    """A new candidate, FETCHED: its archive is there and has the checksum promised.

    It may take the place of one on probation only where nothing is committed: that one can neither
    be rolled back nor, perhaps, be proven, and must not be in the way of a better one.

    Args:
        journal: the old one.
        source: file or URL, without credentials.
        archive_sha256: of the archive.
        now: seconds since 1970, by the device's clock.

    Raises:
        BusyError: another release is on probation.
        StateError: another candidate is under way, left by a run that was not recovered.
    """
    under_way = journal.candidate
    on_trial = under_way is not None and under_way.state in states.CURRENT
    if under_way is not None and on_trial and journal.committed is not None:
        raise BusyError(
            f"{under_way.version} is on probation",
            hint="Wait for its verdict, confirm it or roll it back",
        )
    if under_way is not None and not on_trial and under_way.state not in states.FINAL:
        raise StateError(
            f"{under_way.version or 'a bundle'} is {under_way.state}",
            where="candidate",
            hint="Run 'sitewatch-update recover' first",
        )
    candidate = Candidate(
        version="",
        digest="",
        state=State.FETCHED,
        source=source[:SOURCE_MAX_CHARACTERS],
        archive_sha256=archive_sha256,
        release=None,
        starts=0,
        began_unix_s=_time(now),
        reason="",
    )
    return replace(journal, candidate=candidate)


def verify(journal: Journal, *, version: str, digest: str) -> Journal:
    """VERIFIED: every rule of trust holds, and the manifest says who it is.

    Raises:
        StateError: the candidate is not FETCHED.
    """
    candidate = _moved(journal, Step.VERIFY)
    return replace(journal, candidate=replace(candidate, version=version, digest=digest))


def stage(journal: Journal, release: Release) -> Journal:
    """STAGED: its folder is whole and on the disk.

    Raises:
        StateError: the candidate is not VERIFIED, or it is another bundle.
    """
    candidate = _moved(journal, Step.STAGE)
    if release.digest != candidate.digest:
        raise StateError(f"{release.name} is not the bundle that was verified", where="candidate")
    return replace(journal, candidate=replace(candidate, release=release))


def advance(journal: Journal, step: Step) -> Journal:
    """A step that brings nothing but the state: TEST, ACTIVATE or SWITCH.

    Raises:
        StateError: the step does not follow the candidate's state, or needs a function of its own.
    """
    if step not in {Step.TEST, Step.ACTIVATE, Step.SWITCH}:
        raise StateError(f"'{step}' takes more than a name")
    return replace(journal, candidate=_moved(journal, step))


def commit(journal: Journal, *, now: float, action: str = "install", reason: str = "") -> Journal:
    """COMMITTED: the candidate is what others fall back to, and the old one is ``previous``.

    Its digest is no longer among the failures.

    Args:
        journal: the old one.
        now: seconds since 1970, by the device's clock.
        action: for the history.
        reason: for the history, if there is something to say.

    Raises:
        StateError: the candidate is not ON_PROBATION.
    """
    candidate = _moved(journal, Step.COMMIT)
    if (release := candidate.release) is None:
        raise StateError("on probation without a release", where="candidate")
    candidate = replace(candidate, reason=reason[:REASON_MAX_CHARACTERS])
    event = _event(candidate, action, Outcome.SUCCESS, exit_code=0, now=now)
    return record(replace(promote(journal, release), candidate=candidate), event)


def fail(
    journal: Journal,
    *,
    reason: str,
    exit_code: int,
    now: float,
    action: str = "install",
    outcome: Outcome = Outcome.FAILED,
    remember: bool = True,
) -> Journal:
    """FAILED: the candidate is given up before it became current.

    Args:
        journal: the old one.
        reason: one clause.
        exit_code: of the command.
        now: seconds since 1970, by the device's clock.
        action: for the history.
        outcome: for the history.
        remember: whether the bundle is to be refused from now on; false where it was not the
            bundle's fault (a full disk, a kill).

    Raises:
        StateError: the candidate is past that: it is current, or final.
    """
    candidate = _given_up(journal, Step.FAIL, reason)
    event = _event(candidate, action, outcome, exit_code=exit_code, now=now)
    return _closed(journal, candidate, event, remember=remember)


def roll_back(
    journal: Journal,
    *,
    reason: str,
    exit_code: int,
    now: float,
    action: str = "install",
    outcome: Outcome = Outcome.ROLLED_BACK,
    remember: bool = True,
    to: Release | None = None,
) -> Journal:
    """ROLLED_BACK: the candidate was, or may have been, current, and is given up.

    The switch back follows from the journal: :meth:`updater.store.store.Store.recover` makes it.
    Where nothing was ever committed there is nothing to switch to; the next installation is free
    to begin all the same.

    Args:
        journal: the old one.
        reason: one clause.
        exit_code: of the command.
        now: seconds since 1970, by the device's clock.
        action: for the history.
        outcome: for the history.
        remember: whether the bundle is to be refused from now on.
        to: where it goes, if not to the committed one.

    Raises:
        StateError: the candidate is neither ACTIVATED nor ON_PROBATION, or ``to`` is itself.
    """
    candidate = _given_up(journal, Step.ROLL_BACK, reason)
    if to is not None and to.digest == candidate.digest:
        raise StateError(f"{to.name} is what is to be left", where="candidate")
    event = _event(candidate, action, outcome, exit_code=exit_code, now=now)
    found = _closed(journal, candidate, event, remember=remember)
    if to is None or (found.committed is not None and to.path == found.committed.path):
        return found
    return replace(found, committed=to, previous=found.committed, failures=_without(found, to))


def leave(journal: Journal, target: Release, *, reason: str, now: float) -> Journal:
    """Goes from the committed release to another one that was good, by somebody's wish.

    The one left is remembered as failed; the one gone to no longer is. As for a rollback the
    switch follows from the journal.

    Args:
        journal: the old one; no candidate is under way in it.
        target: from :func:`rollback_target`.
        reason: one clause.
        now: seconds since 1970, by the device's clock.

    Raises:
        StateError: a candidate is under way, or ``target`` is what is left.
    """
    left = journal.committed
    if left is None or left.digest == target.digest:
        raise StateError(f"{target.name} is committed already", where="committed")
    last = journal.candidate
    if last is not None and last.state not in states.FINAL:
        raise StateError(f"{last.version} is {last.state}", where="candidate")
    archive = last.archive_sha256 if last is not None and last.digest == left.digest else ""
    candidate = Candidate(
        version=left.version,
        digest=left.digest,
        state=State.ROLLED_BACK,
        source="",
        archive_sha256=archive,
        release=left,
        starts=0,
        began_unix_s=_time(now),
        reason=reason[:REASON_MAX_CHARACTERS],
    )
    remember = left.origin is not Origin.FLOOR  # which nobody installs, so nobody refuses it
    event = _event(candidate, "rollback", Outcome.ROLLED_BACK, exit_code=0, now=now)
    found = _closed(journal, candidate, event, remember=remember)
    found = replace(found, committed=target, failures=_without(found, target))
    return replace(found, previous=next_good(found))


def drop(journal: Journal, *, now: float, action: str = "recover") -> Journal:
    """The candidate of a run that did not get as far as the switch is given up, not blamed.

    It is FAILED, or ROLLED_BACK if it was ACTIVATED; what is committed stays.

    Raises:
        StateError: it is past the switch.
    """
    state = None if journal.candidate is None else journal.candidate.state
    step = Step.ROLL_BACK if state is State.ACTIVATED else Step.FAIL
    candidate = _given_up(journal, step, f"interrupted while it was {state}")
    code = ProbationError.exit_code
    event = _event(candidate, action, Outcome.INTERRUPTED, exit_code=code, now=now)
    return _closed(journal, candidate, event, remember=False)


def rollback_target(journal: Journal, to: str = "") -> Release:
    """Where a rollback goes.

    Args:
        journal: the journal.
        to: a release's version or name, as people say it; "" for the last good one: the committed
            one while a candidate is current, the one before it otherwise.

    Raises:
        StateError: there is none, it is not here, or several are called so.
    """
    if to:
        return _named(journal, to)
    live = journal.candidate is not None and journal.candidate.state in states.CURRENT
    found = journal.committed if live else journal.previous
    if found is None:
        raise StateError("there is no other release to go back to", hint=LIST_HINT)
    return found


def next_good(journal: Journal) -> Release | None:
    """The newest release kept that is neither committed nor failed; the floor comes last.

    None where there is no other.
    """
    failed = {failure.digest for failure in journal.failures}
    committed = journal.committed
    others = [each for each in journal.releases if committed is None or each.path != committed.path]
    good = [each for each in others if each.digest not in failed]
    bundles = [each for each in good if each.origin is Origin.BUNDLE]
    floors = [each for each in others if each.origin is Origin.FLOOR]
    found = bundles or floors
    return found[-1] if found else None


def promote(journal: Journal, release: Release) -> Journal:
    """A release becomes the committed one, and the newest; no word about candidate or history."""
    old = journal.committed
    previous = journal.previous if old is None or old.digest == release.digest else old
    if previous is not None and _failed(journal, previous):
        previous = None  # it ran for want of another one
    kept = [each for each in journal.releases if each.path != release.path]
    return replace(
        journal,
        committed=release,
        previous=previous,
        releases=_bounded((*kept, release), keep=(release, previous)),
        failures=_without(journal, release),
    )


def record(journal: Journal, event: Event) -> Journal:
    """Appends to the history; the oldest events go."""
    clipped = replace(
        event, reason=event.reason[:REASON_MAX_CHARACTERS], at_unix_s=_time(event.at_unix_s)
    )
    return replace(journal, history=(*journal.history, clipped)[-HISTORY_MAX:])


def count_start(journal: Journal) -> Journal:
    """One more start of a daemon with a release on probation; otherwise the journal as it is."""
    candidate = journal.candidate
    if candidate is None or candidate.state is not State.ON_PROBATION:
        return journal
    starts = min(candidate.starts + 1, STARTS_MAX)
    return replace(journal, candidate=replace(candidate, starts=starts))


def require_unjudged(journal: Journal) -> Candidate:
    """The candidate that waits for a verdict, for those who give it.

    Raises:
        ProbationError: it was rolled back; another judge was quicker.
        StateError: there is none.
    """
    candidate = journal.candidate
    if candidate is not None and candidate.state is State.ON_PROBATION:
        return candidate
    if candidate is not None and candidate.state is State.ROLLED_BACK:
        raise ProbationError(f"{candidate.version} was rolled back: {candidate.reason}")
    raise StateError("no release is on probation", hint=LIST_HINT)


def _moved(journal: Journal, step: Step) -> Candidate:
    if journal.candidate is None:
        raise StateError(f"'{step}' without a candidate")
    return replace(journal.candidate, state=states.after(journal.candidate.state, step))


def _given_up(journal: Journal, step: Step, reason: str) -> Candidate:
    return replace(_moved(journal, step), reason=reason[:REASON_MAX_CHARACTERS])


def _closed(journal: Journal, candidate: Candidate, event: Event, *, remember: bool) -> Journal:
    """The journal with a candidate that was given up, the reason in history and failures."""
    found = record(replace(journal, candidate=candidate), event)
    if not remember or not (candidate.digest or candidate.archive_sha256):
        return found
    failure = Failure(
        digest=candidate.digest,
        archive_sha256=candidate.archive_sha256,
        version=candidate.version,
        reason=candidate.reason,
        at_unix_s=_time(event.at_unix_s),
    )
    same = (failure.digest, failure.archive_sha256)
    others = [each for each in found.failures if (each.digest, each.archive_sha256) != same]
    return replace(found, failures=(*others, failure)[-FAILURES_MAX:])


def _event(
    candidate: Candidate, action: str, outcome: Outcome, *, exit_code: int, now: float
) -> Event:
    return Event(
        action=action,
        outcome=outcome,
        version=candidate.version,
        digest=candidate.digest,
        reason=candidate.reason,
        exit_code=exit_code,
        at_unix_s=now,
    )


def _failed(journal: Journal, release: Release) -> bool:
    floor = release.origin is Origin.FLOOR
    return not floor and any(each.digest == release.digest for each in journal.failures)


def _without(journal: Journal, release: Release) -> tuple[Failure, ...]:
    return tuple(each for each in journal.failures if each.digest != release.digest)


def _bounded(
    releases: tuple[Release, ...], *, keep: tuple[Release | None, ...]
) -> tuple[Release, ...]:
    """At most :data:`RELEASES_MAX`, should nobody ever have called ``gc``; the oldest go."""
    surplus = max(0, len(releases) - RELEASES_MAX)
    expendable = [r for r in releases if r not in keep and r.origin is not Origin.FLOOR]
    gone = expendable[:surplus]
    return tuple(each for each in releases if each not in gone)


def _named(journal: Journal, to: str) -> Release:
    found = [each for each in journal.releases if to in (each.version, each.name)]
    if not found:
        raise StateError(f"no release {to!r} is kept here", hint=LIST_HINT)
    if len(found) > 1:
        names = ", ".join(each.name for each in found)
        raise StateError(f"several releases are {to!r}: {names}", hint="Say the whole name")
    return found[0]


def _time(now: float) -> float:
    """A clock before 1970 is a broken one, and no reason to fail."""
    return max(0.0, now)
