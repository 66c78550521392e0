"""``valohai.yaml`` against itself and against the scripts: what Valohai's own lint does not see."""

from __future__ import annotations

import fnmatch
import importlib
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from scripts.cloud import secrets
from tests.support import pipeline
from tests.support.pipeline import ROOT, calls, commands, options_of

STEPS, PIPELINES = pipeline.read()
NODES = {name: {node["name"]: node for node in one["nodes"]} for name, one in PIPELINES.items()}
EDGES = [
    (name, *(end.split(".", 2) for end in edge)) for name, one in PIPELINES.items()
    for edge in one["edges"]
]  # fmt: skip
AMAZON = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
AGENT = ("VH_DOCKER_NETWORK",)  # what Valohai's agent is told; no secrets
TYPES = {"int": "integer", "float": "float", "_seconds": ("integer", "float"), "_share": "float"}


def inputs(step: str) -> dict[str, Any]:
    return {one["name"]: one for one in STEPS[step].get("inputs", [])}


def parameters(step: str) -> dict[str, Any]:
    return {one["name"]: one for one in STEPS[step].get("parameters", [])}


def consumer(step: str) -> pipeline.Call:
    """The one call that the step's parameters go to."""
    (found,) = [call for call in calls(STEPS[step]) if call.takes_parameters]
    return found


def test_valohais_own_lint() -> None:
    lint = pytest.importorskip("valohai_yaml.lint")
    result = lint.lint((ROOT / "valohai.yaml").read_text())
    assert list(result.messages) == []


def test_what_there_must_be() -> None:
    assert {"prepare", "train", "export", "publish", "connect", "collect", "labels"} <= set(STEPS)
    assert len(PIPELINES) == 2


@pytest.mark.parametrize("step", STEPS)
def test_scripts_and_options_exist(step: str) -> None:
    found = list(calls(STEPS[step]))
    assert found, "a step that runs nothing of ours"
    for call in found:
        known = options_of(call.script, call.subcommand)
        for option in call.options:
            assert option in known, f"{call.script} has no {option}"


@pytest.mark.parametrize("step", STEPS)
def test_parameters_are_options_of_the_script(step: str) -> None:
    call = consumer(step)
    known = options_of(call.script, call.subcommand)
    for name, one in parameters(step).items():
        option = known.get(f"--{name}")
        assert option is not None, f"{call.script} has no --{name}"
        assert option.name not in call.options, f"--{name} is given twice"
        assert (one["type"] == "flag") == option.flag, name
        if option.type in TYPES:
            assert one["type"] in TYPES[option.type], name
        # Valohai joins the values of "separate" with commas, which no script here takes apart.
        how = {"append": "repeat", "": None}[option.several]
        assert one.get("multiple") == how, f"{name} takes more than one, or only one"
        if option.choices and "default" in one:
            values = one["default"] if how else [one["default"]]
            assert set(values) <= set(option.choices), name


@pytest.mark.parametrize("script", ["publish", "jfrog-connect", "collect"])
def test_the_command_that_valohai_makes_is_understood(script: str) -> None:
    valohai_yaml = pytest.importorskip("valohai_yaml")
    (step,) = [name for name in STEPS if consumer(name).script == f"scripts/{script}.py"]
    config = valohai_yaml.parse((ROOT / "valohai.yaml").read_text())
    text = config.steps[step].build_command(
        {name: one["default"] for name, one in parameters(step).items() if "default" in one}
    )
    (line,) = [line for line in text if f"scripts/{script}.py" in line]
    words = shlex.split(line.partition(f"scripts/{script}.py ")[2].partition("||")[0])
    module = importlib.import_module(f"scripts.{script}")
    given = module.parser().parse_args([word for word in words if not word.startswith("$")])
    for name, one in parameters(step).items():
        found = getattr(given, name.replace("-", "_"))
        if "default" in one:
            wanted = one["default"] if isinstance(one["default"], list) else [one["default"]]
            for sample, value in zip(_listed(found), wanted, strict=True):
                assert sample == type(sample)(value)


def _listed(found: object) -> list[Any]:
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("step", STEPS)
def test_what_a_script_must_be_given_is_given(step: str) -> None:
    for call in calls(STEPS[step]):
        given = set(call.options)
        if call.takes_parameters:
            given |= {
                f"--{name}"
                for name, one in parameters(step).items()
                if "default" in one and not one.get("optional")
            }
        needed = {
            option.name
            for option in options_of(call.script, call.subcommand).values()
            if option.required
        }
        assert needed <= given, call.script


@pytest.mark.parametrize("step", STEPS)
def test_inputs_are_used_and_what_is_used_is_an_input(step: str) -> None:
    text = "\n".join(commands(STEPS[step]))
    named = set(re.findall(r"/valohai/inputs/([\w-]+)", text))
    assert named <= set(inputs(step))
    for name, one in inputs(step).items():
        by_default = any(
            f'input_folder("{name}"' in pipeline.source_of(call.script)
            for call in calls(STEPS[step])
        )
        below = any(
            f":{name}" in str(parameter.get("default", ""))
            for parameter in parameters(step).values()
        )
        assert name in named or by_default or below, f"nothing reads the input {name}"
        if one.get("optional") and name in named:
            assert re.search(rf"\[ -[es] (\"\$each\"|/valohai/inputs/{name}/)", text), name


@pytest.mark.parametrize(("pipe", "source", "target"), EDGES)
def test_edges_lead_from_outputs_to_inputs(pipe: str, source: list[str], target: list[str]) -> None:
    node, kind, pattern = source
    step = NODES[pipe][node]["step"]
    assert kind == "output"
    text = "\n".join(commands(STEPS[step]))
    made = set(re.findall(r"/valohai/outputs/([\w.-]+)", text))
    for call in calls(STEPS[step]):
        made |= set(re.findall(r'"([\w-]+\.\w+)"', pipeline.source_of(call.script)))
    assert fnmatch.filter(made, pattern), f"{step} makes no {pattern}"
    node, kind, name = target
    assert kind == "input"
    assert name in inputs(NODES[pipe][node]["step"])
    # The file's name is in the command that reads it, or an input gives it one.
    reader = STEPS[NODES[pipe][node]["step"]]
    wanted = inputs(reader["name"])[name].get("filename", pattern)
    read = "\n".join(commands(reader))
    assert f"/valohai/inputs/{name}/{wanted}" in read or f"/valohai/inputs/{name}/*.tar" in read


@pytest.mark.parametrize("pipe", PIPELINES)
def test_every_input_has_a_source(pipe: str) -> None:
    fed = {(target[0], target[2]) for name, _, target in EDGES if name == pipe}
    for node in NODES[pipe].values():
        assert node["step"] in STEPS
        for name, one in inputs(node["step"]).items():
            assert "default" in one or one.get("optional") or (node["name"], name) in fed, name


@pytest.mark.parametrize("step", STEPS)
def test_what_is_fetched_by_name_is_made_here_or_said_to_be_put_there(step: str) -> None:
    aliases = re.findall(r'"--alias", default="([\w-]+)"', pipeline.source_of("scripts/publish.py"))
    made = {f"datum://{name}" for name in aliases}
    guide = (ROOT / "docs/cloud.md").read_text()
    for name, one in inputs(step).items():
        default = one.get("default", "")
        if default.startswith(("datum://", "dataset://")) and default not in made:
            assert f"`{default}`" in guide, f"nobody makes {default} of the input {name}"


def test_labels_are_looked_for_where_pictures_are_collected() -> None:
    captures = inputs("labels")["captures"]
    bucket, prefix = (parameters("collect")[name]["default"] for name in ("bucket", "prefix"))
    assert captures["default"] == f"s3://{bucket}/{prefix}/*"
    assert captures["keep-directories"] == "suffix"  # two devices may use a name


@pytest.mark.parametrize("step", STEPS)
def test_secrets_are_named_and_have_no_value(step: str) -> None:
    for one in STEPS[step].get("environment-variables", []):
        if one["name"] in AGENT:
            continue
        assert one["name"] in (*secrets.VARIABLES, *AMAZON)
        assert "default" not in one
    options = {f"--{name}" for name in parameters(step)}
    assert not {option for option in options if re.search("token|secret|password|key-file", option)}


def test_training_goes_on_where_it_was_cut_short() -> None:
    """Valohai brings the outputs of the run before as an input, by hand or by itself."""
    (call,) = [call for call in calls(STEPS["train"]) if call.script == "scripts/train.py"]
    assert "--resume" in call.options
    assert inputs("train")["checkpoint"]["optional"]
    for name in ("checkpoint", "_restart"):
        assert f'input_folder("{name}"' in pipeline.source_of(call.script)


def test_training_on_several_machines_takes_the_place_of_its_node() -> None:
    lint = pytest.importorskip("valohai_yaml.lint")
    document = yaml.safe_load((ROOT / "valohai.yaml").read_text())
    (task,) = [entry["task"] for entry in document if "task" in entry]
    assert (task["type"], task["step"]) == ("distributed", "train")
    assert task["on-child-error"] == "stop-all-and-error"  # one member gone, and all would wait
    variables = {one["name"]: one for one in STEPS["train"]["environment-variables"]}
    assert variables["VH_DOCKER_NETWORK"]["default"] == "host"
    (pipe,) = [
        entry["pipeline"] for entry in document
        if entry.get("pipeline", {}).get("name") == "continuous-training"
    ]  # fmt: skip
    place = [node["name"] for node in pipe["nodes"]].index("train")
    pipe["nodes"][place] = {
        "name": "train", "type": "task", "task": task["name"], "on-error": "stop-all"
    }  # fmt: skip
    assert list(lint.lint(yaml.safe_dump(document)).messages) == []
    pipe["nodes"][place]["task"] = "train-elsewhere"
    assert list(lint.lint(yaml.safe_dump(document)).messages)


@pytest.mark.parametrize(
    ("old", "new", "test"),
    [
        ("publish.output.publication.json", "publish.output.published.json", "edges"),
        ("train.input.prepared", "train.input.prepare", "edges"),
        ("- name: least-gain", "- name: least-gains", "parameters"),
        ("scripts/export.py --checkpoint", "scripts/export.py --weights", "options"),
        ("default: datum://model-prod", "default: datum://model-production", "names"),
    ],
)
def test_the_checks_see_mistakes(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str, test: str
) -> None:
    text = (ROOT / "valohai.yaml").read_text()
    assert old in text
    steps, pipelines = pipeline.read(text.replace(old, new))
    module = test_the_checks_see_mistakes.__globals__
    monkeypatch.setitem(module, "STEPS", steps)
    failed = 0
    checks: dict[str, list[tuple[Callable[..., None], tuple[Any, ...]]]] = {
        "edges": [
            (test_edges_lead_from_outputs_to_inputs, (name, *(end.split(".", 2) for end in edge)))
            for name, one in pipelines.items()
            for edge in one["edges"]
        ],
        "parameters": [(test_parameters_are_options_of_the_script, (step,)) for step in steps],
        "options": [(test_scripts_and_options_exist, (step,)) for step in steps],
        "names": [
            (test_what_is_fetched_by_name_is_made_here_or_said_to_be_put_there, (step,))
            for step in steps
        ],
    }
    for check, arguments in checks[test]:
        try:
            check(*arguments)
        except (AssertionError, KeyError):
            failed += 1
    assert failed == 1
