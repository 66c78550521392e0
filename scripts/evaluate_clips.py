"""Shows what the rules make of video clips: which alerts start when, at several frame rates.

The model looks once at every frame of each clip in each appearance (as it is, mirrored, darker,
brighter, smaller), then tracker and rules run over what it found at every rate, so that a change
of the rules is judged in seconds. With --keep FOLDER what was found is kept there and read again.

Example: .venv/bin/python -m scripts.evaluate_clips --model packaging/model clip.mp4
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from daemon.alerts.events import AlertEvent, EventType
from daemon.alerts.rules import RuleEngine
from daemon.config import ModelConfig, RulesConfig, TrackerConfig
from daemon.detection.detections import Detections
from daemon.detection.detector import Detector
from daemon.frames import RgbImage
from daemon.sources.picture import ArrayPicture
from daemon.sources.videofile import VideoFileSource
from daemon.tracking.tracker import Tracker
from daemon.tracking.tracks import Track

RATES_FPS = (30.0, 10.0, 5.0, 2.0, 1.0)
SMALLER = 0.6
GREY = 114  # of YOLOv5's letterbox

Looks = list[tuple[float, Detections]]


def _smaller(rgb: RgbImage) -> RgbImage:
    """As from further away: the picture shrunk into the lower middle of a grey one."""
    height, width = rgb.shape[:2]
    size = (round(width * SMALLER), round(height * SMALLER))
    small = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX))
    result = np.full_like(rgb, GREY)
    left = (width - size[0]) // 2
    result[height - size[1] :, left : left + size[0]] = small
    return result


def _brighter(factor: float) -> Callable[[RgbImage], RgbImage]:
    table = np.minimum(np.arange(256) * factor, 255).astype(np.uint8)
    return lambda rgb: table[rgb]


APPEARANCES: dict[str, Callable[[RgbImage], RgbImage]] = {
    "plain": lambda rgb: rgb,
    "mirrored": lambda rgb: np.ascontiguousarray(rgb[:, ::-1]),
    "darker": _brighter(0.45),
    "brighter": _brighter(1.5),
    "smaller": _smaller,
}


@dataclass(frozen=True)
class Outcome:
    """What came of one clip at one rate."""

    events: tuple[AlertEvent, ...]
    tracks: tuple[tuple[Track, ...], ...]

    @property
    def starts(self) -> tuple[AlertEvent, ...]:
        """All starts."""
        return tuple(event for event in self.events if event.type is EventType.START)


def look(detector: Detector, clip: Path, appearance: str = "plain") -> Looks:
    """Detections of every frame of a clip, with their times."""
    change = APPEARANCES[appearance]
    looks: Looks = []
    with VideoFileSource(clip) as source:
        while frame := source.read():
            picture = ArrayPicture(change(frame.picture.rgb()))
            looks.append((frame.media_time_s, detector.detect(picture)))
    return looks


def thinned(looks: Looks, fps: float) -> Looks:
    """At most so many frames a second, evenly."""
    kept: Looks = []
    for time_s, found in looks:
        if not kept or time_s - kept[0][0] >= len(kept) / fps - 1e-6:
            kept.append((time_s, found))
    return kept


def play(looks: Looks, rules: RulesConfig, tracker: TrackerConfig) -> Outcome:
    """Runs tracker and rules over what was found."""
    follower = Tracker(tracker, rules)
    numbers = itertools.count(1)
    engine = RuleEngine(rules, (), lambda: str(next(numbers)))
    events: list[AlertEvent] = []
    tracks: list[tuple[Track, ...]] = []
    time_s = 0.0
    for time_s, found in looks:
        tracks.append(follower.update(found, time_s))
        events += engine.update(
            tracks[-1],
            media_time_s=time_s,
            local_time=datetime.fromtimestamp(time_s, UTC),
            width=found.width,
            height=found.height,
            model_version=found.model_version,
        )
    events += engine.finish(media_time_s=time_s)
    return Outcome(tuple(events), tuple(tracks))


def save(looks: Looks, file: Path) -> None:
    """Keeps detections as JSON."""
    rows = [
        [time_s, found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist()]
        for time_s, found in looks
    ]
    first = looks[0][1]
    head = {
        "classes": first.classes,
        "width": first.width,
        "height": first.height,
        "model_version": first.model_version,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**head, "looks": rows}))


def load(file: Path) -> Looks:
    """Reads what :func:`save` wrote."""
    told = json.loads(file.read_text())
    return [
        (
            time_s,
            Detections(
                np.array(boxes, np.float32).reshape(-1, 4),
                np.array(scores, np.float32),
                np.array(class_ids, np.int32),
                tuple(told["classes"]),
                told["width"],
                told["height"],
                told["model_version"],
            ),
        )
        for time_s, boxes, scores, class_ids in told["looks"]
    ]


def _all_looks(options: argparse.Namespace) -> Iterator[tuple[Path, str, Looks]]:
    detector: Detector | None = None
    for clip, appearance in itertools.product(options.clips, options.appearance):
        kept = options.keep / f"{clip.stem}.{appearance}.json" if options.keep else None
        if kept is not None and kept.exists():
            yield clip, appearance, load(kept)
            continue
        if detector is None:
            least = TrackerConfig().low_score
            model = ModelConfig(bundle=options.model, score_threshold=least, threads=1)
            detector = Detector.open(model)
        looks = look(detector, clip, appearance)
        if kept is not None:
            save(looks, kept)
        yield clip, appearance, looks


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses the command line and prints a line for each clip, appearance and rate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of a bundle")
    parser.add_argument("--rate", type=float, nargs="+", default=RATES_FPS, help="frames a second")
    parser.add_argument(
        "--appearance", nargs="+", choices=APPEARANCES, default=["plain"], help="of the clips"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for what the model found")
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    options = parser.parse_args(arguments)
    for clip, appearance, looks in _all_looks(options):
        for fps in options.rate:
            outcome = play(thinned(looks, fps), RulesConfig(), TrackerConfig())
            told = [f"{event.media_time_s:.1f} s {event.violation}" for event in outcome.starts]
            print(f"{clip.stem} {appearance} {fps:g}/s: {len(told)} starts: {', '.join(told)}")


if __name__ == "__main__":
    main()
