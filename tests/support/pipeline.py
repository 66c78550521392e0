"""``valohai.yaml`` and the scripts it names, read without running any: some need torch."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
_SHARED = ROOT / "scripts/cloud/options.py"
_SCRIPT = re.compile(r"scripts/[\w-]+\.py")


@dataclass(frozen=True, slots=True)
class Option:
    """Of a script's command line.

    Attributes:
        name: with its dashes.
        required: whether it must be given.
        flag: whether it takes no value.
        several: whether it takes more than one, and how: ``append``, ``nargs`` or "".
        type: name of the function that reads it; "" for a text.
        choices: allowed values, where they are written out.
    """

    name: str
    required: bool
    flag: bool
    several: str
    type: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """Of a script in a step's command.

    Attributes:
        script: relative to the project's folder.
        subcommand: of it; "" for none.
        options: written out there.
        takes_parameters: whether the step's parameters are put in.
    """

    script: str
    subcommand: str
    options: tuple[str, ...]
    takes_parameters: bool


def read(text: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Steps and pipelines, by name."""
    document = yaml.safe_load(text or (ROOT / "valohai.yaml").read_text())
    steps = {entry["step"]["name"]: entry["step"] for entry in document if "step" in entry}
    pipelines = {
        entry["pipeline"]["name"]: entry["pipeline"] for entry in document if "pipeline" in entry
    }
    return steps, pipelines


def commands(step: Mapping[str, Any]) -> list[str]:
    """Of a step, one a line."""
    found = step["command"]
    return [found] if isinstance(found, str) else list(found)


def calls(step: Mapping[str, Any]) -> Iterator[Call]:
    """Every call of a script of ours, in order."""
    for command in commands(step):
        lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, ""
        words = list(lexer)
        for number, word in enumerate(words):
            if _SCRIPT.fullmatch(word):
                rest = list(itertools.takewhile(_is_argument, words[number + 1 :]))
                sub = rest[0] if rest and re.fullmatch(r"[a-z]+", rest[0]) else ""
                options = tuple(one for one in rest if one.startswith("--"))
                yield Call(word, sub, options, "{parameters}" in rest)


def _is_argument(word: str) -> bool:
    """Whether it still belongs to the command before: no ``;``, ``&&``, ``>`` …"""
    return not set(word) <= set("();<>|&")


def options_of(script: str, subcommand: str = "") -> dict[str, Option]:
    """What a script's parser knows, from its source.

    Args:
        script: relative to the project's folder.
        subcommand: whose options are in a function ``_add_SUBCOMMAND``; "" for all.
    """
    tree = ast.parse((ROOT / script).read_text())
    if subcommand:
        return _options(_function(tree, f"_add_{subcommand}"))
    found = _options(tree)
    shared = ast.parse(_SHARED.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("add_artifactory", "add_connect"):
            found |= _options(_function(shared, node.attr))
    return found


def source_of(script: str) -> str:
    """A script's text, and that of the module of the same name that does its work."""
    path = ROOT / script
    module = ROOT / "scripts/training" / path.name
    return path.read_text() + (module.read_text() if module.exists() else "")


def _function(tree: ast.AST, name: str) -> ast.AST:
    return next(
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name
    )


def _options(tree: ast.AST) -> dict[str, Option]:
    found = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else name
        first = node.args[0]
        if name not in ("add", "add_argument") or not isinstance(first, ast.Constant):
            continue
        given = {word.arg: word.value for word in node.keywords}
        action = _constant(given.get("action"))
        several = "append" if action == "append" else "nargs" if "nargs" in given else ""
        kind = given.get("type")
        choices = given.get("choices")
        option = Option(
            str(first.value),
            required=_constant(given.get("required")) == "True",
            flag=action == "store_true",
            several=several,
            type=kind.id if isinstance(kind, ast.Name) else "",
            choices=tuple(map(_constant, choices.elts)) if isinstance(choices, ast.Tuple) else (),
        )
        found[option.name] = option
    return found


def _constant(node: ast.AST | None) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""
