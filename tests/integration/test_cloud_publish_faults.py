"""What a bad network, a full or stubborn server and kill -9 do to a publication: it converges.

Whatever happens, and wherever: a version is there whole or not at all, and the moving name leads to
a version that was verified by download. Run again, it is as if nothing had happened.
"""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path

import pytest

from scripts.cloud.artifactory import checksums_of
from scripts.cloud.errors import ConflictError, ServiceError
from scripts.cloud.publication import PREVIOUS_PROPERTY, VERSION_PROPERTY, Publication
from tests.support import planted
from tests.support.artifactory import Artifactory, Etags
from tests.support.blobs import Bucket
from tests.support.faulty_proxy import Cut, Fault, FaultyProxy, Reply
from tests.support.http_server import Asked
from tests.support.publishing import (
    CAREFUL,
    DEVICE,
    MOVING,
    Slept,
    publication,
    write_bundles,
)
from tests.support.signed import FILES, bundle
from updater.errors import SitewatchError

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = "models/sitewatch/1.0/model.zip", "models/sitewatch/1.1/model.zip"
FATE_TIMEOUT_S = 60.0
LARGE_BYTES = 24 * 1024 * 1024
"""More than the buffers of a connection on one machine hold."""


def refusal(status: int, message: str, **headers: str) -> Reply:
    """An error as Artifactory words it."""
    body = json.dumps({"errors": [{"status": status, "message": message}]}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, body, {"Content-Type": "application/json", **named})


BUSY = refusal(503, "Service Unavailable", Retry_After="7")
PASSING: dict[str, Fault] = {
    "500": refusal(500, "Internal Server Error"),
    "502 of a proxy": Reply(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"}),
    "503, wait": BUSY,
    "429, wait": refusal(429, "Too Many Requests", Retry_After="7"),
    "cut in the request": Cut.IN_REQUEST,
    "cut before the server had it": Cut.BEFORE_SERVER,
    "answer lost": Cut.AFTER_SERVER,
    "answer cut short": Cut.IN_ANSWER,
}
"""What is gone when it is tried again."""


def at(first: int, fault: Fault, *, stays: bool = False) -> Callable[[int], Fault]:
    """A fault at a request of that number, or from it on."""
    return lambda number: fault if number == first or (stays and number > first) else None


def sends(asked: Asked, path: str) -> bool:
    """Whether this is a deployment there with its bytes."""
    there = asked.method == "PUT" and asked.target.startswith(f"/artifactory/{path};")
    return there and "x-checksum-deploy" not in asked.headers


def downloads(asked: Asked, path: str) -> bool:
    """Whether this is a download of that file."""
    return (asked.method, asked.target) == ("GET", f"/artifactory/{path}")


@dataclass
class Shop:
    """The stand-in with 1.0 published, the network before it, and the bundle of 1.1."""

    server: Artifactory
    proxy: FaultyProxy
    old: Path
    new: Path
    slept: Slept

    def publish(self, *, past: bool = False) -> None:
        """Publishes 1.1, or does it past the network."""
        url = self.server.url if past else self.proxy.url
        publication(url, timing=self.slept.timing).publish(self.new, "1.1", {"site": "north"})

    def restore(self) -> None:
        """As it was before 1.1."""
        self.server.items.clear()
        self.server.items.update(self.before)
        for path in self.server.blobs.path("").iterdir():
            if path.name != self.sha256(self.old):
                path.unlink()
        self.proxy.reset()
        self.slept.waits_s.clear()

    def __post_init__(self) -> None:
        publication(self.server.url).publish(self.old, "1.0", {})
        self.before = dict(self.server.items)

    @staticmethod
    def sha256(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def leads_to(self) -> str:
        """The version that the moving name leads to, by its bytes."""
        found = self.server.items[MOVING].checksums["sha256"]
        return {self.sha256(self.old): "1.0", self.sha256(self.new): "1.1"}[found]

    def check_whole(self, what: str) -> None:
        """What must hold at any instant."""
        items = self.server.items
        assert items[OLD].checksums["sha256"] == self.sha256(self.old), what
        if NEW in items:
            assert items[NEW].checksums["sha256"] == self.sha256(self.new), what
        if self.leads_to() == "1.1":
            assert NEW in items, what
        assert items[MOVING].properties[VERSION_PROPERTY] == [self.leads_to()], what
        for item in items.values():
            stored = self.server.blobs.path(item.checksums["sha256"])
            assert self.sha256(stored) == item.checksums["sha256"], what

    def check_published(self, what: str) -> None:
        """1.1 is there, and led to."""
        self.check_whole(what)
        assert self.leads_to() == "1.1", what
        wanted = {VERSION_PROPERTY: ["1.1"], "site": ["north"]}
        assert self.server.items[NEW].properties == wanted, what
        linked = {**wanted, PREVIOUS_PROPERTY: ["1.0"]}
        assert self.server.items[MOVING].properties == linked, what

    def requests(self) -> list[Asked]:
        """What a publication asks when nothing goes wrong."""
        self.publish()
        self.check_published("nothing goes wrong")
        asked = list(self.proxy.asked)
        self.restore()
        return asked

    def sent(self, path: str) -> int:
        """How often bytes were sent there."""
        return sum(sends(asked, path) for asked in self.proxy.asked)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    old, new = write_bundles(tmp_path, "1.0", "1.1")
    with (
        Artifactory(tmp_path / "blobs", accounts=(CAREFUL, DEVICE)) as server,
        FaultyProxy(server.url) as proxy,
    ):
        yield Shop(server, proxy, old, new, Slept())


# ------------------------------------------------------------ faults that pass


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_is_overcome_at_every_request(shop: Shop, name: str) -> None:
    requests = shop.requests()
    assert len(requests) > 8
    for number, asked in enumerate(requests):
        what = f"{name} at request {number}: {asked.method} {asked.target}"
        shop.proxy.fault = at(number, PASSING[name])
        shop.publish()
        shop.check_published(what)
        shop.restore()


def test_an_upload_whose_answer_is_lost_for_good_is_found(shop: Shop) -> None:
    """Who may not overwrite is refused when the upload is made again, and it is there already."""
    shop.proxy.fault = lambda _: Cut.AFTER_SERVER if sends(shop.proxy.asked[-1], NEW) else None
    shop.publish()
    shop.check_published("")
    assert shop.sent(NEW) == 2


@pytest.mark.parametrize(
    ("asked", "waits_s"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": formatdate(1_000_090, usegmt=True),
          "Date": formatdate(1_000_000, usegmt=True)}, 90.0),
        ({"Retry_After": "86400"}, 300.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_given_the_time_it_asks_for(
    shop: Shop, status: int, asked: dict[str, str], waits_s: float
) -> None:
    busy = refusal(status, "busy", **asked)
    shop.proxy.fault = lambda _: (
        busy if sends(shop.proxy.asked[-1], NEW) and shop.sent(NEW) == 1 else None
    )
    shop.publish()
    shop.check_published("")
    assert shop.slept.waits_s == [waits_s]


# ------------------------------------------------------------ faults that stay


@pytest.mark.parametrize("name", ["503, wait", "cut in the request", "answer lost"])
def test_a_fault_that_stays_leaves_nothing_half_done(shop: Shop, name: str) -> None:
    for first, asked in enumerate(shop.requests()):
        what = f"{name} from request {first} on: {asked.method} {asked.target}"
        shop.proxy.fault = at(first, PASSING[name], stays=True)
        with pytest.raises(SitewatchError):
            shop.publish()
        shop.check_whole(what)
        shop.proxy.reset()
        shop.publish()
        shop.check_published(f"again, after {what}")
        shop.restore()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (refusal(400, "Checksum error: received 'a', actual is 'b'"), "400 .* actual is 'b'"),
        (refusal(403, "Not enough permissions"), "403 .*may not do this"),
        (refusal(409, "Checksum error: received 'a', actual is 'b'"), "409 .* actual is 'b'"),
        (refusal(413, "Storage quota limit exceeded"), "413 .*Storage quota .*quota is used up"),
        (refusal(507, "Datastore disk is full"), "507 .*disk is full.*storage is full"),
    ],
)  # fmt: skip
def test_what_is_refused_is_not_asked_again(shop: Shop, reply: Reply, said: str) -> None:
    shop.proxy.fault = lambda _: reply if sends(shop.proxy.asked[-1], NEW) else None
    with pytest.raises(ServiceError, match=said):
        shop.publish()
    shop.check_whole(said)
    assert (NEW in shop.server.items, shop.leads_to(), shop.slept.waits_s) == (False, "1.0", [])
    shop.proxy.reset()
    shop.publish()
    shop.check_published("again")


def test_what_arrives_damaged_is_refused_by_the_server(shop: Shop) -> None:
    server = publication(shop.proxy.url).server
    with pytest.raises(ServiceError, match=r"409 .*Checksum error"):
        server.deploy(NEW, checksums_of(shop.new), shop.new.read_bytes()[:-1] + b"?", {})
    assert NEW not in shop.server.items


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_credentials_and_bundles_follow_no_redirect(
    shop: Shop, tmp_path: Path, status: int
) -> None:
    with Artifactory(tmp_path / "elsewhere", accounts=(CAREFUL,)) as other:
        for first, asked in enumerate(shop.requests()):
            if downloads(asked, NEW) or downloads(asked, MOVING):
                continue  # downloads follow, as devices do: without credentials, see below
            location = {"Location": f"{other.url}{asked.target}"}
            shop.proxy.fault = at(first, Reply(status, headers=location))
            with pytest.raises(ServiceError, match=rf"{status} .*No redirect is followed"):
                shop.publish()
            shop.check_whole(asked.target)
            shop.restore()
        assert other.asked == []


# ------------------------------------------------------------ what a server may be like


@pytest.mark.parametrize("etags", Etags)
@pytest.mark.parametrize("in_a_bucket", [False, True])
def test_servers_differ_in_how_they_serve(shop: Shop, etags: Etags, in_a_bucket: bool) -> None:
    shop.server.etags = etags
    with Bucket(shop.server.blobs) as bucket:
        if in_a_bucket:
            shop.server.bucket = bucket
        shop.publish()
        shop.check_published("")
        # It refuses whoever shows it credentials.
        assert len(bucket.asked) == (2 if in_a_bucket else 0)


@pytest.mark.parametrize("path", [NEW, MOVING])
@pytest.mark.parametrize(
    "change",
    [
        lambda reply: replace(reply, headers={**reply.headers, "X-Checksum-Sha256": "0" * 64}),
        lambda reply: replace(reply, body=reply.body[:-1] + b"?"),
        lambda reply: replace(reply, body=reply.body[:-1]),
        lambda reply: Reply(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}),
        lambda reply: refusal(404, "File not found."),
    ],
    ids=["another checksum told", "changed", "cut short", "a sign-in page", "not there"],
)  # fmt: skip
def test_what_cannot_be_verified_is_not_led_to(
    shop: Shop, path: str, change: Callable[[Reply], Reply]
) -> None:
    shop.proxy.fault = lambda _: change if downloads(shop.proxy.asked[-1], path) else None
    with pytest.raises(ServiceError):
        shop.publish()
    shop.check_whole(path)
    assert (NEW in shop.server.items, shop.leads_to()) == (True, "1.0")
    assert shop.server.items[MOVING].properties == shop.before[MOVING].properties
    shop.proxy.reset()
    shop.publish()
    shop.check_published("again")


@pytest.mark.parametrize("status", [404, 409])
def test_a_server_that_does_not_copy_by_checksum_is_sent_the_bytes(shop: Shop, status: int) -> None:
    no_copies(shop, status)
    shop.publish()
    shop.check_published("")
    assert (shop.sent(NEW), shop.sent(MOVING)) == (1, 1)


def test_a_move_is_undone_without_copies_too(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    no_copies(shop, 404)
    right = Publication._verify

    def wrong(self: Publication, path: str, sums: object) -> None:
        if path == MOVING:
            raise ServiceError("is something else")
        right(self, path, sums)  # type: ignore[arg-type]

    monkeypatch.setattr(Publication, "_verify", wrong)
    with pytest.raises(ServiceError, match="is something else"):
        shop.publish()
    shop.check_whole("")
    assert shop.leads_to() == "1.0"
    assert shop.server.items[MOVING].properties == shop.before[MOVING].properties


def test_properties_of_others_do_not_stop_an_undoing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.server.items[MOVING].properties["build.name"] = ["nightly; really"]

    def wrong(self: Publication, path: str, sums: object) -> None:
        if path == MOVING:
            raise ServiceError("is something else")

    monkeypatch.setattr(Publication, "_verify", wrong)
    with pytest.raises(ServiceError, match="is something else"):
        shop.publish()
    assert shop.leads_to() == "1.0"
    assert shop.server.items[MOVING].properties == {VERSION_PROPERTY: ["1.0"]}


def test_a_repository_that_knows_no_sha256(shop: Shop) -> None:
    def told(reply: Reply) -> Reply:
        found = json.loads(reply.body)
        if "checksums" in found:
            del found["checksums"]["sha256"]
        return Reply(reply.status, json.dumps(found).encode(), reply.headers)

    shop.proxy.fault = lambda _: told if "/api/storage/" in shop.proxy.asked[-1].target else None
    shop.publish()
    shop.check_published("")
    shop.publish()
    shop.check_published("again")
    with pytest.raises(ConflictError, match="other bytes"):
        publication(shop.proxy.url).publish(shop.old, "1.1", {})


# ------------------------------------------------------------ somebody else


@pytest.mark.parametrize("moment", ["before the move", "after the move"])
def test_what_somebody_else_moved_is_left_to_them(shop: Shop, tmp_path: Path, moment: str) -> None:
    (theirs,) = write_bundles(tmp_path, "1.2")

    def reached(number: int, point: str) -> None:
        asked = shop.proxy.asked[number]
        moves = asked.method == "PUT" and asked.target.startswith(f"/artifactory/{MOVING};")
        if point == "stored" and (moves if moment == "after the move" else downloads(asked, NEW)):
            publication(shop.server.url).publish(theirs, "1.2", {})

    shop.proxy.reached = reached
    with pytest.raises(ConflictError, match="somebody else moved it meanwhile"):
        shop.publish()
    sums = shop.server.items[MOVING].checksums
    assert sums["sha256"] == Shop.sha256(theirs)
    assert NEW in shop.server.items


# ------------------------------------------------------------ kill -9


def test_a_publication_that_is_killed_anywhere_is_run_again(shop: Shop) -> None:
    command = [sys.executable, "-m", "tests.support.publishing", shop.proxy.url, str(shop.new)]
    for number, asked in enumerate(shop.requests()):
        what = f"killed at request {number}: {asked.method} {asked.target}"
        # Before the answer to what the server has carried out: what the next one finds.
        struck(shop, [*command, "1.1", "site=north"], number, "stored")
        shop.check_whole(what)
        shop.proxy.reset()
        shop.publish()
        shop.check_published(f"again, after {what}")
        shop.restore()


def test_a_publication_that_is_killed_within_its_bytes_is_run_again(shop: Shop) -> None:
    large = {**FILES, "model.tflite": random.Random(3).randbytes(LARGE_BYTES)}
    shop.new.write_bytes(bundle(version="1.1", files=large).to_bytes())
    (number,) = (number for number, asked in enumerate(shop.requests()) if sends(asked, NEW))
    command = [sys.executable, "-m", "tests.support.publishing", shop.proxy.url, str(shop.new)]
    struck(shop, [*command, "1.1", "site=north"], number, "half")
    while len(shop.proxy.seen) <= number:  # the proxy reads what had been sent
        time.sleep(0.01)
    assert LARGE_BYTES / 2 <= shop.proxy.seen[number].body_bytes < LARGE_BYTES
    shop.check_whole("killed")
    assert (NEW in shop.server.items, shop.leads_to()) == (False, "1.0")
    shop.proxy.reset()
    shop.publish()
    shop.check_published("again")


def struck(shop: Shop, command: list[str], number: int, point: str) -> None:
    """Runs a command that is killed when its request of that number has come to that point."""
    gone = threading.Event()

    def reached(found: int, where: str) -> None:
        if (found, where) == (number, point):
            process.kill()
            process.wait(FATE_TIMEOUT_S)
            gone.set()

    shop.proxy.reached = reached
    process = subprocess.Popen(
        command, cwd=ROOT, env=planted.environment(), stderr=subprocess.DEVNULL
    )
    try:
        assert gone.wait(FATE_TIMEOUT_S), f"never came to request {number}"
        assert process.returncode == -signal.SIGKILL
    finally:
        process.kill()
        process.wait(FATE_TIMEOUT_S)


# ------------------------------------------------------------ parts


def no_copies(shop: Shop, status: int) -> None:
    """The server takes nothing by its checksum."""
    shop.proxy.fault = lambda number: (
        refusal(status, "Checksum deploy failed")
        if "x-checksum-deploy" in shop.proxy.asked[number].headers
        else None
    )
