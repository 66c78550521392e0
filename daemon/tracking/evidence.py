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
from daemon.tracking.tracks import Evidence, Verdict

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
MEMORY_FACTOR = 2.0
"""While no head speaks against it, a verdict holds for so many times as long as heads have carried
it, but at most for ``MEMORY_S``: a worker long seen with a helmet bends down or stands behind a
beam for some seconds and is not unprotected for that; a helmet that flashed up once is soon
forgotten."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and what it rests on.

    Attributes:
        verdict: helmet, bare or unknown.
        score: median score behind it, the last one while it is only remembered; 0 for unknown.
        since_s: media time of the first head that carried it.
        until_s: media time of the last head that carried it.
    """

    verdict: Verdict = Verdict.UNKNOWN
    score: float = 0.0
    since_s: float = 0.0
    until_s: float = 0.0

    def carried(self, verdict: Verdict, score: float, head_s: float) -> Judgement:
        """The judgement after heads, the last at ``head_s``, have carried a verdict."""
        return Judgement(
            verdict, score, self.since_s if verdict is self.verdict else head_s, head_s
        )

    def remembered(self, now_s: float) -> bool:
        """Whether it still holds without evidence."""
        longest_s = min(MEMORY_S, MEMORY_FACTOR * (self.until_s - self.since_s))
        return self.verdict is not Verdict.UNKNOWN and now_s - self.until_s <= longest_s


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
    heads = votes(evidence, now_s)
    helmet = padded_median([one.helmet_score for one in heads])
    bare = padded_median([one.bare_score for one in heads])
    helmet_limit, bare_limit = rules.helmet_score, rules.bare_score
    if before.verdict is Verdict.HELMET:
        helmet_limit *= KEPT_AT
    elif before.verdict is Verdict.BARE:
        bare_limit *= KEPT_AT
    if bare >= bare_limit and bare > helmet:
        return before.carried(Verdict.BARE, bare, heads[-1].media_time_s)
    if helmet >= helmet_limit and helmet >= bare:
        return before.carried(Verdict.HELMET, helmet, heads[-1].media_time_s)
    contradicted = bare > helmet if before.verdict is Verdict.HELMET else helmet > bare
    return before if before.remembered(now_s) and not contradicted else Judgement()


def votes(evidence: Sequence[Evidence], now_s: float) -> list[Evidence]:
    """The recent frames in which a head was found; none where it was found in too few."""
    recent = [one for one in evidence if now_s - one.media_time_s <= WINDOW_S]
    if len(recent) < LEAST_FRAMES:
        recent = list(evidence[-LEAST_FRAMES:])
    heads = [one for one in recent if max(one.helmet_score, one.bare_score) >= VOTE_SCORE]
    return heads if len(heads) >= LEAST_SHARE * len(recent) else []


def padded_median(scores: Sequence[float]) -> float:
    """Median of scores, filled with zeros to ``PADDED_TO``."""
    return statistics.median([*scores, *[0.0] * (PADDED_TO - len(scores))])
