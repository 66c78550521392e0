"""The model card: what a person must know before trusting the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from training.dataset import CLASSES


@dataclass(frozen=True, slots=True)
class Card:
    """Facts of one model.

    Attributes:
        version: Of the bundle.
        size_px: Input size.
        metrics: ``val/map50`` and its like.
        provenance: Where the model comes from, by name.
    """

    version: str
    size_px: int
    metrics: Mapping[str, float]
    provenance: Mapping[str, str]


def render(card: Card) -> str:
    """The card as Markdown."""
    rows = "\n".join(
        f"| {name} | {card.metrics[f'val/{name}_map50']:.3f} "
        f"| {card.metrics[f'val/{name}_map50_95']:.3f} |"
        for name in CLASSES
    )
    facts = "\n".join(f"- **{name}**: {text}" for name, text in card.provenance.items())
    return _TEMPLATE.format(
        version=card.version,
        size=card.size_px,
        rows=rows,
        mean50=card.metrics["val/map50"],
        mean95=card.metrics["val/map50_95"],
        facts=facts,
    )


_TEMPLATE = """\
# YOLOv5s hard hats, {version}

Finds hard hats (`helmet`: hat and head in one box), bare heads (`head`) and persons (`person`)
in pictures of building sites. YOLOv5s v6.0, {size}x{size} px, int8 throughout, three sigmoid
head maps.

## Figures

On photographs that training never saw, this very int8 file, input {size} px, letterboxed
(pycocotools, 101 points, at most 100 detections a picture):

| class | mAP50 | mAP50-95 |
|---|---|---|
{rows}
| **mean of helmet and head** | **{mean50:.3f}** | **{mean95:.3f}** |

The person figures are against labels made by the published COCO model, not by people: they say
how much of that model's knowledge was kept, no more.

## Where it comes from

{facts}

## Licence

Fine-tuned from the YOLOv5s v6.0 weights of Ultralytics, published under **GPL-3.0**: this model
file is distributed under GPL-3.0 too. Sitewatch's own code is Apache-2.0 and loads the file as
data. The golden pictures are made from scikit-image's `astronaut` (NASA, public domain) and
`chelsea` (CC0); the photographs used in training are in no part of this bundle.

## Limits

- Trained on photographs of building sites, most of them East Asian, by day and at most 416 px
  long. Night, rain, infrared cameras, fish-eye lenses and other kinds of hats are not covered.
- The bare heads in training are mostly short-haired and dark; long and light hair was drawn into
  them. It is found far more often for that, but single large heads of unusual shape are still
  called helmets now and then: judge the *person* over time, as Sitewatch's rules do, not one head
  in one picture.
- Round, light things (a table top, a cup) can pass for a helmet. A helmet counts where a person
  wears it.
- Heads smaller than about 16 px in the input are missed more often than larger ones.
- Caps, hoods, bicycle helmets and headscarves are not labelled in the training data; the model
  may call them either way.
- It is an aid. It does not replace supervision, and a missing alert proves nothing.
"""
