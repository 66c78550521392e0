"""The ways to a server: TLS judged by an own authority, proxies, redirects between schemes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.fetching import POLICY, Scene
from tests.support.http_proxy import HttpProxy
from tests.support.nginx import Nginx
from tests.support.raw_server import RawServer
from updater.errors import ConfigError, FetchError
from updater.fetch import Credentials

pytestmark = pytest.mark.once

CONTENT = b"bundle" * 10_000
SHA = hashlib.sha256(CONTENT).hexdigest()
TOKEN = Credentials("Authorization", "Bearer hunter2")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "downloads")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def serving(folder: Path, tls: tuple[Path, Path] | None = None, *lines: str) -> Nginx:
    nginx = Nginx(folder, server=lines, tls=tls)
    (nginx.root / "model.zip").write_bytes(CONTENT)
    return nginx


@pytest.fixture
def secure(tmp_path: Path, authority: Authority) -> Iterator[Nginx]:
    with serving(tmp_path / "secure", authority.issue("server")) as nginx:
        yield nginx


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Nginx]:
    with serving(tmp_path / "plain") as nginx:
        yield nginx


# ---------------------------------------------------------------- TLS


def test_an_own_authority(secure: Nginx, scene: Scene, authority: Authority) -> None:
    policy = replace(POLICY, ca_file=authority.certificate)
    assert scene.fetch(f"{secure.url}/model.zip", policy, credentials=TOKEN).sha256 == SHA


def test_an_authority_that_nobody_vouches_for(secure: Nginx, scene: Scene) -> None:
    with pytest.raises(FetchError) as caught:
        scene.fetch(f"{secure.url}/model.zip")
    assert "its certificate is not to be trusted: " in str(caught.value)
    assert "'ca_file'" in str(caught.value)
    assert scene.waits == [], "that does not change by waiting"


def test_another_authority(secure: Nginx, scene: Scene, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "somebody else")
    with pytest.raises(FetchError, match="is not to be trusted"):
        scene.fetch(f"{secure.url}/model.zip", replace(POLICY, ca_file=other.certificate))


def test_an_expired_certificate(tmp_path: Path, scene: Scene, authority: Authority) -> None:
    tls = authority.issue("server", expired=True)
    policy = replace(POLICY, ca_file=authority.certificate)
    with (
        serving(tmp_path / "expired", tls) as nginx,
        pytest.raises(FetchError, match=r"certificate has expired.*Check this device's clock"),
    ):
        scene.fetch(f"{nginx.url}/model.zip", policy)


def test_a_certificate_whose_time_has_not_come(
    tmp_path: Path, scene: Scene, authority: Authority
) -> None:
    """As a rule it is our clock that is wrong, and the network will set it: tried again."""
    tls = authority.issue("server", early=True)
    policy = replace(POLICY, ca_file=authority.certificate, retries=2)
    with (
        serving(tmp_path / "early", tls) as nginx,
        pytest.raises(FetchError, match=r"certificate is not yet valid .is this device's clock"),
    ):
        scene.fetch(f"{nginx.url}/model.zip", policy)
    assert scene.waits == [1.0, 2.0]


def test_another_name(secure: Nginx, scene: Scene, authority: Authority) -> None:
    """The certificate is for 127.0.0.1 and localhost; the proxy stands in for a false DNS."""
    with HttpProxy() as proxy:
        proxy.detour = ("127.0.0.1", secure.port)
        policy = replace(POLICY, ca_file=authority.certificate, proxy=proxy.url)
        with pytest.raises(FetchError, match=r"is not to be trusted: [Hh]ostname mismatch"):
            scene.fetch("https://repo.example.com/model.zip", policy, credentials=TOKEN)
    assert scene.waits == []


def test_plain_http_where_tls_is_expected(plain: Nginx, scene: Scene) -> None:
    with pytest.raises(FetchError, match="no connection: TLS: "):
        scene.fetch(f"https://127.0.0.1:{plain.port}/model.zip", replace(POLICY, retries=0))


def test_a_file_of_authorities_that_is_none(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ca_file .*: cannot be used.*No such file"):
        scene.fetch("https://127.0.0.1/x", replace(POLICY, ca_file=tmp_path / "absent"))
    (tmp_path / "empty").write_text("nothing")
    with pytest.raises(ConfigError, match="no certificate in it"):
        scene.fetch("https://127.0.0.1/x", replace(POLICY, ca_file=tmp_path / "empty"))


# ---------------------------------------------------------------- redirects between schemes


def test_from_https_to_http_is_refused(
    tmp_path: Path, plain: Nginx, scene: Scene, authority: Authority
) -> None:
    line = f"location /down/ {{ return 302 {plain.url}/model.zip; }}"
    policy = replace(POLICY, ca_file=authority.certificate)
    with (
        serving(tmp_path / "down", authority.issue("server"), line) as nginx,
        pytest.raises(FetchError, match="redirects from https to http"),
    ):
        scene.fetch(f"{nginx.url}/down/x", policy, credentials=TOKEN)
    assert plain.asked == []


def test_from_http_to_https_without_credentials(
    tmp_path: Path, secure: Nginx, scene: Scene, authority: Authority
) -> None:
    line = f"location /up/ {{ return 302 {secure.url}/model.zip; }}"
    policy = replace(POLICY, ca_file=authority.certificate)
    with serving(tmp_path / "up", None, line) as nginx:
        fetched = scene.fetch(f"{nginx.url}/up/x", policy, credentials=TOKEN)
        secure.stop()
        nginx.stop()
        assert fetched.sha256 == SHA
        assert "hunter2" in nginx.asked[0]
        assert len(secure.asked) == 1 and "hunter2" not in secure.asked[0]


# ---------------------------------------------------------------- proxies


def test_a_proxy_of_the_configuration(plain: Nginx, scene: Scene) -> None:
    with HttpProxy() as proxy:
        policy = replace(POLICY, proxy=proxy.url)
        assert scene.fetch(f"{plain.url}/model.zip", policy).sha256 == SHA
        assert [(asked.method, asked.target) for asked in proxy.asked] == [
            ("GET", f"{plain.url}/model.zip")
        ]


def test_a_tunnel_through_a_proxy(secure: Nginx, scene: Scene, authority: Authority) -> None:
    with HttpProxy() as proxy:
        policy = replace(POLICY, proxy=proxy.url, ca_file=authority.certificate)
        fetched = scene.fetch(f"{secure.url}/model.zip", policy, credentials=TOKEN)
        assert fetched.sha256 == SHA
        assert [(asked.method, asked.target) for asked in proxy.asked] == [
            ("CONNECT", f"127.0.0.1:{secure.port}")
        ]
        assert "hunter2" not in repr(proxy.asked)


def test_a_proxy_of_the_environment(
    plain: Nginx, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    url = f"{plain.url}/model.zip"
    from_environment = replace(POLICY, proxy="")
    with HttpProxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert scene.fetch(url, from_environment).sha256 == SHA
        assert len(proxy.asked) == 1
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert scene.fetch(url, from_environment).sha256 == SHA
        monkeypatch.delenv("no_proxy")
        assert scene.fetch(url, replace(POLICY, proxy="none")).sha256 == SHA
        assert len(proxy.asked) == 1, "neither where no_proxy says so nor where we do"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_with_a_login(
    plain: Nginx, secure: Nginx, scene: Scene, authority: Authority, scheme: str
) -> None:
    url = f"{plain.url if scheme == 'http' else secure.url}/model.zip"
    policy = replace(POLICY, ca_file=authority.certificate)
    with HttpProxy("user:hunter2") as proxy:
        with pytest.raises(FetchError, match=r"407.*asks for a user and password"):
            scene.fetch(url, replace(policy, proxy=proxy.url))
        assert scene.waits == []
        login = proxy.url.replace("://", "://user:hunter2@")
        assert scene.fetch(url, replace(policy, proxy=login)).sha256 == SHA


def test_a_deadline_holds_through_a_proxy(scene: Scene) -> None:
    """Within the handshake already, of which a server never says its part."""
    with RawServer([]) as server, HttpProxy() as proxy:
        server.answers = [server.silence()]
        proxy.detour = ("127.0.0.1", server.port)
        policy = replace(POLICY, proxy=proxy.url, total_timeout_s=0.5)
        with pytest.raises(FetchError, match=r"not done within 0\.5 s"):
            scene.fetch("https://repo.example.com/model.zip", policy)
