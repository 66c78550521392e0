"""The upload, struck at each call that touches the captures or goes over the network.

Its counterpart is a real S3 server (moto's), which remembers what it was sent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crash import check
from tests.crash.check import BadError
from tests.crash.place import NOBODY_ID, Answer, Common, Place
from tests.crash.points import Point, points
from tests.crash.sweep import KILL, TRIES, Outcome, Strike, bad_of, struck
from tests.support.s3_server import BUCKET, DESTINATION, DEVICE, PREFIX, S3Server
from tests.support.uploads import fill, keys_of, marked
from updater.captures import PICTURE_SUFFIX, SIDECAR_SUFFIX
from updater.errors import StorageError, UploadError

NAME = "upload"
VALUES = (0.2, 0.9, 0.5)
DOCUMENTED = frozenset({0, StorageError.exit_code, UploadError.exit_code})


@dataclass(frozen=True)
class UploadSweep:
    """Captures made ready in a folder, to be sent again and again.

    Attributes:
        server: where they go.
        prepared: with the captures in it.
        names: of the captures.
        credentials: file that the command is given.
    """

    server: S3Server
    prepared: Place
    names: list[str]
    credentials: Path

    @classmethod
    def make(cls, folder: Path, server: S3Server) -> UploadSweep:
        """Makes captures and credentials in an empty folder."""
        common = folder / "common"
        common.mkdir()
        credentials = folder / "sts.json"
        credentials.touch(mode=0o600)
        credentials.write_text(json.dumps(server.temporary_key().as_sts_says()))
        place = Place(Common.make(common, ()), folder / "prepared")
        place.folder.mkdir()
        captures = place.folder / "captures"
        names = fill(captures, VALUES)
        if os.geteuid() == 0:  # the upload gives up root's rights
            for path in (captures, *captures.iterdir()):
                os.chown(path, NOBODY_ID, NOBODY_ID)
        return cls(server, place, names, credentials)

    def find(self) -> list[Point]:
        """The points of an undisturbed upload.

        Raises:
            BadError: it fails undisturbed.
        """
        place = self._fresh()
        answer, calls = place.traced(*self._command(place))
        check.check_answer(answer, NAME)
        self._check_all_stored(place)
        return points(calls, [str(_captures(place))], network=True)

    def strike(self, strikes: Sequence[Strike]) -> Iterator[Outcome]:
        """Strikes, one after the other."""
        return map(self._strike, strikes)

    def _strike(self, strike: Strike) -> Outcome:
        for _ in range(TRIES):
            place = self._fresh()
            roots = [str(_captures(place))]
            answer, arrived = struck(place, self._command(place), strike, roots)
            if arrived:
                break
        else:
            return Outcome(strike, answer.code, "the run never came there")
        return Outcome(strike, answer.code, bad_of(lambda: self._check(place, strike, answer)))

    def _fresh(self) -> Place:
        self.server.empty()
        return self.prepared.copy(self.prepared.folder.with_name("struck"))

    def _command(self, place: Place) -> tuple[str, ...]:
        return (
            "upload", "--credentials", str(self.credentials), "--bucket", BUCKET, "--prefix",
            PREFIX, "--device", DEVICE, "--region", "us-east-1", "--endpoint-url",
            self.server.url, "--captures", str(_captures(place)),
        )  # fmt: skip

    def _check(self, place: Place, strike: Strike, answer: Answer) -> None:
        if strike.kind != KILL:
            check.check_error(answer, DOCUMENTED)
        self._check_nothing_lost(place)
        self._check_marks(place)
        again, _ = place.traced(*self._command(place))
        check.check_answer(again, "the same again")
        self._check_nothing_lost(place)
        self._check_all_stored(place)

    def _check_nothing_lost(self, place: Place) -> None:
        for path in _captures(self.prepared).iterdir():
            copy = _captures(place) / path.name
            if not copy.exists() or copy.read_bytes() != path.read_bytes():
                raise BadError(f"{path.name} is lost or changed")

    def _check_marks(self, place: Place) -> None:
        """What is marked lies in the bucket; what lies there is whole."""
        objects = self._checked_objects(place)
        for name in marked(_captures(place)):
            for key in keys_of(_captures(place), [name], DESTINATION):
                if key not in objects:
                    raise BadError(f"{name} is marked, and {key} is not in the bucket")

    def _check_all_stored(self, place: Place) -> None:
        """Everything is in the bucket, written once, and marked."""
        objects = self._checked_objects(place)
        if objects != set(keys_of(_captures(place), self.names, DESTINATION)):
            raise BadError(f"in the bucket are {sorted(objects)}")
        if marked(_captures(place)) != set(self.names):
            raise BadError(f"marked are {sorted(marked(_captures(place)))}")
        versions = self.server.versions()
        if len(versions) != len(objects):
            raise BadError(f"something was overwritten: {sorted(versions)}")

    def _checked_objects(self, place: Place) -> set[str]:
        """The keys in the bucket, whose content is that of the captures."""
        found = self.server.objects()
        files = keys_of(_captures(place), self.names, DESTINATION)
        paths = [
            _captures(place) / f"{name}{suffix}"
            for name in self.names
            for suffix in (PICTURE_SUFFIX, SIDECAR_SUFFIX)
        ]
        for key, path in zip(files, paths, strict=True):
            if key in found and found[key]["Body"] != path.read_bytes():
                raise BadError(f"{key} is not what {path.name} is")
        return set(found)


def _captures(place: Place) -> Path:
    return place.folder / "captures"
