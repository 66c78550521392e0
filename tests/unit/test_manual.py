"""The manual pages and the completion say what the parsers say."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import daemon.cli
import updater.cli
from scripts.manual import __main__ as manual
from scripts.manual.commandline import CommandLine, read
from scripts.manual.completion import completion
from scripts.manual.page import escape, page

PARSERS = {"sitewatch": daemon.cli.make_parser, "sitewatch-update": updater.cli.make_parser}
programs = pytest.mark.parametrize("name", PARSERS)


def described(name: str) -> CommandLine:
    return read(PARSERS[name]())


def page_of(name: str) -> str:
    return page(
        described(name), version="1.2", date_unix_s=1_795_348_800, files={"/etc/x.toml": "said"}
    )


def each_parser(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    found = [parser]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                found += each_parser(below)
    return found


@programs
def test_every_option_of_the_help_is_on_the_page(name: str) -> None:
    text = page_of(name)
    for parser in each_parser(PARSERS[name]()):
        flags = re.findall(r"^  +(--?[a-z0-9-]+)", parser.format_help(), re.MULTILINE)
        assert flags  # --help at least
        for flag in flags:
            assert escape(flag) in text, f"{parser.prog} {flag}"


@programs
def test_every_command_has_its_section(name: str) -> None:
    sections = re.findall(r"^\.SS (.*)$", page_of(name), re.MULTILINE)
    leaves = [
        parser.prog.removeprefix(f"{name} ")
        for parser in each_parser(PARSERS[name]())
        if not any(isinstance(action, argparse._SubParsersAction) for action in parser._actions)
    ]
    assert sections == [escape(leaf) for leaf in leaves]


@programs
@pytest.mark.skipif(shutil.which("man") is None, reason="man-db is not installed")
def test_man_has_nothing_to_complain_of(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.1"
    path.write_text(page_of(name))
    shown = subprocess.run(
        ["man", "--warnings", "--local-file", str(path)],
        env={"MANWIDTH": "80", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stderr == ""
    assert "EXAMPLES" in shown.stdout
    assert "exit codes:" in shown.stdout.lower()


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (".toml", r"\&.toml"),
        ("it's --json", r"it\(aqs \-\-json"),
        (r"a\b", r"a\eb"),
        ("~/x^`…", r"\(ti/x\(ha\(ga..."),
    ],
)
def test_troff_takes_no_sign_for_its_own(text: str, escaped: str) -> None:
    assert escape(text) == escaped


def completed(name: str, *words: str) -> set[str]:
    """What bash offers for the last word."""
    script = completion(described(name))
    line = " ".join(f"'{word}'" for word in (name, *words))
    ask = f"""
        {script}
        COMP_WORDS=({line}); COMP_CWORD={len(words)}
        _{name.replace("-", "_")}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-euc", ask], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_completion_of_commands() -> None:
    assert completed("sitewatch", "ca") == {"captures"}
    assert completed("sitewatch", "captures", "pur") == {"purge"}
    assert {"install", "rollback", "--store"} <= completed("sitewatch-update", "")


def test_completion_of_options() -> None:
    assert completed("sitewatch", "run", "--s") == {"--source"}
    assert completed("sitewatch-update", "install", "--sh") == {"--sha256"}
    assert completed("sitewatch-update", "install", "--st") == {"--store"}
    assert completed("sitewatch-update", "--store", "/x", "install", "--of") == {"--offline"}


def test_completion_of_values() -> None:
    assert completed("sitewatch", "captures", "list", "--sort", "") == {"time", "value"}
    assert completed("sitewatch", "detect", "--runtime", "lit") == {"litert"}
    assert completed("sitewatch", "detect", "--draw", "/etc/no-such-") == set()


def test_an_option_of_the_same_name_as_the_programs_is_kept() -> None:
    create = next(each for each in described("sitewatch-update").commands if "bundle" in each.words)
    made = next(each for each in create.commands if each.words[-1] == "create")
    assert "--version" in {flag for option in made.options for flag in option.flags}
    assert "--store" not in {flag for option in made.options for flag in option.flags}


def test_the_files_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795348800")
    manual.main(tmp_path / "out")
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert found == {f"{name}.{kind}" for name in PARSERS for kind in ("1", "bash")}
    assert "2026-11-22" in (tmp_path / "out" / "sitewatch.1").read_text()
