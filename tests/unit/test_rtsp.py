"""The pure parts of the RTSP source; the rest is tested against a real server."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.sources.rtsp import (
    LagWatch,
    RtspSource,
    delay_s,
    read_credentials,
    redacted,
    with_credentials,
)
from updater.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://10.0.0.7/s", "rtsp://10.0.0.7/s"),
        ("rtsp://admin:secret@10.0.0.7:554/s?x=1", "rtsp://10.0.0.7:554/s?x=1"),
        ("rtsp://admin:se@cr:et@host/s", "rtsp://host/s"),
        ("rtsp://host/user=admin&password=secret&channel=1", "rtsp://host/user=***&password=***&channel=1"),
        ("rtsp://host/s?Pwd=secret", "rtsp://host/s?Pwd=***"),
        ("rtsp://host/s?auth_token=secret;a=1", "rtsp://host/s?auth_token=***;a=1"),
        ("rtsp://[fe80::1]:554/s", "rtsp://[fe80::1]:554/s"),
    ],
)  # fmt: skip
def test_credentials_are_not_shown(url: str, shown: str) -> None:
    assert redacted(url) == shown


TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters=":"))


@given(user=TEXT.filter(bool), password=TEXT)
def test_any_user_and_password_fit_into_a_url(user: str, password: str) -> None:
    url = with_credentials("rtsp://old:older@10.0.0.7:8554/a/b?c=d", user, password)
    parts = urlsplit(url)
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == (user, password)
    assert (parts.hostname, parts.port, parts.path, parts.query) == (
        "10.0.0.7",
        8554,
        "/a/b",
        "c=d",
    )
    assert redacted(url) == "rtsp://10.0.0.7:8554/a/b?c=d"


def test_credentials_are_read_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "login"
    path.write_text("admin:pass:with colon \n")
    assert read_credentials(path) == ("admin", "pass:with colon ")


@pytest.mark.parametrize("content", [b"", b"admin\n", b":password\n", b"a:b\nc:d\n", b"\xff:\xfe"])
def test_a_bad_password_file_is_an_error_that_does_not_show_it(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "login"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_credentials(path)
    assert "source.rtsp_password_file" in str(caught.value)
    assert "password\n" not in str(caught.value)


def test_an_absent_password_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_credentials(tmp_path / "absent")


def test_delays_double_up_to_a_bound() -> None:
    assert [delay_s(failures, 1.0) for failures in range(1, 8)] == [0.5, 1, 2, 4, 8, 8, 8]


@given(failures=st.integers(1, 10**9), chance=st.floats(0, 1))
def test_delays_are_scattered_within_their_bounds(failures: int, chance: float) -> None:
    assert 0.25 <= delay_s(failures, chance) <= 8


def test_a_stream_in_time_is_never_behind() -> None:
    watch = LagWatch()
    # 25 a second for a day, with a clock that is off by 100 parts in a million, and jitter.
    for minute in range(24 * 60):
        for number in range(25):
            stamp = minute * 60 + number / 25
            jitter = 0.2 * ((number * 7) % 5) / 5
            assert not watch.behind(stamp, 1000 + stamp * 1.0001 + jitter)


def test_a_decoder_that_falls_behind_is_noticed_until_it_has_caught_up() -> None:
    watch = LagWatch()
    assert not watch.behind(0.0, 100.0)
    assert not watch.behind(5.0, 105.5)  # half a second late: no reason to drop anything
    assert watch.behind(10.0, 111.5)
    assert watch.behind(None, 111.6)
    assert watch.behind(11.0, 111.7)
    assert not watch.behind(11.7, 111.8)


def test_stamps_that_jump_do_not_keep_it_behind_for_ever() -> None:
    watch = LagWatch()
    watch.behind(1000.0, 100.0)
    answers = [watch.behind(float(n), 101.0 + n) for n in range(15)]  # the stamps began anew
    assert answers[0]
    assert not answers[-1]


def test_a_stream_without_stamps_is_taken_as_it_comes() -> None:
    assert not LagWatch().behind(None, 5.0)


def test_the_description_hides_the_login() -> None:
    source = RtspSource(
        "rtsp://admin:secret@10.0.0.7/s",
        transport="tcp",
        frames_per_second=5,
        password_file=None,
        network_timeout_s=5,
    )
    assert source.description == "stream rtsp://10.0.0.7/s"
