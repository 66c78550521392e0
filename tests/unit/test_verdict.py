"""Waiting for a verdict: a real store, and a clock and a daemon that tell what a test wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.support.models import write_bundle
from tests.support.releases import HandStore
from updater.errors import ProbationError, StateError
from updater.install.verdict import GONE_S, RETURN_S, World, await_verdict
from updater.settings import ProbationConfig, UpdateConfig
from updater.store.journal import Release
from updater.trial import Comparison, DaemonReport, Trial

CONFIG = UpdateConfig(probation=ProbationConfig(seconds=20, frames=50, timeout_s=200))


@dataclass
class FakeWorld:
    """A clock that only sleeping moves, and a daemon that says what ``says`` makes of it."""

    says: Callable[[float], DaemonReport | None]
    now_s: float = 1000.0
    slept: list[float] = field(default_factory=list)
    at: dict[float, Callable[[], object]] = field(default_factory=dict)

    def world(self) -> World:
        return World(
            report=lambda _: self.says(self.now_s - 1000.0),
            now=lambda: self.now_s,
            sleep=self.sleep,
        )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        for due_s in [due_s for due_s in self.at if due_s <= self.now_s - 1000.0]:
            self.at.pop(due_s)()


@pytest.fixture
def hand(tmp_path: Path) -> HandStore:
    """A store with 1.0 committed."""
    hand = HandStore(tmp_path / "store", write_bundle(tmp_path / "bundle"))
    hand.install("1.0")
    return hand


@pytest.fixture
def second(hand: HandStore) -> Release:
    """1.1, on probation."""
    release = hand.add("1.1")
    hand.try_out(release)
    return release


def healthy(release: Release, healthy_s: float, **changes: object) -> DaemonReport:
    trial = Trial(
        digest=release.digest,
        running=True,
        healthy_s=healthy_s,
        processed=int(5 * healthy_s),
        inferred=int(5 * healthy_s),
        failed=0,
        invoke_p50_ms=20.0,
        previous_invoke_p50_ms=20.0,
        comparison=None,
        error="",
    )
    trial = replace(trial, **changes)  # type: ignore[arg-type]
    return DaemonReport(1, 1.0, release.version, release.digest, trial)


def test_a_healthy_release_is_committed(hand: HandStore, second: Release) -> None:
    fake = FakeWorld(lambda t: healthy(second, t))
    journal = await_verdict(hand.store, CONFIG, world=fake.world())
    assert journal.committed == second
    assert sum(fake.slept) == pytest.approx(20.0, abs=1.0)
    assert hand.store.journal.history[-1].outcome == "success"


def test_a_blind_one_is_rolled_back_and_the_daemon_seen_back(
    hand: HandStore, second: Release
) -> None:
    blind = Comparison(samples=20, stable=40, found=1, extra=0, done=False)
    first = hand.store.journal.committed
    assert first is not None

    def says(t: float) -> DaemonReport:
        if hand.store.current == second:
            return healthy(second, t, comparison=blind)
        return DaemonReport(1, 1.0, "1.0", first.digest if t > 3 else second.digest, None)

    fake = FakeWorld(says)
    with pytest.raises(ProbationError, match=r"1\.1: rolled back to 1\.0: it finds 1 of 40"):
        await_verdict(hand.store, CONFIG, world=fake.world())
    assert hand.store.current == first
    assert 3 <= sum(fake.slept) < RETURN_S
    (failure,) = hand.store.journal.failures
    assert failure.digest == second.digest


def test_a_daemon_that_died_with_it(hand: HandStore, second: Release) -> None:
    fake = FakeWorld(lambda t: healthy(second, t) if t < 5 else None)
    with pytest.raises(ProbationError, match=r"the daemon has said nothing for 60 s"):
        await_verdict(hand.store, CONFIG, world=fake.world())
    assert sum(fake.slept) == pytest.approx(5 + GONE_S, abs=2.0)
    assert hand.store.current == hand.store.journal.committed


def test_a_daemon_that_is_back_in_time_goes_on(hand: HandStore, second: Release) -> None:
    fake = FakeWorld(lambda t: None if 5 < t < 5 + GONE_S - 2 else healthy(second, t % 60))
    assert await_verdict(hand.store, CONFIG, world=fake.world()).committed == second


def test_no_daemon_at_all_in_time(hand: HandStore, second: Release) -> None:
    fake = FakeWorld(lambda _: None)
    with pytest.raises(ProbationError, match="no daemon has run it within 200 s"):
        await_verdict(hand.store, CONFIG, world=fake.world())


def test_figures_of_another_release_say_nothing(hand: HandStore, second: Release) -> None:
    other = replace(second, digest="f" * 64)
    fake = FakeWorld(lambda t: healthy(other, t))
    with pytest.raises(ProbationError, match="no daemon has run it within 200 s"):
        await_verdict(hand.store, CONFIG, world=fake.world())


def test_the_callers_patience_ends_before_the_probation(hand: HandStore, second: Release) -> None:
    fake = FakeWorld(lambda t: healthy(second, t))
    with pytest.raises(ProbationError, match=r"1\.1 is still on probation after 10 s"):
        await_verdict(hand.store, CONFIG, timeout_s=10.0, world=fake.world())
    assert hand.store.current == second


def test_another_judge_was_quicker(hand: HandStore, second: Release) -> None:
    fake = FakeWorld(lambda t: healthy(second, t), at={5.0: hand.commit})
    assert await_verdict(hand.store, CONFIG, world=fake.world()).committed == second
    assert sum(fake.slept) < 10


def test_somebody_rolled_it_back_meanwhile(hand: HandStore, second: Release) -> None:
    fake = FakeWorld(lambda t: healthy(second, t), at={5.0: hand.roll_back})
    with pytest.raises(ProbationError, match=r"1\.1: rolled back to 1\.0: test"):
        await_verdict(hand.store, CONFIG, world=fake.world())


def test_nothing_on_probation(hand: HandStore, tmp_path: Path) -> None:
    journal = await_verdict(hand.store, CONFIG, world=FakeWorld(lambda _: None).world())
    assert journal.committed is not None, "the verdict on the last one is said again"
    empty = HandStore(tmp_path / "empty", tmp_path)
    with pytest.raises(StateError, match="no release is on probation"):
        await_verdict(empty.store, CONFIG, world=FakeWorld(lambda _: None).world())
