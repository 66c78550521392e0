"""Downloads from the stand-in for Artifactory, and that credentials go nowhere else."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.artifactory import Account, Artifactory, Etags
from tests.support.blobs import Bucket
from tests.support.fetching import Scene
from tests.support.http_server import Server
from updater.errors import FetchError
from updater.fetch import Credentials

CONTENT = random.Random(7).randbytes(2 * 1024 * 1024)
SHA = hashlib.sha256(CONTENT).hexdigest()
TOKEN, API_KEY, PASSWORD = "t0ken-hunter2", "k3y-hunter2", "passw0rd-hunter2"
DEVICE = Account("device", token=TOKEN, api_key=API_KEY)
PUBLISHER = Account("publisher", token="p-hunter2", password=PASSWORD, deploy=True)
STRANGER = Account("stranger", token="s-hunter2", read=False)
BEARER = Credentials("Authorization", f"Bearer {TOKEN}")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "downloads")


@pytest.fixture
def artifactory(tmp_path: Path) -> Iterator[Artifactory]:
    accounts = (DEVICE, PUBLISHER, STRANGER)
    with Artifactory(tmp_path / "blobs", accounts=accounts) as server:
        yield server


@pytest.fixture
def bucket(artifactory: Artifactory) -> Iterator[Bucket]:
    with Bucket(artifactory.blobs) as server:
        artifactory.bucket = server
        yield server


def secrets_sent(server: Server) -> list[str]:
    return [
        request.target
        for request in server.asked
        if "authorization" in request.headers or "x-jfrog-art-api" in request.headers
    ]


@pytest.mark.parametrize("credentials", [BEARER, Credentials("X-JFrog-Art-Api", API_KEY)])
def test_with_a_token_or_a_key(
    artifactory: Artifactory, scene: Scene, credentials: Credentials
) -> None:
    url = artifactory.put("models/site/model.zip", CONTENT)
    assert scene.fetch(url, credentials=credentials).sha256 == SHA


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        (None, "the server answers 401 (Unauthorized)"),
        (Credentials("Authorization", "Bearer wrong"), "the server answers 401 (Unauthorized)"),
        (Credentials("Authorization", "Bearer s-hunter2"), "the server answers 403 (Forbidden)"),
    ],
)
def test_not_let_in(
    artifactory: Artifactory, scene: Scene, credentials: Credentials | None, message: str
) -> None:
    url = artifactory.put("models/model.zip", CONTENT)
    with pytest.raises(FetchError) as caught:
        scene.fetch(url, credentials=credentials)
    assert message in str(caught.value)
    assert len(artifactory.asked) == 1


def test_not_there(artifactory: Artifactory, scene: Scene) -> None:
    with pytest.raises(FetchError, match=r"the server answers 404 \(Not Found\)"):
        scene.fetch(f"{artifactory.url}/artifactory/models/x.zip", credentials=BEARER)


@pytest.mark.parametrize("etags", list(Etags))
@pytest.mark.parametrize("changed", [False, True])
def test_a_run_goes_on_with_another_s_part(
    artifactory: Artifactory, scene: Scene, etags: Etags, changed: bool
) -> None:
    artifactory.etags = etags
    url = artifactory.put("models/model.zip", CONTENT)

    class KilledError(Exception):
        """Ends a run as Ctrl-C does: anywhere."""

    def kill(held: int) -> None:
        if held >= len(CONTENT) // 2:
            raise KilledError

    scene.on_bytes = kill
    with pytest.raises(KilledError):
        scene.fetch(url, credentials=BEARER)
    scene.on_bytes = lambda held: None
    kept = scene.kept_bytes
    assert len(CONTENT) // 2 <= kept < len(CONTENT)
    wanted = CONTENT[::-1] if changed else CONTENT
    artifactory.put("models/model.zip", wanted)
    assert scene.fetch(url, credentials=BEARER).path.read_bytes() == wanted
    resumed = artifactory.asked[1].headers
    assert resumed["range"] == f"bytes={kept}-"
    assert ("if-range" in resumed) == (etags is Etags.QUOTED), "a bare tag is not sent back"
    again = 1 if changed and etags is not Etags.QUOTED else 0
    assert len(artifactory.asked) == 2 + again


@pytest.mark.parametrize("etags", list(Etags))
def test_the_same_again(artifactory: Artifactory, scene: Scene, etags: Etags) -> None:
    artifactory.etags = etags
    url = artifactory.put("models/model.zip", CONTENT)
    first = scene.fetch(url, credentials=BEARER)
    scene.on_bytes = lambda held: pytest.fail("nothing is to be downloaded")
    assert scene.fetch(url, credentials=BEARER) == first


def test_what_the_server_promises_is_compared(artifactory: Artifactory, scene: Scene) -> None:
    url = artifactory.put("models/model.zip", CONTENT)
    artifactory.blobs.path(SHA).write_bytes(CONTENT[::-1])
    with pytest.raises(FetchError, match=f"has the sha256 [0-9a-f]{{64}}, not {SHA}"):
        scene.fetch(url, credentials=BEARER)
    assert not list(scene.downloads.iterdir())


# ---------------------------------------------------------------- redirected to cloud storage


def test_credentials_stay_with_the_first_server(
    artifactory: Artifactory, bucket: Bucket, scene: Scene
) -> None:
    url = artifactory.put("models/model.zip", CONTENT)
    fetched = scene.fetch(url, credentials=BEARER)
    assert fetched.sha256 == SHA and fetched.source == url
    assert len(secrets_sent(artifactory)) == 1
    assert len(bucket.asked) == 1 and secrets_sent(bucket) == []


def test_the_checksum_told_before_the_redirect_counts(
    artifactory: Artifactory, bucket: Bucket, scene: Scene
) -> None:
    url = artifactory.put("models/model.zip", CONTENT)
    artifactory.blobs.path(SHA).write_bytes(CONTENT[::-1])
    with pytest.raises(FetchError, match=f"not {SHA}"):
        scene.fetch(url, credentials=BEARER)


def test_a_server_that_asks_again_after_a_redirect(
    artifactory: Artifactory, scene: Scene, tmp_path: Path
) -> None:
    """Another port is another server, even of the same host."""
    with Artifactory(tmp_path / "other", accounts=(DEVICE,)) as other:
        other.put("models/model.zip", CONTENT)
        artifactory.put("models/model.zip", CONTENT)
        artifactory.bucket = Elsewhere(f"{other.url}/artifactory/models/model.zip")
        url = f"{artifactory.url}/artifactory/models/model.zip"
        with pytest.raises(FetchError, match="sent to the first server only") as caught:
            scene.fetch(url, credentials=BEARER)
        assert secrets_sent(other) == []
    assert "hunter2" not in str(caught.value)


def test_not_even_when_it_is_sent_back(
    artifactory: Artifactory, scene: Scene, tmp_path: Path
) -> None:
    with Artifactory(tmp_path / "other", anonymous=DEVICE) as other:
        other.put("models/model.zip", CONTENT)
        artifactory.put("models/model.zip", CONTENT)
        artifactory.bucket = Elsewhere(f"{other.url}/artifactory/models/model.zip")
        other.bucket = Elsewhere(f"{artifactory.url}/artifactory/models/model.zip")
        with pytest.raises(FetchError, match="401"):
            scene.fetch(artifactory.url + "/artifactory/models/model.zip", credentials=BEARER)
        assert secrets_sent(other) == []
    assert len(secrets_sent(artifactory)) == 1


class Elsewhere(Bucket):
    """Redirects to one address."""

    def __init__(self, url: str) -> None:
        self._target = url

    def presigned(self, sha256: str) -> str:
        return self._target


# ---------------------------------------------------------------- the stand-in itself


def test_the_stand_in_deploys(artifactory: Artifactory) -> None:
    url = f"{artifactory.url}/artifactory/models/a/model.zip"
    login = ("publisher", PASSWORD)
    sums = {"X-Checksum-Sha256": SHA}
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with requests.Session() as session:
        session.trust_env = False
        put, get = session.put, session.get
        assert put(url, data=CONTENT).status_code == 401
        assert put(url, data=CONTENT, headers=bearer).status_code == 403
        assert put(f"{artifactory.url}/artifactory/none/x", auth=login).status_code == 404
        empty = put(url, headers={**sums, "X-Checksum-Deploy": "true"}, auth=login)
        assert empty.status_code == 404, "nobody has sent this content yet"
        wrong = put(url, data=CONTENT[1:], headers=sums, auth=login)
        assert wrong.status_code == 409
        parameters = f"{url};version=12;status=candidate,tested"
        done = put(parameters, data=iter([CONTENT[:9], CONTENT[9:]]), headers=sums, auth=login)
        assert done.status_code == 201
        assert done.json()["size"] == str(len(CONTENT))
        assert done.json()["checksums"]["sha256"] == SHA
        assert put(url, data=b"x", auth=login).status_code == 403, "may not overwrite"
        copy = put(
            url.replace("/a/", "/b/"),
            headers={**sums, "X-Checksum-Deploy": "true"},
            auth=login,
        )
        assert copy.status_code == 201 and copy.json()["path"] == "/b/model.zip"
        head = session.head(url, headers=bearer)
        assert head.headers["X-Checksum-Sha256"] == SHA
        assert head.headers["Accept-Ranges"] == "bytes"
        assert head.headers["Content-Length"] == str(len(CONTENT))
        part = get(url, headers={**bearer, "Range": "bytes=5-9"})
        assert (part.status_code, part.content) == (206, CONTENT[5:10])
        tail = get(url, headers={**bearer, "Range": "bytes=-3"})
        assert (tail.status_code, tail.content) == (206, CONTENT[-3:])
        none = get(url, headers={**bearer, "Range": f"bytes={len(CONTENT)}-"})
        assert none.status_code == 416
        assert get(url, headers={"X-JFrog-Art-Api": API_KEY}).content == CONTENT
        assert get(url, auth=("device", TOKEN)).status_code == 200
        assert get(url, auth=("device", "")).status_code == 401
        storage = url.replace("/artifactory/", "/artifactory/api/storage/")
        told = get(storage, headers=bearer).json()
        assert told["size"] == str(len(CONTENT)) and told["downloadUri"] == url
        assert told["lastModified"] == told["created"]
        found = get(f"{storage}?properties=status", headers=bearer).json()
        assert found["properties"] == {"status": ["candidate", "tested"]}
        assert put(f"{storage}?properties=status=good", auth=login).status_code == 204
        found = get(f"{storage}?properties", headers=bearer).json()
        assert found["properties"] == {"version": ["12"], "status": ["good"]}
        folder = get(storage.removesuffix("/a/model.zip"), headers=bearer).json()
        assert folder["children"] == [
            {"uri": "/a", "folder": True},
            {"uri": "/b", "folder": True},
        ]
        query = f'items.find({json.dumps({"repo": "models", "@version": "12"})}).include("name")'
        aql = session.post(
            f"{artifactory.url}/artifactory/api/search/aql", data=query, headers=bearer
        ).json()
        assert [(entry["path"], entry["size"]) for entry in aql["results"]] == [("a", len(CONTENT))]
        assert session.delete(url, auth=login).status_code == 403
        ping = get(f"{artifactory.url}/artifactory/api/system/ping", headers=bearer)
        assert ping.content == b"OK"
