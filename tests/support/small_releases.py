"""Small bundles for a store, and an installation step by step as the updater does it."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from updater import manifest as manifests
from updater.bundle import list_files
from updater.manifest import InputSpec, Manifest, OutputSpec, Thresholds
from updater.store import moves
from updater.store.journal import release_name
from updater.store.states import State, Step
from updater.store.store import Store, open_recovered

ARCHIVE_SHA256 = "a" * 64
NOW = 1_800_000_000.0


@dataclass(frozen=True)
class Bundle:
    """An unpacked bundle that does not run: the store never looks into a model."""

    folder: Path
    manifest: Manifest
    digest: str

    @property
    def name(self) -> str:
        return release_name(self.manifest.version, self.digest)


def make_bundle(folder: Path, version: str) -> Bundle:
    """Writes a bundle of three files, one of them in a folder."""
    (folder / "golden").mkdir(parents=True)
    (folder / manifests.MODEL_NAME).write_bytes(b"model " + version.encode())
    (folder / "golden" / "one.jpg").write_bytes(b"picture")
    (folder / "MODEL_CARD.md").write_text("card")
    manifest = Manifest(
        version=version,
        name="small",
        classes=("helmet", "head"),
        input=InputSpec(width=32, height=32),
        output=OutputSpec(layout="yolov5"),
        thresholds=Thresholds(score=0.3, iou=0.5),
        files=list_files(folder),
    )
    data = manifests.to_json(manifest)
    (folder / manifests.MANIFEST_NAME).write_bytes(data)
    return Bundle(folder, manifest, hashlib.sha256(data).hexdigest())


def install(store: Store, bundle: Bundle, *, until: State = State.COMMITTED, keep: int = 2) -> None:
    """Installs a bundle up to a state, each journal before the effect that it announces."""
    with open_recovered(store) as found:
        journal = moves.begin(
            found, source="model.zip", archive_sha256=ARCHIVE_SHA256, now=store.now()
        )
        store.write(journal)
        if until is State.FETCHED:
            return
        journal = moves.verify(journal, version=bundle.manifest.version, digest=bundle.digest)
        store.write(journal)
        if until is State.VERIFIED:
            return
        folder = store.stage_folder(bundle.name)
        shutil.copytree(bundle.folder, folder, dirs_exist_ok=True)
        release = store.adopt(folder, bundle.manifest)
        journal = moves.stage(journal, release)
        store.write(journal)
        if until is State.STAGED:
            return
        if until is State.FAILED:
            store.settle(moves.fail(journal, reason="too slow", exit_code=9, now=store.now()))
            return
        store.write_report(release.name, b"{}")
        for step in (Step.TEST, Step.ACTIVATE):
            journal = moves.advance(journal, step)
            store.write(journal)
            if journal.candidate is not None and journal.candidate.state is until:
                return
        store.switch(release)
        store.write(moves.advance(journal, Step.SWITCH))
    if until is State.COMMITTED:
        commit(store, keep=keep)
    elif until is State.ROLLED_BACK:
        give_up(store)


def commit(store: Store, *, keep: int = 2) -> None:
    """A good verdict, and what follows."""
    with open_recovered(store) as journal:
        store.write(moves.commit(journal, now=store.now()))
        store.gc(keep, 10**9)


def give_up(store: Store) -> None:
    """A bad verdict."""
    with open_recovered(store) as journal:
        store.settle(moves.roll_back(journal, reason="blind", exit_code=13, now=store.now()))


def damage(folder: Path) -> None:
    """A file that is shorter than it was, as after a power cut without syncing."""
    (folder / manifests.MODEL_NAME).write_bytes(b"")
