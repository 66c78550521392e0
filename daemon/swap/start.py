"""The first model of a process: the current one, and what there is if that cannot be loaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.config import ModelConfig
from daemon.detection.detector import Detector
from daemon.paths import FLOOR_BUNDLE, INSTALLED_BUNDLE
from daemon.swap.loader import LoadedModel
from daemon.swap.trial import TrialRun
from updater.errors import SitewatchError
from updater.store.reader import Active, active

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """What runs first.

    Attributes:
        model: loaded.
        link: the store's link to follow; None where the configuration names a model itself.
        trial: of the current release, if it is on trial.
    """

    model: LoadedModel
    link: Path | None
    trial: TrialRun | None


def open_first(config: ModelConfig) -> Start:
    """Loads the configured model.

    A release on trial that cannot be loaded is no reason for a dead camera: its predecessor runs,
    and the trial's figures say why.

    Raises:
        BundleError: the bundle is incomplete or damaged.
        ModelError: no runtime can run the model, or its layout is unknown.
    """
    bundle = config.bundle
    link = bundle if bundle.is_symlink() or bundle == INSTALLED_BUNDLE else None
    if link is not None and not link.exists() and FLOOR_BUNDLE.exists():
        _log.warning("%s leads nowhere; running the package's own model", link)
        bundle = FLOOR_BUNDLE
    if not bundle.is_dir():  # a bare model, or nothing at all, which the detector says best
        return Start(LoadedModel(Detector.open(config), bundle, digest=""), None, None)
    wanted = active(bundle)
    trial = TrialRun(wanted.digest) if wanted.on_trial else None
    try:
        model = _open(config, wanted)
    except SitewatchError as error:
        if trial is None or wanted.predecessor is None:
            raise
        _log.error("the release on trial cannot be loaded, its predecessor runs: %s", error)
        model = _open(config, active(wanted.predecessor))
        return Start(model, link, TrialRun(wanted.digest, error=str(error)))
    if trial is not None:
        trial.begin(previous_invoke_ms=0.0)
    return Start(model, link, trial)


def _open(config: ModelConfig, wanted: Active) -> LoadedModel:
    detector = Detector.open(replace(config, bundle=wanted.folder), at_once=True)
    return LoadedModel(detector, wanted.folder, wanted.digest)
