"""Where things are when nobody says so: an installed system first, then a checkout."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from daemon.config import CACHE_DIR, RUNTIME_DIR, STATE_DIR, Config
from updater.errors import BundleError

CHECKOUT = Path(__file__).resolve().parent.parent
INSTALLED_BUNDLE = STATE_DIR / "models/current"
FLOOR_BUNDLE = Path("/usr/share/sitewatch/model")
"""The model of the software package: what runs before the first one was installed."""

CHECKOUT_BUNDLE = CHECKOUT / "packaging/model"


def default_bundle() -> Path:
    """The model bundle of this machine: the store's current, the package's, or the checkout's own.

    Raises:
        BundleError: none is there.
    """
    for bundle in (INSTALLED_BUNDLE, FLOOR_BUNDLE, CHECKOUT_BUNDLE):
        if (bundle / "manifest.json").is_file():
            return bundle
    raise BundleError(
        "no model bundle is installed",
        where=str(INSTALLED_BUNDLE),
        hint="Install the package, or name one with --model",
    )


def without_installation(config: Config) -> Config:
    """The configuration for a machine on which the package is not installed.

    Every path that stands at its installed default moves below the user's own state and cache
    folders (XDG base directories), so that a checkout runs without root.
    """
    home = Path.home()
    state = Path(os.environ.get("XDG_STATE_HOME") or home / ".local/state") / "sitewatch"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "sitewatch"

    def moved(path: Path) -> Path:
        for old, new in ((STATE_DIR, state), (CACHE_DIR, cache), (RUNTIME_DIR, state / "run")):
            if path.is_relative_to(old):
                return new / path.relative_to(old)
        return path

    bundle = config.model.bundle
    return replace(
        config,
        model=replace(
            config.model,
            bundle=default_bundle() if bundle == INSTALLED_BUNDLE else bundle,
            runtime_cache=moved(config.model.runtime_cache),
        ),
        outbox=replace(config.outbox, path=moved(config.outbox.path)),
        captures=replace(config.captures, folder=moved(config.captures.folder)),
        health=replace(config.health, status_file=moved(config.health.status_file)),
    )
