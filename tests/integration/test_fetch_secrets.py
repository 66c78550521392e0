"""Planted secrets show up nowhere, whatever goes wrong."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.processes import free_port
from tests.support.fetching import POLICY, Scene, chain
from tests.support.raw_server import RawServer
from updater.errors import SitewatchError
from updater.fetch import Credentials

SECRET = "hunter2"
TOKEN = Credentials("Authorization", f"Bearer {SECRET}")
KEY = Credentials("X-JFrog-Art-Api", SECRET)
HEAD = b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: "v1"\r\n'
SIGNED = f"/model.zip?X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}#{SECRET}"
PATIENCE = replace(POLICY, retries=1, read_timeout_s=0.2)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "downloads")


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that any library says."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    yield caplog
    assert logging.getLogger("urllib3").level == logging.DEBUG, "left as it was found"
    logging.getLogger("urllib3").setLevel(logging.NOTSET)


def everything_said(scene: Scene, error: BaseException | None, log: str) -> str:
    """Log, notes, files, and the exception with all that it was raised from."""
    said = [log, *scene.notes]
    for path in scene.downloads.rglob("*") if scene.downloads.exists() else ():
        said += [path.name, path.read_bytes().decode("latin-1")]
    if error is not None:
        said += traceback.format_exception(error)
        for link in chain(error):
            said += [str(link), repr(link), repr(getattr(link, "__dict__", ""))]
    return "\n".join(said)


ANSWERS = {
    "whole": HEAD + b"\r\n" + b"x" * 1000,
    "cut off": HEAD + b"\r\nx",
    "silent": None,
    "no HTTP": b"hunter1 hunter3\r\n\r\n",
    "nothing": b"",
    "refused": b"HTTP/1.1 403 hunter1\r\nContent-Length: 0\r\n\r\n",
    "unauthorised": b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
    "busy": b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
    "too large": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    "redirected with a secret": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
    b"Location: http://127.0.0.1:1/x?signature=hunter2\r\n\r\n",
    "redirected with a user": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
    b"Location: https://user:hunter2@host/x\r\n\r\n",
    "redirected to nonsense": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
    b"Location: https://user:hunter2@[host/x\r\n\r\n",
    "redirected to a bad port": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
    b"Location: https://user:hunter2/\r\n\r\n",
}


@pytest.mark.parametrize("credentials", [TOKEN, KEY, None])
@pytest.mark.parametrize("name", list(ANSWERS))
def test_a_server_that_does_this(
    scene: Scene, log: pytest.LogCaptureFixture, name: str, credentials: Credentials | None
) -> None:
    with RawServer([]) as server:
        answer = ANSWERS[name]
        server.answers = [server.silence() if answer is None else answer]
        error = None
        try:
            scene.fetch(f"{server.url}{SIGNED}", PATIENCE, credentials=credentials)
        except SitewatchError as caught:
            error = caught
        asked = server.asked[0]
    assert (error is None) == (name == "whole")
    assert SECRET in asked, "the secrets did go to the server"
    assert SECRET not in everything_said(scene, error, log.text)


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@127.0.0.1/x",
        f"http:/user:{SECRET}@127.0.0.1/x",
        f"http://user:{SECRET}@[127.0.0.1/x",
        f"ftp://user:{SECRET}@127.0.0.1/x",
        f"http://user:{SECRET}/x@127.0.0.1/",
        f"http://127.0.0.1/x y?{SECRET}",
        f"http://{'a' * 70}.invalid/x?{SECRET}",
        f"http://a..b/x?{SECRET}",
        f"http://name.invalid/x?{SECRET}",
    ],
)
def test_an_address_that_does_not_work(
    scene: Scene, log: pytest.LogCaptureFixture, url: str
) -> None:
    with pytest.raises(SitewatchError) as caught:
        scene.fetch(url, PATIENCE)
    assert SECRET not in everything_said(scene, caught.value, log.text)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:hunter2@127.0.0.1:{port}",
        "http://user:hunter2@",
        "http://user:hunter2@[x",
        "nonsense://user:hunter2@127.0.0.1:{port}",
        "socks5://user:hunter2@127.0.0.1:{port}",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_does_not_work(
    scene: Scene, log: pytest.LogCaptureFixture, proxy: str, scheme: str
) -> None:
    policy = replace(PATIENCE, proxy=proxy.format(port=free_port()))
    with pytest.raises(SitewatchError) as caught:
        scene.fetch(f"{scheme}://127.0.0.1:1{SIGNED}", policy)
    assert SECRET not in everything_said(scene, caught.value, log.text)
    assert "127.0.0.1:1/model.zip" in str(caught.value) or "proxy" in str(caught.value)


def test_credentials_do_not_travel_in_the_clear(scene: Scene) -> None:
    with pytest.raises(SitewatchError, match="credentials would travel in the clear"):
        scene.fetch("http://192.0.2.1/x", PATIENCE, credentials=TOKEN)


def test_netrc_and_cookies_are_not_sent(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"default login user password {SECRET}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    busy = b"HTTP/1.1 503 Busy\r\nSet-Cookie: id=hunter2; Path=/\r\nContent-Length: 0\r\n\r\n"
    with RawServer([busy, HEAD + b"\r\n" + b"x" * 1000]) as server:
        scene.fetch(f"{server.url}/model.zip", PATIENCE)
        assert len(server.asked) == 2
        assert not any("cookie" in head.lower() for head in server.asked)
        assert not any("authorization" in head.lower() for head in server.asked)
