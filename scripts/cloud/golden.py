"""Which of the allowed pictures go into a bundle as golden ones. Pure.

A golden picture says what *is* on it, so the truth comes with the picture and not from the model.
The model only decides which pictures it can be held to: a device must find on them what was found
here, and runtimes differ in the last bits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from scripts.cloud.errors import GateError
from scripts.iou import Corners, iou
from updater.manifest import GoldenObject

MIN_IOU = 0.5
SCORE_SHARE = 0.7
"""Of the score seen here must be reached there: a broken model differs by much more."""
QUIET_SHARE = 0.85
"""Of the working threshold; what is not there must not come this close to it."""
MOST_PICTURES = 8
"""A device looks at each before every update."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A picture that may be passed on.

    Attributes:
        name: of its file, different from all others'.
        objects: class and corners of everything that is on it.
    """

    name: str
    objects: tuple[tuple[str, Corners], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A detection."""

    class_name: str
    score: float
    box: Corners


@dataclass(frozen=True, slots=True)
class Golden:
    """A picture that the model can be held to.

    Attributes:
        name: of its file.
        objects: with their least scores.
        margin: least score found on it; 1 where nothing is on it.
    """

    name: str
    objects: tuple[GoldenObject, ...]
    margin: float


def choose(
    allowed: Sequence[Allowed],
    found: Mapping[str, Sequence[Found]],
    *,
    threshold: float,
    most: int = MOST_PICTURES,
) -> tuple[Golden, ...]:
    """The pictures that prove most: each class and an empty one first, then by margin.

    Args:
        allowed: pictures to choose from.
        found: what the model finds on each, from ``QUIET_SHARE`` of the threshold on.
        threshold: at which the model works.
        most: pictures.

    Raises:
        GateError: a class, or emptiness, is on the allowed pictures, and the model can be held to
            it on none of them.
    """
    proven, wrong = [], {}
    for picture in allowed:
        golden = judge(picture, found.get(picture.name, ()), threshold)
        if isinstance(golden, Golden):
            proven.append(golden)
        else:
            wrong[picture.name] = golden
    proven.sort(key=lambda golden: (-golden.margin, golden.name))
    chosen: list[Golden] = []
    for kind in _kinds(allowed):
        if any(kind in _kinds([golden]) for golden in chosen):
            continue
        first = next((golden for golden in proven if kind in _kinds([golden])), None)
        if first is None:
            reasons = "; ".join(
                f"{name}: {reason}"
                for name, reason in sorted(wrong.items())
                if any(kind in _kinds([picture]) for picture in allowed if picture.name == name)
            )
            raise GateError(
                f"no allowed picture proves {kind or 'that nothing is found where nothing is'}: "
                f"{reasons}",
                hint="Train on, or allow other pictures",
            )
        chosen.append(first)
    rest = [golden for golden in proven if golden not in chosen]
    return tuple((chosen + rest)[: max(most, len(chosen))])


def judge(picture: Allowed, found: Sequence[Found], threshold: float) -> Golden | str:
    """What the model can be held to on a picture; a clause that says why it cannot."""
    left = [one for one in found if one.score >= QUIET_SHARE * threshold]
    wanted, margin = [], 1.0
    for name, box in picture.objects:
        match = max(
            (one for one in left if one.class_name == name and iou(one.box, box) >= MIN_IOU),
            key=lambda one: one.score,
            default=None,
        )
        if match is None:
            return f"does not find the {name}"
        if match.score < threshold:
            return f"finds the {name} at {match.score:.2f} only"
        left.remove(match)
        margin = min(margin, match.score)
        # The threshold cuts on the device, so no lower score is ever seen there.
        wanted.append(GoldenObject(name, box, round(SCORE_SHARE * match.score, 3)))
    if left:
        return f"finds a {left[0].class_name} that is not there, at {left[0].score:.2f}"
    return Golden(picture.name, tuple(wanted), margin)


def _kinds(pictures: Collection[Allowed] | Collection[Golden]) -> list[str]:
    """The classes on pictures, and "" for an empty one."""
    kinds: dict[str, None] = {}
    for picture in pictures:
        for one in picture.objects:
            kinds[one.class_name if isinstance(one, GoldenObject) else one[0]] = None
        if not picture.objects:
            kinds[""] = None
    return list(kinds)
