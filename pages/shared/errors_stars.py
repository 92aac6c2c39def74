"""The Errors page of a run that foretells ratings: confusion matrix, calibration, the reviews behind every cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.figures_errors import calibration_figure, confusion_figure
from pages.shared import errors_parts, errors_views, wording
from pages.shared import errors_services as errors
from pages.shared import errors_visit as visit

if TYPE_CHECKING:
    from core.evaluate.casebook import CaseSet
    from core.evaluate.starbook import StarBook

MOST = ("1", "2", "3", "4", "5")


def draw_stars(wanted: CaseSet) -> None:
    """Everything of one run and part; the offer to make it where nobody did."""
    found = errors.stars(wanted)
    if found is None:
        errors_views.draw_missing(wanted)
        return
    told = errors.tasks(found)
    task = st.segmented_control(
        "What was foretold", list(told), format_func=told.get, key=visit.TASK, bind="query-params", required=True,
        default=next(iter(told)), on_change=visit.first_star_page,
        help=wording.said("The stars of a review that the run has read, or those before anything is written."),
    ) or next(iter(told))  # fmt: skip
    numbers = found.numbers(task)
    st.markdown(
        f"**{numbers['rows']:,.0f}** ratings · right class **{numbers['accuracy']:.1%}** · mean error "
        f"**{numbers['mae']:.2f}** stars · calibration error **{numbers['ece']:.3f}**",
        help="Mean error: of the expected stars. Calibration error: mean distance between how sure the run was of its "
        "class and how often it was right.",
    )
    draw_pictures(found, task)
    draw_reviews(found, task)


def draw_pictures(found: StarBook, task: str) -> None:
    counts, bins = found.confusion(task), found.calibration(task)
    if st.toggle("Show as tables", key="errors_stars_table"):
        st.dataframe(
            [{"given": star, **{f"foretold {n}": cell for n, cell in zip(MOST, row, strict=True)}}
             for star, row in zip(MOST, counts.tolist(), strict=True)],
            hide_index=True, key="errors_confusion_rows", alt="Table: ratings by stars given and stars foretold",
        )  # fmt: skip
        st.dataframe(
            [{"sure from": one.start, "to": one.end, "ratings": one.count, "sure": one.sure, "right": one.right,
              "95 % from": one.low, "95 % to": one.high} for one in bins],
            hide_index=True, key="errors_calibration_rows", alt="Table: how sure the run was and how often right",
        )  # fmt: skip
        return
    left, right = st.columns(2, gap="medium")
    with left:
        st.plotly_chart(
            confusion_figure(counts), key="errors_confusion", config=errors_parts.PLOT,
            alt=f"Confusion matrix of {counts.sum():,} ratings, {counts.trace():,} on its diagonal",
        )  # fmt: skip
    with right:
        st.plotly_chart(
            calibration_figure([one.sure for one in bins], [one.right for one in bins], [one.low for one in bins],
                               [one.high for one in bins], [one.count for one in bins]),
            key="errors_calibration", config=errors_parts.PLOT,
            alt="Calibration curve: " + "; ".join(f"sure {one.sure:.2f}, right {one.right:.2f}" for one in bins),
        )  # fmt: skip


def draw_reviews(found: StarBook, task: str) -> None:
    """The reviews of one cell, those of which the run was surest first."""
    columns = st.columns([2, 2, 3], vertical_alignment="bottom")
    given = columns[0].segmented_control("Stars given", MOST, key=visit.GIVEN, bind="query-params", required=True,
                                         default="1", on_change=visit.first_star_page)  # fmt: skip
    foretold = columns[1].segmented_control("Stars foretold", MOST, key=visit.FORETOLD, bind="query-params",
                                            required=True, default="5", on_change=visit.first_star_page)  # fmt: skip
    places = found.cell(task, int(given or 1), int(foretold or 5)).tolist()
    columns[2].caption(wording.said(f"{len(places):,} reviews in this cell, the surest first"))
    if not places:
        st.info("No rating is in this cell. Choose other stars.", icon=":material/grid_off:")
        return
    pages = -(-len(places) // errors.ON_A_PAGE)
    if st.session_state.get(visit.STAR_PAGE, 1) > pages:
        st.session_state[visit.STAR_PAGE] = 1
    slot = st.container()
    page = st.pagination(pages, key=visit.STAR_PAGE) if pages > 1 else 1
    shown = places[(page - 1) * errors.ON_A_PAGE : page * errors.ON_A_PAGE]
    with slot:
        st.dataframe(
            errors.star_rows(found, task, shown), hide_index=True, key="errors_star_rows", height="content",
            column_config={
                "sure": st.column_config.NumberColumn("sure", format="percent", width=70,
                                                      help="Chance that the run gave to its class"),
                "review": st.column_config.TextColumn(wording.said("review"), width="large"),
                "product": wording.said("product"),
            },
            alt=wording.said(f"Table of {len(shown)} reviews with {given} stars of which the run foretold {foretold}"),
        )  # fmt: skip
