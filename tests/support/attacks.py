"""Bundles that an attacker, a broken tool or a broken disk could make, each with its error.

Every attack starts from one good bundle and changes one thing; where the archive alone is attacked
the signature stays good, so that nothing else can be the reason. To have them as files:
``python -m tests.support.attacks FOLDER``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.attack import GOOD_BYTES, Attack
from tests.support.attacks_archive import on_the_archive
from tests.support.attacks_content import in_the_archive


def attacks() -> tuple[Attack, ...]:
    """All kinds, in the order in which a device asks."""
    return (*on_the_archive(), *in_the_archive())


def main(folder: Path) -> None:
    """Writes every attack, and the good bundle, as files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "good.zip").write_bytes(GOOD_BYTES)
    for attack in attacks():
        name = "".join(c if c.isalnum() else "-" for c in attack.name)
        (folder / f"{name}.zip").write_bytes(attack.make())
        print(f"{name}.zip: {attack.error.__name__} {attack.exit_code}: {attack.what}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
