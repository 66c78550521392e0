from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.fetch import resume
from updater.fetch.resume import Checkpoint, ContentRange, Request, Verdict, Version

SHA = "ab" * 32
OTHER_SHA = "cd" * 32
STRONG = '"v1"'
NGINX = Version(etag=STRONG, size_bytes=100)
ARTIFACTORY = Version(etag="0beec7b5", sha256=SHA, size_bytes=100)


def headers(**values: str) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in values.items()}


@pytest.mark.parametrize(
    ("sent", "etag"),
    [
        ('"v1"', '"v1"'),
        ('  "v1" ', '"v1"'),
        ('""', '""'),
        ('W/"v1"', ""),
        ("0beec7b5", "0beec7b5"),
        ('"a"b"', ""),
        ('"a b"', ""),
        ("", ""),
        ('"' + "x" * 300 + '"', ""),
    ],
)
def test_which_entity_tags_count(sent: str, etag: str) -> None:
    assert resume.version_of(headers(etag=sent), 1).etag == etag


def test_a_checksum_counts_if_it_is_one() -> None:
    assert resume.version_of(headers(x_checksum_sha256=SHA.upper()), 1).sha256 == SHA
    assert resume.version_of(headers(x_checksum_sha256="abc"), 1).sha256 == ""


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("bytes 0-9/10", ContentRange(0, 9, 10)),
        ("bytes 5-9/*", ContentRange(5, 9, None)),
        ("bytes */10", ContentRange(None, None, 10)),
        ("bytes 9-5/10", None),
        ("bytes 0-10/10", None),
        ("bytes */*", None),
        ("items 0-9/10", None),
        ("bytes 0-9", None),
        ("bytes 0-" + "9" * 30 + "/*", None),
        (None, None),
    ],
)
def test_content_range(value: str | None, found: ContentRange | None) -> None:
    assert resume.content_range(value) == found


def test_the_length_of_a_range() -> None:
    assert ContentRange(5, 9, None).length_bytes == 5
    assert ContentRange(None, None, 10).length_bytes == 0


@given(st.text(max_size=40))
def test_headers_take_any_text(text: str) -> None:
    found = resume.content_range(text)
    assert found is None or found.length_bytes >= 0
    length = resume.content_length(text)
    assert length is None or length >= 0
    assert resume.version_of(headers(etag=text, x_checksum_sha256=text), None).size_bytes is None


# ---------------------------------------------------------------- what is on the disk


@pytest.mark.parametrize(
    ("length", "same_boot", "usable"),
    [
        (70, True, 70),
        (70, False, 40),
        (40, False, 40),
        (39, True, 0),
        (39, False, 0),
        (101, True, 0),
        (101, False, 40),
    ],
)
def test_what_can_be_used(length: int, same_boot: bool, usable: int) -> None:
    found = resume.usable_bytes(
        Checkpoint(40, SHA), NGINX, length_bytes=length, same_boot=same_boot
    )
    assert found == usable


def test_without_a_checkpoint_nothing_survives_a_boot() -> None:
    nothing = Checkpoint(0, SHA)
    assert resume.usable_bytes(nothing, NGINX, length_bytes=70, same_boot=False) == 0
    assert resume.usable_bytes(nothing, NGINX, length_bytes=70, same_boot=True) == 70


@given(
    checkpoint=st.integers(0, 200),
    size=st.none() | st.integers(0, 200),
    length=st.integers(0, 200),
    same_boot=st.booleans(),
)
def test_never_more_than_there_is(
    checkpoint: int, size: int | None, length: int, same_boot: bool
) -> None:
    usable = resume.usable_bytes(
        Checkpoint(checkpoint, SHA),
        Version(size_bytes=size),
        length_bytes=length,
        same_boot=same_boot,
    )
    assert 0 <= usable <= length
    assert usable == 0 or usable >= checkpoint
    assert size is None or usable <= size


# ---------------------------------------------------------------- what is asked


def asked(held: int, version: Version, expected: str | None = None) -> dict[str, str]:
    return dict(resume.request_for(held, version, expected).headers)


def test_what_is_asked() -> None:
    rest = {"Range": "bytes=50-"}
    assert asked(0, NGINX) == {}
    assert asked(50, NGINX) == {**rest, "If-Range": STRONG}
    assert asked(50, ARTIFACTORY) == rest, "a bare tag must not be sent, but can be compared"
    assert asked(50, Version(sha256=SHA)) == rest
    assert asked(50, Version(), SHA) == rest
    assert asked(50, Version(size_bytes=100)) == {}, "nothing would tell whether it fits"
    assert asked(100, NGINX) == {"If-None-Match": STRONG}
    assert asked(100, ARTIFACTORY) == {}
    assert resume.request_for(100, ARTIFACTORY, None).complete


def test_what_nothing_vouches_for_is_not_built_upon() -> None:
    assert resume.request_for(50, Version(size_bytes=100), None) == Request()


# ---------------------------------------------------------------- what is answered


def judged(
    held: int,
    version: Version,
    status: int,
    answered: Version,
    covers: ContentRange | None = None,
    expected: str | None = None,
) -> Verdict:
    return resume.judge(
        resume.request_for(held, version, expected),
        version,
        status=status,
        answered=answered,
        covers=covers,
        expected_sha256=expected,
    )


REST = ContentRange(50, 99, 100)
CHANGED = Version(etag='"v2"', size_bytes=100)


@pytest.mark.parametrize(
    ("held", "version", "status", "answered", "covers", "verdict"),
    [
        # The rest, as asked.
        (50, NGINX, 206, NGINX, REST, Verdict.APPEND),
        (50, ARTIFACTORY, 206, ARTIFACTORY, REST, Verdict.APPEND),
        # The tag is new and the checksum the same: a copy of the same file.
        (50, Version("a", SHA, 100), 206, Version("b", SHA, 100), REST, Verdict.APPEND),
        # Only the tag is told again.
        (50, Version(STRONG, SHA, 100), 206, NGINX, REST, Verdict.APPEND),
        # The size was not known at first.
        (50, Version(STRONG), 206, NGINX, REST, Verdict.APPEND),
        # Changed: by its tag, its size, its checksum, or with nothing to tell by.
        (50, NGINX, 206, CHANGED, REST, Verdict.ASK_AGAIN),
        (50, NGINX, 206, Version(STRONG, "", 101), ContentRange(50, 100, 101), Verdict.ASK_AGAIN),
        (50, ARTIFACTORY, 206, Version("", OTHER_SHA, 100), REST, Verdict.ASK_AGAIN),
        (50, NGINX, 206, Version("", "", 100), REST, Verdict.ASK_AGAIN),
        # Another range than asked for, or none told.
        (50, NGINX, 206, NGINX, ContentRange(49, 99, 100), Verdict.ASK_AGAIN),
        (50, NGINX, 206, NGINX, ContentRange(0, 99, 100), Verdict.ASK_AGAIN),
        (50, NGINX, 206, NGINX, None, Verdict.ASK_AGAIN),
        # The whole: changed, or a server without ranges.
        (50, NGINX, 200, CHANGED, None, Verdict.START_OVER),
        (50, NGINX, 200, NGINX, None, Verdict.START_OVER),
        (0, Version(), 200, NGINX, None, Verdict.START_OVER),
        # Asked whether the whole is still the same.
        (100, NGINX, 304, NGINX, None, Verdict.COMPLETE),
        (100, NGINX, 200, NGINX, None, Verdict.COMPLETE),
        (100, NGINX, 200, CHANGED, None, Verdict.START_OVER),
        (100, ARTIFACTORY, 200, ARTIFACTORY, None, Verdict.COMPLETE),
        (100, ARTIFACTORY, 200, Version("", OTHER_SHA, 100), None, Verdict.START_OVER),
        (100, Version(size_bytes=100), 200, Version(size_bytes=100), None, Verdict.START_OVER),
        # No such range: shorter now, or we have all of what had no known size.
        (50, NGINX, 416, Version(), ContentRange(None, None, 30), Verdict.ASK_AGAIN),
        (50, NGINX, 416, Version(), None, Verdict.ASK_AGAIN),
        (50, Version(STRONG), 416, Version(), ContentRange(None, None, 50), Verdict.COMPLETE),
        # Answers to what was not asked.
        (0, Version(), 206, NGINX, ContentRange(0, 99, 100), Verdict.ASK_AGAIN),
        (0, Version(), 304, NGINX, None, Verdict.ASK_AGAIN),
        (50, NGINX, 304, NGINX, None, Verdict.ASK_AGAIN),
        (0, Version(), 416, Version(), ContentRange(None, None, 0), Verdict.ASK_AGAIN),
    ],
)
def test_verdicts(
    held: int,
    version: Version,
    status: int,
    answered: Version,
    covers: ContentRange | None,
    verdict: Verdict,
) -> None:
    assert judged(held, version, status, answered, covers) is verdict


def test_an_expected_checksum_lets_us_try_where_nothing_can_be_compared() -> None:
    bare = Version(size_bytes=100)
    assert judged(50, bare, 206, bare, REST, expected=SHA) is Verdict.APPEND
    assert judged(50, NGINX, 206, CHANGED, REST, expected=SHA) is Verdict.ASK_AGAIN


_versions = st.builds(
    Version,
    etag=st.sampled_from(["", '"a"', '"b"', "bare"]),
    sha256=st.sampled_from(["", SHA, OTHER_SHA]),
    size_bytes=st.sampled_from([None, 50, 100, 101]),
)


@given(
    held=st.sampled_from([0, 1, 50, 100]),
    version=_versions,
    status=st.sampled_from([200, 206, 304, 416]),
    answered=_versions,
    covers=st.none() | st.sampled_from([REST, ContentRange(1, 9, None), ContentRange(0, 0, 1)]),
    expected=st.sampled_from([None, SHA]),
)
def test_pieces_are_joined_only_on_evidence(
    held: int,
    version: Version,
    status: int,
    answered: Version,
    covers: ContentRange | None,
    expected: str | None,
) -> None:
    verdict = judged(held, version, status, answered, covers, expected)
    if verdict is Verdict.APPEND:
        assert status == 206 and covers is not None and covers.first == held > 0
        evidence = (
            (version.sha256, answered.sha256),
            (version.etag, answered.etag),
        )
        strongest = next(((old, new) for old, new in evidence if old and new), None)
        assert strongest is not None or expected is not None
        assert strongest is None or strongest[0] == strongest[1]
    if verdict is Verdict.START_OVER:
        assert status == 200
    if held == 0:
        assert verdict in (Verdict.START_OVER, Verdict.ASK_AGAIN), "nothing is not complete"
