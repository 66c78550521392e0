from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import RulesConfig
from daemon.evidence import MEMORY_S, Judgement, judge, medians
from daemon.tracks import Evidence, Verdict

RULES = RulesConfig()


def seen(rows: Iterable[tuple[float, float]], fps: float = 10) -> list[Evidence]:
    """Evidence of (helmet, bare) scores, the last one at time 0."""
    scores = list(rows)
    return [Evidence((i + 1 - len(scores)) / fps, *row) for i, row in enumerate(scores)]


def verdict(rows: Iterable[tuple[float, float]], before: Verdict = Verdict.UNKNOWN) -> Verdict:
    return judge(Judgement(before, 0.5, -0.1), seen(rows), RULES, 0.0).verdict


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
    judgement = Judgement(before, 0.7, 0.0)
    nothing = [Evidence(t / 2, 0, 0) for t in range(1, 30)]
    remembered = judge(judgement, nothing, RULES, MEMORY_S)
    assert (remembered.verdict, remembered.score, remembered.supported_s) == (before, 0.7, 0.0)
    forgotten = judge(judgement, nothing, RULES, MEMORY_S + 0.5)
    assert (forgotten.verdict, forgotten.score) == (Verdict.UNKNOWN, 0)


score = st.floats(0, 1)
history = st.lists(st.tuples(score, score), max_size=64)


@given(history)
def test_the_medians_are_scores_that_were_seen_or_between(rows: list[tuple[float, float]]) -> None:
    helmet, bare = medians(seen(rows), 0.0)
    assert 0 <= helmet <= max((row[0] for row in rows), default=0)
    assert 0 <= bare <= max((row[1] for row in rows), default=0)


@given(history, st.sampled_from(Verdict))
def test_a_verdict_has_a_score_and_unknown_has_none(
    rows: list[tuple[float, float]], before: Verdict
) -> None:
    judgement = judge(Judgement(before, 0.5, -0.1), seen(rows), RULES, 0.0)
    assert (judgement.score > 0) == (judgement.verdict is not Verdict.UNKNOWN)


@given(history)
def test_helmet_and_bare_are_each_others_mirror(rows: list[tuple[float, float]]) -> None:
    rules = RulesConfig(bare_score=0.4, helmet_score=0.4)
    one = judge(Judgement(), seen(rows), rules, 0.0)
    other = judge(Judgement(), seen((bare, helmet) for helmet, bare in rows), rules, 0.0)
    if medians(seen(rows), 0.0)[0] != medians(seen(rows), 0.0)[1]:
        swapped = {Verdict.BARE: Verdict.HELMET, Verdict.HELMET: Verdict.BARE}
        assert other.verdict is swapped.get(one.verdict, Verdict.UNKNOWN)
        assert other.score == one.score
