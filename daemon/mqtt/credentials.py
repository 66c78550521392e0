"""User name, password and TLS files, read from disk, never logged, never in arguments.

A path that is not absolute names a systemd credential: it is looked up in
``$CREDENTIALS_DIRECTORY`` (systemd.exec(5), ``LoadCredential=``). Files are read anew for each
connection, so a renewed certificate or password needs no restart.
"""

from __future__ import annotations

import logging
import os
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from daemon.config import MqttConfig
from updater.errors import ConfigError

SECRET_MAX_BYTES = 4096
PEM_MAX_BYTES = 1_000_000
"""A bundle of all public CAs is about 220 KB."""

AWS_MQTT_ON_443 = "x-amzn-mqtt-ca"
"""ALPN name by which AWS IoT Core tells MQTT from HTTPS on port 443 (AWS IoT developer guide,
"Protocols, port mappings, and authentication")."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What proves who we are.

    Attributes:
        username: empty for none.
        password: empty for none; not shown by ``repr``.
        tls: None for a connection in the clear.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None


def load(config: MqttConfig, environment: Mapping[str, str] = os.environ) -> Credentials:
    """Reads what the configuration names.

    Args:
        config: the broker's section.
        environment: of the process, for ``$CREDENTIALS_DIRECTORY``.

    Raises:
        ConfigError: a file is missing, unreadable, too large, not what it should be, or does not
            fit the others. The text names the field and the file, never the content.
    """
    username = _secret(config.username_file, "mqtt.username_file", environment)
    password = _secret(config.password_file, "mqtt.password_file", environment)
    if password and not username:
        raise ConfigError(
            "needs a user name too: MQTT 3.1.1 allows no password without one",
            where="mqtt.password_file",
            hint="Set mqtt.username_file.",
        )
    return Credentials(username, password, _tls(config, environment) if config.tls else None)


def _tls(config: MqttConfig, environment: Mapping[str, str]) -> ssl.SSLContext:
    ca = _pem(config.ca_file, "mqtt.ca_file", environment)
    certificate = _pem(config.certificate_file, "mqtt.certificate_file", environment)
    key = _pem(config.key_file, "mqtt.key_file", environment)
    try:
        context = ssl.create_default_context(cafile=ca)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(
            f"{ca} holds no CA certificates: {error}", where="mqtt.ca_file"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.port == 443:
        context.set_alpn_protocols([AWS_MQTT_ON_443])
    if key is not None and certificate is None:
        raise ConfigError("is set without mqtt.certificate_file", where="mqtt.key_file")
    if certificate is not None:
        if key is not None:
            _warn_if_open(key, "mqtt.key_file")
        try:
            # The empty password makes an encrypted key an error; otherwise OpenSSL would ask for
            # it on the terminal.
            context.load_cert_chain(certificate, key, password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ConfigError(
                f"{certificate} and its key cannot be used: {error}",
                where="mqtt.certificate_file",
                hint="Both must be PEM, belong together, and the key must not be encrypted.",
            ) from error
    return context


def _secret(path: Path | None, where: str, environment: Mapping[str, str]) -> str:
    if path is None:
        return ""
    found = _resolve(path, where, environment)
    _warn_if_open(found, where)
    content = _read(found, where, SECRET_MAX_BYTES)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        # "from None": the decoder's message quotes bytes of the secret.
        raise ConfigError(f"{found} is not UTF-8 text", where=where) from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or "\x00" in text or "\n" in text:
        raise ConfigError(f"{found} must hold one line of text", where=where)
    return text


def _pem(path: Path | None, where: str, environment: Mapping[str, str]) -> Path | None:
    if path is None:
        return None
    found = _resolve(path, where, environment)
    _read(found, where, PEM_MAX_BYTES)
    return found


def _resolve(path: Path, where: str, environment: Mapping[str, str]) -> Path:
    if path.is_absolute():
        return path
    folder = environment.get("CREDENTIALS_DIRECTORY", "")
    if not folder:
        raise ConfigError(
            f"{path} is not an absolute path, and there is no systemd credential of that name",
            where=where,
            hint="Give the whole path, or pass the file to the unit with LoadCredential=.",
        )
    return Path(folder) / path


def _read(path: Path, where: str, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", where=where) from error
    if len(content) > max_bytes:
        raise ConfigError(f"{path} is larger than {max_bytes} bytes", where=where)
    return content


def _warn_if_open(path: Path, where: str) -> None:
    """Others may not read a secret. A group may: systemd's credentials show it for their ACL."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", where=where) from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        _log.warning(
            "%s: %s can be read by others or written by its group (mode %o); chmod 640 mends it",
            where,
            path,
            stat.S_IMODE(mode),
        )
