"""The data report: one HTML file that says what a data set holds, and what it does not."""

from __future__ import annotations

import html
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from PIL import ImageDraw

from scripts.labelling.assemble import Assembly, Sample
from scripts.labelling.page import Bar, Row, colour, figure, key, page, table
from scripts.labelling.picture import PARTS
from scripts.labelling.pictures import PictureError, open_upright
from scripts.labelling.problems import Kind, Problem

#: Upper bounds of the size groups: the shorter side of a box, in pixels of the picture.
SIZE_GROUPS_PX: Final = (16, 32, 64, 128)
_SHEET_PICTURES: Final = 48
_THUMB_PX: Final = 240
_ROWS_MAX: Final = 300


def write_report(assembly: Assembly, classes: Sequence[str], path: Path, title: str) -> None:
    """Write the report; it shows people, so it belongs where the pictures belong."""
    path.write_text(render(assembly, classes, title), encoding="utf-8")


def render(assembly: Assembly, classes: Sequence[str], title: str) -> str:
    """The report as HTML without anything to load."""
    samples = assembly.samples
    sections = [
        _summary(assembly),
        "<h2>Pictures and boxes</h2>",
        table(["part", "pictures", "without an object", *classes, "to be ignored", "groups"],
              _by_part(samples, classes)),
        "<h2>Sources</h2>",
        table(["source", "labelled pictures", "taken", *PARTS], _by_source(assembly)),
        "<h2>Sizes of boxes (shorter side)</h2>",
        table(["class", *size_names(), ""], _by_size(samples, classes)),
        "<h2>Sizes of pictures</h2>",
        table(["px", "pictures", ""], _picture_sizes(samples)),
        "<h2>Largest groups</h2><p>A group stays in one part.</p>",
        table(["group", "part", "pictures"], _groups(samples)),
        "<h2>Left out, and seen twice</h2>",
        _problems(assembly.problems),
        "<h2>Contact sheet</h2>",
        _sheet(samples, classes),
    ]  # fmt: skip
    return page(title, sections)


def size_names() -> list[str]:
    """Names of the size groups."""
    return [f"<{bound} px" for bound in SIZE_GROUPS_PX] + [f"≥{SIZE_GROUPS_PX[-1]} px"]


def counts(assembly: Assembly, classes: Sequence[str]) -> dict[str, int]:
    """Figures of a data set for Valohai: pictures, boxes by part and class, problems by kind."""
    found: Counter[str] = Counter()
    for sample in assembly.samples:
        found[f"{sample.part}/pictures"] += 1
        for box in sample.picture.boxes:
            found[f"{sample.part}/{box.name}"] += not box.ignore
    made = {f"{part}/pictures": found[f"{part}/pictures"] for part in ("train", "val")}
    made |= {f"{part}/{name}": found[f"{part}/{name}"] for part in ("train", "val")
             for name in classes}  # fmt: skip
    made |= dict(sorted(found.items()))
    kinds = Counter(problem.kind for problem in assembly.problems)
    return made | {f"left_out/{kind.value.replace(' ', '_')}": kinds[kind] for kind in Kind}


def _summary(assembly: Assembly) -> str:
    boxes = sum(len(sample.picture.boxes) for sample in assembly.samples)
    return (
        f"<p>{len(assembly.samples)} photographs with {boxes} boxes; "
        f"{len(assembly.dropped)} labelled pictures left out.</p>"
    )


def _by_part(samples: Sequence[Sample], classes: Sequence[str]) -> Iterable[Row]:
    for part in PARTS:
        own = [sample for sample in samples if sample.part == part]
        if not own:
            continue
        boxes = [box for sample in own for box in sample.picture.boxes]
        known = Counter(box.name for box in boxes if not box.ignore)
        yield (
            part,
            len(own),
            sum(not sample.picture.boxes for sample in own),
            *(known[name] for name in classes),
            sum(box.ignore for box in boxes),
            len({sample.group for sample in own}),
        )


def _by_source(assembly: Assembly) -> Iterable[Row]:
    taken = Counter((sample.source.name, sample.part) for sample in assembly.samples)
    for name, entries in assembly.entries.items():
        parts = [taken[name, part] for part in PARTS]
        yield name, entries, sum(parts), *parts


def _by_size(samples: Sequence[Sample], classes: Sequence[str]) -> Iterable[Row]:
    found: Counter[tuple[str, int]] = Counter()
    for sample in samples:
        for box in sample.picture.boxes:
            side = min(box.x2 - box.x1, box.y2 - box.y1)
            found[box.name, sum(side >= bound for bound in SIZE_GROUPS_PX)] += 1
    groups = range(len(SIZE_GROUPS_PX) + 1)
    totals = {name: sum(found[name, group] for group in groups) for name in classes}
    most = max(totals.values(), default=0)
    for name in classes:
        yield name, *(found[name, group] for group in groups), Bar(totals[name], most)


def _picture_sizes(samples: Sequence[Sample]) -> Iterable[Row]:
    sizes = Counter((sample.picture.width, sample.picture.height) for sample in samples)
    most = max(sizes.values(), default=0)
    for (width, height), count in sizes.most_common(12):
        yield f"{width}x{height}", count, Bar(count, most)
    if len(sizes) > 12:
        rest = sum(sizes.values()) - sum(count for _, count in sizes.most_common(12))
        yield f"{len(sizes) - 12} others", rest, ""


def _groups(samples: Sequence[Sample]) -> Iterable[Row]:
    groups = Counter((sample.group, sample.part) for sample in samples)
    for (group, part), count in groups.most_common(20):
        if count > 1:
            yield group, part, count


def _problems(problems: Sequence[Problem]) -> str:
    if not problems:
        return "<p>Nothing.</p>"
    kinds = Counter(problem.kind.value for problem in problems)
    shown = [(p.kind.value, p.where, p.reference, p.what) for p in problems[:_ROWS_MAX]]
    more = len(problems) - len(shown)
    return (
        table(["kind", "count"], kinds.most_common())
        + table(["kind", "where", "picture", "what"], shown)
        + (f"<p>{more} more in dropped.jsonl.</p>" if more else "")
    )


def _sheet(samples: Sequence[Sample], classes: Sequence[str]) -> str:
    # Evenly over the order by content hash: a fair sample, and the same one each time.
    step = max(1, -(-len(samples) // _SHEET_PICTURES))
    shown = "".join(_figure(sample, classes) for sample in samples[::step])
    return f"<p>{key(classes)}</p>{shown}"


def _figure(sample: Sample, classes: Sequence[str]) -> str:
    picture = sample.picture
    try:
        image = open_upright(picture.path, _THUMB_PX)
    except PictureError as error:  # it was there a minute ago
        return f"<p>{html.escape(f'{picture.path}: {error}')}</p>"
    image.thumbnail((_THUMB_PX, _THUMB_PX))
    draw = ImageDraw.Draw(image)
    x, y = image.width / picture.width, image.height / picture.height
    for box in picture.boxes:
        corners = [box.x1 * x, box.y1 * y, box.x2 * x, box.y2 * y]
        line = "#888888" if box.ignore else colour(box.name, classes)
        draw.rectangle(corners, outline=line, width=2)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=70)
    return figure(buffer.getvalue(), f"{sample.part}: {picture.path.name}")
