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
├── SelfTestError                 9    the model runs, but not as it should
├── TrustError                    10   a bundle that this device must not install: signature, key,
│                                      version, device class, or it failed here before
├── FetchError                    11   a download: network, server, checksum, limit
├── BusyError                     12   another run is at work on the same store
├── ProbationError                13   the candidate was rolled back, or no verdict came in time
├── UploadError                   14   pictures could not be sent: credentials, bucket, network
├── PrivilegeError                15   rights could not be given up, so nothing foreign is read
└── StateError                    16   the journal says what cannot be, or nothing to go back to

Exit code 1 is left to a bug (an unexpected exception), 0 means done. The daemon adds no class of
its own outside this tree; a foreign exception is wrapped where our code first meets it.
"""

from __future__ import annotations

import errno
from typing import ClassVar

DISK_ERRORS = frozenset({errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT})
"""``errno`` of what only a disk does: damaged, full, read-only, its quota used up."""


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


class TrustError(SitewatchError):
    """A bundle that this device must not install, whole as it may be."""

    exit_code = 10


class FetchError(SitewatchError):
    """A download failed for good: network, server, checksum or limit."""

    exit_code = 11


class BusyError(SitewatchError):
    """Another run is at work on the same store, or a probation is under way."""

    exit_code = 12


class ProbationError(SitewatchError):
    """The candidate did not prove itself: it was rolled back, or no verdict came in time."""

    exit_code = 13


class UploadError(SitewatchError):
    """Pictures could not be sent: credentials, bucket, network."""

    exit_code = 14


class PrivilegeError(SitewatchError):
    """Rights could not be given up, so nothing foreign is read."""

    exit_code = 15


class StateError(SitewatchError):
    """The journal says what cannot be, or there is no release to go back to."""

    exit_code = 16
