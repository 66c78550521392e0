"""Downloads from a real nginx that does what servers and networks do."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.daemon_process import wait_for
from tests.support.fetching import POLICY, Scene
from tests.support.nginx import Nginx
from updater.errors import FetchError, StorageError

MEBIBYTE = 1024 * 1024
CONTENT = random.Random(20261122).randbytes(4 * MEBIBYTE)
SHA = hashlib.sha256(CONTENT).hexdigest()
CHANGED = CONTENT[::-1]
SLOWLY = ("limit_rate_after 1m;", "limit_rate 20k;")
"""A megabyte at once, the rest too slowly for what a test waits for."""


def place(name: str, *lines: str) -> str:
    """A folder of nginx's that shows the same files in another way."""
    return f"location /{name}/ {{ {' '.join(lines)} rewrite ^/{name}/(.*)$ /$1 break; }}"


PLACES = (
    place("whole", "max_ranges 0;"),
    place("untagged", "etag off;"),
    place("summed", "etag off;", f"add_header X-Checksum-Sha256 {SHA};"),
    place("wrong", f"add_header X-Checksum-Sha256 {'0' * 64};"),
    place("packed", "add_header Content-Encoding gzip;"),
    place("busy", "if (-f $document_root/busy) { return 503; }"),
    place("late", "if (-f $document_root/busy) { return 429; }", "error_page 429 @late;"),
    "location @late { add_header Retry-After 42 always; return 429; }",
    "location /away/ { return 302 /model.zip; }",
    "location /circle/ { return 307 /circle/; }",
    "location /denied/ { return 403; }",
    "location /locked/ { return 401; }",
    "location /gone/ { return 410; }",
)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "downloads")


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    server = Nginx(tmp_path / "nginx", server=PLACES)
    (server.root / "model.zip").write_bytes(CONTENT)
    with server:
        yield server


def replace_file(path: Path, content: bytes, age_s: int) -> None:
    """A new file, whose time of change (of which nginx makes the entity tag) is another."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    moment = time.time() - age_s
    os.utime(new, (moment, moment))
    new.replace(path)


def test_a_file_is_brought_and_named(nginx: Nginx, scene: Scene) -> None:
    seen: list[int] = []
    scene.on_bytes = seen.append
    fetched = scene.fetch(f"{nginx.url}/model.zip", sha256=SHA)
    assert fetched.path.read_bytes() == CONTENT
    assert (fetched.sha256, fetched.size_bytes) == (SHA, len(CONTENT))
    assert fetched.source == f"{nginx.url}/model.zip"
    assert seen == sorted(seen) and seen[-1] == len(CONTENT)
    assert {path.suffix for path in scene.downloads.iterdir()} == {".zip", ".json"}
    assert scene.waits == [] and scene.notes == []


def test_the_same_again_costs_no_second_download(nginx: Nginx, scene: Scene) -> None:
    first = scene.fetch(f"{nginx.url}/model.zip")
    written = first.path.stat().st_mtime_ns
    again = scene.fetch(f"{nginx.url}/model.zip")
    assert again == first and again.path.stat().st_mtime_ns == written
    assert statuses(nginx, 2) == ["200", "304"]


def test_what_is_whole_and_expected_needs_no_server(nginx: Nginx, scene: Scene) -> None:
    first = scene.fetch(f"{nginx.url}/model.zip", sha256=SHA)
    nginx.stop()
    assert scene.fetch(f"{nginx.url}/model.zip", sha256=SHA) == first


def test_a_changed_file_is_fetched_again(nginx: Nginx, scene: Scene) -> None:
    scene.fetch(f"{nginx.url}/model.zip")
    replace_file(nginx.root / "model.zip", CHANGED, age_s=100)
    assert scene.fetch(f"{nginx.url}/model.zip").path.read_bytes() == CHANGED


# ---------------------------------------------------------------- cut off


def serve(nginx: Nginx, *lines: str) -> None:
    """Starts nginx anew with these lines beside the usual ones."""
    nginx.stop()
    nginx.configure(server=[*lines, *PLACES])
    nginx.start()


def cut_off_once(nginx: Nginx, scene: Scene, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Cuts the first attempt off after half a megabyte; the next finds nginx back, and quick."""
    stopped: list[int] = []

    def stop(held: int) -> None:
        if not stopped and held >= MEBIBYTE // 2:
            stopped.append(held)
            nginx.stop()

    def mend() -> None:
        meanwhile()
        nginx.configure(server=PLACES)
        nginx.start()

    serve(nginx, *SLOWLY)
    scene.on_bytes, scene.on_wait = stop, mend


def statuses(nginx: Nginx, count: int) -> list[str]:
    """What nginx answered to so many requests, in order; those cut off by its end are not told."""
    wait_for(lambda: len(nginx.asked) >= count, f"{count} requests in nginx's log")
    return [line.split()[2] for line in nginx.asked]


@pytest.mark.parametrize("by_tag", [True, False])
def test_it_goes_on_where_it_was_cut_off(nginx: Nginx, scene: Scene, by_tag: bool) -> None:
    """Validated by the entity tag, or where there is none by the checksum, as of Artifactory."""
    cut_off_once(nginx, scene)
    fetched = scene.fetch(f"{nginx.url}{'' if by_tag else '/summed'}/model.zip")
    assert fetched.path.read_bytes() == CONTENT
    assert len(scene.waits) == 1
    assert statuses(nginx, 1) == ["206"]
    assert ("if_range=-" in nginx.asked[0]) == (not by_tag)
    sent = int(nginx.asked[0].rpartition("sent=")[2])
    assert 0 < sent < len(CONTENT), "only the rest came again"


def test_a_file_that_changes_in_between(nginx: Nginx, scene: Scene) -> None:
    path = nginx.root / "model.zip"
    cut_off_once(nginx, scene, lambda: replace_file(path, CHANGED, age_s=100))
    assert scene.fetch(f"{nginx.url}/model.zip").path.read_bytes() == CHANGED
    assert "the server has another file now, or no ranges: starting over" in scene.notes
    assert statuses(nginx, 1) == ["200"]
    assert "if_range=-" not in nginx.asked[0]


def test_what_nothing_vouches_for_is_fetched_anew(nginx: Nginx, scene: Scene) -> None:
    path = nginx.root / "model.zip"
    cut_off_once(nginx, scene, lambda: replace_file(path, CHANGED, age_s=100))
    assert scene.fetch(f"{nginx.url}/untagged/model.zip").path.read_bytes() == CHANGED
    assert statuses(nginx, 1) == ["200"]
    assert "range=- " in nginx.asked[0]


def test_an_expected_checksum_vouches(nginx: Nginx, scene: Scene) -> None:
    cut_off_once(nginx, scene)
    assert scene.fetch(f"{nginx.url}/untagged/model.zip", sha256=SHA).sha256 == SHA
    assert statuses(nginx, 1) == ["206"]


def test_a_shorter_file_in_between(nginx: Nginx, scene: Scene) -> None:
    """Without a tag the range no longer exists: 416, and all is fetched anew."""
    short = CONTENT[:1000]
    path = nginx.root / "model.zip"
    cut_off_once(nginx, scene, lambda: replace_file(path, short, age_s=100))
    digest = hashlib.sha256(short).hexdigest()
    assert scene.fetch(f"{nginx.url}/untagged/model.zip", sha256=digest).sha256 == digest
    assert "the server has another file now: starting over" in scene.notes
    assert statuses(nginx, 2) == ["416", "200"]


def test_a_server_without_ranges(nginx: Nginx, scene: Scene) -> None:
    cut_off_once(nginx, scene)
    assert scene.fetch(f"{nginx.url}/whole/model.zip").path.read_bytes() == CONTENT
    assert "the server has another file now, or no ranges: starting over" in scene.notes
    assert statuses(nginx, 1) == ["200"]
    assert "range=bytes=" in nginx.asked[0]


def test_a_file_truncated_while_it_is_sent(nginx: Nginx, scene: Scene) -> None:
    """nginx promised all of it, finds less on its disk, and closes the connection."""
    path = nginx.root / "model.zip"
    status = path.stat()
    truncated: list[int] = []

    def truncate(held: int) -> None:
        if not truncated:
            truncated.append(held)
            os.truncate(path, MEBIBYTE)

    def restore() -> None:
        path.write_bytes(CONTENT)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    scene.on_bytes, scene.on_wait = truncate, restore
    serve(nginx, "limit_rate_after 64k;", "limit_rate 2m;")
    assert scene.fetch(f"{nginx.url}/model.zip").path.read_bytes() == CONTENT
    assert len(scene.waits) == 1, "one piece was cut off, the next went on"
    assert "the connection broke" in scene.notes[0]
    assert statuses(nginx, 2) == ["200", "206"]


def test_pieces_of_two_files_are_found_out_and_started_over(nginx: Nginx, scene: Scene) -> None:
    """The file changes, and its tag does not (nginx makes it of size and second of change)."""
    path = nginx.root / "model.zip"
    status = path.stat()

    def change() -> None:
        path.write_bytes(CHANGED)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    cut_off_once(nginx, scene, change)
    digest = hashlib.sha256(CHANGED).hexdigest()
    fetched = scene.fetch(f"{nginx.url}/model.zip", sha256=digest)
    assert fetched.path.read_bytes() == CHANGED
    assert "the pieces do not make the promised file: starting over" in scene.notes
    assert statuses(nginx, 2) == ["206", "200"]


def test_killed_and_gone_on_with(nginx: Nginx, scene: Scene, project_root: Path) -> None:
    url = f"{nginx.url}/model.zip"
    serve(nginx, *SLOWLY)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.fetching", url, str(scene.downloads)],
        cwd=project_root,
        stdout=subprocess.PIPE,
    )
    with process:
        wait_for(lambda: scene.kept_bytes >= MEBIBYTE // 2, "half a megabyte")
        process.send_signal(signal.SIGKILL)
    kept = scene.kept_bytes
    assert kept < len(CONTENT)
    serve(nginx)
    assert scene.fetch(url).path.read_bytes() == CONTENT
    assert scene.notes[0].startswith("going on after ")
    assert statuses(nginx, 2) == ["200", "206"]
    assert f"range=bytes={kept}- " in nginx.asked[1]


# ---------------------------------------------------------------- slow


def test_a_trickle_is_given_up(nginx: Nginx, scene: Scene) -> None:
    serve(nginx, "limit_rate 100;")
    policy = replace(POLICY, stall_timeout_s=0.5, stall_bytes_per_s=10_000.0, retries=1)
    with pytest.raises(FetchError) as caught:
        scene.fetch(f"{nginx.url}/model.zip", policy)
    assert "slower than 10000 bytes a second; given up after 2 attempts" in str(caught.value)
    assert "bytes are kept for the next run" in str(caught.value)
    assert scene.waits == [1.0]


# ---------------------------------------------------------------- what the server says


def test_a_busy_server_is_asked_again(nginx: Nginx, scene: Scene) -> None:
    busy = nginx.root / "busy"
    busy.touch()

    def mend() -> None:
        if len(scene.waits) == 3:
            busy.unlink()

    scene.on_wait = mend
    assert scene.fetch(f"{nginx.url}/busy/model.zip").sha256 == SHA
    assert scene.waits == [1.0, 2.0, 4.0]
    assert scene.notes[0] == "the server answers 503 (Service Unavailable); attempt 2 in 1.0 s"


def test_a_server_says_how_long_to_wait(nginx: Nginx, scene: Scene) -> None:
    busy = nginx.root / "busy"
    busy.touch()
    scene.on_wait = busy.unlink
    assert scene.fetch(f"{nginx.url}/late/model.zip").sha256 == SHA
    assert scene.waits == [42.0]


def test_what_it_says_is_bounded(nginx: Nginx, scene: Scene) -> None:
    busy = nginx.root / "busy"
    busy.touch()
    scene.on_wait = busy.unlink
    policy = replace(POLICY, retry_after_max_s=7.0)
    assert scene.fetch(f"{nginx.url}/late/model.zip", policy).sha256 == SHA
    assert scene.waits == [7.0]


def test_it_is_not_waited_for_longer_than_there_is_time(nginx: Nginx, scene: Scene) -> None:
    (nginx.root / "busy").touch()
    policy = replace(POLICY, total_timeout_s=30.0)
    with pytest.raises(FetchError) as caught:
        scene.fetch(f"{nginx.url}/late/model.zip", policy)
    assert "not done within 30 s, the last was: the server answers 429" in str(caught.value)
    assert scene.waits == []


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("denied/x", "the server answers 403 (Forbidden). The token or key may not read this"),
        ("locked/x", "the server answers 401 (Unauthorized). The token or key is missing, wrong"),
        ("absent.zip", "the server answers 404 (Not Found). Check the address"),
        ("gone/x", "the server answers 410 (Gone). It was removed"),
        ("packed/model.zip", "is sent compressed although that was not asked for"),
        ("circle/x", "redirects more than 5 times"),
    ],
)
def test_answers_that_are_final(nginx: Nginx, scene: Scene, place: str, message: str) -> None:
    with pytest.raises(FetchError) as caught:
        scene.fetch(f"{nginx.url}/{place}")
    assert message in str(caught.value)
    assert caught.value.exit_code == 11
    assert scene.waits == []
    assert not list(scene.downloads.iterdir())


def test_a_redirect_is_followed(nginx: Nginx, scene: Scene) -> None:
    assert scene.fetch(f"{nginx.url}/away/x").sha256 == SHA


def test_no_redirect_where_none_is_allowed(nginx: Nginx, scene: Scene) -> None:
    with pytest.raises(FetchError, match="redirects more than 0 times"):
        scene.fetch(f"{nginx.url}/away/x", replace(POLICY, redirects=0))


def test_nobody_there(nginx: Nginx, scene: Scene) -> None:
    nginx.stop()
    with pytest.raises(FetchError) as caught:
        scene.fetch(f"{nginx.url}/model.zip")
    assert "no connection: Connection refused; given up after 9 attempts" in str(caught.value)
    assert scene.waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_a_server_that_comes_back(nginx: Nginx, scene: Scene) -> None:
    nginx.stop()
    scene.on_wait = lambda: nginx.start() if len(scene.waits) == 3 else None
    assert scene.fetch(f"{nginx.url}/model.zip").sha256 == SHA


# ---------------------------------------------------------------- checksums and limits


def test_another_checksum_than_expected(nginx: Nginx, scene: Scene) -> None:
    with pytest.raises(FetchError, match=f"has the sha256 {SHA}, not {'1' * 64}"):
        scene.fetch(f"{nginx.url}/model.zip", sha256="1" * 64)
    assert statuses(nginx, 1) == ["200"], "it came in one piece, so it would only come again"
    assert not list(scene.downloads.iterdir())


def test_the_server_itself_tells_another_checksum(nginx: Nginx, scene: Scene) -> None:
    with pytest.raises(FetchError, match=f"has the sha256 {'0' * 64}, not {SHA}"):
        scene.fetch(f"{nginx.url}/wrong/model.zip", sha256=SHA)
    assert scene.kept_bytes == 0, "nothing was downloaded for it"


def test_not_what_the_server_promised(nginx: Nginx, scene: Scene) -> None:
    """It may have been damaged on the way: once more, and not for ever."""
    with pytest.raises(FetchError, match=f"has the sha256 {SHA}, not {'0' * 64}"):
        scene.fetch(f"{nginx.url}/wrong/model.zip")
    assert statuses(nginx, 2) == ["200", "200"]
    assert not list(scene.downloads.iterdir())


def test_a_size_above_the_limit_is_not_begun(nginx: Nginx, scene: Scene) -> None:
    policy = replace(POLICY, max_bytes=len(CONTENT) - 1)
    with pytest.raises(FetchError, match=f"has {len(CONTENT)} bytes, and at most"):
        scene.fetch(f"{nginx.url}/model.zip", policy)
    assert not list(scene.downloads.iterdir())
    policy = replace(POLICY, max_bytes=len(CONTENT))
    assert scene.fetch(f"{nginx.url}/model.zip", policy).sha256 == SHA


def test_too_little_room(nginx: Nginx, scene: Scene) -> None:
    with pytest.raises(StorageError, match=r"too little room: 4\.0 MiB to download"):
        scene.fetch(f"{nginx.url}/model.zip", replace(POLICY, free_margin_bytes=2**60))
    assert not list(scene.downloads.iterdir())


def test_old_downloads_go(nginx: Nginx, scene: Scene) -> None:
    for name in "abcd":
        (nginx.root / f"{name}.zip").write_bytes(name.encode() * 1000)
    policy = replace(POLICY, keep_downloads=2)
    kept = [scene.fetch(f"{nginx.url}/{name}.zip", policy).path for name in "abcd"][2:]
    assert {path for path in scene.downloads.iterdir() if path.suffix == ".zip"} == set(kept)


def test_memory_stays_flat(nginx: Nginx, scene: Scene, project_root: Path) -> None:
    with (nginx.root / "large.zip").open("wb") as file:
        file.truncate(200_000_000)
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.support.fetching",
            f"{nginx.url}/large.zip", str(scene.downloads), f"{nginx.url}/model.zip",
        ],
        cwd=project_root,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )  # fmt: skip
    digest, grown_kilobytes = done.stdout.split()
    zeros = hashlib.sha256()
    for _ in range(200):
        zeros.update(bytes(1_000_000))
    assert digest == zeros.hexdigest()
    assert int(grown_kilobytes) < 2048
