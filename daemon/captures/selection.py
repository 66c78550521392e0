"""Decides frame by frame whether a picture is worth a label; remembers little, and not on disk."""

from __future__ import annotations

import functools
import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from daemon.captures import reasons
from daemon.captures.disagreement import Disagreement
from daemon.captures.phash import hamming, phash
from daemon.captures.reasons import BLINK_MAX_FRAMES, CaptureReason, Sighting, Subject
from daemon.config import CapturesConfig
from daemon.detection.detections import Detections
from daemon.detection.iou import iou_matrix
from daemon.frames import Frame, RgbImage
from daemon.tracking.tracks import Track

REMEMBERED = 64
"""Pictures remembered for each reason: at the default limits the last hours."""

SAME_SUBJECT_IOU = 0.5
"""Overlap from which a box of the same class is the one that was kept before."""

DECIDED = 512
"""Frames remembered as chosen, so that none is kept twice: a blink is known two frames later, a
disagreement of two models after seconds (512 are 17 s if each of 30 frames a second is chosen)."""

UNREPEATED = frozenset({CaptureReason.RANDOM, CaptureReason.REQUESTED})
"""Reasons for which a duplicate is wanted: refusing repeated scenes would bias a random sample
towards change, and who asks for a picture gets one."""


@dataclass(frozen=True, slots=True)
class ReasonFound:
    """One reason to keep a picture.

    Attributes:
        reason: which.
        value: of all its subjects, 0 to 1.
        subjects: what it is about, most valuable first; empty for random and requested pictures.
    """

    reason: CaptureReason
    value: float
    subjects: tuple[Subject, ...] = ()


@dataclass(frozen=True, slots=True)
class CaptureDecision:
    """A picture worth keeping.

    Attributes:
        frame: the frame to keep: the one just seen, for a blink the one before in which
            somebody was missed, for a disagreement one that was compared in the meantime.
        detections: of that frame.
        reasons: why, at least one, most valuable first.
        value: all reasons together, 0 to 1.
        phash: perceptual hash of that frame.
        other: detections of a second model on that frame, where two were compared.
    """

    frame: Frame
    detections: Detections
    reasons: tuple[ReasonFound, ...]
    value: float
    phash: int
    other: Detections | None = None

    def has(self, reason: CaptureReason) -> bool:
        """Whether this is one of the reasons."""
        return any(found.reason is reason for found in self.reasons)

    @property
    def privileged(self) -> bool:
        """Random or requested: not measured by its value, but by the random share's own rules."""
        return self.has(CaptureReason.RANDOM) or self.has(CaptureReason.REQUESTED)


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture kept for one reason, as the search for duplicates remembers it.

    Attributes:
        phash: of the picture.
        subjects: what it was kept for.
    """

    phash: int
    subjects: tuple[Subject, ...]


class _Looked(Protocol):
    """A frame that was looked at, with its hash."""

    @property
    def frame(self) -> Frame:
        """The frame."""

    @property
    def detections(self) -> Detections:
        """What the running model found."""

    @property
    def phash(self) -> int:
        """Perceptual hash of the frame."""


class _Seen:
    """A frame that was looked at; its hash is computed once, and only if somebody asks."""

    def __init__(self, frame: Frame, detections: Detections, small: RgbImage) -> None:
        self.frame = frame
        self.detections = detections
        self._small = small

    @functools.cached_property
    def phash(self) -> int:
        """Perceptual hash of the small picture."""
        return phash(self._small)


class CaptureSelector:
    """Names the pictures worth keeping.

    A *near-duplicate* is refused: a picture whose hash is near that of one kept for the same
    reason and whose subjects overlap subjects of the same class in that one. The hash alone would
    refuse nearly everything a fixed camera sees; the boxes alone would refuse a camera that was
    turned. So a lamp that looks like a helmet is kept once, and again when the light changes.

    Used by one thread, the loop's.

    State: the pictures remembered for each reason, a few sightings of each living track, and at
    most one earlier frame (for blinks). Deterministic for a given random source.

    Args:
        config: bands, rates and the duplicate distance.
        chance: source of the random share.
        thresholds: by class, the score where the rules cut; the band's middle for others.
    """

    def __init__(
        self,
        config: CapturesConfig,
        *,
        chance: random.Random,
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        self._config = config
        self._chance = chance
        self._thresholds = dict(thresholds or {})
        self._kept: dict[CaptureReason, deque[Kept]] = {
            reason: deque(maxlen=REMEMBERED) for reason in CaptureReason if reason not in UNREPEATED
        }
        self._sightings: dict[int, deque[Sighting]] = {}
        self._held: _Seen | None = None
        self._decided: deque[int] = deque(maxlen=DECIDED)
        self._last_media_time_s: float | None = None

    def configure(self, config: CapturesConfig) -> None:
        """Takes over changed bands, rates and distances."""
        self._config = config

    @property
    def holds_picture(self) -> bool:
        """Whether an earlier frame is held in memory, since somebody was just missed in it."""
        return self._held is not None

    def decide(
        self,
        frame: Frame,
        detections: Detections,
        tracks: tuple[Track, ...],
        small: RgbImage,
        *,
        requested: bool = False,
    ) -> CaptureDecision | None:
        """Whether to keep a picture now.

        Args:
            frame: the frame just looked at.
            detections: of it.
            tracks: people followed, as of this frame.
            small: the detector's small picture of it, for the perceptual hash.
            requested: somebody asked for a picture.

        Returns:
            The picture to keep, or None. At most one a frame; nothing counts as kept before
            :meth:`remember` says so.
        """
        seen = _Seen(frame, detections, small)
        self._follow(frame, tracks)
        now = _decision(
            seen,
            self._by_chance(frame.media_time_s, requested) + self._by_content(seen, tracks),
        )
        missed = self._blink(tracks, detections.width, detections.height)
        if any(_newly_missed(sightings, detections) for sightings in self._sightings.values()):
            self._held = seen
        elif not any(_missing(sightings) for sightings in self._sightings.values()):
            self._held = None
        chosen = _better(now, missed)
        if chosen is not None:
            self._decided.append(chosen.frame.sequence)
        return chosen

    def review(self, found: Disagreement) -> CaptureDecision | None:
        """Whether to keep a frame of a moment ago, in which two models see different things.

        Args:
            found: the frame, and what they do not agree on.

        Returns:
            The picture to keep; None if it was chosen before for another reason, or the like was
            kept. As for :meth:`decide`, nothing counts as kept before :meth:`remember` says so.
        """
        if found.frame.sequence in self._decided:
            return None
        fresh = self._fresh(CaptureReason.MODEL_DISAGREEMENT, found.subjects, found)
        if fresh is None:
            return None
        self._decided.append(found.frame.sequence)
        return _decision(found, (fresh,), other=found.other)

    def remember(self, decision: CaptureDecision) -> None:
        """The picture was kept: near-duplicates of it are refused from now on."""
        self.recall(_entries(decision))

    def forget(self, decision: CaptureDecision) -> None:
        """The picture was not kept after all."""
        for reason, entry in _entries(decision):
            if entry in self._kept[reason]:
                self._kept[reason].remove(entry)

    def recall(self, entries: Iterable[tuple[CaptureReason, Kept]]) -> None:
        """Pictures kept, by an earlier run perhaps; oldest first."""
        for reason, entry in entries:
            if reason not in UNREPEATED:
                self._kept[reason].append(entry)

    def _follow(self, frame: Frame, tracks: tuple[Track, ...]) -> None:
        """Notes how each track looks now and drops those that ended."""
        self._sightings = {
            track.track_id: self._sightings.get(track.track_id, deque(maxlen=BLINK_MAX_FRAMES + 2))
            for track in tracks
        }
        for track in tracks:
            self._sightings[track.track_id].append(
                Sighting(frame.media_time_s, track.visible, track.score, track.box)
            )

    def _by_chance(self, media_time_s: float, requested: bool) -> tuple[ReasonFound, ...]:
        """Reasons that do not look at the picture; the dice are thrown for every frame."""
        last_s = self._last_media_time_s
        self._last_media_time_s = media_time_s
        since_s = media_time_s - last_s if last_s is not None else 0.0
        probability = reasons.random_probability(self._config.random_per_hour, since_s)
        drawn = self._chance.random() < probability
        return (
            *((ReasonFound(CaptureReason.REQUESTED, reasons.REQUESTED_VALUE),) * requested),
            *((ReasonFound(CaptureReason.RANDOM, reasons.RANDOM_VALUE),) * drawn),
        )

    def _by_content(self, seen: _Seen, tracks: tuple[Track, ...]) -> tuple[ReasonFound, ...]:
        low, high = self._config.band_low, self._config.band_high
        found = {
            CaptureReason.UNCERTAIN_SCORE: reasons.uncertain_scores(
                seen.detections, self._thresholds, low, high
            ),
            CaptureReason.CLASS_FLIP: reasons.class_flips(tracks),
        }
        return tuple(
            fresh
            for reason, subjects in found.items()
            if (fresh := self._fresh(reason, subjects, seen)) is not None
        )

    def _blink(self, tracks: tuple[Track, ...], width: int, height: int) -> CaptureDecision | None:
        """Keeps the held frame if somebody missed in it is there again now."""
        held = self._held
        if held is None or held.frame.sequence in self._decided:
            return None
        subjects = []
        for track in tracks:
            sightings = tuple(self._sightings[track.track_id])
            strength = reasons.blink_strength(sightings, width, height)
            subjects += [
                Subject(track.subject, sighting.box, strength)
                for sighting in sightings
                if strength > 0
                and not sighting.visible
                and sighting.media_time_s == held.frame.media_time_s
            ]
        subjects.sort(key=lambda subject: -subject.value)
        fresh = self._fresh(CaptureReason.BLINKING, tuple(subjects), held)
        return _decision(held, (fresh,) if fresh else ())

    def _fresh(
        self, reason: CaptureReason, subjects: tuple[Subject, ...], seen: _Looked
    ) -> ReasonFound | None:
        """The reason with those of its subjects that were not kept before."""
        known = [
            subject
            for kept in (self._kept[reason] if subjects else ())
            if hamming(kept.phash, seen.phash) <= self._config.duplicate_bits
            for subject in kept.subjects
        ]
        fresh = _unlike(subjects, known)
        return ReasonFound(reason, reasons.all_subjects(fresh), fresh) if fresh else None


def _unlike(subjects: tuple[Subject, ...], known: list[Subject]) -> tuple[Subject, ...]:
    """The subjects that overlap no known one of the same class."""
    if not subjects or not known:
        return subjects
    overlaps = iou_matrix(
        np.asarray([subject.box.as_tuple() for subject in subjects], np.float32),
        np.asarray([subject.box.as_tuple() for subject in known], np.float32),
    )
    return tuple(
        subject
        for subject, row in zip(subjects, overlaps.tolist(), strict=True)
        if not any(
            overlap >= SAME_SUBJECT_IOU and old.class_name == subject.class_name
            for overlap, old in zip(row, known, strict=True)
        )
    )


def _decision(
    seen: _Looked, found: tuple[ReasonFound, ...], *, other: Detections | None = None
) -> CaptureDecision | None:
    if not found:
        return None
    ordered = tuple(sorted(found, key=lambda one: -one.value))
    value = reasons.together(one.value for one in ordered)
    return CaptureDecision(seen.frame, seen.detections, ordered, value, seen.phash, other)


def _better(now: CaptureDecision | None, missed: CaptureDecision | None) -> CaptureDecision | None:
    """The more valuable picture; one that was drawn at random or asked for always goes first."""
    if now is None or missed is None:
        return now or missed
    return now if now.privileged or now.value >= missed.value else missed


def _newly_missed(sightings: deque[Sighting], detections: Detections) -> bool:
    """Whether a track surely seen in the frame before is missed in this one."""
    if len(sightings) < 2 or sightings[-1].visible:
        return False
    return sightings[-2].score >= reasons.BLINK_LEAST_SCORE and not reasons.near_border(
        sightings[-1].box, detections.width, detections.height
    )


def _missing(sightings: deque[Sighting]) -> bool:
    """Whether a track is missed, but for so few frames that it may still be a blink."""
    gaps = (gap for gap, sighting in enumerate(reversed(sightings)) if sighting.visible)
    return 1 <= next(gaps, 0) <= BLINK_MAX_FRAMES


def _entries(decision: CaptureDecision) -> list[tuple[CaptureReason, Kept]]:
    return [
        (found.reason, Kept(decision.phash, found.subjects))
        for found in decision.reasons
        if found.reason not in UNREPEATED
    ]
