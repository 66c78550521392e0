"""Loads a model beside the running one, each costly step in a pause of the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.config import ModelConfig
from daemon.detection.detector import Detector
from daemon.detection.model import read_model
from daemon.detection.runtime import RuntimeKind
from daemon.detection.runtime_choice import open_runtime
from daemon.frames import Picture
from updater.errors import ModelError

WARM_UP_RUNS = 3
"""The first run sets its buffers up and touches all of its memory; the third costs what all do."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that can run.

    Attributes:
        detector: the model.
        folder: its bundle; for a bare model the file.
        digest: of its manifest; "" for a bare model.
    """

    detector: Detector
    folder: Path
    digest: str

    def close(self) -> None:
        """Frees the model."""
        self.detector.close()


def load_beside(
    config: ModelConfig,
    folder: Path,
    kind: RuntimeKind,
    *,
    picture: Picture | None,
    pause: Callable[[], None],
) -> Detector:
    """Loads and warms a model in the runtime that runs already.

    ``auto`` does not measure here: several seconds of full load beside the camera would cost
    frames. The next start measures.

    Args:
        config: the model's section.
        folder: the bundle.
        kind: the runtime.
        picture: what the camera saw last, to warm up on.
        pause: returns when the loop has nothing to do.

    Raises:
        BundleError: the bundle is incomplete or damaged.
        ModelError: the runtime cannot run the model, or there is not enough memory.
    """
    config = replace(config, bundle=folder, runtime=kind.name)
    try:
        pause()
        files = read_model(config)
        pause()
        runtime = open_runtime(files, config)
        try:
            pause()
            detector = Detector(files, runtime, config)
            if picture is not None:
                for _ in range(WARM_UP_RUNS):
                    pause()
                    detector.detect(picture)
        except BaseException:
            runtime.close()
            raise
    except ModelError as error:
        raise ModelError(error.what, where=str(folder), hint=error.hint) from error
    except MemoryError as error:
        raise ModelError("not enough memory beside the running model", where=str(folder)) from error
    return detector
