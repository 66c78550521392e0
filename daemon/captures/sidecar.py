"""What is written beside a picture, made from the decision to keep it.

The format, its reader and its writer are :mod:`updater.captures`, so that the upload reads the
folder without anything of the daemon.
"""

from __future__ import annotations

from daemon.captures.phash import to_hex
from daemon.captures.reasons import CaptureReason, Subject
from daemon.captures.selection import CaptureDecision, Kept
from daemon.clock import Stamp
from daemon.detection.detections import Detections
from daemon.frames import Box
from updater import captures as stored

SCORE_DIGITS = 4
BOX_DIGITS = 2
"""Decimals of a pixel; more would be noise, and bytes."""


def build(
    decision: CaptureDecision,
    jpeg: bytes,
    *,
    sequence: int,
    device: str,
    taken: Stamp,
    elapsed_s: float,
) -> stored.Sidecar:
    """The sidecar of a picture.

    Args:
        decision: why it is kept.
        jpeg: the picture's file.
        sequence: number of the capture.
        device: id of the camera.
        taken: when the frame was taken.
        elapsed_s: the same moment on the captures' count of time.
    """
    detections = decision.detections
    return stored.Sidecar(
        sequence=sequence,
        device=device,
        taken=stored.Taken(
            utc=stored.utc_text(taken.time.timestamp()),
            clock_synchronised=taken.clock_synchronised,
            boot_id=taken.boot_id,
            monotonic_s=round(max(0.0, taken.monotonic_s), 3),
            elapsed_s=round(elapsed_s, 3),
            media_time_s=round(decision.frame.media_time_s, 3),
            frame_sequence=decision.frame.sequence,
        ),
        picture=stored.Pixels(
            width=detections.width,
            height=detections.height,
            size_bytes=len(jpeg),
            sha256=stored.sha256_of(jpeg),
        ),
        model=_model(detections),
        detections=tuple(
            stored.Found(found.class_name, round(found.score, SCORE_DIGITS), _rounded(found.box))
            for found in list(detections)[: stored.DETECTIONS_MAX]
        ),
        reasons=tuple(
            stored.Reason(
                found.reason.value,
                round(found.value, SCORE_DIGITS),
                tuple(
                    stored.Subject(
                        subject.class_name,
                        round(subject.value, SCORE_DIGITS),
                        _rounded(subject.box),
                    )
                    for subject in found.subjects[: stored.SUBJECTS_MAX]
                ),
            )
            for found in decision.reasons
        ),
        value=round(decision.value, SCORE_DIGITS),
        phash=to_hex(decision.phash),
        other_model=_model(decision.other) if decision.other is not None else None,
    )


def kept(sidecar: stored.Sidecar) -> list[tuple[CaptureReason, Kept]]:
    """What the search for duplicates should remember of a capture."""
    return [
        (
            CaptureReason(found.reason),
            Kept(
                int(sidecar.phash, 16),
                tuple(
                    Subject(subject.class_name, Box(*subject.box), subject.value)
                    for subject in found.subjects
                ),
            ),
        )
        for found in sidecar.reasons
    ]


def _model(detections: Detections) -> stored.Model:
    return stored.Model(version=detections.model_version, classes=detections.classes)


def _rounded(box: Box) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (round(float(value), BOX_DIGITS) for value in box.as_tuple())
    return x1, y1, x2, y2
