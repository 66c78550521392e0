"""Releases put into a real store without archives, signatures and self-tests around them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from updater import manifest as manifests
from updater.bundle import list_files
from updater.manifest import MANIFEST_NAME, MODEL_NAME, InputSpec, Manifest, Thresholds
from updater.store import moves
from updater.store.journal import Release
from updater.store.states import Step
from updater.store.store import Store


def copy_bundle(
    bundle: Path,
    folder: Path,
    version: str,
    *,
    score: float | None = None,
    model: bytes | None = None,
    input_size: int = 0,
    classes: tuple[str, ...] = (),
) -> Manifest:
    """Copies a bundle as another version.

    Args:
        bundle: to copy.
        folder: where to; empty, or not there.
        version: of the copy.
        score: the makers' threshold, if it shall be another.
        model: content of ``model.tflite``, if it shall be another.
        input_size: side of that model's input in pixels, if it is another.
        classes: class names, if they shall be others; the golden pictures then are left out.
    """
    shutil.copytree(bundle, folder, dirs_exist_ok=True)
    if model is not None:
        (folder / MODEL_NAME).write_bytes(model)
    manifest = replace(manifests.read(folder), version=version, files=list_files(folder))
    if score is not None:
        manifest = replace(manifest, thresholds=Thresholds(score, manifest.thresholds.iou))
    if input_size:
        manifest = replace(manifest, input=InputSpec(input_size, input_size))
    if classes:
        manifest = replace(manifest, classes=classes, golden=())
    (folder / MANIFEST_NAME).write_bytes(manifests.to_json(manifest))
    return manifest


class HandStore:
    """A store whose updates are done step by step, as a test wants them.

    Args:
        root: the store's folder.
        bundle: what releases are copies of.
    """

    def __init__(self, root: Path, bundle: Path) -> None:
        self.store = Store(root, None)
        self._bundle = bundle

    @property
    def current(self) -> Path:
        """What a daemon is configured with."""
        return self.store.layout.current

    def add(
        self,
        version: str,
        *,
        score: float | None = None,
        model: bytes | None = None,
        input_size: int = 0,
        classes: tuple[str, ...] = (),
    ) -> Release:
        """A release, tested but not current yet; for the arguments see :func:`copy_bundle`."""
        with self.store.locked():
            folder = self.store.stage_folder(version)
            manifest = copy_bundle(
                self._bundle, folder, version,
                score=score, model=model, input_size=input_size, classes=classes,
            )  # fmt: skip
            return self.store.adopt(folder, manifest)

    def try_out(self, release: Release) -> None:
        """It becomes current, on probation."""
        with self.store.locked():
            journal = moves.begin(self.store.journal, source="test", archive_sha256="", now=0.0)
            journal = moves.verify(journal, version=release.version, digest=release.digest)
            journal = moves.advance(moves.stage(journal, release), Step.TEST)
            journal = moves.advance(journal, Step.ACTIVATE)
            self.store.write(journal)
            self.store.switch(release)
            self.store.write(moves.advance(journal, Step.SWITCH))

    def commit(self) -> None:
        """What is on probation is good."""
        with self.store.locked():
            self.store.write(moves.commit(self.store.journal, now=0.0))

    def roll_back(self) -> None:
        """What is on probation is given up for the good one before it."""
        with self.store.locked():
            journal = moves.roll_back(self.store.journal, reason="test", exit_code=13, now=0.0)
            self.store.write(journal)
            assert journal.committed is not None
            self.store.switch(journal.committed)

    def install(self, version: str) -> Release:
        """A copy of the bundle, committed."""
        release = self.add(version)
        self.try_out(release)
        self.commit()
        return release
