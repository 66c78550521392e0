"""Runs steps and pipelines of ``valohai.yaml`` on this machine, by their own commands.

As on Valohai, an execution has folders of its own for inputs and outputs, edges move files, and
parameters come from the step's defaults unless an order names others. Otherwise than there: the
environments exist already, so commands of ``pip`` and ``apt-get`` are left out; ``/valohai`` and
``/tmp`` are below the execution's folder; a step sees only those secrets that it names; and an
order may add arguments, for the addresses of stand-ins, which no step has parameters for.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from scripts.looping.narration import NotShownError

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 3600.0

_INSTALLS = re.compile(r"(pip|apt-get) ")
_CLOUD = "scripts/training/requirements.txt"
"""A step that installs this needs the environment with torch."""
_CONTAINER_PATH = re.compile(r"(?<![\w/.-])/(?=(?:valohai|tmp)\b)")
_SAID_MAX_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class Order:
    """What one node is run with, beside what its edges bring.

    Attributes:
        inputs: files by input; an input's default is never fetched. A folder stands for what a
            wildcard finds below it, for an input that keeps directories.
        parameters: in the place of defaults; None leaves one out.
        arguments: further ones, put where the parameters are.
    """

    inputs: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    arguments: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Execution:
    """A step that ran.

    Attributes:
        step: its name.
        code: exit code.
        folder: of its own.
        said: standard output; what it said to people is in ``stderr.log`` of its folder.
    """

    step: str
    code: int
    folder: Path
    said: str

    @property
    def outputs(self) -> Path:
        """What it made."""
        return self.folder / "valohai/outputs"

    def output(self, name: str) -> Path:
        """A file that it made.

        Raises:
            NotShownError: it did not.
        """
        path = self.outputs / name
        if not path.is_file():
            raise NotShownError(f"made no {name}", where=f"step {self.step}")
        return path


class Runner:
    """Runs steps.

    Args:
        folder: takes a folder for each execution.
        secrets: values of environment variables, for the steps that name them.
        environment: of every step.
    """

    def __init__(
        self, folder: Path, *, secrets: Mapping[str, str], environment: Mapping[str, str]
    ) -> None:
        self._folder, self._secrets, self._environment = folder, secrets, environment
        document = yaml.safe_load((ROOT / "valohai.yaml").read_text(encoding="utf-8"))
        self._steps = {one["step"]["name"]: one["step"] for one in document if "step" in one}
        self._pipelines = {
            one["pipeline"]["name"]: one["pipeline"] for one in document if "pipeline" in one
        }

    def pipeline(
        self,
        name: str,
        orders: Mapping[str, Order],
        *,
        done: Mapping[str, Execution] | None = None,
        told: Callable[[Execution], None] = lambda execution: None,
    ) -> dict[str, Execution]:
        """Runs nodes of a pipeline in their order.

        Args:
            name: of the pipeline.
            orders: by node; nodes without one are left out.
            done: nodes that ran before: what they made comes along the edges.
            told: called after each node.

        Raises:
            NotShownError: a step failed.
        """
        document = self._pipelines[name]
        done = dict(done or {})
        for node in document["nodes"]:
            if (order := orders.get(node["name"])) is None:
                continue
            inputs = {key: list(files) for key, files in order.inputs.items()}
            for source, target in document["edges"]:
                maker, _, pattern = source.split(".", 2)
                taker, _, key = target.split(".", 2)
                if taker == node["name"] and maker in done:
                    made = sorted(done[maker].outputs.iterdir())
                    inputs.setdefault(key, []).extend(
                        path for path in made if fnmatch.fnmatch(path.name, pattern)
                    )
            done[node["name"]] = self.step(
                node["step"], Order(inputs, order.parameters, order.arguments)
            )
            told(done[node["name"]])
        return done

    def step(self, name: str, order: Order, *, codes: Sequence[int] = (0,)) -> Execution:
        """Runs one step.

        Args:
            name: of the step.
            order: what it is run with.
            codes: exit codes that are expected.

        Raises:
            NotShownError: it ended with another one.
        """
        step = self._steps[name]
        folder = self._folder / f"{len(list(self._folder.glob('*-*'))) + 1:02}-{name}"
        for part in ("valohai/outputs", "tmp"):
            (folder / part).mkdir(parents=True)
        self._fill(step, order, folder / "valohai/inputs")
        parameters = shlex.join([*rendered(step, order.parameters), *order.arguments])
        lines = [
            self._here(line.replace("{parameters}", parameters), folder)
            for line in step["command"]
            if not _INSTALLS.match(line)
        ]
        logs = folder / "stdout.log", folder / "stderr.log"
        with logs[0].open("w") as out, logs[1].open("w") as err:
            done = subprocess.run(
                ["bash", "-c", "set -e\n" + "\n".join(lines)],
                cwd=ROOT, env=self._variables(step, folder), stdout=out, stderr=err,
                check=False, timeout=TIMEOUT_S,
            )  # fmt: skip
        said, errors = (log.read_text(errors="replace") for log in logs)
        if done.returncode not in codes:
            raise NotShownError(
                f"ended with exit code {done.returncode}: {errors.strip()[-_SAID_MAX_CHARACTERS:]}",
                where=f"step {name}",
                hint=f"Everything that it said: {folder}",
            )
        return Execution(name, done.returncode, folder, said)

    def _fill(self, step: Mapping[str, Any], order: Order, inputs: Path) -> None:
        """Puts an execution's inputs where it looks for them."""
        for entry in step.get("inputs", []):
            target = inputs / entry["name"]
            target.mkdir(parents=True)
            for path in order.inputs.get(entry["name"], ()):
                if path.is_dir():
                    if entry.get("keep-directories") != "suffix":
                        raise NotShownError(
                            f"does not keep directories, but is given {path}",
                            where=f"step {step['name']}, input {entry['name']}",
                        )
                    shutil.copytree(path, target, copy_function=_linked, dirs_exist_ok=True)
                else:
                    _linked(path, target / entry.get("filename", path.name))

    def _here(self, text: str, folder: Path) -> str:
        """A command with the container's folders in this execution's."""

        def moved(match: re.Match[str]) -> str:
            # What an order names lies on this machine, perhaps below /tmp itself.
            own = text.startswith(str(self._folder.parent), match.start())
            return "/" if own else f"{folder}/"

        return _CONTAINER_PATH.sub(moved, text)

    def _variables(self, step: Mapping[str, Any], folder: Path) -> dict[str, str]:
        cloud = any(_CLOUD in line for line in step["command"])
        programs = ROOT / (".venv-cloud" if cloud else ".venv") / "bin"
        named = {entry["name"] for entry in step.get("environment-variables", [])}
        return {
            **self._environment,
            "PATH": f"{programs}:{self._environment.get('PATH', os.defpath)}",
            "VH_INPUTS_DIR": str(folder / "valohai/inputs"),
            "VH_OUTPUTS_DIR": str(folder / "valohai/outputs"),
            **{name: value for name, value in self._secrets.items() if name in named},
        }


def _linked(path: Path | str, copy: Path | str) -> None:
    """The same file under another name; a copy where the file system cannot."""
    try:
        os.link(path, copy)
    except OSError:
        shutil.copyfile(path, copy)


def rendered(step: Mapping[str, Any], given: Mapping[str, object]) -> list[str]:
    """A step's parameters as Valohai writes them: ``--name=value``, a flag without a value.

    Args:
        step: as ``valohai.yaml`` has it.
        given: values in the place of defaults; None leaves one out.

    Raises:
        NotShownError: the step has no parameter of that name.
    """
    known = {entry["name"]: entry for entry in step.get("parameters", [])}
    if unknown := given.keys() - known.keys():
        raise NotShownError(f"has no parameter {', '.join(sorted(unknown))}", where=step["name"])
    words: list[str] = []
    for name, entry in known.items():
        value = given.get(name, entry.get("default"))
        if entry["type"] == "flag":
            words += [f"--{name}"] if value else []
        elif value is not None:
            several = value if isinstance(value, list | tuple) else [value]
            words += [f"--{name}={each}" for each in several]
    return words
