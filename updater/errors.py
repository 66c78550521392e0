"""Every error that Sitewatch raises on purpose.

SitewatchError                    exit code
├── UsageError                    2    a command line that makes no sense
├── ConfigError                   3    the configuration file or one of its fields
├── BundleError                   4    a model bundle: manifest, file, hash
├── ModelError                    5    a model that no runtime here can run, or an unknown layout
├── SourceError                   6    a camera, stream, file or folder
│   └── SourceStalledError        6    it delivered, and then stopped
├── BrokerError                   7    the MQTT broker refuses us for good (login, certificate)
├── StorageError                  8    disk: outbox, captures, status file
└── SelfTestError                 9    the model runs, but not as it should

Exit code 1 is left to a bug (an unexpected exception), 0 means done. The daemon adds no class of
its own outside this tree; a foreign exception is wrapped where our code first meets it.
"""

from __future__ import annotations

from typing import ClassVar


class SitewatchError(Exception):
    """What happened, where, and the way out.

    Args:
        what: what went wrong, a clause without a full stop.
        where: the field, file, topic or device that it is about.
        hint: what the reader can do about it; empty where there is nothing.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.hint}" if self.hint else text


class UsageError(SitewatchError):
    """A command line that makes no sense."""

    exit_code = 2


class ConfigError(SitewatchError):
    """The configuration file, or one field of it, is wrong."""

    exit_code = 3


class BundleError(SitewatchError):
    """A model bundle is incomplete, damaged or not understood."""

    exit_code = 4


class ModelError(SitewatchError):
    """No runtime here can run the model, or its tensors have an unknown layout."""

    exit_code = 5


class SourceError(SitewatchError):
    """A camera, stream, file or folder cannot be opened or read."""

    exit_code = 6


class SourceStalledError(SourceError):
    """A source that delivered frames and then stopped."""


class BrokerError(SitewatchError):
    """The MQTT broker refuses us in a way that waiting does not mend."""

    exit_code = 7


class StorageError(SitewatchError):
    """The disk refuses: full, read-only, damaged."""

    exit_code = 8


class SelfTestError(SitewatchError):
    """The model runs but does not find what it must find, or is too slow."""

    exit_code = 9
