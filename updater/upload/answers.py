"""What an answer of S3 means: stored, try again, or stop and say why. Pure.

Codes after the Amazon S3 API Reference, "Error responses"; other servers (MinIO, Ceph) take the
same ones. What no code here names is judged by its status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from updater.upload.credentials import NEW_ONES

MESSAGE_MAX_CHARACTERS = 200


class Action(Enum):
    """What to do after an answer."""

    DONE = auto()
    ALREADY_THERE = auto()
    RETRY = auto()
    UNCONDITIONALLY = auto()
    STOP = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request.

    Attributes:
        status: of HTTP; 0 where no answer came.
        code: S3's name of the error; empty for success.
        message: S3's words, or those of the network; without secrets.
        headers: of the answer, names in lower case.
        sha256: what the server says it has stored, base64; empty where it does not say.
    """

    status: int
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an answer means.

    Attributes:
        action: what to do.
        what: what went wrong, a clause; empty where nothing did.
        hint: what a person can do.
    """

    action: Action
    what: str = ""
    hint: str = ""


_CLOCK = "Check this device's clock (timedatectl): it may be wrong after a start without network"
_REFUSED = {
    "ExpiredToken": ("the credentials have expired", NEW_ONES),
    "ExpiredTokenException": ("the credentials have expired", NEW_ONES),
    "TokenRefreshRequired": ("the credentials have expired", NEW_ONES),
    "InvalidAccessKeyId": ("S3 does not know these credentials", NEW_ONES),
    "InvalidClientTokenId": ("S3 does not know these credentials", NEW_ONES),
    "InvalidToken": ("the session token is not valid", NEW_ONES),
    "SignatureDoesNotMatch": ("the secret key does not belong to the key's id", NEW_ONES),
    "NoSuchBucket": ("no such bucket", "Check --bucket and --region"),
    "PermanentRedirect": ("the bucket is in another region", "Name it with --region"),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", "Name it with --region"),
    "AccessDenied": (
        "the credentials may not put objects there",
        "Check --bucket, --prefix and --device against the policy they were made with",
    ),
}
_TRANSIENT = {
    # By status these would be final; the cause is on the way, and another try may find it gone.
    "RequestTimeout": "the upload was too slow for the server",
    "BadDigest": "the picture was damaged on the way",
    "XAmzContentSHA256Mismatch": "the picture was damaged on the way",
    "XAmzContentChecksumMismatch": "the picture was damaged on the way",
    "IncompleteBody": "the picture arrived incomplete",
    "ConditionalRequestConflict": "another upload of the same object is under way",
    "OperationAborted": "another operation is under way",
    "Throttling": "the server asks for fewer requests",
    "SlowDown": "the server asks for fewer requests",
}
_SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_TRANSIENT_STATUSES = frozenset({0, 408, 425, 429})


def judge(answer: Answer, *, sha256: str) -> Judgement:
    """What to do after an answer.

    Args:
        answer: of the server, or none.
        sha256: of what was sent, base64.
    """
    if 200 <= answer.status < 300:
        return _success(answer, sha256)
    if answer.status in (304, 412):
        # The key stands for the content, so what is there is what we would have put. 304 is what
        # MinIO answered before 2024.
        return Judgement(Action.ALREADY_THERE)
    if answer.status == 501:
        return Judgement(Action.UNCONDITIONALLY, _words("the server cannot do this", answer))
    return _by_code(answer) or _by_status(answer)


def _by_code(answer: Answer) -> Judgement | None:
    if answer.code in _SKEWED:
        # The time may come from the network any moment.
        return Judgement(Action.RETRY, _skewed(answer), _CLOCK)
    if answer.code in _TRANSIENT:
        return Judgement(Action.RETRY, _TRANSIENT[answer.code])
    if answer.code in _REFUSED:
        what, hint = _REFUSED[answer.code]
        return Judgement(Action.STOP, _with_region(what, answer), hint)
    return None


def _by_status(answer: Answer) -> Judgement:
    if answer.status in _TRANSIENT_STATUSES or answer.status >= 500:
        what = "S3 cannot be reached" if answer.status == 0 else f"HTTP status {answer.status}"
        hint = _CLOCK if "CERTIFICATE" in answer.message.upper() else ""
        return Judgement(Action.RETRY, _words(what, answer), hint)
    hint = ""
    if answer.status in (401, 403, 407):
        hint = "Check the proxy, or whether the answer is S3's at all"
    return Judgement(Action.STOP, _words(f"refused with HTTP status {answer.status}", answer), hint)


def _success(answer: Answer, sha256: str) -> Judgement:
    """A 200 counts when it is S3's: a portal that wants a login answers 200 to everything.

    Tried again all the same: an answer that was cut short looks like it.
    """
    if not answer.headers.get("etag"):
        return Judgement(
            Action.RETRY,
            "the answer is not S3's",
            "Check --endpoint-url, the proxy, or whether the network wants a login first",
        )
    if answer.sha256 and answer.sha256 != sha256:
        return Judgement(Action.RETRY, "the server has stored something else than was sent")
    return Judgement(Action.DONE)


def _skewed(answer: Answer) -> str:
    server = answer.headers.get("date", "")
    said = f", the server's says {server[:40]}" if server else ""
    return f"this device's clock is wrong{said}"


def _with_region(what: str, answer: Answer) -> str:
    region = answer.headers.get("x-amz-bucket-region", "")
    return f"{what}, {region[:40]}" if region and "region" in what else what


def _words(what: str, answer: Answer) -> str:
    """The server's own words behind ours: bounded, and nothing that a terminal would obey."""
    said = " ".join(filter(None, (answer.code, answer.message)))
    said = "".join(c if c.isprintable() else " " for c in said)[:MESSAGE_MAX_CHARACTERS].strip(" .")
    return f"{what} ({said})" if said else what
