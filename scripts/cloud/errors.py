"""What can go wrong between the services; exit codes follow those of ``updater.errors``."""

from __future__ import annotations

from updater.errors import SitewatchError


class ServiceError(SitewatchError):
    """Artifactory, Connect, STS or S3 refuses, or cannot be reached."""

    exit_code = 20


class GateError(SitewatchError):
    """The model is not better than the one in production, or nobody can tell."""

    exit_code = 21


class ConflictError(SitewatchError):
    """A version is there with other bytes, or somebody else published meanwhile."""

    exit_code = 22


class RolloutError(SitewatchError):
    """Too few devices of a group succeeded."""

    exit_code = 23


class SigningError(SitewatchError):
    """The manifest could not be signed, or the signature does not hold."""

    exit_code = 24
