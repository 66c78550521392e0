"""An upload that is killed, at any moment, is taken up by the next: nothing lost or sent twice."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.captures import jpeg
from tests.support.faulty_proxy import FaultyProxy
from tests.support.s3_server import BUCKET, DESTINATION, DEVICE, PREFIX, Key, S3Server
from tests.support.uploads import Uploader, fill, keys_of, marked
from updater import captures as stored

pytestmark = pytest.mark.once

VALUES = (0.3, 0.9)
POINTS = ("head", "body", "stored", "answered")
RANDOM_KILLS = 8
TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    found = S3Server(tmp_path_factory.mktemp("moto") / "moto.log")
    yield found
    found.stop()


@pytest.fixture
def proxy(server: S3Server) -> Iterator[FaultyProxy]:
    with FaultyProxy(server.url) as proxy:
        yield proxy


@dataclass(frozen=True, slots=True)
class Camera:
    """A folder of captures, and processes that upload them.

    Attributes:
        root: of the project.
        folder: the captures.
        names: theirs.
        key: for the server.
        key_file: the same, as a file.
        server: the real one.
        proxy: in front of it.
    """

    root: Path
    folder: Path
    names: list[str]
    key: Key
    key_file: Path
    server: S3Server
    proxy: FaultyProxy

    def start(self, fatal: int = 0) -> subprocess.Popen[str]:
        """A process that uploads, and kills itself where ``fatal`` says."""
        arguments = [self.folder, self.proxy.url, self.key_file, BUCKET, PREFIX, DEVICE, fatal]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.upload_process", *map(str, arguments)],
            cwd=self.root,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin_again(self) -> None:
        """As if nothing had been uploaded yet."""
        self.server.empty()
        self.proxy.reset()
        for name in self.names:
            (self.folder / f"{name}.stored").unlink(missing_ok=True)

    def check_killed(self) -> None:
        """What must hold at every moment: no sidecar without its picture, no mark without both."""
        keys = set(self.server.objects())
        for name in self.names:
            picture, sidecar = keys_of(self.folder, [name], DESTINATION)
            assert sidecar not in keys or picture in keys
            assert name not in marked(self.folder) or sidecar in keys
        self.check_whole()

    def check_whole(self) -> None:
        """The folder holds every capture as it was."""
        assert stored.complete_names(path.name for path in self.folder.iterdir()) == self.names
        for name in self.names:
            data = (self.folder / f"{name}.jpg").read_bytes()
            assert stored.sha256_of(data) == stored.read(self.folder, name).picture.sha256

    def finish(self) -> None:
        """The next run, and what must be then."""
        self.proxy.reset()
        Uploader(self.folder, self.proxy.url, self.key).run()
        assert marked(self.folder) == set(self.names)
        expected = keys_of(self.folder, self.names, DESTINATION)
        assert sorted(self.server.objects()) == sorted(expected)
        assert sorted(self.server.versions()) == sorted(expected), "nothing was stored twice"


@pytest.fixture
def camera(project_root: Path, tmp_path: Path, server: S3Server, proxy: FaultyProxy) -> Camera:
    folder, key_file, key = tmp_path / "captures", tmp_path / "key.json", server.temporary_key()
    key_file.touch(mode=0o600)
    key_file.write_text(json.dumps(key.as_sts_says()))
    names = fill(folder, VALUES)
    found = Camera(project_root, folder, names, key, key_file, server, proxy)
    found.begin_again()
    return found


def wait(process: subprocess.Popen[str]) -> str:
    """Its output, once it has ended."""
    output, _ = process.communicate(timeout=TIMEOUT_S)
    return output


def test_killed_at_every_step_in_the_folder(camera: Camera) -> None:
    steps = int(wait(camera.start()).split()[0])
    camera.check_killed()
    assert steps >= 20, "the hook sees what is done"
    for fatal in range(1, steps + 1):
        camera.begin_again()
        process = camera.start(fatal)
        wait(process)
        assert process.returncode == -signal.SIGKILL, f"step {fatal} of {steps} was not reached"
        camera.check_killed()
        camera.finish()


def test_killed_at_every_point_of_every_request(camera: Camera) -> None:
    for number, point in itertools.product(range(2 * len(VALUES)), POINTS):
        camera.begin_again()
        reached: list[int] = []
        process = camera.start()

        def kill(
            at: int, name: str, wanted: tuple[int, str] = (number, point), pid: int = process.pid,
            reached: list[int] = reached,
        ) -> None:  # fmt: skip
            if (at, name) == wanted:
                reached.append(at)
                os.kill(pid, signal.SIGKILL)

        camera.proxy.reached = kill
        wait(process)
        assert reached == [number], f"{point} of request {number} was not reached"
        # After the last answer it may have come to the end before it was killed.
        assert process.returncode == -signal.SIGKILL or (number, point) == (3, "answered")
        time.sleep(0.05)  # the proxy may still be storing what it had read whole
        camera.check_killed()
        camera.finish()


def test_killed_at_random_moments_until_everything_is_there(camera: Camera) -> None:
    chance = random.Random(20261122)
    names = fill(camera.folder, [chance.random() for _ in range(12)], picture=lambda n: jpeg(n + 9))
    camera.names.extend(names)
    begun = time.monotonic()
    wait(camera.start())
    length_s = time.monotonic() - begun
    camera.begin_again()
    killed = 0
    for _ in range(RANDOM_KILLS):
        process = camera.start()
        try:
            process.wait(length_s * chance.uniform(0.3, 1.0))
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        wait(process)
        camera.check_killed()
    assert killed > 0, "every process was quicker than its killer"
    camera.finish()
