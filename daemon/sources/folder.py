"""The pictures of a folder in the order of their names, as if a camera had taken them."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from daemon.frames import Frame, RgbImage
from daemon.sources.base import MAX_PIXELS, Stamper
from daemon.sources.picture import ArrayPicture
from updater.errors import SourceError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

_MAX_REPORTED = 10
"""Unreadable pictures that are named in the log one by one; the rest are only counted."""

_log = logging.getLogger(__name__)


def read_picture(path: Path) -> RgbImage:
    """Reads one picture, upright.

    Args:
        path: the file, in any format that Pillow reads.

    Returns:
        Shape (height, width, 3), turned as its EXIF orientation says.

    Raises:
        SourceError: it cannot be read, is no picture, is cut off or too large.
    """
    try:
        with warnings.catch_warnings():
            # Pillow only warns about very large pictures; we refuse them, by our own bound.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # As text: older Pillows make a Path absolute, which may lead through closed folders.
            with Image.open(str(path)) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise SourceError(
                        f"a picture of {image.width}x{image.height} is too large",
                        where=str(path),
                        hint=f"At most {MAX_PIXELS // 1_000_000} million pixels are read",
                    )
                upright = ImageOps.exif_transpose(image)
                return np.asarray(upright.convert("RGB"))
    except UnidentifiedImageError as error:
        raise SourceError("is no picture that can be read", where=str(path)) from error
    except Image.DecompressionBombError as error:
        raise SourceError("the picture is too large", where=str(path)) from error
    except FileNotFoundError as error:
        raise SourceError("no such file", where=str(path)) from error
    # Pillow's decoders raise all of these on damaged files.
    except (OSError, ValueError, SyntaxError, IndexError, EOFError) as error:
        raise SourceError(f"the picture cannot be read: {error}", where=str(path)) from error


class FolderSource:
    """Reads the pictures of a folder (not of those in it), or a single picture.

    Args:
        path: the folder, or one picture.
        frames_per_second: how fast the pictures follow one another on the media clock.
    """

    live = False
    trouble = ""

    def __init__(self, path: Path, *, frames_per_second: float) -> None:
        self._path = path
        self._frames_per_second = frames_per_second
        self.description = f"folder {path}" if path.is_dir() else f"picture {path}"
        self.damaged = 0
        self._interrupted = threading.Event()
        self._stamper = Stamper()
        self._position = 0
        self._pictures: Iterator[Path] = iter(())

    def __enter__(self) -> Self:
        paths = self._paths()
        if not paths:
            raise SourceError(
                "contains no pictures",
                where=str(self._path),
                hint=f"Known endings: {', '.join(sorted(PICTURE_SUFFIXES))}",
            )
        self._pictures = iter(paths)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pictures = iter(())

    def interrupt(self) -> None:
        """See :class:`~daemon.sources.base.Source`."""
        self._interrupted.set()

    def read(self) -> Frame | None:
        """See :class:`~daemon.sources.base.Source`.

        Raises:
            SourceError: at the end, if not one picture could be read.
        """
        for path in self._pictures:
            if self._interrupted.is_set():
                return None
            # The place in the folder sets the time, so that an unreadable picture does not move
            # the ones behind it.
            media_time_s = self._position / self._frames_per_second
            self._position += 1
            try:
                picture = ArrayPicture(read_picture(path))
            except SourceError as error:
                self.damaged += 1
                if self.damaged <= _MAX_REPORTED:
                    _log.error("left out: %s", error)
                continue
            return self._stamper.stamp(picture, media_time_s=media_time_s)
        if self.damaged and self.damaged == self._position:
            raise SourceError(
                f"none of its {self.damaged} pictures can be read", where=str(self._path)
            )
        if self.damaged:
            _log.error("%s: %d unreadable pictures left out", self.description, self.damaged)
        return None

    def _paths(self) -> list[Path]:
        if self._path.is_file():
            return [self._path]
        try:
            return sorted(
                entry
                for entry in self._path.iterdir()
                if entry.suffix.lower() in PICTURE_SUFFIXES and entry.is_file()
            )
        except FileNotFoundError as error:
            raise SourceError("no such folder", where=str(self._path)) from error
        except OSError as error:
            raise SourceError(
                f"cannot be listed: {error.strerror}", where=str(self._path)
            ) from error
