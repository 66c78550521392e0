"""The detector: a picture in, :class:`~daemon.detection.detections.Detections` out.

Around the model's own time there is little: the picture is scaled once (by the picture itself),
written through a table into a buffer whose border never changes, and of the output only the few
candidates over the threshold become floats.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.config import ModelConfig
from daemon.detection.candidates import Candidates
from daemon.detection.decode import box_unit, check_scores, make_decoder
from daemon.detection.detections import Detections
from daemon.detection.layout import OutputLayout, TableLayout, input_layout, output_layout
from daemon.detection.letterbox import Letterbox
from daemon.detection.model import ModelFiles, read_model
from daemon.detection.nms import suppress
from daemon.detection.prepare import Canvas
from daemon.detection.runtime import InferenceRuntime
from daemon.detection.runtime_choice import open_runtime
from daemon.detection.tensors import TensorValues
from daemon.frames import Picture, RgbImage
from updater.errors import ModelError

MIN_SCORE = 0.001
"""Least threshold: what evaluations use; lower ones turn all of the background into floats."""


@dataclass(frozen=True, slots=True)
class DetectTiming:
    """Where the time of one detection went.

    Attributes:
        prepare_ms: scaling and letterboxing.
        invoke_ms: the model, with handing over its input.
        decode_ms: decoding, suppression, mapping back.
    """

    prepare_ms: float
    invoke_ms: float
    decode_ms: float


class Detector:
    """A loaded model. Used by one thread at a time.

    Args:
        files: the model and what its manifest says.
        runtime: with the model loaded; closed by :meth:`close`.
        config: thresholds.

    Raises:
        ModelError: the tensors have no known layout, or the outputs are not probabilities.
    """

    def __init__(self, files: ModelFiles, runtime: InferenceRuntime, config: ModelConfig) -> None:
        self.classes = files.classes
        self.model_version = files.version
        self.runtime = runtime
        self._times_s = (0.0, 0.0, 0.0, 0.0)
        self.makers_thresholds = files.thresholds
        self._taken = input_layout(runtime.tensors, files.input)
        self._canvas = Canvas(self._taken)
        self._layout = self._settled(
            output_layout(runtime.tensors, self._taken, len(files.classes), files.output)
        )
        self._decoder = make_decoder(self._layout, self._taken.width, self._taken.height)
        self._nothing = self._detections(*_no_arrays(), self._canvas.place(*self.input_size))
        self.configure(config)

    @classmethod
    def open(cls, config: ModelConfig, *, at_once: bool = False) -> Detector:
        """Reads, checks and loads the configured model.

        Args:
            config: which, and how.
            at_once: waits for no measurement of runtimes; see ``runtime_choice``.

        Raises:
            BundleError: the bundle is incomplete or damaged.
            ModelError: no runtime can run the model, or its layout is unknown.
        """
        files = read_model(config)
        runtime = open_runtime(files, config, at_once=at_once)
        try:
            return cls(files, runtime, config)
        except ModelError as error:
            runtime.close()
            raise ModelError(error.what, where=str(files.where), hint=error.hint) from error

    def configure(self, config: ModelConfig) -> None:
        """Takes over the thresholds of a (new) configuration; 0 means the manifest's."""
        self.score_threshold = max(
            MIN_SCORE, config.score_threshold or self.makers_thresholds.score
        )
        self.iou_threshold = config.iou_threshold or self.makers_thresholds.iou

    @property
    def timing(self) -> DetectTiming:
        """Of the last detection; zeros before the first."""
        start_s, prepared_s, invoked_s, done_s = self._times_s
        return DetectTiming(
            prepare_ms=(prepared_s - start_s) * 1000,
            invoke_ms=(invoked_s - prepared_s) * 1000,
            decode_ms=(done_s - invoked_s) * 1000,
        )

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of the model's input, pixels."""
        return self._taken.width, self._taken.height

    @property
    def layout(self) -> OutputLayout:
        """Of the model's outputs."""
        return self._layout

    def small(self, picture: Picture) -> RgbImage:
        """The picture scaled to its place in the model's input, without the border.

        Made once a frame and used by the motion gate, :meth:`detect_small` and the perceptual
        hash. It may be a view that lives only until the next frame.
        """
        place = self._canvas.place(picture.width, picture.height)
        return picture.resized(place.inner_width, place.inner_height)

    def detect(self, picture: Picture) -> Detections:
        """What the model finds on a picture.

        Raises:
            ModelError: the runtime failed, or gave boxes that are not finite.
        """
        start_s = time.perf_counter()
        place = self._canvas.place(picture.width, picture.height)
        small = picture.resized(place.inner_width, place.inner_height)
        return self._detect(small, place, start_s)

    def detect_small(self, small: RgbImage, picture: Picture) -> Detections:
        """Like :meth:`detect`, with the scaled picture from :meth:`small` at hand.

        Args:
            small: from :meth:`small`, of the same picture.
            picture: tells the size of the frame only.
        """
        start_s = time.perf_counter()
        return self._detect(small, self._canvas.place(picture.width, picture.height), start_s)

    def outputs(self, picture: Picture) -> tuple[TensorValues, ...]:
        """The model's raw outputs for a picture, copied: for tests of a model, not for work."""
        place = self._canvas.place(picture.width, picture.height)
        values = self._canvas.fill(self.small(picture), place)
        return tuple(output.copy() for output in self.runtime.invoke(values))

    def close(self) -> None:
        """Frees the model."""
        self.runtime.close()

    def _detect(self, small: RgbImage, place: Letterbox, start_s: float) -> Detections:
        values = self._canvas.fill(small, place)
        prepared_s = time.perf_counter()
        outputs = self.runtime.invoke(values)
        invoked_s = time.perf_counter()
        found = self._decoder.candidates(outputs, self.score_threshold)
        del outputs  # views of the runtime's memory must be gone before its next run
        if found:
            kept = suppress(found, iou_threshold=self.iou_threshold)
            result = self._detections(*_in_frame(found, kept, place), place)
        else:  # most frames of most sites show nobody
            result = self._nothing
            if result.width != place.source_width or result.height != place.source_height:
                result = self._nothing = self._detections(*_no_arrays(), place)
        self._times_s = (start_s, prepared_s, invoked_s, time.perf_counter())
        return result

    def _detections(
        self,
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        class_ids: NDArray[np.int32],
        place: Letterbox,
    ) -> Detections:
        return Detections(
            boxes=boxes,
            scores=scores,
            class_ids=class_ids,
            classes=self.classes,
            width=place.source_width,
            height=place.source_height,
            model_version=self.model_version,
        )

    def _settled(self, layout: OutputLayout) -> OutputLayout:
        """The layout after a look at real values: one run on a grey picture."""
        outputs = self.runtime.invoke(self._canvas.blank())
        check_scores(layout, outputs)
        if isinstance(layout, TableLayout) and not layout.box_unit:
            return dataclasses.replace(layout, box_unit=box_unit(layout, outputs[0]))
        return layout


def _in_frame(
    found: Candidates, kept: list[int], place: Letterbox
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Boxes in pixels of the frame, cut to it, of which something is left; scores; classes."""
    boxes, scores, class_ids = [], [], []
    width, height = float(place.source_width), float(place.source_height)
    for index in kept:
        x1, y1, x2, y2 = place.to_source(found.boxes[index])
        x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)
        if x1 < x2 and y1 < y2:
            boxes.append((x1, y1, x2, y2))
            scores.append(found.scores[index])
            class_ids.append(found.class_ids[index])
    return (
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(class_ids, np.int32),
    )


def _no_arrays() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """What :func:`_in_frame` gives for nothing, but read-only: many frames share it."""
    boxes, scores, class_ids = (
        np.empty((0, 4), np.float32),
        np.empty(0, np.float32),
        np.empty(0, np.int32),
    )
    for values in (boxes, scores, class_ids):
        values.setflags(write=False)
    return boxes, scores, class_ids
