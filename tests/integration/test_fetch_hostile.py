"""Servers that no library of ours would be: endless, slow, oversized, or talking nonsense."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fetching import POLICY, Scene
from tests.support.raw_server import RawServer
from updater.errors import FetchError, SitewatchError
from updater.fetch import Timing, fetch
from updater.fetch.part import CHUNK_BYTES

pytestmark = pytest.mark.once

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ONCE = replace(POLICY, retries=0)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "downloads")


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def test_chunks_of_unknown_number(scene: Scene) -> None:
    with RawServer([CHUNKED + chunks(b"abc", b"defg") + b"0\r\n\r\n"]) as server:
        assert scene.fetch(f"{server.url}/x").path.read_bytes() == b"abcdefg"


def test_chunks_without_end_are_cut_off(scene: Scene) -> None:
    with RawServer([]) as server:
        server.answers = [server.trickle(CHUNKED, chunks(b"x" * 65536), 0.0)]
        with pytest.raises(FetchError, match="has more, and at most 1000000 bytes are allowed"):
            scene.fetch(f"{server.url}/x", replace(ONCE, max_bytes=1_000_000))
    assert not list(scene.downloads.iterdir())


def test_chunks_that_break_off_are_noticed(scene: Scene) -> None:
    with (
        RawServer([CHUNKED + chunks(b"abc")]) as server,
        pytest.raises(FetchError, match="the server closed it before the end"),
    ):
        scene.fetch(f"{server.url}/x", ONCE)


def test_less_than_promised_is_noticed(scene: Scene) -> None:
    with (
        RawServer([OK + b"Content-Length: 10\r\n\r\nabc"]) as server,
        pytest.raises(FetchError, match="the connection broke"),
    ):
        scene.fetch(f"{server.url}/x", ONCE)
    assert scene.kept_bytes == 3


@pytest.mark.parametrize("answer", [OK + b"Content-Length: 0\r\n\r\n", CHUNKED + b"0\r\n\r\n"])
def test_nothing_is_no_bundle(scene: Scene, answer: bytes) -> None:
    with RawServer([answer]) as server, pytest.raises(FetchError, match="is empty"):
        scene.fetch(f"{server.url}/x", ONCE)
    assert not list(scene.downloads.iterdir())


def test_headers_that_trickle_do_not_hold_us(scene: Scene) -> None:
    """Each letter comes within the read time-out; only the deadline ends it."""
    with RawServer([]) as server:
        server.answers = [server.trickle(OK + b"X-Long: ", b"a", 0.02)]
        with pytest.raises(FetchError, match=r"not done within 0\.5 s"):
            scene.fetch(f"{server.url}/x", replace(POLICY, total_timeout_s=0.5))


def test_a_body_that_trickles_does_not_hold_us(scene: Scene) -> None:
    with RawServer([]) as server:
        server.answers = [server.trickle(OK + b"Content-Length: 100000\r\n\r\n", b"a", 0.02)]
        policy = replace(POLICY, total_timeout_s=0.5, stall_bytes_per_s=0.0)
        with pytest.raises(FetchError, match=r"not done within 0\.5 s"):
            scene.fetch(f"{server.url}/x", policy)
    assert 0 < scene.kept_bytes < 100000


def test_silence_is_a_lost_connection(scene: Scene) -> None:
    with RawServer([]) as server:
        server.answers = [server.silence()]
        with pytest.raises(FetchError, match="no answer in time; given up after 1 attempts"):
            scene.fetch(f"{server.url}/x", replace(ONCE, read_timeout_s=0.2))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 206 Partial\r\nContent-Length: 1\r\n\r\nx", "answers 206 to a request for"),
        (b"HTTP/1.1 304 Same\r\n\r\n", "answers 304 to a request for the whole file"),
        (b"HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n", "answers 416 to a request for"),
        (b"HTTP/1.1 204 None\r\n\r\n", "the server answers 204 (No Content)"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "redirects to nowhere"),
        (b"HTTP/1.1 418 I\r\nContent-Length: 0\r\n\r\n", "the server answers 418"),
        (OK + b"Content-Encoding: br\r\n\r\nx", "is sent compressed"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "is sent compressed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is no HTTP"),
        (b"", "the server closed it without an answer"),
    ],
)
def test_answers_that_make_no_sense(scene: Scene, answer: bytes, message: str) -> None:
    with RawServer([answer]) as server, pytest.raises(FetchError) as caught:
        scene.fetch(f"{server.url}/x", ONCE)
    assert message in str(caught.value)


def test_a_range_in_the_smallest_pieces(scene: Scene) -> None:
    """A server may send less than was asked for; we ask for the rest."""
    content = bytes(range(8))

    def piece(first: int) -> bytes:
        head = f'HTTP/1.1 206 P\r\nETag: "v1"\r\nContent-Range: bytes {first}-{first}/8\r\n'
        return head.encode() + b"Content-Length: 1\r\n\r\n" + content[first : first + 1]

    start = OK + b'ETag: "v1"\r\nContent-Length: 8\r\n\r\n' + content[:4]
    with RawServer([start, *[piece(first) for first in range(4, 8)]]) as server:
        assert scene.fetch(f"{server.url}/x").path.read_bytes() == content
        assert [line for head in server.asked for line in head.split("\r\n") if "Range: b" in line]


def test_the_rate_is_capped(tmp_path: Path) -> None:
    """By a clock that only our own waits move: in 10 s come at most 11 seconds' worth."""
    now_s = 0.0
    seen: list[tuple[float, int]] = []

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    rate = 100_000.0
    content = bytes(1_000_000)
    policy = replace(ONCE, rate_bytes_per_s=rate)
    with RawServer([OK + b"Content-Length: 1000000\r\n\r\n" + content]) as server:
        fetch(
            f"{server.url}/x",
            tmp_path,
            policy,
            progress=lambda received: seen.append((now_s, received.held_bytes)),
            timing=Timing(monotonic=lambda: now_s, sleep=sleep),
        )
    assert all(held <= rate + rate * at_s + CHUNK_BYTES for at_s, held in seen)
    assert now_s == pytest.approx(9.0), "what a second brings may come at once, the rest waits"


_lines = st.lists(
    st.sampled_from(
        [
            b"Content-Length: 5",
            b"Content-Length: -1",
            b"Content-Length: 5, 5",
            b"Content-Length: 99999999999999999999999",
            b"Transfer-Encoding: chunked",
            b"Content-Range: bytes 0-4/5",
            b"Content-Range: bytes */5",
            b"Content-Range: nonsense",
            b'ETag: "v1"',
            b"ETag: \xff\xfe",
            b"X-Checksum-Sha256: zz",
            b"Location: //",
            b"Location: http://[",
            b"Location: \xff",
            b"Location: ?" + b"x" * 9000,
            b"Retry-After: never",
            b"Content-Encoding: \x00",
            b": ",
            b"no colon",
            b" folded",
        ]
    ),
    max_size=5,
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    status=st.sampled_from([b"200", b"206", b"302", b"304", b"404", b"416", b"503", b"99", b"x"]),
    lines=_lines,
    body=st.sampled_from(
        [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffff\r\nx", b"-1\r\n"]
    ),
    damage=st.none() | st.integers(0, 200),
)
def test_any_answer_ends_in_a_file_or_an_error_of_ours(
    tmp_path: Path, status: bytes, lines: list[bytes], body: bytes, damage: int | None
) -> None:
    answer = b"HTTP/1.1 " + status + b" X\r\n" + b"\r\n".join(lines) + b"\r\n\r\n" + body
    if damage is not None:
        cut = random.Random(damage)
        place = cut.randrange(len(answer))
        answer = answer[:place] + cut.randbytes(3) + answer[place + cut.randrange(9) :]
    scene = Scene(tmp_path / "downloads")
    policy = replace(ONCE, max_bytes=1000, read_timeout_s=1.0)
    with RawServer([answer]) as server:
        try:
            size = scene.fetch(f"{server.url}/x", policy).size_bytes
            assert 0 < size <= 1000
        except SitewatchError as error:
            assert str(error)
