"""The runner of ``valohai.yaml``: parameters, paths, edges and secrets, without a step of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from scripts.looping import valohai
from scripts.looping.narration import NotShownError
from scripts.looping.valohai import Order, Runner, rendered

pytestmark = pytest.mark.once

YAML = """
- step:
    name: make
    command:
      - pip install nothing
      - apt-get update
      - printf '%s\\n' "$SECRET" "${OTHER-unset}" {parameters} > /valohai/outputs/said.txt
      - echo kept > /tmp/kept && cp /tmp/kept /valohai/outputs/kept.bin
    parameters:
      - {name: source, type: string, multiple: repeat, default: ["yolo:/tmp/set"]}
      - {name: share, type: float, default: 0.2}
      - {name: note, type: string, optional: true}
      - {name: force, type: flag}
    environment-variables:
      - {name: SECRET}
- step:
    name: take
    command:
      - cat /valohai/inputs/things/renamed > /valohai/outputs/taken.txt
      - ls "$VH_INPUTS_DIR"/more >> /valohai/outputs/taken.txt
    inputs:
      - {name: things, filename: renamed}
      - {name: more, optional: true}
- step:
    name: walk
    command:
      - cd /valohai/inputs/tree && find . -type f | sort > /valohai/outputs/found.txt
    inputs:
      - {name: tree, keep-directories: suffix}
      - {name: flat, optional: true}
- step:
    name: fail
    command: [echo before, exit 7, echo after]
- pipeline:
    name: both
    nodes:
      - {name: maker, type: execution, step: make}
      - {name: taker, type: execution, step: take}
    edges:
      - [maker.output.*.bin, taker.input.things]
"""
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    (tmp_path / "valohai.yaml").write_text(YAML)
    monkeypatch.setattr(valohai, "ROOT", tmp_path)
    (tmp_path / "executions").mkdir()
    secrets = {"SECRET": "s3cret", "OTHER": "0ther"}
    return Runner(tmp_path / "executions", secrets=secrets, environment=ENVIRONMENT)


def test_a_step_runs_in_folders_of_its_own(runner: Runner, tmp_path: Path) -> None:
    mine = str(tmp_path / "mine")
    order = Order(parameters={"source": [mine], "force": True}, arguments=("--at", "http://here"))
    done = runner.step("make", order)
    said = done.output("said.txt").read_text().splitlines()
    assert said == [
        "s3cret", "unset", f"--source={mine}", "--share=0.2", "--force", "--at", "http://here",
    ]  # fmt: skip
    again = runner.step("make", Order())
    assert again.folder != done.folder
    assert f"--source=yolo:{again.folder}/tmp/set" in again.output("said.txt").read_text()


def test_edges_move_files(runner: Runner, tmp_path: Path) -> None:
    more = tmp_path / "more.txt"
    more.touch()
    told: list[str] = []
    done = runner.pipeline(
        "both", {"maker": Order(), "taker": Order({"more": [more]})},
        told=lambda execution: told.append(execution.step),
    )  # fmt: skip
    assert done["taker"].output("taken.txt").read_text() == "kept\nmore.txt\n"
    assert told == ["make", "take"]
    later = runner.pipeline("both", {"taker": Order()}, done={"maker": done["maker"]})
    assert later["taker"].output("taken.txt").read_text() == "kept\n"


def test_a_step_that_fails_is_told_unless_expected(runner: Runner) -> None:
    with pytest.raises(NotShownError, match="step fail: ended with exit code 7"):
        runner.step("fail", Order())
    assert runner.step("fail", Order(), codes=(7,)).said == "before\n"


def test_what_was_not_made_and_what_is_not_known(runner: Runner) -> None:
    with pytest.raises(NotShownError, match="made no other"):
        runner.step("make", Order()).output("other")
    step = yaml.safe_load(YAML)[0]["step"]
    with pytest.raises(NotShownError, match="has no parameter shere"):
        rendered(step, {"shere": 1})
    assert rendered(step, {"source": None, "share": None, "note": "a b"}) == ["--note=a b"]


def test_a_wildcard_keeps_folders_where_the_step_says_so(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "bucket/run/cam-1").mkdir(parents=True)
    (tmp_path / "bucket/run/cam-1/a.jpg").touch()
    done = runner.step("walk", Order({"tree": [tmp_path / "bucket"]}))
    assert done.output("found.txt").read_text() == "./run/cam-1/a.jpg\n"
    with pytest.raises(NotShownError, match="step walk, input flat: does not keep directories"):
        runner.step("walk", Order({"flat": [tmp_path / "bucket"]}))
