"""Every attack bundle goes the whole way on which a device reads one, and leaves no trace."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from tests.support.attack import GOOD_BYTES, Attack
from tests.support.attacks import attacks
from tests.support.signed import FILES, KEY, WHERE, read
from tests.support.watch import escapes, tree
from updater.errors import SitewatchError

ATTACKS = attacks()


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where bundles are unpacked, amid things that an attacker would like to reach."""
    (tmp_path / "evil").write_text("untouched")
    (tmp_path / "store").mkdir()
    (tmp_path / "store/evil").symlink_to(tmp_path / "evil")
    (tmp_path / "store/current").write_text("untouched")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder = tmp_path / "store/staging"
    folder.mkdir(mode=0o755)
    return folder


def test_there_are_enough_kinds() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 45
    made = [(attack.make(), attack.facts, attack.limits) for attack in ATTACKS]
    assert all(made[i] not in made[:i] for i in range(len(made))), "no kind is there twice"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_is_refused_by_its_error(attack: Attack, staging: Path, tmp_path: Path) -> None:
    before = tree(tmp_path)
    with escapes() as escaped, pytest.raises(SitewatchError) as caught:
        read(
            io.BytesIO(attack.make()),
            staging,
            facts=attack.facts,
            limits=attack.limits,
            archive_sha256=attack.archive_sha256,
        )
    error = caught.value
    assert error.what == attack.what
    assert error.where == _where(attack.where)
    assert type(error) is attack.error
    assert error.exit_code == attack.exit_code
    assert str(error).isprintable(), "nothing foreign reaches a terminal or a log as it is"
    assert escaped == []
    assert tree(tmp_path) == before, "nothing is written anywhere, and nothing half-written stays"


def test_the_good_bundle_is_read(staging: Path, tmp_path: Path) -> None:
    before = tree(tmp_path)
    with escapes() as escaped:
        examined = read(io.BytesIO(GOOD_BYTES), staging)
    assert examined.signer is not None
    assert examined.signer.key_id == KEY.key_id
    assert escaped == []
    after = tree(tmp_path)
    new = {name for name in after if name not in before}
    assert new == {f"store/staging/{name}" for name in (*FILES, "golden", "manifest.json",
                                                        "manifest.sig")}  # fmt: skip
    assert {name: after[name] for name in before} == before


def test_other_readers_take_the_good_bundle_for_a_zip() -> None:
    with zipfile.ZipFile(io.BytesIO(GOOD_BYTES)) as archive:
        assert archive.testzip() is None
        assert archive.read("model.tflite") == FILES["model.tflite"]


def test_escapes_are_seen(staging: Path, tmp_path: Path) -> None:
    with escapes() as escaped:
        (tmp_path / "evil").write_text("touched")
        (staging / "../out").mkdir()
    assert [text.split()[0] for text in escaped] == ["open", "os.mkdir"]


def _where(place: str) -> str:
    if place.startswith("!"):
        return place[1:]
    return f"{WHERE}: {place}" if place else WHERE
