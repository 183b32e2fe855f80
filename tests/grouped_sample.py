"""The sample of many problems, sample_inputs/headings.csv: ``python -m tests.grouped_sample`` writes it.

A detector looks at 60 images and proposes ten headings for the object in each, in degrees on a circle, each with a
logit; annotators said between which two angles the true heading is. The images are of four kinds, so that groups near
their target stand beside groups that are all far from it. `random.Random` draws the same numbers in every version of
Python, and what the mathematics library rounds otherwise is far below the two decimals.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PATH: Final = Path(__file__).parent.parent / "sample_inputs" / "headings.csv"
HEADER: Final = "image_id,angle,logit,low,high"
CANDIDATES: Final = 10
SEED: Final = 15
FULL_TURN: Final = 360.0

# Candidates of one image as (how many, mean and standard deviation of their distance from the middle of the target in
# degrees, mean of their logits): what a detector that is right mostly, nearly, hardly and not at all proposes.
KINDS: Final = {
    "found": [(4, 0.0, 12.0, 1.5), (6, 90.0, 60.0, -0.5)],
    "beside": [(5, 45.0, 6.0, 1.0), (5, 110.0, 30.0, 0.0)],
    "one of ten": [(1, 0.0, 2.0, -1.5), (9, 150.0, 25.0, 0.5)],
    "back to front": [(10, 180.0, 15.0, 0.5)],
}
IMAGES: Final = {"found": 32, "beside": 13, "one of ten": 5, "back to front": 10}


def rows() -> Iterator[str]:
    """Yield the lines of the file."""
    draw = random.Random(SEED)
    yield HEADER
    kinds = [kind for kind, count in IMAGES.items() for _ in range(count)]
    draw.shuffle(kinds)
    for image, kind in enumerate(kinds, start=1):
        half_width = draw.choice([5.0, 7.5, 10.0, 15.0])
        low = float(draw.randrange(360))
        candidates = []
        for count, distance, spread, mean_logit in KINDS[kind]:
            for _ in range(count):
                side = draw.choice([-1.0, 1.0])
                angle = (low + half_width + side * draw.gauss(distance, spread)) % FULL_TURN
                candidates.append(f"{angle:.2f},{draw.gauss(mean_logit, 0.7):.2f}")
        draw.shuffle(candidates)
        for candidate in candidates:
            yield f"img{image:02d},{candidate},{low:.2f},{low + 2.0 * half_width:.2f}"


def text() -> str:
    """Return the whole file."""
    return "".join(f"{row}\n" for row in rows())


if __name__ == "__main__":
    PATH.write_text(text(), "utf-8")
