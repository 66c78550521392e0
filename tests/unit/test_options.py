"""The reader of configuration files and the writer of their documentation, on a small example.

What it refuses and in which words is tested on the daemon's own fields in ``test_configfile``.
"""

from __future__ import annotations

import io
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from updater import options
from updater.errors import ConfigError
from updater.optiondoc import render_default, render_reference
from updater.options import option


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel."""

    spokes: int = option(32, "Number of spokes.", minimum=0, maximum=100)


@dataclass(frozen=True, slots=True)
class Frame:
    """What carries the rest."""

    colour: str = option("red", "Its colour.", choices=("red", "blue"), reload=True)
    load_bytes: int = option(1, "Most it carries.", minimum=0.5, maximum=1e11)


@dataclass(frozen=True, slots=True)
class Bicycle:
    """The whole."""

    owner: Path | None = option(None, "File with the owner's name.")
    gears: tuple[int, ...] = option((1, 2), "Ratios.")
    frame: Frame = field(default_factory=Frame)
    wheels: tuple[Wheel, ...] = ()


TOML = """\
# A bicycle.

# File with the owner's name. [restart]
# Not set. To set it: owner = "FILE"
# Ratios. [restart]
#gears = [1, 2]

[frame]
# Its colour. One of: red, blue.
#colour = "red"
# Most it carries. From 0.5 to 100000000000. [restart]
#load_bytes = 1

# One wheel.
# [[wheels]]
# Number of spokes. From 0 to 100.
#spokes = 32
"""

MARKDOWN = """\
# Bicycle

| field | type | default | meaning |
|---|---|---|---|
| `owner` | path | none | File with the owner's name. |
| `gears` | list | `[1, 2]` | Ratios. |

## `[frame]`

What carries the rest.

| field | type | default | meaning |
|---|---|---|---|
| `colour` | text | `"red"` | Its colour. One of: red, blue. |
| `load_bytes` | whole number | `1` | Most it carries. From 0.5 to 100000000000. |

## `[[wheels]]`

One wheel.

| field | type | default | meaning |
|---|---|---|---|
| `spokes` | whole number | `32` | Number of spokes. From 0 to 100. |
"""


def test_options_outside_of_a_section_sections_and_repeated_ones() -> None:
    text = (
        'owner = "me"\ngears = [3]\n[frame]\ncolour = "blue"\n[[wheels]]\n[[wheels]]\nspokes = 0\n'
    )
    assert options.parse(Bicycle, text, where="b.toml") == Bicycle(
        owner=Path("me"), gears=(3,), frame=Frame(colour="blue"), wheels=(Wheel(), Wheel(spokes=0))
    )


def test_an_open_file_is_read_without_its_path() -> None:
    read = options.read(Bicycle, io.BytesIO(b"gears = [7]"), where="b.toml")
    assert read.gears == (7,)
    with pytest.raises(ConfigError, match=r"^b\.toml: larger than"):
        options.read(Bicycle, io.BytesIO(b"#" * (options.CONFIG_MAX_BYTES + 1)), where="b.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gear = [1]", "b.toml: unknown key 'gear'. Did you mean 'gears'?"),
        ("gears = 1", "b.toml: gears: must be a list"),
        ("[[frame]]", "b.toml: frame: must be a table"),
        ("[wheels]", "b.toml: wheels: must be written as [[wheels]]"),
        ("[[wheels]]\nspokes = 101", "b.toml: wheels[0].spokes: 101 is more than 100"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options.parse(Bicycle, text, where="b.toml")
    assert str(caught.value) == message


def test_the_default_file() -> None:
    assert render_default(Bicycle, ["A bicycle."], reloads=True) == TOML
    assert tomllib.loads(TOML) == {"frame": {}}


def test_the_reference() -> None:
    assert render_reference(Bicycle, ["# Bicycle"], reloads=False) == MARKDOWN


def test_the_reference_tells_what_is_taken_over_live() -> None:
    text = render_reference(Bicycle, ["# Bicycle"], reloads=True)
    assert '| `colour` | text | `"red"` | yes | Its colour.' in text
    assert "| `gears` | list | `[1, 2]` |  | Ratios. |" in text
