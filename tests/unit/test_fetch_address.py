from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.errors import FetchError, UsageError
from updater.fetch import address

URL = "https://repo.example.com/artifactory/models/model.zip"


@pytest.mark.parametrize(
    ("source", "is_address"),
    [
        (URL, True),
        ("http://10.0.0.1:8081/x", True),
        ("HTTPS://host/x", True),
        ("ftp://host/x", True),
        ("https:/user:secret@host/x", True),
        ("model.zip", False),
        ("/srv/model.zip", False),
        ("C:model.zip", False),
        ("./a//b.zip", False),
    ],
)
def test_what_is_an_address(source: str, is_address: bool) -> None:
    assert address.is_url(source) is is_address


def test_a_checked_address_has_a_plain_scheme_and_no_fragment() -> None:
    assert address.checked("HTTPS://Host/x?a=1#part") == "https://Host/x?a=1"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/x", "the address has the scheme 'ftp'"),
        ("file:///etc/passwd", "the address has the scheme 'file'"),
        ("https:///x", "the address names no host"),
        ("https:/host/x", "the address names no host"),
        ("https://host:port/x", "the address is malformed"),
        ("https://[::1/x", "the address is malformed"),
        ("https://host/a b", "the address is malformed"),
        ("https://host/a\nb", "the address is malformed"),
        ("https://user:hunter2@host/x", "the address has a user or password in it"),
        ("https://user@host/x", "the address has a user or password in it"),
        ("https://host/" + "x" * 9000, "the address is longer than 8192 characters"),
    ],
)
def test_refused_addresses(url: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        address.checked(url)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (URL, URL),
        (f"{URL}?X-Amz-Signature=hunter2#hunter2", URL),
        (f"{URL};token=hunter2", URL),
        ("https://user:hunter2@host/x", "https://host/x"),
        ("https://user:hunt/er2@host/x", "https://…"),
        ("https://user:hunt?er2@host/x", "https://…"),
        ("https://user:hunt@er2@host/x", "https://…"),
        ("https:/user:hunter2@host/x", "https://host/x"),
        ("https://user:hunter2/x", "https://…"),
        ("https://u@v:p/hunter2@host/x", "https://…"),
        ("https://host:8081/x", "https://host:8081/x"),
        ("https://[::1]:80/@x", "https://…"),
        ("https://[::1]:80/x", "https://[::1]:80/x"),
        ("https://host/@scope/x", "https://host/@scope/x"),
        ("https://host/x\r\ny", "https://host/x??y"),
        ("/srv/a#b?.zip", "/srv/a#b?.zip"),
        ("/srv/a\x1b[2J", "/srv/a?[2J"),
    ],
)
def test_what_is_shown(source: str, shown: str) -> None:
    assert address.shown(source) == shown


SECRET = "S3CRET"
_text = st.text(st.characters(codec="utf-8", exclude_characters="S"), max_size=20)


@given(user=_text, before=_text, after=_text, scheme=st.sampled_from(["http", "https", "HTTPS"]))
def test_no_password_is_shown(user: str, before: str, after: str, scheme: str) -> None:
    plain = user.translate({ord(mark): None for mark in "/?#;\\"})
    shown = address.shown(f"{scheme}://{plain}:{before}{SECRET}{after}@host/path")
    assert SECRET not in shown


@given(path=_text, before=_text, after=_text, mark=st.sampled_from("?#"))
def test_no_query_is_shown(path: str, before: str, after: str, mark: str) -> None:
    assert SECRET not in address.shown(f"https://host/{path}{mark}{before}{SECRET}{after}")


@given(st.text(max_size=300))
def test_any_text_can_be_shown_and_refused(text: str) -> None:
    shown = address.shown(text)
    assert len(shown) <= address.SHOWN_MAX_CHARACTERS
    assert shown.isprintable() or not text.isascii()
    try:
        address.checked(text)
    except UsageError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/other.zip?x=1", "https://repo.example.com/other.zip?x=1"),
        ("next.zip", "https://repo.example.com/artifactory/models/next.zip"),
        ("//cdn.example.net/y", "https://cdn.example.net/y"),
        ("https://cdn.example.net:8443/y#f", "https://cdn.example.net:8443/y"),
    ],
)
def test_redirects(location: str, target: str) -> None:
    assert address.redirected(URL, location) == target


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("http://repo.example.com/x", "redirects from https to http"),
        ("file:///etc/passwd", "has the scheme 'file'"),
        ("https://user:hunter2@cdn/x", "has a user or password in it"),
        ("https://cdn/x\ty", "is malformed"),
        ("https://cdn:x/", "is malformed"),
    ],
)
def test_refused_redirects(location: str, message: str) -> None:
    with pytest.raises(FetchError) as caught:
        address.redirected(URL, location)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_http_may_redirect_to_https() -> None:
    assert address.redirected("http://host/x", "https://host/x") == "https://host/x"


def test_an_origin_is_scheme_host_and_port() -> None:
    assert address.origin("https://Host/x") == address.origin("https://host:443/y")
    others = ["http://host/x", "https://host:8443/x", "https://other/x", "https://host.x/x"]
    assert all(address.origin(other) != address.origin("https://host/x") for other in others)


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://repo/x", True),
        ("http://localhost:80/x", True),
        ("http://127.8.0.1/x", True),
        ("http://[::1]/x", True),
        ("http://192.168.1.2/x", False),
        ("http://localhost.example.com/x", False),
        ("http://repo/x", False),
    ],
)
def test_a_private_way(url: str, private: bool) -> None:
    assert address.is_private_way(url) is private


def test_a_download_is_named_by_its_content_if_that_is_known() -> None:
    signed = f"{URL}?signature=1"
    assert address.key_of(URL, None) != address.key_of(signed, None)
    assert address.key_of(URL, "ab" * 32) == address.key_of(signed, "ab" * 32)
    assert address.key_of(URL, "ab" * 32) != address.key_of(URL, None)
