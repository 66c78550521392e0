from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config import MqttConfig
from daemon.mqtt.credentials import PEM_MAX_BYTES, SECRET_MAX_BYTES, load
from tests.support.certificates import Authority
from updater.errors import ConfigError


def secret(folder: Path, name: str, content: bytes, mode: int = 0o600) -> Path:
    path = folder / name
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_bytes(content)
    return path


def test_without_anything_there_is_nothing() -> None:
    found = load(MqttConfig(), {})
    assert (found.username, found.password, found.tls) == ("", "", None)


def test_user_and_password_come_from_files(tmp_path: Path) -> None:
    config = MqttConfig(
        username_file=secret(tmp_path, "user", b"gate\n"),
        password_file=secret(tmp_path, "password", b"pass word\r\n"),
    )
    found = load(config, {})
    assert (found.username, found.password) == ("gate", "pass word")
    assert "pass word" not in repr(found)


def test_a_bare_name_is_a_systemd_credential(tmp_path: Path) -> None:
    secret(tmp_path, "mqtt-user", b"gate")
    config = MqttConfig(username_file=Path("mqtt-user"))
    assert load(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).username == "gate"
    with pytest.raises(ConfigError, match=r"mqtt\.username_file.*LoadCredential"):
        load(config, {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "one line"),
        (b"a\nb\n", "one line"),
        (b"a\0b", "one line"),
        (b"sesame\xff", "not UTF-8"),
        (b"x" * (SECRET_MAX_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_secret_is_refused_and_not_shown(
    tmp_path: Path, content: bytes, words: str
) -> None:
    config = MqttConfig(username_file=secret(tmp_path, "user", content))
    with pytest.raises(ConfigError, match=words) as caught:
        load(config, {})
    assert "sesame" not in str(caught.value)
    assert caught.value.__cause__ is None  # a decoder's message quotes bytes
    assert "mqtt.username_file" in str(caught.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    config = MqttConfig(username_file=tmp_path / "absent")
    with pytest.raises(ConfigError, match="absent cannot be read: No such file"):
        load(config, {})


def test_a_password_needs_a_user(tmp_path: Path) -> None:
    config = MqttConfig(password_file=secret(tmp_path, "password", b"p"))
    with pytest.raises(ConfigError, match="needs a user name"):
        load(config, {})


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_secret_that_others_can_read_is_warned_of(
    tmp_path: Path, mode: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    load(MqttConfig(username_file=secret(tmp_path, "user", b"gate", mode)), {})
    assert ("can be read by others" in caplog.text) is warned


class TestTls:
    def test_a_certificate_and_its_key_are_used(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        certificate, key = authority.issue("gate")
        config = MqttConfig(
            tls=True, ca_file=authority.certificate, certificate_file=certificate, key_file=key
        )
        context = load(config, {}).tls
        assert context is not None
        assert context.check_hostname
        assert len(context.get_ca_certs()) == 1

    def test_the_systems_authorities_are_the_default(self) -> None:
        assert load(MqttConfig(tls=True), {}).tls is not None

    def test_files_of_the_wrong_kind_are_named(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        certificate, key = authority.issue("gate")
        _, other_key = authority.issue("other")
        nonsense = secret(tmp_path, "nonsense", b"no certificate")
        huge = secret(tmp_path, "huge", b"x" * (PEM_MAX_BYTES + 1))
        for words, config in (
            ("mqtt.ca_file: .*nonsense holds no CA", MqttConfig(tls=True, ca_file=nonsense)),
            ("mqtt.ca_file: .*larger than", MqttConfig(tls=True, ca_file=huge)),
            ("mqtt.key_file: is set without", MqttConfig(tls=True, key_file=key)),
            (
                "mqtt.certificate_file: .*belong together",
                MqttConfig(tls=True, certificate_file=certificate, key_file=other_key),
            ),
            (
                "mqtt.certificate_file: .*cannot be used",
                MqttConfig(tls=True, certificate_file=nonsense, key_file=key),
            ),
        ):
            with pytest.raises(ConfigError, match=words):
                load(config, {})
