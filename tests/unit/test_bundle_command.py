"""``sitewatch-update bundle`` and ``keys``, from arguments to what is printed."""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.models import write_bundle
from tests.support.rights import public_folder
from updater import settings
from updater.commands import bundle, keys
from updater.commands.context import Context
from updater.errors import BundleError, ConfigError, SitewatchError, TrustError, UsageError
from updater.trust.keys import KeyRing, load

MAIN = "import sys; from updater.cli import main; sys.exit(main())"


class Line:
    """A command line that runs in this process, and so keeps its rights."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.keys = folder / "keys"
        self.require_signature = True
        self._capsys = capsys

    def run(self, *arguments: object) -> str:
        """Runs a command; its standard output."""
        parser = argparse.ArgumentParser()
        parser.set_defaults(inputs=(), keeps_rights=False)
        subparsers = parser.add_subparsers(required=True)
        bundle.add_parser(subparsers)
        keys.add_parser(subparsers)
        parsed = parser.parse_args([str(argument) for argument in arguments])
        config = replace(
            settings.UpdateConfig(), keys=self.keys, require_signature=self.require_signature
        )
        with ExitStack() as stack:
            opened = {
                name: stack.enter_context(getattr(parsed, name).open("rb"))
                for name in parsed.inputs
            }
            ring = load(self.keys) if getattr(parsed, "needs_keys", False) else KeyRing()
            context = Context(config, None, getattr(parsed, "json", False), opened, ring)
            assert parsed.run(parsed, context) == 0
        return self._capsys.readouterr().out


@pytest.fixture
def line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(tmp_path, capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle")


def test_from_a_key_to_a_verified_bundle(line: Line, folder: Path, tmp_path: Path) -> None:
    key, public, out = tmp_path / "release.key", tmp_path / "release.pub", tmp_path / "model.zip"
    made = json.loads(
        line.run("keys", "generate", key, "--public", public, "--comment", "release", "--json")
    )
    assert line.run("keys", "add", public) == f"key {made['id']} is trusted\n"
    assert line.run("keys", "list") == f"{made['id']}  active    release\n"
    created = json.loads(
        line.run("bundle", "create", folder, out, "--version", "2026.12.1", "--key", key, "--json")
    )
    assert created["key"] == made["id"]
    assert line.run("bundle", "verify", out) == (
        f"{out}: 2026.12.1 complete, signed by key {made['id']} (release)\n"
    )
    shown = line.run("bundle", "show", out)
    assert "coloured cells 2026.12.1" in shown
    assert f"signature   signed by key {made['id']} (release)" in shown
    assert json.loads(line.run("bundle", "show", out, "--json"))["digest"] == created["digest"]

    line.run("keys", "retire", made["id"])
    with pytest.raises(TrustError, match="is retired"):
        line.run("bundle", "verify", out)
    line.run("keys", "revoke", made["id"])
    with pytest.raises(TrustError, match="SIGNED BY REVOKED KEY"):
        line.run("bundle", "verify", out)
    shown = line.run("bundle", "show", out)
    assert "signature   not to be trusted: SIGNED BY REVOKED KEY" in shown
    listed = json.loads(line.run("keys", "list", "--json"))
    assert [(entry["id"], entry["state"]) for entry in listed["keys"]] == [(made["id"], "revoked")]
    with pytest.raises(ConfigError, match="was revoked here"):
        line.run("keys", "add", public)


def test_without_a_key_somebody_must_say_so(
    line: Line, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "model.zip"
    with pytest.raises(UsageError, match="a bundle is signed with --key KEYFILE"):
        line.run("bundle", "create", folder, out, "--version", "1")
    assert not out.exists()
    with caplog.at_level(logging.WARNING):
        said = line.run("bundle", "create", folder, out, "--version", "1", "--unsigned")
    assert ", not signed\n" in said
    assert f"warning: {out} is NOT SIGNED" in caplog.text


def test_unsigned_is_refused_unless_it_is_allowed(line: Line, folder: Path, tmp_path: Path) -> None:
    out, public = tmp_path / "model.zip", tmp_path / "p"
    line.run("bundle", "create", folder, out, "--version", "1", "--unsigned")
    line.run("keys", "generate", tmp_path / "k", "--public", public)
    line.run("keys", "add", public)
    for path in (out, folder):
        line.require_signature = True
        with pytest.raises(TrustError, match="the bundle is not signed"):
            line.run("bundle", "verify", path)
        assert "complete, not signed" in line.run("bundle", "verify", "--unsigned", path)
        line.require_signature = False
        assert "complete, not signed" in line.run("bundle", "verify", path)


def test_without_keys_the_files_are_checked_and_the_rest_is_said(
    line: Line, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        said = line.run("bundle", "verify", folder)
    assert f"complete, WHO SIGNED IT WAS NOT CHECKED: no keys in {line.keys}" in said
    assert "warning: there are no keys" in caplog.text
    (folder / "model.tflite").write_bytes(b"TFL3")
    with pytest.raises(BundleError, match=r"model\.tflite: 4 bytes, and the manifest says"):
        line.run("bundle", "verify", folder)


def test_a_foreign_name_reaches_no_terminal(line: Line, folder: Path) -> None:
    raw = json.loads((folder / "manifest.json").read_bytes())
    raw["name"] = "\x1b]0;evil\x07\nforged line"
    (folder / "manifest.json").write_text(json.dumps(raw))
    shown = line.run("bundle", "show", folder)
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert "\nforged line" not in shown


def test_the_last_key_is_missed(
    line: Line, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    public = tmp_path / "p"
    made = json.loads(line.run("keys", "generate", tmp_path / "k", "--public", public, "--json"))
    line.run("keys", "add", public)
    with caplog.at_level(logging.WARNING):
        assert line.run("keys", "retire", made["id"]) == f"key {made['id']} is retired\n"
    assert "no active key is in" in caplog.text


def test_the_real_command_line() -> None:
    """In processes of their own: as root they give up their rights before they read a bundle."""
    with public_folder() as place:
        folder, out, trusted = write_bundle(place / "bundle"), place / "model.zip", place / "keys"
        device = ("--keys", trusted, "--store", place / "store")
        ends = [
            subprocess.run(
                [sys.executable, "-c", MAIN, *map(str, arguments)],
                cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
            )
            for arguments in (
                ("keys", "generate", place / "k", "--public", place / "p"),
                ("keys", "add", place / "p", *device),
                ("bundle", "create", folder, out, "--version", "1", "--key", place / "k"),
                ("bundle", "verify", out, *device),
                ("bundle", "show", folder, *device),
                ("bundle", "verify", folder, *device),
                ("bundle", "verify", place / "p", *device),
            )
        ]  # fmt: skip
    assert [end.returncode for end in ends] == [0, 0, 0, 0, 0, 10, 4], [e.stderr for e in ends]
    assert "complete, signed by key" in ends[3].stdout
    for end in ends[5:]:
        assert end.stderr.splitlines()[-1].startswith("sitewatch-update: ")
        assert "Traceback" not in end.stderr


def test_errors_are_of_the_project(line: Line, tmp_path: Path) -> None:
    for arguments in (
        ("keys", "retire", "beef"),
        ("keys", "add", tmp_path / "missing"),
        (
            "bundle",
            "create",
            tmp_path / "missing",
            tmp_path / "o.zip",
            "--version",
            "1",
            "--unsigned",
        ),
        ("bundle", "create", tmp_path, "/o.zip", "--version", "1", "--key", tmp_path / "missing"),
    ):
        with pytest.raises(SitewatchError):
            line.run(*arguments)
