"""Reads fields of foreign JSON one by one: each typed, bounded, and none left over."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

from updater.errors import BundleError, SitewatchError

TEXT_MAX_CHARACTERS = 4096
MAPPING_MAX_ENTRIES = 200


class FieldReader:
    """One JSON object, read field by field; :meth:`finish` refuses what nobody asked for.

    Args:
        raw: the parsed object.
        where: named in errors, with the field.
        error: what is raised below; whoever reads something else than a bundle names its own.

    Raises:
        BundleError: ``raw`` is not an object; from each method, when its field is missing or is
            not what the method's name says.
    """

    def __init__(self, raw: Any, *, where: str, error: type[SitewatchError] = BundleError) -> None:
        if not isinstance(raw, dict):
            raise error("must be an object", where=where)
        self.where = where
        self._error = error
        self._left: dict[str, Any] = dict(raw)

    def finish(self) -> None:
        """Refuses fields that were not read.

        Raises:
            BundleError: there is one.
        """
        if self._left:
            raise self._error(f"unknown field {min(self._left)!r}", where=self.where)

    def has(self, name: str) -> bool:
        """Whether there is a field of this name that was not read yet."""
        return name in self._left

    def text(
        self,
        name: str,
        *,
        pattern: re.Pattern[str] | None = None,
        choices: tuple[str, ...] | None = None,
    ) -> str:
        """A text, 1 to 4096 characters."""
        value = self._take(name)
        if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX_CHARACTERS:
            raise self._wrong(name, f"must be a text of 1 to {TEXT_MAX_CHARACTERS} characters")
        if pattern is not None and not pattern.fullmatch(value):
            raise self._wrong(name, f"{value[:80]!r} is not of the form {pattern.pattern}")
        if choices is not None and value not in choices:
            raise self._wrong(name, f"{value[:80]!r} is not one of {', '.join(choices)}")
        return value

    def optional_text(self, name: str) -> str:
        """A text of at most 4096 characters that may be empty."""
        value = self._take(name)
        if not isinstance(value, str) or len(value) > TEXT_MAX_CHARACTERS:
            raise self._wrong(name, f"must be a text of at most {TEXT_MAX_CHARACTERS} characters")
        return value

    def integer(self, name: str, least: int, most: int) -> int:
        """A whole number from ``least`` to ``most``."""
        value = self._take(name)
        if type(value) is not int or not least <= value <= most:
            raise self._wrong(name, f"must be a whole number from {least} to {most}")
        return value

    def number(self, name: str, least: float, most: float) -> float:
        """A number from ``least`` to ``most``."""
        value = self._take(name)
        if type(value) not in (int, float) or not least <= value <= most:
            raise self._wrong(name, f"must be a number from {least:g} to {most:g}")
        return float(value)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._take(name)
        if type(value) is not bool:
            raise self._wrong(name, "must be true or false")
        return value

    def texts(self, name: str, *, at_least: int = 0, at_most: int) -> tuple[str, ...]:
        """A list of texts."""
        values = self.raw_list(name, at_least=at_least, at_most=at_most)
        if not all(isinstance(v, str) and 0 < len(v) <= TEXT_MAX_CHARACTERS for v in values):
            raise self._wrong(name, "must hold texts only")
        return tuple(values)

    def integers(self, name: str, least: int, most: int, *, at_most: int) -> tuple[int, ...]:
        """A list of whole numbers."""
        values = self.raw_list(name, at_most=at_most)
        if not all(type(v) is int and least <= v <= most for v in values):
            raise self._wrong(name, f"must hold whole numbers from {least} to {most} only")
        return tuple(values)

    def floats(self, name: str, least: float, most: float, *, exactly: int) -> tuple[float, ...]:
        """A list of numbers."""
        values = self.raw_list(name, at_least=exactly, at_most=exactly)
        if not all(type(v) in (int, float) and least <= v <= most for v in values):
            raise self._wrong(name, f"must hold numbers from {least:g} to {most:g} only")
        return tuple(float(v) for v in values)

    def raw_list(self, name: str, *, at_least: int = 0, at_most: int) -> list[Any]:
        """A list of anything."""
        value = self._take(name)
        if not isinstance(value, list) or not at_least <= len(value) <= at_most:
            raise self._wrong(name, f"must be a list of {at_least} to {at_most} entries")
        return value

    def sub(self, name: str) -> FieldReader:
        """An object in this one."""
        return FieldReader(self._take(name), where=f"{self.where}: {name}", error=self._error)

    def optional_sub(self, name: str) -> FieldReader | None:
        """An object in this one, or null."""
        value = self._take(name)
        if value is None:
            return None
        return FieldReader(value, where=f"{self.where}: {name}", error=self._error)

    def subs(self, name: str, *, at_least: int = 0, at_most: int) -> tuple[FieldReader, ...]:
        """A list of objects."""
        values = self.raw_list(name, at_least=at_least, at_most=at_most)
        return tuple(
            FieldReader(value, where=f"{self.where}: {name}[{index}]", error=self._error)
            for index, value in enumerate(values)
        )

    def numbers(self, name: str) -> Mapping[str, float]:
        """An object whose values are finite numbers."""
        values = self._mapping(name)
        if not all(
            type(v) in (int, float) and abs(v) <= sys.float_info.max for v in values.values()
        ):
            raise self._wrong(name, "must hold finite numbers only")
        return {key: float(value) for key, value in values.items()}

    def strings(self, name: str) -> Mapping[str, str]:
        """An object whose values are texts."""
        values = self._mapping(name)
        if not all(isinstance(v, str) and len(v) <= TEXT_MAX_CHARACTERS for v in values.values()):
            raise self._wrong(name, "must hold texts only")
        return values

    def _mapping(self, name: str) -> dict[str, Any]:
        value = self._take(name)
        if not isinstance(value, dict) or len(value) > MAPPING_MAX_ENTRIES:
            raise self._wrong(name, f"must be an object of at most {MAPPING_MAX_ENTRIES} entries")
        return value

    def _take(self, name: str) -> Any:
        if name not in self._left:
            raise self._wrong(name, "is missing")
        return self._left.pop(name)

    def _wrong(self, name: str, what: str) -> SitewatchError:
        return self._error(what, where=f"{self.where}: {name}")
