"""The states of a candidate and the moves between them: a table, no input or output."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from updater.errors import StateError


class State(StrEnum):
    """How far a candidate has come.

    Each is written to the journal before the next effect is begun, so after a kill it says what may
    have been done and what was certainly not.
    """

    FETCHED = "fetched"
    """The archive lies in the store, its checksum is the one promised; nothing of it was read."""
    VERIFIED = "verified"
    """Archive, signature and manifest keep every rule of trust."""
    STAGED = "staged"
    """Unpacked into its release folder; every file has its size and hash and is on the disk."""
    TESTED = "tested"
    """The self-test passed on this device."""
    ACTIVATED = "activated"
    """``current`` is about to be switched to it, or has just been."""
    ON_PROBATION = "on_probation"
    """``current`` is it; the daemon has yet to show that it works."""
    COMMITTED = "committed"
    """It is good: from now on the release that others fall back to."""
    ROLLED_BACK = "rolled_back"
    """It was current and is not good enough: ``current`` goes, or has gone, back."""
    FAILED = "failed"
    """It was given up before it became current."""


class Step(StrEnum):
    """What moves a candidate on."""

    VERIFY = "verify"
    STAGE = "stage"
    TEST = "test"
    ACTIVATE = "activate"
    SWITCH = "switch"
    COMMIT = "commit"
    FAIL = "fail"
    ROLL_BACK = "roll_back"


TRANSITIONS: Mapping[tuple[State, Step], State] = {
    (State.FETCHED, Step.VERIFY): State.VERIFIED,
    (State.VERIFIED, Step.STAGE): State.STAGED,
    (State.STAGED, Step.TEST): State.TESTED,
    (State.TESTED, Step.ACTIVATE): State.ACTIVATED,
    (State.ACTIVATED, Step.SWITCH): State.ON_PROBATION,
    (State.ON_PROBATION, Step.COMMIT): State.COMMITTED,
    (State.FETCHED, Step.FAIL): State.FAILED,
    (State.VERIFIED, Step.FAIL): State.FAILED,
    (State.STAGED, Step.FAIL): State.FAILED,
    (State.TESTED, Step.FAIL): State.FAILED,
    (State.ACTIVATED, Step.ROLL_BACK): State.ROLLED_BACK,
    (State.ON_PROBATION, Step.ROLL_BACK): State.ROLLED_BACK,
}

FINAL = frozenset({State.COMMITTED, State.ROLLED_BACK, State.FAILED})
"""Nothing follows these."""

CURRENT = frozenset({State.ACTIVATED, State.ON_PROBATION})
"""In these ``current`` may be the candidate, so a daemon that sees it there tries it out."""


def after(state: State, step: Step) -> State:
    """The state that a step leads to.

    Raises:
        StateError: the step does not belong to this state: a bug, or a journal changed by hand.
    """
    try:
        return TRANSITIONS[state, step]
    except KeyError as error:
        raise StateError(f"'{step}' cannot follow '{state}'") from error
