from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import RulesConfig
from daemon.tracking.evidence import MEMORY_S, Judgement, judge, padded_median, votes
from daemon.tracking.tracks import Evidence, Verdict

RULES = RulesConfig()


def seen(rows: Iterable[tuple[float, float]], fps: float = 10) -> list[Evidence]:
    """Evidence of (helmet, bare) scores, the last one at time 0."""
    scores = list(rows)
    return [Evidence((i + 1 - len(scores)) / fps, *row) for i, row in enumerate(scores)]


def verdict(rows: Iterable[tuple[float, float]], before: Verdict = Verdict.UNKNOWN) -> Verdict:
    return judge(Judgement(before, 0.5, -0.1, -0.1), seen(rows), RULES, 0.0).verdict


BARE, HELMET, NOTHING = (0.0, 0.8), (0.8, 0.0), (0.0, 0.0)


def test_one_frame_is_no_verdict_and_two_are() -> None:
    assert verdict([BARE]) is Verdict.UNKNOWN
    assert verdict([BARE, BARE]) is Verdict.BARE
    assert verdict([HELMET, HELMET]) is Verdict.HELMET


def test_frames_without_a_head_do_not_vote() -> None:
    assert verdict([BARE, NOTHING, NOTHING] * 5) is Verdict.BARE


def test_too_few_heads_say_nothing() -> None:
    assert verdict([*[NOTHING] * 14, BARE, BARE, BARE]) is Verdict.UNKNOWN


def test_the_majority_decides() -> None:
    assert verdict([HELMET] * 7 + [BARE] * 4) is Verdict.HELMET
    assert verdict([HELMET] * 4 + [BARE] * 7) is Verdict.BARE


def test_old_evidence_does_not_vote() -> None:
    assert verdict([HELMET] * 60 + [BARE] * 20) is Verdict.BARE


def test_at_one_frame_a_second_five_frames_vote() -> None:
    rows = seen([HELMET, HELMET, BARE, BARE, BARE], fps=1)
    assert judge(Judgement(), rows, RULES, 0.0).verdict is Verdict.BARE


def test_a_verdict_wavers_less_than_its_scores() -> None:
    weak = [(0.0, 0.8 * RULES.bare_score)] * 6
    assert verdict(weak) is Verdict.UNKNOWN
    assert verdict(weak, before=Verdict.BARE) is Verdict.BARE
    weak = [(0.8 * RULES.helmet_score, 0.0)] * 6
    assert verdict(weak) is Verdict.UNKNOWN
    assert verdict(weak, before=Verdict.HELMET) is Verdict.HELMET


@pytest.mark.parametrize("before", [Verdict.HELMET, Verdict.BARE])
def test_a_verdict_is_remembered_for_a_while(before: Verdict) -> None:
    judgement = Judgement(before, 0.7, -20.0, 0.0)
    nothing = [Evidence(t / 2, 0, 0) for t in range(1, 30)]
    remembered = judge(judgement, nothing, RULES, MEMORY_S)
    assert (remembered.verdict, remembered.score, remembered.until_s) == (before, 0.7, 0.0)
    forgotten = judge(judgement, nothing, RULES, MEMORY_S + 0.5)
    assert (forgotten.verdict, forgotten.score) == (Verdict.UNKNOWN, 0)


@pytest.mark.parametrize("before", [Verdict.HELMET, Verdict.BARE])
def test_heads_that_speak_against_it_end_the_memory(before: Verdict) -> None:
    against = (0.0, 0.3) if before is Verdict.HELMET else (0.4, 0.0)
    judgement = judge(Judgement(before, 0.7, -20.0, -2.1), seen([against] * 6), RULES, 0.0)
    assert judgement.verdict is Verdict.UNKNOWN


def test_a_helmet_that_flashed_up_is_soon_forgotten() -> None:
    judgement = Judgement()
    rows = seen([HELMET] * 5 + [NOTHING] * 45)
    verdicts = []
    for i, one in enumerate(rows):
        judgement = judge(judgement, rows[: i + 1], RULES, one.media_time_s)
        verdicts.append(judgement.verdict)
    held = verdicts.index(Verdict.UNKNOWN, 2)
    assert 15 <= held <= 25  # the two seconds in which it votes, and no ten more


score = st.floats(0, 1)
history = st.lists(st.tuples(score, score), max_size=64)


@given(st.lists(score, max_size=9))
def test_the_padded_median_is_frigates(scores: list[float]) -> None:
    median = padded_median(scores)
    assert sum(one >= median for one in [*scores, 0, 0, 0]) >= len(scores) / 2
    assert (median > 0) <= (sum(one > 0 for one in scores) >= 2)


def test_the_padded_median_of_few_scores() -> None:
    assert [padded_median([0.8] * n) for n in range(4)] == [0, 0, 0.8, 0.8]


@given(history)
def test_votes_are_recent_frames_with_a_head(rows: list[tuple[float, float]]) -> None:
    evidence = seen(rows)
    heads = votes(evidence, 0.0)
    assert all(max(one.helmet_score, one.bare_score) >= 0.15 for one in heads)
    assert heads == [one for one in evidence[-21:] if one in heads]


@given(history, st.sampled_from(Verdict))
def test_a_verdict_has_a_score_and_unknown_has_none(
    rows: list[tuple[float, float]], before: Verdict
) -> None:
    judgement = judge(Judgement(before, 0.5, -0.1, -0.1), seen(rows), RULES, 0.0)
    assert (judgement.score > 0) == (judgement.verdict is not Verdict.UNKNOWN)


@given(history)
def test_helmet_and_bare_are_each_others_mirror(rows: list[tuple[float, float]]) -> None:
    rules = RulesConfig(bare_score=0.4, helmet_score=0.4)
    one = judge(Judgement(), seen(rows), rules, 0.0)
    other = judge(Judgement(), seen((bare, helmet) for helmet, bare in rows), rules, 0.0)
    heads = votes(seen(rows), 0.0)
    medians = {padded_median([h.helmet_score for h in heads]),
               padded_median([h.bare_score for h in heads])}  # fmt: skip
    if len(medians) == 2:
        swapped = {Verdict.BARE: Verdict.HELMET, Verdict.HELMET: Verdict.BARE}
        assert other.verdict is swapped.get(one.verdict, Verdict.UNKNOWN)
        assert other.score == one.score
