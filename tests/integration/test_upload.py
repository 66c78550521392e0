"""Captures reach a real S3 server, whole and once, whatever the network does on the way."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.captures import pairs
from daemon.captures.reasons import CaptureReason
from scripts.processes import free_port
from tests.support.captures import jpeg
from tests.support.faulty_proxy import Cut, Fault, FaultyProxy, Reply, s3_error
from tests.support.s3_server import (
    BUCKET,
    DESTINATION,
    DEVICE,
    OTHER_BUCKET,
    PREFIX,
    Key,
    S3Server,
)
from tests.support.uploads import ROOMY, Uploader, bucket_at, fill, keys_of, marked
from updater import captures as stored
from updater.errors import UploadError
from updater.upload.body import Pace
from updater.upload.names import Destination
from updater.upload.plan import Budget
from updater.upload.upload import ATTEMPTS, Upload

VALUES = (0.2, 0.9, 0.5)
BEST_FIRST = (1, 2, 0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    found = S3Server(tmp_path_factory.mktemp("moto") / "moto.log")
    yield found
    found.stop()


@pytest.fixture(scope="module")
def running_proxy(server: S3Server) -> Iterator[FaultyProxy]:
    with FaultyProxy(server.url) as proxy:
        yield proxy


@pytest.fixture
def proxy(server: S3Server, running_proxy: FaultyProxy) -> FaultyProxy:
    server.empty()
    running_proxy.reset()
    return running_proxy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "captures"


@pytest.fixture
def names(folder: Path) -> list[str]:
    """Three captures."""
    return fill(folder, VALUES)


@pytest.fixture(scope="module")
def key(server: S3Server) -> Key:
    return server.temporary_key()


@pytest.fixture
def uploader(key: Key, proxy: FaultyProxy, folder: Path) -> Uploader:
    return Uploader(folder, proxy.url, key)


def check_all_stored(server: S3Server, folder: Path, names: list[str]) -> None:
    """Everything is in the bucket, once, with the very bytes, and marked."""
    objects = server.objects()
    assert sorted(objects) == sorted(keys_of(folder, names, DESTINATION))
    for key, found in objects.items():
        file = folder / (key.rpartition("/")[2].rpartition("-")[0] + key[key.rindex(".") :])
        assert found["Body"] == file.read_bytes()
    assert marked(folder) == set(names)


def first_only(fault: Fault) -> Callable[[int], Fault]:
    return lambda number: fault if number == 0 else None


def always(fault: Fault) -> Callable[[int], Fault]:
    return lambda _: fault


# ---------------------------------------------------------------- what is stored


def test_picture_and_sidecar_are_stored_as_they_are(
    server: S3Server, uploader: Uploader, folder: Path, names: list[str]
) -> None:
    report = uploader.run()
    check_all_stored(server, folder, names)
    assert report.stored == tuple(names[index] for index in BEST_FIRST)
    assert (report.already_there, report.gone, report.left, report.damaged) == (0, 0, 0, ())
    files = [folder / f"{name}{suffix}" for name in names for suffix in (".jpg", ".json")]
    assert report.size_bytes == sum(path.stat().st_size for path in files)
    assert uploader.pauses_s == []


def test_objects_say_what_they_are(server: S3Server, uploader: Uploader, folder: Path) -> None:
    (name,) = fill(folder, [0.5])
    uploader.run()
    picture_key, sidecar_key = keys_of(folder, [name], DESTINATION)
    picture, sidecar = server.objects()[picture_key], server.objects()[sidecar_key]
    assert (picture["ContentType"], sidecar["ContentType"]) == ("image/jpeg", "application/json")
    known = stored.from_json(sidecar["Body"], where="S3")
    assert stored.sha256_of(picture["Body"]) == known.picture.sha256
    assert picture["Metadata"] == {
        "device": "cam-1", "capture": name, "sha256": known.picture.sha256,
    }  # fmt: skip
    assert sidecar["Metadata"]["sha256"] == stored.sha256_of(sidecar["Body"])


def test_best_value_first_and_each_sidecar_after_its_picture(
    uploader: Uploader, proxy: FaultyProxy, folder: Path, names: list[str]
) -> None:
    uploader.run()
    expected = keys_of(folder, [names[index] for index in BEST_FIRST], DESTINATION)
    assert [seen.path for seen in proxy.seen] == [f"/{BUCKET}/{key}" for key in expected]


def test_nothing_but_put_is_asked(uploader: Uploader, proxy: FaultyProxy, names: list[str]) -> None:
    uploader.run()
    assert {seen.method for seen in proxy.seen} == {"PUT"}
    assert not any("?" in seen.path for seen in proxy.seen)
    for seen in proxy.seen:
        assert seen.headers["If-None-Match"] == "*"
        assert "if-none-match" in seen.headers["Authorization"], "the condition is signed"
        payload = bytes.fromhex(seen.headers["X-Amz-Content-SHA256"])
        assert base64.b64decode(seen.headers["x-amz-checksum-sha256"]) == payload


def test_the_budget_of_files_and_the_next_run(
    server: S3Server, uploader: Uploader, folder: Path, names: list[str]
) -> None:
    first = uploader.run(Budget(max_files=2, max_bytes=10**9))
    assert (first.stored, first.left) == ((names[1], names[2]), 1)
    assert marked(folder) == {names[1], names[2]}
    second = uploader.run(Budget(max_files=2, max_bytes=10**9))
    assert (second.stored, second.left) == ((names[0],), 0)
    check_all_stored(server, folder, names)
    assert uploader.run().stored == ()
    assert len(server.versions()) == 2 * len(names), "nothing was sent twice"


def test_the_budget_of_bytes(uploader: Uploader, folder: Path, names: list[str]) -> None:
    size_bytes = sum((folder / f"{names[1]}{s}").stat().st_size for s in (".jpg", ".json"))
    report = uploader.run(Budget(max_files=100, max_bytes=size_bytes))
    assert report.stored == (names[1],)
    assert (report.size_bytes, report.left) == (size_bytes, 2)


def test_the_rate_cap_holds_on_the_wire(
    server: S3Server, key: Key, proxy: FaultyProxy, folder: Path, names: list[str]
) -> None:
    slept_s: list[float] = []
    pace = Pace(20_000, sleep=slept_s.append, monotonic_s=lambda: sum(slept_s))
    with bucket_at(proxy.url, key) as bucket:
        report = Upload(folder, DESTINATION, bucket, pace=pace).run(ROOMY)
    sent_bytes = sum(seen.body_bytes for seen in proxy.seen)
    assert sent_bytes == report.size_bytes
    # Each byte counts once, though it is read once more to be signed; those of a second are free.
    assert sum(slept_s) == pytest.approx(sent_bytes / 20_000 - 1.0)


def test_random_pictures_are_among_the_first(uploader: Uploader, folder: Path) -> None:
    chosen = fill(folder, [0.9] * 5)
    drawn = fill(folder, [0.5], reason=CaptureReason.RANDOM, picture=lambda _: jpeg(99))
    assert uploader.run(Budget(4, 10**9)).stored == (*chosen[:3], drawn[0])


def test_nothing_to_send(uploader: Uploader, proxy: FaultyProxy, folder: Path) -> None:
    fill(folder, [])
    assert uploader.run().stored == ()
    assert proxy.seen == []


def test_damaged_captures_are_told_and_left(
    server: S3Server, uploader: Uploader, folder: Path, names: list[str]
) -> None:
    picture = folder / f"{names[1]}.jpg"
    picture.write_bytes(picture.read_bytes()[:-1] + b"\x00")
    (folder / f"{names[2]}.json").write_text("{}")
    report = uploader.run()
    assert report.stored == (names[0],)
    assert sorted(Path(problem.where.split(":")[0]).stem for problem in report.damaged) == sorted(
        names[1:]
    )
    assert marked(folder) == {names[0]}
    assert sorted(server.objects()) == sorted(keys_of(folder, names[:1], DESTINATION))


def test_captures_that_go_meanwhile_are_no_error(
    server: S3Server, uploader: Uploader, proxy: FaultyProxy, folder: Path, names: list[str]
) -> None:
    expected = keys_of(folder, [names[1], names[0]], DESTINATION)

    def reached(number: int, point: str) -> None:
        if (number, point) == (0, "head"):
            pairs.remove(folder, names[1])  # is being sent
            pairs.remove(folder, names[2])  # would be next

    proxy.reached = reached
    report = uploader.run()
    assert (report.stored, report.gone) == ((names[1], names[0]), 1)
    assert sorted(server.objects()) == sorted(expected)
    assert marked(folder) == {names[0]}, "no mark without its capture"


# ---------------------------------------------------------------- a network as it is


@pytest.mark.parametrize(
    "fault",
    [
        *Cut,
        s3_error(500, "InternalError"),
        s3_error(503, "SlowDown"),
        s3_error(503, "ServiceUnavailable", Retry_After="7"),
        s3_error(400, "RequestTimeout"),
        s3_error(400, "BadDigest"),
        s3_error(409, "ConditionalRequestConflict"),
        s3_error(403, "RequestTimeTooSkewed", Date="Sun, 22 Nov 2026 21:00:00 GMT"),
        Reply(502, b"<html><h1>Bad gateway</h1>"),
        Reply(504, b""),
        Reply(200, b"", {"ETag": '"1"', "x-amz-checksum-sha256": "AAAA"}),
    ],
    ids=str,
)
def test_what_passes_is_tried_again(
    server: S3Server,
    uploader: Uploader,
    proxy: FaultyProxy,
    folder: Path,
    names: list[str],
    fault: Fault,
) -> None:
    proxy.fault = lambda number: fault if number % 2 == 0 else None
    report = uploader.run()
    assert len(report.stored) == len(names)
    assert len(uploader.pauses_s) >= len(names)
    check_all_stored(server, folder, names)
    assert len(server.versions()) == 2 * len(names), "no object was overwritten"


def test_pauses_grow_and_honour_the_server(
    uploader: Uploader, proxy: FaultyProxy, names: list[str]
) -> None:
    slow = s3_error(503, "SlowDown", Retry_After="45")
    proxy.fault = lambda number: slow if number == 3 else Reply(500) if number < 5 else None
    uploader.run()
    assert uploader.pauses_s == [1.0, 2.0, 4.0, 45.0, 16.0]


def test_an_answer_that_was_lost_costs_no_second_object(
    server: S3Server, uploader: Uploader, proxy: FaultyProxy, folder: Path, names: list[str]
) -> None:
    proxy.fault = lambda number: Cut.AFTER_SERVER if number % 2 == 0 else None
    report = uploader.run()
    assert report.already_there == len(names)
    assert len(server.versions()) == 2 * len(names)
    check_all_stored(server, folder, names)


def test_marks_that_a_power_cut_took_cost_no_second_object(
    server: S3Server, uploader: Uploader, folder: Path, names: list[str]
) -> None:
    uploader.run()
    for name in names:
        (folder / f"{name}.stored").unlink()
    assert uploader.run().already_there == len(names)
    check_all_stored(server, folder, names)
    assert len(server.versions()) == 2 * len(names)


def test_the_region_is_found_out(
    server: S3Server, uploader: Uploader, proxy: FaultyProxy, folder: Path, names: list[str]
) -> None:
    elsewhere = s3_error(301, "PermanentRedirect", x_amz_bucket_region="eu-north-1")
    proxy.fault = first_only(elsewhere)
    uploader.run()
    check_all_stored(server, folder, names)
    regions = [seen.headers["Authorization"].split("/")[2] for seen in proxy.seen]
    assert regions[:2] == ["us-east-1", "eu-north-1"]
    assert uploader.pauses_s == []


def test_a_server_that_does_not_know_the_condition(
    server: S3Server, uploader: Uploader, proxy: FaultyProxy, folder: Path, names: list[str]
) -> None:
    proxy.fault = first_only(s3_error(501, "NotImplemented"))
    uploader.run()
    check_all_stored(server, folder, names)
    assert "If-None-Match" in proxy.seen[0].headers
    assert not any("If-None-Match" in seen.headers for seen in proxy.seen[1:])
    assert uploader.pauses_s == []


def test_a_server_that_can_do_nothing_at_all(
    uploader: Uploader, proxy: FaultyProxy, folder: Path, names: list[str]
) -> None:
    proxy.fault = always(s3_error(501, "NotImplemented"))
    with pytest.raises(UploadError, match="the server cannot do this"):
        uploader.run()
    assert marked(folder) == set()


# ---------------------------------------------------------------- where trying again is no use


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (s3_error(400, "ExpiredToken"), "the credentials have expired. Bring new ones"),
        (s3_error(403, "InvalidAccessKeyId"), "S3 does not know these credentials. Bring new ones"),
        (s3_error(400, "InvalidToken"), "the session token is not valid. Bring new ones"),
        (s3_error(404, "NoSuchBucket"), "no such bucket. Check --bucket"),
        (Reply(403, b"<html>blocked</html>"), "HTTP status 403"),
        (Reply(407, b"<html>who are you</html>"), "HTTP status 407"),
    ],
)
@pytest.mark.parametrize("at", [0, 3])
def test_a_refusal_ends_the_run_at_once_and_loses_nothing(
    server: S3Server,
    uploader: Uploader,
    proxy: FaultyProxy,
    folder: Path,
    names: list[str],
    fault: Fault,
    what: str,
    at: int,
) -> None:
    proxy.fault = lambda number: fault if number == at else None
    with pytest.raises(UploadError) as caught:
        uploader.run()
    assert str(caught.value).startswith(f"s3://{BUCKET}/{PREFIX}/{DEVICE}: ")
    assert what in str(caught.value)
    before = at // 2
    rest = f"{before} captures were stored before, {3 - before} wait for the next run"
    assert str(caught.value).endswith(rest)
    assert len(proxy.seen) == at + 1
    assert uploader.pauses_s == []
    if isinstance(fault, Reply):
        assert proxy.seen[-1].body_bytes == 0, "it is not sent to whom refuses it"
    assert marked(folder) == {names[index] for index in BEST_FIRST[:before]}
    assert set(stored.complete_names(path.name for path in folder.iterdir())) == set(names)
    uploader.run()
    check_all_stored(server, folder, names)


def test_a_clock_that_stays_wrong(
    uploader: Uploader, proxy: FaultyProxy, folder: Path, names: list[str]
) -> None:
    date = "Sun, 22 Nov 2026 21:00:00 GMT"
    proxy.fault = always(s3_error(403, "RequestTimeTooSkewed", Date=date))
    with pytest.raises(UploadError) as caught:
        uploader.run()
    assert f"clock is wrong, the server's says {date} ({ATTEMPTS} attempts)" in str(caught.value)
    assert "timedatectl" in str(caught.value)
    assert len(uploader.pauses_s) == ATTEMPTS - 1
    assert marked(folder) == set()


def test_a_network_that_wants_a_login_first(
    uploader: Uploader, proxy: FaultyProxy, folder: Path, names: list[str]
) -> None:
    proxy.fault = always(Reply(200, b"<html>please log in</html>"))
    with pytest.raises(UploadError, match=r"the answer is not S3's \(8 attempts\). Check --endp"):
        uploader.run()
    assert marked(folder) == set()


def test_a_server_that_is_not_there(key: Key, folder: Path, names: list[str]) -> None:
    uploader = Uploader(folder, f"http://127.0.0.1:{free_port()}", key)
    with pytest.raises(UploadError, match=r"S3 cannot be reached \(.+\) \(8 attempts\)"):
        uploader.run()
    assert uploader.pauses_s == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert marked(folder) == set()


@pytest.mark.parametrize(
    ("changed", "destination", "what"),
    [
        (lambda k: k, Destination(OTHER_BUCKET, PREFIX, DEVICE), "may not put objects there"),
        (lambda k: k, Destination(BUCKET, "site-8", DEVICE), "may not put objects there"),
        (lambda k: k, Destination(BUCKET, PREFIX, "cam-2"), "may not put objects there"),
        (lambda k: k, Destination("no-such-bucket", PREFIX, DEVICE), "may not put objects there"),
        (lambda k: Key(k.key_id, "wrong", k.token), DESTINATION, "the secret key does not belong"),
        (lambda k: Key(k.key_id, k.secret, "wrong"), DESTINATION, "token is not valid"),
        (lambda k: Key("ASIA0000000000000000", k.secret, k.token), DESTINATION, "does not know"),
    ],
)
def test_what_the_real_server_refuses(
    server: S3Server,
    uploader: Uploader,
    folder: Path,
    names: list[str],
    changed: Callable[[Key], Key],
    destination: Destination,
    what: str,
) -> None:
    uploader.key, uploader.destination = changed(uploader.key), destination
    with pytest.raises(UploadError, match=what):
        uploader.run()
    assert server.objects() == {}
    assert marked(folder) == set()
    assert uploader.pauses_s == []
