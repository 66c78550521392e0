from __future__ import annotations

from pathlib import Path

import pytest

from scripts.selection import results
from scripts.selection.interval import paired
from scripts.selection.results import BOXES, DEVICE, RANDOM, Result, Trial
from scripts.selection.table import insert, report
from updater.errors import StorageError, UsageError


def result(seed: int, arm: str, pictures: int, map50: float = 0.5) -> Result:
    names = ("map50", "helmet_map50", "head_map50", "map50_95")
    return Result(
        Trial(seed, arm, pictures),
        steps=10,
        figures=dict.fromkeys(names, map50),
        boxes={"helmet": 3, "head": 2},
        chosen={"uncertain_score": pictures},
        size_px=256,
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "new" / "results.jsonl"
    assert results.read(file) == []
    written = [result(1, DEVICE, 60), result(1, RANDOM, 60)]
    for each in written:
        results.append(file, each)
    assert results.read(file) == written


def test_a_run_goes_on_after_the_last_whole_line(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    wanted = [Trial(1, DEVICE, 60), Trial(1, RANDOM, 60), Trial(2, DEVICE, 60)]
    results.append(file, result(1, DEVICE, 60))
    with file.open("a") as cut_off:
        cut_off.write('{"seed":1,"arm":"random","pic')
    assert results.left(wanted, results.read(file)) == wanted[1:]
    results.append(file, result(1, RANDOM, 60))
    assert results.left(wanted, results.read(file)) == wanted[2:]
    assert len(file.read_text().splitlines()) == 2


def test_a_line_that_is_no_result_is_named(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    results.append(file, result(1, DEVICE, 60))
    with file.open("a") as other:
        other.write('{"seed": 2}\n')
    with pytest.raises(StorageError, match=r"results\.jsonl:2: not a result"):
        results.read(file)


def test_the_table_pairs_by_seed() -> None:
    known = [
        result(2, RANDOM, 60, 0.50),
        result(1, DEVICE, 60, 0.56),
        result(1, RANDOM, 60, 0.54),
        result(2, DEVICE, 60, 0.51),
        result(3, DEVICE, 60, 0.99),  # its pair is not there yet
        result(1, DEVICE, 120, 0.70),
    ]
    text = report(known)
    assert "| device | 60 | 3 | .687 |" in text
    assert "| device less random, 60 | mean mAP50 | +2.0, +1.0 | +1.50 | -4.85 to +7.85 |" in text
    assert "random, 120 |" not in text


def test_as_many_boxes_are_compared_with_the_arm_that_they_were_drawn_for() -> None:
    known = [result(1, "device-best", 60), result(1, DEVICE, 60, 0.6), result(1, BOXES, 60)]
    text = report(known)
    assert "| device less random-boxes, 60 | mean mAP50 | +10.0 |" in text
    assert "device-best less" not in text


def test_tables_take_the_place_of_earlier_ones() -> None:
    page = "above\n<!-- tables -->\n<!-- end of tables -->\nbelow\n"
    once = insert(page, "| a |")
    assert insert(insert(page, "| b |\n| c |"), "| a |") == once
    assert once.split() == ["above", *page.split()[1:4], "|", "a", "|", *page.split()[4:]]
    with pytest.raises(UsageError, match="no place"):
        insert("above\n", "| a |")


def test_the_page_shows_the_results_beside_it(project_root: Path) -> None:
    page = (project_root / "docs/selection.md").read_text()
    known = results.read(project_root / "docs/selection.jsonl")
    assert known
    assert insert(page, report(known)) == page


def test_the_page_tells_of_the_longer_training_what_its_results_say(project_root: Path) -> None:
    page = (project_root / "docs/selection.md").read_text()
    known = {each.trial: each for each in results.read(project_root / "docs/selection-240.jsonl")}
    device, chance = (
        [100 * known[Trial(seed, arm, 120)].figures["map50"] for seed in range(1, 6)]
        for arm in (DEVICE, RANDOM)
    )
    span = paired(device, chance)
    assert f"240 steps it is {span.mean:+.1f} ({span.low:+.1f} to {span.high:+.1f}; five" in page
