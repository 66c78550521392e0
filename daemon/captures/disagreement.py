"""A frame that two models see differently, on its way from who compared them to the selector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from daemon.captures.phash import phash
from daemon.captures.reasons import Subject, disagreements
from daemon.detection.detections import Detections
from daemon.frames import Frame, RgbImage


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What the selector needs to know; made on any thread.

    Attributes:
        frame: both models looked at.
        detections: of the running model.
        other: of the second one.
        subjects: what they do not agree on, most valuable first; at least one.
        phash: perceptual hash of the frame.
    """

    frame: Frame
    detections: Detections
    other: Detections
    subjects: tuple[Subject, ...]
    phash: int


def find_disagreement(
    frame: Frame,
    running: Detections,
    other: Detections,
    *,
    running_score: float,
    other_score: float,
    small: Callable[[], RgbImage],
) -> Disagreement | None:
    """What two models do not agree on in a frame; None if they agree.

    Args:
        frame: both looked at.
        running: what the running model found, at every score it reports.
        other: what the second one found, likewise.
        running_score: from where on the running model is sure.
        other_score: from where on the second one is.
        small: makes a small picture of the frame for its hash; called only if there is something.
    """
    subjects = disagreements(running, other, first_score=running_score, second_score=other_score)
    if not subjects:
        return None
    return Disagreement(frame, running, other, subjects, phash(small()))
