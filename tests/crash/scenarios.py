"""The commands that are struck, and what a device had been through before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.crash.place import Common, Place

BUNDLES = ("1.0", "2.0", "3.0", "4.0")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A command on a store.

    Attributes:
        name: for people.
        prepare: brings the store to where the command finds it.
        command: its arguments; ``{4.0}`` stands for that version's bundle, ``{url:4.0}`` for its
            address.
        before: version that is current before it; "" for none.
        after: version that is current when it, or a repetition of it, has succeeded.
        settings: of the configuration's top level.
        readable: whether the journal can be read before, and so always.
        ends: state of ``after`` then.
    """

    name: str
    prepare: Callable[[Place], None]
    command: tuple[str, ...]
    before: str
    after: str
    settings: dict[str, int] = field(default_factory=dict)
    readable: bool = True
    ends: str = "committed"


def _installed(*versions: str) -> Callable[[Place], None]:
    def prepare(place: Place) -> None:
        for version in versions:
            place.succeed("install", f"{{{version}}}", "--offline")

    return prepare


def _on_trial(starts: int = 0) -> Callable[[Place], None]:
    def prepare(place: Place) -> None:
        place.succeed("install", "{1.0}", "--offline")
        place.succeed("install", "{2.0}")
        for _ in range(starts):
            place.succeed("recover", "--daemon-start")

    return prepare


def _superfluous(place: Place) -> None:
    """Four releases, kept while there was room for them."""
    roomy = replace(place, settings={"keep_releases": 100})
    _installed("1.0", "2.0", "3.0", "4.0")(roomy)
    (place.folder / "update.toml").unlink()


def _killed(call: str, number: int) -> Callable[[Place], None]:
    """1.0 is good; the installation of 2.0 was killed there."""

    def prepare(place: Place) -> None:
        place.succeed("install", "{1.0}", "--offline")
        place.kill(call, number, "install", "{2.0}", "--offline")

    return prepare


def _without_journal(place: Place) -> None:
    """As after damage: the journal is empty, the link is gone, a write was cut off."""
    place.succeed("install", "{1.0}", "--offline")
    place.succeed("install", "{2.0}", "--offline")
    (place.store / "journal.json").write_bytes(b"")
    (place.store / "current").unlink()
    (place.store / ".journal.json.cut").write_bytes(b"{")


SCENARIOS = (
    Scenario("install, first", _installed(), ("install", "{1.0}", "--offline"), "", "1.0"),
    Scenario(
        "install, second", _installed("1.0"), ("install", "{2.0}", "--offline"), "1.0", "2.0"
    ),
    Scenario(
        "install, oldest removed", _installed("1.0", "2.0", "3.0"),
        ("install", "{4.0}", "--offline"), "3.0", "4.0", settings={"keep_releases": 2},
    ),
    Scenario(
        "install, pending", _installed("1.0"), ("install", "{2.0}"), "1.0", "2.0",
        ends="on_probation",
    ),
    Scenario(
        "install, fetched", _installed("1.0"), ("install", "{url:2.0}", "--offline"), "1.0", "2.0"
    ),
    Scenario("rollback", _installed("1.0", "2.0"), ("rollback",), "2.0", "1.0"),
    Scenario("rollback of a trial", _on_trial(), ("rollback",), "2.0", "1.0"),
    Scenario(
        "rollback --to", _installed("1.0", "2.0", "3.0"), ("rollback", "--to", "1.0"), "3.0", "1.0"
    ),
    Scenario("confirm", _on_trial(), ("confirm",), "2.0", "2.0"),
    Scenario(
        "gc", _superfluous, ("gc",), "4.0", "4.0", settings={"keep_releases": 2},
    ),
    Scenario("recover, half unpacked", _killed("write", 3), ("recover",), "1.0", "1.0"),
    Scenario("recover, not switched", _killed("symlink", 1), ("recover",), "1.0", "1.0"),
    Scenario(
        "recover, third start", _on_trial(starts=2), ("recover", "--daemon-start"), "2.0", "1.0"
    ),
    Scenario(
        "recover, no journal", _without_journal, ("recover",), "2.0", "2.0", readable=False
    ),
)  # fmt: skip


def place_for(common: Common, folder: Path, scenario: Scenario) -> Place:
    """Where a scenario is made ready; the same each time."""
    name = "".join(c if c.isalnum() else "-" for c in scenario.name)
    return Place(common, folder / name, scenario.settings)
