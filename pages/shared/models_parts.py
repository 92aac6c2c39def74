"""Drawn pieces of the Models page: values in, elements out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from core.domain import Recommendation
from core.errors import FusescopeError
from core.figures import no_photo, shorten
from core.figures_training import UNTOLD, best_epoch_of, curve_word, curves_alt, curves_figure
from pages.shared import parts, wording
from pages.shared.job_parts import job_row
from pages.shared.theme import literal

if TYPE_CHECKING:
    from core.evaluate.leaderboard import Board
    from pages.shared.models_services import Training

PLOTLY = {"displaylogo": False, "showSendToCloud": False}
METHOD = """
**Interval.** The 95 % interval of the mean: users (or, of queries, products) are drawn again with replacement, 10,000
times. Two intervals may overlap and the difference still be sure: that is what the paired test is for.

**Difference and p.** Every run against the reference on the *same* users or queries. p is two-sided by the same
bootstrap and adjusted by Holm over all comparisons of the board, because who looks at many differences finds one by
luck. Below .05 it is marked. The reference is the best run on the part shown unless another is chosen; that choice is
not corrected for.

**NDCG@10, recall@20.** Where a user's held-out likes stand in the list of all products that training knows. For
validation the user's training rows are taken out, liked or not; for test their validation rows and the rows kept for
questions as well. Nothing of the test part is looked at for validation. **MRR, recall@k.** Where the right product
stands when a held-out review or customer photo is asked with.

**Ratings.** *Before*: stars of a held-out row, nothing of it seen; *written*: its review and photo are read; two tasks,
never in one table. *Accuracy* is the share of right classes; *gained* is by how many stars a run is nearer to the truth
than the mean of person and product, which reads nothing: not above 0 means that counting does as well.

**Floors.** *Popularity* shows everybody what was bought most, *chance* is a random order; the *oracle* knows the
planted truth, where there is one. **Coverage** is the share of the shop that anybody is shown, **Gini** 0 means all
products are shown equally often, **novelty** is in bits, **long tail** is the share of places held by rarely bought
products.

**Chosen by validation, best by test.** A search tries many pairs. The honest number is the test figure of the pair that
*validation* chose; the best test figure flatters. Published tables often show the second ("MMRec-compatible").
"""


def empty_queue() -> None:
    """Nothing was ever trained here."""
    with st.container(border=True, horizontal_alignment="center"):
        st.space("small")
        st.markdown("#### Nothing is being trained", text_alignment="center")
        st.markdown(
            "Choose methods on the left and press **Train**. Curves appear here after the first epoch; you may close "
            "the page, the training goes on.",
            text_alignment="center",
        )
        st.space("small")


def job_line(
    line: Training, figures: str, *, watched: bool, watch: Callable, cancel: Callable, resume: Callable
) -> None:  # fmt: skip
    """One training, or the measuring of a run."""
    job = line.job

    def look() -> None:
        if not watched and job.kind == "train":
            st.button(
                "Curves", key=f"models_watch_{job.id}", type="tertiary", icon=":material/show_chart:", on_click=watch,
                args=(job.target,),
            )  # fmt: skip

    job_row(
        job, f"**{literal(shorten(job.target, 44))}**" + ("" if job.kind == "train" else " :gray[is measured]"),
        key="models", doors=look, running="training",
        cancel=(cancel, "Ends it; the last whole epoch is kept for Resume."),
        resume=(resume, "Goes on from the last whole epoch."),
        waits=f"{parts.ordinal(line.before + 1)} in the queue: one trains at a time, everybody's in turn",
        outcome=figures or "nothing was held out to measure it by",
    )  # fmt: skip


def curves(run: str, rows: Sequence[Mapping[str, float]], *, as_table: bool) -> None:
    """The curves of a run so far."""
    if not rows:
        st.caption("They appear after its first epoch.")
        return
    if as_table:
        names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in UNTOLD[1:]]
        table = [{curve_word(n) if n != "epoch" else n: row.get(n) for n in names} for row in rows]
        st.dataframe(table, hide_index=True, alt=curves_alt(rows))
        return
    st.plotly_chart(
        curves_figure(rows, best_epoch_of(rows)), key=f"models_curves_{run}", config=PLOTLY, alt=curves_alt(rows)
    )  # fmt: skip
    st.caption(wording.said(
        "Dotted upright line: the best epoch so far, whose weights are kept. All curves below the "
        "loss are of reviews, photos and likes that training does not see; alignment is watched on validation "
        "products, or on trained ones where the split holds none out."
    ))  # fmt: skip


def choices_of_a_search(board: Board) -> None:
    """What validation chose and what a choice by test figures would claim."""
    for grid, choice in board.choices.items():
        with st.container(border=True, gap="xsmall"):
            st.markdown(f"**:material/grid_on: Search {literal(grid)}**, {choice.of} pairs")
            st.markdown(
                f"Chosen by validation ({literal(choice.headline.validation)}): **{literal(choice.by_validation)}**  \n"
                f":gray[Best by test ({literal(choice.headline.test)}), the way many tables are made: "
                f"{literal(choice.by_test)}, {choice.gap:.4f} higher]"
            )


def side(answer: Recommendation | FusescopeError, other: Recommendation | FusescopeError, rows: int,
         pictures: Mapping[str, bytes | None], name: str) -> None:  # fmt: skip
    """One run's list, each product with the places it moved against the other run."""
    st.markdown(f"**{literal(name)}**")
    if isinstance(answer, FusescopeError):
        parts.refusal(answer)
        return
    placed = {} if isinstance(other, FusescopeError) else {item.item_id: item.rank for item in other.items}
    for item in answer.items[:rows]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            picture = pictures.get(item.item_id)
            st.image(picture or no_photo(), width=52, alt=parts.picture_alt(item.title, picture))
            there = placed.get(item.item_id)
            if isinstance(other, FusescopeError):
                moved = ""
            elif there is None:
                moved = f":orange-badge[not in the other's first {len(other.items)}]"
            else:
                moved = f"{parts.moved(there, item.rank)} :gray[{parts.ordinal(there)} there]"
            with st.container(width="stretch"):
                st.markdown(f"**{item.rank}. {literal(shorten(item.title, 44))}**  \n:small[{moved}]")
