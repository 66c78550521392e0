"""A bundle goes to Artifactory: first under its version, then, proven, under the moving name.

``sitewatch/<version>/model.zip`` never changes again. The moving name, which flows without
parameters download, is a copy that the server makes by checksum (where it cannot, the same bytes
are sent once more): it changes at one instant, and changes back the same way if what is downloaded
from it is not what was published. Whoever is killed on the way is run again: nothing is kept but
what is on the server.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.cloud.artifactory import (
    Artifactory,
    Checksums,
    Item,
    checked_path,
    checksums_of,
    is_property,
)
from scripts.cloud.errors import ConflictError, ServiceError
from scripts.cloud.report import tell
from updater import versions
from updater.archive import DEFAULT_LIMITS, open_archive
from updater.errors import SitewatchError
from updater.trust.examination import examine
from updater.trust.keys import KeyRing

VERSION_PROPERTY = "sitewatch.version"
PREVIOUS_PROPERTY = "sitewatch.previous"
FILE_NAME = "model.zip"


@dataclass(frozen=True, slots=True)
class Place:
    """Where bundles lie.

    Attributes:
        repository: of Artifactory.
        folder: in there, of the versions.
        pointer: in there, the moving name.
    """

    repository: str = "models"
    folder: str = "sitewatch"
    pointer: str = FILE_NAME

    def of(self, version: str) -> str:
        """Of a version, the repository in front."""
        return checked_path(f"{self.repository}/{self.folder}/{version}/{FILE_NAME}")

    @property
    def moving(self) -> str:
        """The moving name, the repository in front."""
        return checked_path(f"{self.repository}/{self.pointer}")


@dataclass(frozen=True, slots=True)
class Published:
    """What became of it.

    Attributes:
        path: of the version, the repository in front.
        url: to download it from.
        sha256: of the file.
        already_there: whether the version was there before, with these bytes.
        moved: whether the moving name leads there now, also if it did before.
        replaced: version that it led to before this one; "" for none.
    """

    path: str
    url: str
    sha256: str
    already_there: bool
    moved: bool
    replaced: str


@dataclass(frozen=True, slots=True)
class Publication:
    """Puts bundles there.

    Attributes:
        server: of the repository.
        place: in there.
        ring: what devices trust: what is downloaded is held against it.
    """

    server: Artifactory
    place: Place
    ring: KeyRing

    def publish(
        self,
        bundle: Path,
        version: str,
        properties: Mapping[str, str],
        *,
        move: bool = True,
        allow_downgrade: bool = False,
    ) -> Published:
        """Uploads a bundle, proves it by downloading it, and lets the moving name lead to it.

        Args:
            bundle: the file.
            version: of it.
            properties: of the file there.
            move: whether the moving name shall lead to it.
            allow_downgrade: whether it may replace a newer version there.

        Raises:
            ConflictError: the version is there with other bytes, the moving name leads to a newer
                one, or somebody else moved it meanwhile.
            ServiceError: the server refuses, cannot be reached, or does not give back what it got;
                the moving name leads where it led before.
        """
        sums = checksums_of(bundle)
        path = self.place.of(version)
        before = self.server.find(self.place.moving) if move else None
        previous = before.properties.get(VERSION_PROPERTY, "") if before else ""
        if previous and not allow_downgrade and versions.is_newer(previous, version):
            raise ConflictError(
                f"leads to {previous}, which is newer than {version}",
                where=self.place.moving,
                hint="Publish under a newer version, or allow it with --allow-downgrade",
            )
        told = {**properties, VERSION_PROPERTY: version}
        already_there = self._upload(path, sums, bundle, told)
        self._verify(path, sums)
        tell(f"{path}: verified by download")
        if before is not None and before.holds(sums):
            # Perhaps by a run that was killed before it could look.
            self._verify(self.place.moving, sums)
            previous = before.properties.get(PREVIOUS_PROPERTY, "")
        elif move:
            linked = {**told, PREVIOUS_PROPERTY: previous} if previous else told
            self._move(before, bundle, sums, linked)
        if move:
            tell(f"{self.place.moving}: leads to {version}, verified by download")
        return Published(path, self.server.url(path), sums.sha256, already_there, move, previous)

    def _upload(
        self, path: str, sums: Checksums, bundle: Path, properties: Mapping[str, str]
    ) -> bool:
        """Uploads under the version; returns whether these very bytes were there before."""
        found = self.server.find(path)
        if found is None:
            try:
                self.server.deploy(path, sums, bundle, properties)
            except ServiceError:
                # If only the answer was lost, whoever may not overwrite is refused from then on.
                if not self._arrived(path, sums):
                    raise
            return False
        if not found.holds(sums):
            raise ConflictError(
                f"is there with other bytes (sha256 {found.sha256[:12]}…, not {sums.sha256[:12]}…)",
                where=path,
                hint="A version never changes: publish under a new one",
            )
        return True

    def _arrived(self, path: str, sums: Checksums) -> bool:
        try:
            found = self.server.find(path)
        except ServiceError:
            return False
        return found is not None and found.holds(sums)

    def _move(
        self, before: Item | None, bundle: Path, sums: Checksums, properties: Mapping[str, str]
    ) -> None:
        """Lets the moving name lead to these bytes; back again if it fails."""
        moving = self.place.moving
        if not _same(self.server.find(moving), before):
            raise self._moved_by_another()
        try:
            self.server.deploy(moving, sums, bundle, properties)
            self._verify(moving, sums)
        except BaseException as error:
            self._move_back(before, sums, error)
            raise

    def _move_back(self, before: Item | None, sums: Checksums, error: BaseException) -> None:
        """Undoes a move, unless it never happened or somebody else has moved it since.

        Raises:
            ConflictError: somebody else has moved it since.
            ServiceError: it cannot be undone; both errors are told.
        """
        moving = self.place.moving
        try:
            now = self.server.find(moving)
            ours = now is not None and now.holds(sums)
            if ours and before is None:
                self.server.delete(moving)
            elif ours and before is not None:
                self._restore(before)
        except SitewatchError as second:
            raise ServiceError(
                f"could not be verified ({error}), and could not be moved back ({second})",
                where=moving,
                hint="Look at what it leads to now",
            ) from error
        if ours:
            tell(f"{moving}: leads where it led before")
        elif not _same(now, before):
            raise self._moved_by_another() from error

    def _restore(self, before: Item) -> None:
        """Lets the moving name lead where it led, with those properties that can be written."""
        sums = Checksums(before.sha1, before.sha256, 0)
        kept = {
            name: value for name, value in before.properties.items() if is_property(name, value)
        }
        version = before.properties.get(VERSION_PROPERTY)
        try:
            self.server.deploy(before.path, sums, None, kept)
        except ConflictError:
            if version is None:
                raise
            # It does not copy by checksum: its version has the bytes.
            with tempfile.TemporaryDirectory(prefix="sitewatch-") as folder:
                file = self.server.download(self.place.of(version), sums, Path(folder))
                self.server.deploy(before.path, sums, file, kept)

    def _moved_by_another(self) -> ConflictError:
        return ConflictError(
            "somebody else moved it meanwhile",
            where=self.place.moving,
            hint="It was left as it is: see which version it leads to, and publish again",
        )

    def _verify(self, path: str, sums: Checksums) -> None:
        """Downloads as a device does: checksum, then signature, then what the manifest lists."""
        with tempfile.TemporaryDirectory(prefix="sitewatch-") as folder:
            file = self.server.download(path, sums, Path(folder))
            with file.open("rb") as opened:
                archive = open_archive(opened, DEFAULT_LIMITS, where=path)
                examined = examine(archive, self.ring, require_signature=True)
                archive.verify(examined.manifest.files)


def _same(one: Item | None, other: Item | None) -> bool:
    """Whether a name leads to the same content."""
    return one is other if one is None or other is None else one.holds(other)


def replaces_nothing(moving: Item | None, version: str) -> bool:
    """Whether no other version is in production: none at all, or this one, by a run cut short.

    Args:
        moving: what the moving name leads to.
        version: to be published.
    """
    if moving is None:
        return True
    told = moving.properties
    return told.get(VERSION_PROPERTY) == version and PREVIOUS_PROPERTY not in told
