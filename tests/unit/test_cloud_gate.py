from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.cloud.errors import GateError
from scripts.cloud.gate import Figures, GateRule, compare, figures, read_figures
from updater.errors import UsageError

RULE = GateRule(least_gain=0.0, most_loss=0.02)
SHARES = st.floats(0.0, 1.0)


def of(mean: float, **others: float) -> Figures:
    return Figures({"map50": mean, **others}, {}, "here")


def test_better_in_the_mean_and_no_class_loses() -> None:
    verdict = compare(of(0.91, head_map50=0.89), of(0.90, head_map50=0.90), RULE)
    assert (verdict.better, verdict.reasons) == (True, ())
    assert verdict.gain == pytest.approx(0.01)


def test_the_same_is_not_better() -> None:
    verdict = compare(of(0.9), of(0.9), RULE)
    assert verdict.reasons == ("map50 0.9000 is not more than production's 0.9000",)


def test_a_class_may_not_pay_for_the_mean() -> None:
    verdict = compare(of(0.95, head_map50=0.80), of(0.90, head_map50=0.85), RULE)
    assert verdict.reasons == ("head_map50 loses 0.0500, and 0.02 is allowed",)


@given(SHARES, SHARES, st.floats(0.0, 0.5))
def test_not_both_are_better_than_the_other(one: float, other: float, gain: float) -> None:
    rule = GateRule(gain)
    assert not (
        compare(of(one), of(other), rule).better and compare(of(other), of(one), rule).better
    )


def test_figures_of_other_pictures_are_not_compared() -> None:
    new = Figures({"map50": 0.9}, {"val_sha256": "a"}, "new.json")
    old = Figures({"map50": 0.8}, {"val_sha256": "b"}, "old.json")
    with pytest.raises(GateError, match=r"new\.json: not comparable: val_sha256 is 'a'"):
        compare(new, old, RULE)
    assert compare(new, Figures({"map50": 0.8}, {}, "old.json"), RULE).better


def test_a_manifest_says_which_pictures_its_figures_are_of(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    # Trained on other data than production, and judged on the same: that can be compared.
    provenance = {"val_sha256": "a", "dataset_version": "1"}
    path.write_text(json.dumps({"metrics": {"val/map50": 0.9}, "provenance": provenance}))
    assert read_figures(path).identity == {"val_sha256": "a"}


def test_a_class_that_production_has_must_be_judged() -> None:
    with pytest.raises(GateError, match="head_map50 is missing"):
        compare(of(0.9), of(0.8, head_map50=0.8), RULE)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.1, "0.9", None, True])
def test_what_is_no_share_is_refused(value: object) -> None:
    with pytest.raises(GateError, match="should be from 0 to 1"):
        figures({"map50": value}, where="here")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"map50": 0.9, "head_map50": 0.8, "size_px": 416}),
        json.dumps(
            {"version": "1", "metrics": {"val/map50": 0.9, "val/head_map50": 0.8}}, indent=1
        ),
        '{"step": "prepare"}\n{"map50": 0.1, "head_map50": 0.1}\nnot JSON\n'
        '{"step": "evaluate", "map50": 0.9, "head_map50": 0.8, "map50_95": 0.5}\n',
    ],
)
def test_files_of_every_kind(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    assert read_figures(path).values == {"map50": 0.9, "head_map50": 0.8}


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    with pytest.raises(UsageError, match="cannot be read"):
        read_figures(path)
    for text in ("", "[]", '{"loss": 1}', "[" * 100_000):
        path.write_text(text)
        with pytest.raises(GateError, match="holds no map50"):
            read_figures(path)
