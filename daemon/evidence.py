"""What many frames together say about one person's head: helmet, bare or unknown.

Frigate's rule is the model (its documentation, "Object scores"): not one score decides but the
median of the history, padded with zeros to three, so that a single frame never does. Two things
are added. Frames in which no head was found do not vote, else a person whose head is found in
every third frame would never be judged; and a verdict, once given, is left only for a reason.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from daemon.config import RulesConfig
from daemon.tracks import Evidence, Verdict

PADDED_TO = 3
"""Least length of the history of which the median is taken, shorter ones filled with zeros."""

WINDOW_S = 2.0
"""Evidence older than this does not vote: somebody who takes the helmet off is judged anew after
half of it."""

LEAST_FRAMES = 5
"""Frames that vote however old they are: at 1 frame a second two seconds are too few."""

LEAST_SHARE = 0.25
"""Share of the frames in the window in which a head must have been found. Below, what was found is
as likely a false alarm of the detector."""

VOTE_SCORE = 0.15
"""A head weaker than this is none."""

KEPT_AT = 0.7
"""Hysteresis: a verdict holds until its median falls under this share of the threshold."""

MEMORY_S = 10.0
"""How long a verdict holds while no head is found at all: a worker seen with a helmet bends down or
stands behind a beam for some seconds, and is not unprotected for that."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and what it rests on.

    Attributes:
        verdict: helmet, bare or unknown.
        score: median score behind it, the last one while it is only remembered; 0 for unknown.
        supported_s: media time at which the evidence last carried it.
    """

    verdict: Verdict = Verdict.UNKNOWN
    score: float = 0.0
    supported_s: float = 0.0


def judge(
    before: Judgement, evidence: Sequence[Evidence], rules: RulesConfig, now_s: float
) -> Judgement:
    """Judges one person.

    Args:
        before: the judgement so far.
        evidence: the track's history, oldest first.
        rules: thresholds.
        now_s: media time.
    """
    helmet, bare = medians(evidence, now_s)
    helmet_limit, bare_limit = rules.helmet_score, rules.bare_score
    if before.verdict is Verdict.HELMET:
        helmet_limit *= KEPT_AT
    elif before.verdict is Verdict.BARE:
        bare_limit *= KEPT_AT
    if bare >= bare_limit and bare > helmet:
        return Judgement(Verdict.BARE, bare, now_s)
    if helmet >= helmet_limit and helmet >= bare:
        return Judgement(Verdict.HELMET, helmet, now_s)
    remembered = before.verdict is not Verdict.UNKNOWN and now_s - before.supported_s <= MEMORY_S
    return before if remembered else Judgement(supported_s=now_s)


def medians(evidence: Sequence[Evidence], now_s: float) -> tuple[float, float]:
    """Median helmet and bare-head score of the frames that vote; 0 and 0 where too few do."""
    recent = [one for one in evidence if now_s - one.media_time_s <= WINDOW_S]
    if len(recent) < LEAST_FRAMES:
        recent = list(evidence[-LEAST_FRAMES:])
    votes = [one for one in recent if max(one.helmet_score, one.bare_score) >= VOTE_SCORE]
    if not votes or len(votes) < LEAST_SHARE * len(recent):
        return 0.0, 0.0
    padding = [0.0] * (PADDED_TO - len(votes))
    return (
        statistics.median([one.helmet_score for one in votes] + padding),
        statistics.median([one.bare_score for one in votes] + padding),
    )
