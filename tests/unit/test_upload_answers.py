from __future__ import annotations

import pytest

from updater.upload.answers import MESSAGE_MAX_CHARACTERS, Action, Answer, judge

SHA256 = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
ETAG = {"etag": '"5d41402abc4b2a76b9719d911017c592"'}


@pytest.mark.parametrize(
    ("answer", "action"),
    [
        (Answer(200, headers=ETAG), Action.DONE),
        (Answer(200, headers=ETAG, sha256=SHA256), Action.DONE),
        (Answer(412, "PreconditionFailed"), Action.ALREADY_THERE),
        (Answer(304), Action.ALREADY_THERE),
        (Answer(501, "NotImplemented"), Action.UNCONDITIONALLY),
        (Answer(0, message="connection refused"), Action.RETRY),
        (Answer(500, "InternalError"), Action.RETRY),
        (Answer(502), Action.RETRY),
        (Answer(503, "SlowDown"), Action.RETRY),
        (Answer(503, "ServiceUnavailable"), Action.RETRY),
        (Answer(504), Action.RETRY),
        (Answer(429), Action.RETRY),
        (Answer(400, "RequestTimeout"), Action.RETRY),
        (Answer(400, "BadDigest"), Action.RETRY),
        (Answer(400, "XAmzContentSHA256Mismatch"), Action.RETRY),
        (Answer(400, "IncompleteBody"), Action.RETRY),
        (Answer(409, "ConditionalRequestConflict"), Action.RETRY),
        (Answer(403, "RequestTimeTooSkewed"), Action.RETRY),
        (Answer(400, "ExpiredToken"), Action.STOP),
        (Answer(403, "InvalidAccessKeyId"), Action.STOP),
        (Answer(403, "SignatureDoesNotMatch"), Action.STOP),
        (Answer(400, "InvalidToken"), Action.STOP),
        (Answer(403, "AccessDenied"), Action.STOP),
        (Answer(404, "NoSuchBucket"), Action.STOP),
        (Answer(301, "PermanentRedirect"), Action.STOP),
        (Answer(400, "AuthorizationHeaderMalformed"), Action.STOP),
        (Answer(403), Action.STOP),
        (Answer(407), Action.STOP),
        (Answer(400, "SomethingNew"), Action.STOP),
    ],
)
def test_what_follows_an_answer(answer: Answer, action: Action) -> None:
    judgement = judge(answer, sha256=SHA256)
    assert judgement.action is action
    assert bool(judgement.what) is (action not in (Action.DONE, Action.ALREADY_THERE))


def test_a_success_that_is_not_s3s() -> None:
    judgement = judge(Answer(200, headers={"content-type": "text/html"}), sha256=SHA256)
    assert judgement.action is Action.RETRY
    assert "wants a login" in judgement.hint


def test_a_success_for_other_bytes() -> None:
    judgement = judge(Answer(200, headers=ETAG, sha256="AAAA"), sha256=SHA256)
    assert judgement.action is Action.RETRY
    assert judgement.what == "the server has stored something else than was sent"


def test_a_wrong_clock_is_named_with_the_servers() -> None:
    date = "Sun, 22 Nov 2026 21:00:00 GMT"
    judgement = judge(Answer(403, "RequestTimeTooSkewed", headers={"date": date}), sha256=SHA256)
    assert judgement.what == f"this device's clock is wrong, the server's says {date}"
    assert "timedatectl" in judgement.hint


def test_a_certificate_that_is_refused_may_be_a_wrong_clock() -> None:
    answer = Answer(0, message="SSL: CERTIFICATE_VERIFY_FAILED: certificate is not yet valid")
    assert "timedatectl" in judge(answer, sha256=SHA256).hint


def test_a_wrong_region_is_named() -> None:
    headers = {"x-amz-bucket-region": "eu-north-1"}
    judgement = judge(Answer(301, "PermanentRedirect", headers=headers), sha256=SHA256)
    assert judgement.what == "the bucket is in another region, eu-north-1"


def test_a_servers_words_are_bounded_and_tame() -> None:
    answer = Answer(400, "Odd", "\x1b[31mred\r\n" + "x" * 1000)
    what = judge(answer, sha256=SHA256).what
    assert what.startswith("refused with HTTP status 400 (Odd")
    assert what.isprintable()
    assert len(what) < MESSAGE_MAX_CHARACTERS + 50
