from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.cloud import secrets
from updater.errors import ConfigError, UsageError


def written(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_token_before_a_key_and_a_file_before_a_variable(tmp_path: Path) -> None:
    file = written(tmp_path, "of-the-file\n")
    both = {"ARTIFACTORY_TOKEN": "token", "ARTIFACTORY_API_KEY": "key"}
    assert secrets.artifactory(None, None, both).value == "Bearer token"
    assert secrets.artifactory(file, None, both).value == "Bearer of-the-file"
    shown = secrets.artifactory(None, file, both)
    assert (shown.header, shown.value) == ("X-JFrog-Art-Api", "of-the-file")
    assert secrets.artifactory(None, None, {"ARTIFACTORY_API_KEY": "key"}).value == "key"
    assert secrets.connect(file, {}) == "of-the-file"


def test_none_and_two(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no credentials for Artifactory"):
        secrets.artifactory(None, None, {"ARTIFACTORY_TOKEN": ""})
    with pytest.raises(UsageError, match="give one"):
        secrets.artifactory(tmp_path, tmp_path, {})
    with pytest.raises(UsageError, match="no token for Connect"):
        secrets.connect(None, {})


@pytest.mark.parametrize("mode", [0o644, 0o602, 0o601])
def test_open_to_others(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="every user of this machine"):
        secrets.read_file(written(tmp_path, "x", mode))


def test_files_that_hold_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="is no plain file"):
        secrets.read_file(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="No such file"):
        secrets.read_file(tmp_path / "absent")
    with pytest.raises(ConfigError, match="larger than"):
        secrets.read_file(written(tmp_path, "x" * 20_000))
    for text in ("", "  \n", "two words", "a\nHost: evil", "\u00e4"):
        with pytest.raises(ConfigError, match="holds no secret") as caught:
            secrets.token(written(tmp_path, text), "X", {})
        assert "evil" not in str(caught.value)


def test_processes_inherit_none() -> None:
    environment = {"PATH": "/bin", "AWS_PROFILE": "x", **dict.fromkeys(secrets.VARIABLES, "secret")}
    assert secrets.clean(environment) == {"PATH": "/bin", "AWS_PROFILE": "x"}


def test_hidden() -> None:
    assert secrets.without(["abc", ""], "an abc, and abc") == "an …, and …"
