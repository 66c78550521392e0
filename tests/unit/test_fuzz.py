"""A short slice of ``scripts/fuzz``, the same in every run, and that it finds what is there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.choices import RandomChoices
from tests.fuzz.harness import Finding, Sandbox
from tests.fuzz.mutation import make
from tests.support.attack import GOOD_BYTES
from tests.support.attacks import attacks
from updater import archive, staging
from updater.trust import rules
from updater.trust.key import PublicKey

pytestmark = pytest.mark.once

ARCHIVES = 1500


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox()
    yield made
    made.close()


def test_random_bundles_are_refused_or_right(sandbox: Sandbox) -> None:
    outcomes = {sandbox.try_out(make(RandomChoices(seed))).error for seed in range(ARCHIVES)}
    assert "" in outcomes, "some are good"
    assert len(outcomes) > 60, "most rules are reached"


def test_attacks_and_the_good_one(sandbox: Sandbox) -> None:
    assert sandbox.try_out(GOOD_BYTES).error == ""
    for attack in attacks():
        if attack.exit_code == 4:
            sandbox.try_out(attack.make())


def test_the_same_seed_makes_the_same_bundle() -> None:
    assert all(make(RandomChoices(seed)) == make(RandomChoices(seed)) for seed in range(50))


def test_an_exception_is_found(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(rules, "parse", broken)
    with pytest.raises(ValueError, match="a bug"):
        sandbox.try_out(GOOD_BYTES)


def test_endless_work_is_found(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "CHUNK_BYTES", 1)
    with pytest.raises(Finding, match="reads without end"):
        sandbox.try_out(GOOD_BYTES)


def test_what_stays_is_found(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging.Staging, "_remove", lambda *_: None)
    damaged = next(attack for attack in attacks() if attack.name == "wrong CRC")
    with pytest.raises(Finding, match="something half-written stays"):
        sandbox.try_out(damaged.make())


def test_a_write_outside_is_found(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def escaping(*_: object, **__: object) -> None:
        (sandbox.root / "evil").touch()

    monkeypatch.setattr(rules, "check_key_state", escaping)
    with pytest.raises(Finding, match="written outside of the staging folder"):
        sandbox.try_out(GOOD_BYTES)


def test_a_signature_that_is_not_checked_is_found(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PublicKey, "verifies", lambda *_: True)
    monkeypatch.setattr(rules, "check_key_state", lambda *_, **__: None)
    with pytest.raises(Finding, match="without the signature of the one active key"):
        for seed in range(ARCHIVES):
            sandbox.try_out(make(RandomChoices(seed)))
