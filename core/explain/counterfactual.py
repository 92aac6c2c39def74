"""What if: the smallest change that would unseat the first product, and the edits by which a person tries others.

The search works at the token states, which is fast; what is left of the neighbours still knows of a struck word, so the
answer is asked again with the words and pixels truly gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.domain import Modality
from core.explain.scorer import Scorer, everything, masked_scores

if TYPE_CHECKING:
    from PIL.Image import Image

MOST = 16  # steps of the search


@dataclass(frozen=True, kw_only=True)
class Step:
    """One part taken away: which, and how far the target then led (below 0: it no longer did) and before whom."""

    modality: Modality
    unit: int
    name: str
    lead: float
    rival: int


@dataclass(frozen=True, kw_only=True)
class Unseating:
    """The steps of the search; `found` says whether they cost the target its place. lead: before them."""

    steps: tuple[Step, ...]
    found: bool
    lead: float

    def gone(self, modality: Modality) -> tuple[int, ...]:
        return tuple(step.unit for step in self.steps if step.modality == modality)


def unseat(scorer: Scorer, most: int = MOST) -> Unseating:
    """Greedily takes away the word or patch that costs the target most of its lead over the best other item, until it
    leads no more. Then puts back what turned out not to be needed, so that no smaller part of the change would do, and
    measures again what is left, in order: the steps told are steps that can be taken."""
    gone: list[tuple[Modality, int]] = []
    lead, _ = leads(scorer, [gone])[0]
    start = lead
    while lead > 0 and len(gone) < most:
        left = [(m, n) for m, units in scorer.units.items() for n in range(len(units)) if (m, n) not in gone]
        if not left:
            break
        found = leads(scorer, [[*gone, one] for one in left])
        best = int(np.argmin([value for value, _ in found]))
        gone.append(left[best])
        lead = found[best][0]
    if lead <= 0:
        for one in list(gone):
            without = [other for other in gone if other != one]
            if without and leads(scorer, [without])[0][0] <= 0:
                gone = without
    steps = steps_of(scorer, gone)
    return Unseating(steps=steps, found=bool(steps) and steps[-1].lead <= 0, lead=start)


def steps_of(scorer: Scorer, gone: Sequence[tuple[Modality, int]]) -> tuple[Step, ...]:
    """One after the other, up to the first that costs the place."""
    if not gone:
        return ()
    found = leads(scorer, [gone[: count + 1] for count in range(len(gone))])
    needed = next((number for number, (lead, _) in enumerate(found, 1) if lead <= 0), len(found))
    return tuple(
        Step(modality=m, unit=unit, name=scorer.units[m].names[unit], lead=lead, rival=rival)
        for (m, unit), (lead, rival) in zip(gone[:needed], found[:needed], strict=True)
    )


def leads(scorer: Scorer, removals: Sequence[Sequence[tuple[Modality, int]]]) -> list[tuple[float, int]]:
    """For each set of parts taken away: the target's score minus the best other's, and which item that is."""
    kept = everything(scorer, len(removals))
    for row, gone in enumerate(removals):
        for m, unit in gone:
            kept[m][row, unit] = False
    scores = masked_scores(scorer, kept) if kept else scorer.coalitions()[-1:].repeat(len(removals), 0)
    own = scores[:, scorer.target].copy()
    scores[:, scorer.target] = -np.inf
    rival = scores.argmax(1)
    return [(float(mine - row[best]), int(best)) for mine, row, best in zip(own, scores, rival, strict=True)]


def strike(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text without these characters, single spaces left where words were."""
    gone = np.zeros(len(text), dtype=bool)
    for start, end in spans:
        gone[start:end] = True
    return " ".join("".join(" " if out else one for one, out in zip(text, gone, strict=True)).split())


def cover(image: Image, cells: Iterable[tuple[int, int]], grid: tuple[int, int]) -> Image:
    """The photo with these cells (row, column) of a grid painted over in its mean colour."""
    from PIL import Image as images
    from PIL import ImageDraw

    covered = image.convert("RGB").copy()
    mean = covered.resize((1, 1), images.Resampling.BOX).getpixel((0, 0))
    draw, (rows, columns) = ImageDraw.Draw(covered), grid
    for row, column in cells:
        left, right = column * covered.width / columns, (column + 1) * covered.width / columns
        top, bottom = row * covered.height / rows, (row + 1) * covered.height / rows
        draw.rectangle((round(left), round(top), round(right) - 1, round(bottom) - 1), fill=mean)
    return covered


def inside(box: tuple[float, float, float, float], grid: tuple[int, int]) -> list[tuple[int, int]]:
    """Cells whose middle lies in box (left, top, right, bottom), fractions of the photo."""
    left, top, right, bottom = box
    rows, columns = grid
    return [
        (row, column)
        for row in range(rows)
        for column in range(columns)
        if left <= (column + 0.5) / columns <= right and top <= (row + 0.5) / rows <= bottom
    ]
