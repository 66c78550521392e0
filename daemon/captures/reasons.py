"""Why a picture is worth a label: one pure function a reason, each naming its subjects.

A *subject* is the box that the reason is about, with a value from 0 to 1: what is gained by a label
there. A picture's value for a reason is ``sum / (1 + sum)`` of its subjects' values, so that of two
pictures the one with more to learn from goes first. A picture's value altogether is ``1 - product
of (1 - value)``: several reasons are worth more than the best of them alone, and never more than 1.

=================== ============================================= ==============================
reason              when                                          value
=================== ============================================= ==============================
uncertain_score     a score lies in the uncertain band            1 at the score where the rules
                                                                  cut, 0.2 at the band's edges
class_flip          a person's head changes from helmet to bare,  the weaker of the two
                    or back, within 5 s                           certainties
blinking            a person surely seen is missed for one or     the weaker of the scores before
                    two frames, away from the border              and after
model_disagreement  one model is sure of what another does not    the score of what was found; 1
                    find, or one of a helmet and another of a     where it is helmet against head
                    head
random              by chance, at a rate                          0.5
requested           somebody asked                                1
=================== ============================================= ==============================
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from daemon.detection.detections import HEAD, HELMET, Detections
from daemon.detection.iou import iou_matrix
from daemon.frames import Box
from daemon.tracking.tracks import Evidence, Track

EDGE_VALUE = 0.2
"""Of a score at the edge of the band: still kept, but the first to go."""

FLIP_WINDOW_S = 5.0
"""A change of class within so short a time is the model's, not a person who took the hat off."""

FLIP_LEAST = 0.1
"""Least lead of one class over the other that counts as having seen it; less is noise."""

BLINK_MAX_FRAMES = 2
BLINK_LEAST_SCORE = 0.5
"""Score from which a person counts as surely seen."""

BLINK_MAX_S = 2.0
"""At one frame a second two missed frames are a person who may really have gone."""

BORDER_FRACTION = 0.03
"""Of the picture's side. Who is nearer to the border is on the way in or out, not missed."""

DISAGREEMENT_IOU = 0.5
"""Overlap from which boxes of two models are at the same place, as in the usual evaluations."""

CONTRARY = {HELMET: HEAD, HEAD: HELMET}
CONTRADICTION_VALUE = 1.0
"""Helmet against head is alarm or no alarm; two models that are sure of one each leave it as open
as a score where the rules cut."""

RANDOM_VALUE = 0.5
REQUESTED_VALUE = 1.0
RANDOM_MAX_GAP_S = 60.0
"""A frame stands for the time since the last one, but not for a pause of hours."""


class CaptureReason(StrEnum):
    """Why a picture is kept; the names stand in sidecars."""

    UNCERTAIN_SCORE = "uncertain_score"
    CLASS_FLIP = "class_flip"
    BLINKING = "blinking"
    MODEL_DISAGREEMENT = "model_disagreement"
    RANDOM = "random"
    REQUESTED = "requested"


@dataclass(frozen=True, slots=True)
class Subject:
    """What in the picture a reason is about.

    Attributes:
        class_name: class of the box.
        box: in pixels of the frame.
        value: 0 to 1.
    """

    class_name: str
    box: Box
    value: float


@dataclass(frozen=True, slots=True)
class Sighting:
    """How a track looked in one frame; blinks are found in a few of them, oldest first.

    Attributes:
        media_time_s: on the source's clock.
        visible: whether a detection was matched.
        score: of that detection, 0 where none.
        box: in pixels, predicted where not visible.
    """

    media_time_s: float
    visible: bool
    score: float
    box: Box


def closeness(score: float, threshold: float, low: float, high: float) -> float:
    """Value of a score in the band: 1 at the threshold, falling in a line to 0.2 at the edges.

    Args:
        score: 0 to 1.
        threshold: where the rules cut; moved into the band if it lies outside.
        low: the band's lower edge.
        high: the band's upper edge.

    Returns:
        0 for a score outside the band.
    """
    if not low <= score <= high:
        return 0.0
    threshold = min(max(threshold, low), high)
    room = threshold - low if score < threshold else high - threshold
    off = abs(score - threshold) / room if room > 0 else 0.0
    return 1.0 - (1.0 - EDGE_VALUE) * off


def uncertain_scores(
    detections: Detections, thresholds: Mapping[str, float], low: float, high: float
) -> tuple[Subject, ...]:
    """Boxes whose score lies in the band, most valuable first.

    Args:
        detections: of the frame.
        thresholds: by class, the score where the rules cut; the band's middle for others.
        low: the band's lower edge.
        high: the band's upper edge.
    """
    middle = (low + high) / 2
    return _best_first(
        Subject(
            found.class_name,
            found.box,
            closeness(found.score, thresholds.get(found.class_name, middle), low, high),
        )
        for found in detections
    )


def flip_strength(evidence: tuple[Evidence, ...]) -> float:
    """How surely the newest evidence contradicts what was seen just before.

    Returns:
        The smaller of two leads (of one class's score over the other's): the newest, and the
        strongest contrary one of the last :data:`FLIP_WINDOW_S`. 0 if the evidence before the
        newest did not say the contrary, so that a flip counts in the frame in which it happens.
    """
    leads = [
        (item.media_time_s, item.helmet_score - item.bare_score)
        for item in evidence
        if abs(item.helmet_score - item.bare_score) >= FLIP_LEAST
    ]
    if len(leads) < 2 or not evidence or evidence[-1].media_time_s != leads[-1][0]:
        return 0.0
    newest_s, newest = leads[-1]
    if leads[-2][1] * newest > 0:
        return 0.0
    contrary = [
        abs(lead)
        for at_s, lead in leads[:-1]
        if lead * newest < 0 and newest_s - at_s <= FLIP_WINDOW_S
    ]
    return min(abs(newest), max(contrary, default=0.0), 1.0)


def class_flips(tracks: Iterable[Track]) -> tuple[Subject, ...]:
    """People whose head just changed class, most valuable first."""
    return _best_first(
        Subject(track.subject, track.box, flip_strength(track.evidence))
        for track in tracks
        if track.visible
    )


def blink_strength(sightings: tuple[Sighting, ...], width: int, height: int) -> float:
    """How surely somebody seen now was missed in the frames just before.

    Args:
        sightings: of one track, oldest first, the newest in this frame.
        width: of the frame, pixels.
        height: of the frame, pixels.

    Returns:
        The smaller of the scores before and after the gap; 0 if there is no gap of one or two
        frames, if either side was not surely seen, or if the gap was near the border.
    """
    if not sightings or not sightings[-1].visible:
        return 0.0
    gap = 0
    for sighting in reversed(sightings[:-1]):
        if sighting.visible:
            break
        gap += 1
    if not 1 <= gap <= BLINK_MAX_FRAMES or len(sightings) < gap + 2:
        return 0.0
    before, after = sightings[-gap - 2], sightings[-1]
    score = min(before.score, after.score)
    missed = sightings[-gap - 1 : -1]
    if (
        score < BLINK_LEAST_SCORE
        or after.media_time_s - before.media_time_s > BLINK_MAX_S
        or any(near_border(sighting.box, width, height) for sighting in missed)
    ):
        return 0.0
    return min(score, 1.0)


def near_border(box: Box, width: int, height: int) -> bool:
    """Whether a box comes within :data:`BORDER_FRACTION` of the picture's border."""
    margin_x, margin_y = BORDER_FRACTION * width, BORDER_FRACTION * height
    return (
        box.x1 < margin_x
        or box.y1 < margin_y
        or box.x2 > width - margin_x
        or box.y2 > height - margin_y
    )


def disagreements(
    first: Detections, second: Detections, *, first_score: float, second_score: float
) -> tuple[Subject, ...]:
    """What one model is sure of and the other does not see, or sees otherwise; most valuable first.

    Two cases count. An object is *unseen* if the other model has its class there at no score. A
    helmet and a head at one place *contradict* each other if each model is sure of one of them and
    not of the other's, whatever else it has there: both are subjects then.

    Args:
        first: of the frame, at every score it reports.
        second: of the same frame by another model, likewise. Classes are compared by name.
        first_score: from where on the first is sure.
        second_score: from where on the second is.

    Returns:
        Unseen objects with their score as value, contradictions with
        :data:`CONTRADICTION_VALUE`.
    """
    names, other_names = _class_names(first), _class_names(second)
    contrary = np.array([CONTRARY.get(name, "") for name in names], dtype=str)
    overlap = iou_matrix(first.boxes, second.boxes) >= DISAGREEMENT_IOU
    partners = overlap & (np.array(names, dtype=str)[:, np.newaxis] == np.array(other_names, str))
    opposite = overlap & (contrary[:, np.newaxis] == np.array(other_names, str))
    sure = (first.scores >= first_score)[:, np.newaxis]
    other_sure = second.scores >= second_score
    shared = (partners & other_sure).any(axis=1, keepdims=True)
    other_shared = (partners & sure).any(axis=0)
    contradicting = opposite & sure & other_sure & ~shared & ~other_shared
    return _best_first(
        Subject(found.class_name, found.box, CONTRADICTION_VALUE if contradicts else found.score)
        for model, least_score, axis in ((first, first_score, 1), (second, second_score, 0))
        for found, contradicts, seen in zip(
            model,
            contradicting.any(axis=axis).tolist(),
            partners.any(axis=axis).tolist(),
            strict=True,
        )
        if contradicts or (found.score >= least_score and not seen)
    )


def random_probability(per_hour: float, elapsed_s: float) -> float:
    """Chance with which a frame is kept so that pictures come at a rate, at any frame rate.

    The frame stands for the time since the last one: ``1 - exp(-rate * time)``, the chance of at
    least one event of a Poisson process in that time.

    Args:
        per_hour: the rate.
        elapsed_s: media time since the last frame; counted as :data:`RANDOM_MAX_GAP_S` at most.
    """
    time_s = min(max(elapsed_s, 0.0), RANDOM_MAX_GAP_S)
    return -math.expm1(-per_hour / 3600.0 * time_s)


def all_subjects(subjects: Iterable[Subject]) -> float:
    """Value of a reason with these subjects: ``sum / (1 + sum)`` of theirs.

    It rises with every subject and never reaches 1, so that a crowd is still told from a greater
    one. Why the sum, and not the best subject: Brust, Käding and Denzler, "Active Learning for Deep
    Object Detection" (VISAPP 2019, doi:10.5220/0007248601810190), and docs/selection.md.

    Args:
        subjects: of one reason; none are worth 0.
    """
    total = math.fsum(subject.value for subject in subjects)
    return total / (1.0 + total)


def together(values: Iterable[float]) -> float:
    """Value of a picture that has all these reasons: ``1 - product of (1 - value)``."""
    return 1.0 - math.prod(1.0 - value for value in values)


def _class_names(detections: Detections) -> list[str]:
    return [detections.classes[class_id] for class_id in detections.class_ids.tolist()]


def _best_first(subjects: Iterable[Subject]) -> tuple[Subject, ...]:
    worthy = [subject for subject in subjects if subject.value > 0]
    return tuple(sorted(worthy, key=lambda subject: -subject.value))
