"""What the tracker knows of one person, as the rules and the captures see it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from daemon.frames import Box


class Verdict(StrEnum):
    """What the evidence over time says about one tracked person."""

    HELMET = "helmet"
    BARE = "bare"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of the head region of a track in one frame.

    Attributes:
        media_time_s: when, on the source's clock.
        helmet_score: best helmet detection assigned to this person, 0 where none.
        bare_score: best bare-head detection assigned to this person, 0 where none.
    """

    media_time_s: float
    helmet_score: float
    bare_score: float


@dataclass(frozen=True, slots=True)
class Track:
    """One person (or a head alone where no person box is found) followed over time.

    Attributes:
        track_id: counts from 1 within one run of the process; never used twice.
        subject: ``person`` or ``head``, which box ``box`` is.
        box: in pixels of the original frame; predicted where ``visible`` is false.
        score: score of the subject's detection in this frame, 0 where it was not seen.
        visible: whether a detection was matched in this frame.
        hits: frames in which it was matched, all together.
        first_seen_s: media time of the first match.
        last_seen_s: media time of the last match.
        evidence: the last frames in which the subject was visible, oldest first, bounded.
        verdict: what the evidence says now.
        verdict_score: the median score behind the verdict, 0 for ``unknown``.
    """

    track_id: int
    subject: str
    box: Box
    score: float
    visible: bool
    hits: int
    first_seen_s: float
    last_seen_s: float
    evidence: tuple[Evidence, ...]
    verdict: Verdict
    verdict_score: float
