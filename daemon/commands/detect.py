"""``sitewatch detect``: what the model finds on pictures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from daemon import annotate
from daemon.commands.options import add_model_options, model_config, score
from daemon.detection.detections import Detections
from daemon.detection.detector import Detector
from daemon.frames import RgbImage
from daemon.sources.folder import PICTURE_SUFFIXES, read_picture
from daemon.sources.picture import ArrayPicture
from updater.errors import SourceError, StorageError, UsageError

DRAWN_QUALITY = 92
DEFAULT_THREADS = 2

EPILOG = """\
examples:
  sitewatch detect photo.jpg
  sitewatch detect --json --threshold 0.4 photos/ > found.jsonl
  sitewatch detect --model yolov8n_int8.tflite --labels coco.txt --draw out/ photos/

With --json one line a picture:
  {"path": …, "width": …, "height": …,
   "detections": [{"class": …, "score": …, "box": [x1, y1, x2, y2]}, …]}
boxes in pixels of the picture, upright as its EXIF orientation says, strongest first.
A picture that cannot be read is named on stderr, and the others are still done.

exit codes: 0 done, 2 arguments, 4 a damaged bundle, 5 no runtime can run it, 6 a picture that
cannot be read
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "detect",
        help="find helmets, heads and persons on pictures",
        description="Finds what the model knows on pictures, or on all pictures of a folder.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_options(parser, threads=DEFAULT_THREADS)
    parser.add_argument(
        "--threshold", type=score, metavar="T", help="least score (default: the manifest's)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a picture")
    parser.add_argument(
        "--draw",
        type=Path,
        metavar="DIR",
        help="write the pictures with their boxes to this folder",
    )
    parser.add_argument(
        "paths", type=Path, nargs="+", metavar="PATH", help="a picture, or a folder of pictures"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; the exit code.

    Raises:
        BundleError: the bundle is damaged, or there is none.
        ModelError: no runtime can run the model.
        StorageError: a drawn picture cannot be written.
        UsageError: ``--draw`` names a folder of the pictures themselves.
    """
    _check_draw_folder(arguments.draw, arguments.paths)
    config = replace(model_config(arguments), score_threshold=arguments.threshold or 0.0)
    detector = Detector.open(config)
    failed = 0
    drawn: set[Path] = set()
    try:
        for path in _pictures(arguments.paths):
            try:
                rgb = _read(path)
            except SourceError as error:
                print(f"sitewatch: {error}", file=sys.stderr)
                failed += 1
                continue
            found = detector.detect(ArrayPicture(rgb))
            print(json.dumps(_record(path, found)) if arguments.json else _table(path, found))
            if arguments.draw:
                drawn.add(_write_drawn(_free_name(arguments.draw, path, drawn), rgb, found))
    finally:
        detector.close()
    return SourceError.exit_code if failed else 0


def _pictures(paths: Sequence[Path]) -> Iterator[Path]:
    """The pictures named, a folder's in the order of their names.

    A folder that cannot be read or holds no picture is given itself, for :func:`_read` to refuse.
    """
    for path in paths:
        try:
            inside = sorted(
                entry for entry in path.iterdir() if entry.suffix.lower() in PICTURE_SUFFIXES
            )
        except OSError:
            inside = []
        yield from inside or (path,)


def _read(path: Path) -> RgbImage:
    if path.is_dir():
        raise SourceError(
            "holds no picture, or cannot be read",
            where=str(path),
            hint=f"Known endings: {', '.join(sorted(PICTURE_SUFFIXES))}",
        )
    if path.exists() and not path.is_file():
        raise SourceError("is not a file", where=str(path))
    return read_picture(path)


def _check_draw_folder(folder: Path | None, paths: Sequence[Path]) -> None:
    """A drawn picture must never take the place of the picture it was drawn from."""
    sources = {(path if path.is_dir() else path.parent).resolve() for path in paths}
    if folder is not None and folder.resolve() in sources:
        raise UsageError(
            "the pictures themselves are in this folder",
            where=f"--draw {folder}",
            hint="Name another folder, so that none of them is overwritten",
        )


def _free_name(folder: Path, path: Path, taken: Set[Path]) -> Path:
    """``folder/NAME.jpg``, numbered where pictures of other folders have the same name."""
    target, number = folder / f"{path.stem}.jpg", 2
    while target in taken:
        target, number = folder / f"{path.stem}-{number}.jpg", number + 1
    return target


def _record(path: Path, found: Detections) -> dict[str, object]:
    return {
        "path": str(path),
        "width": found.width,
        "height": found.height,
        "detections": [
            {
                "class": one.class_name,
                "score": round(one.score, 5),
                "box": [round(side, 2) for side in one.box.as_tuple()],
            }
            for one in found
        ],
    }


def _table(path: Path, found: Detections) -> str:
    lines = [f"{path}  {found.width}x{found.height}  {len(found)} found"]
    lines += [
        f"  {one.score:.2f}  {one.class_name:<12} "
        + " ".join(f"{side:7.1f}" for side in one.box.as_tuple())
        for one in found
    ]
    return "\n".join(lines)


def _write_drawn(target: Path, rgb: RgbImage, found: Detections) -> Path:
    data = annotate.encode_jpeg(annotate.draw(rgb, found), quality=DRAWN_QUALITY)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    except OSError as error:
        raise StorageError(f"cannot be written: {error.strerror}", where=str(target)) from error
    return target
