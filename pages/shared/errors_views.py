"""Views of the Errors page that only look: cases that were not judged yet, who misled, two runs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.domain import with_interval
from core.errors import FusescopeError
from core.figures import plain, word_of
from core.figures_errors import blame_figure, ranks_figure
from pages.shared import errors_parts, parts, services
from pages.shared import errors_services as errors
from pages.shared import errors_visit as visit
from pages.shared.theme import leading, literal

if TYPE_CHECKING:
    from core.evaluate.casebook import CaseBook, CaseSet
    from core.evaluate.slices import Condition


@st.fragment(run_every="2s")
def draw_progress(wanted: CaseSet) -> None:
    """The work as it stands; the page comes back when it has ended."""
    work = errors.job(wanted)
    if work is None or not work.active:
        st.rerun()
        return
    left = f", {work.remaining:.0f} s left" if work.remaining else ""
    st.progress(work.fraction, f"{work.label or 'waiting'}{left}")
    st.caption("This goes on when you leave the page.")


def draw_missing(wanted: CaseSet) -> None:
    """Nobody judged these cases yet."""
    work = errors.job(wanted)
    with st.container(border=True, horizontal_alignment="center"):
        st.space("small")
        if work is not None and work.active:
            st.markdown("#### Judging every held-out question", text_alignment="center")
            draw_progress(wanted)
            return
        st.markdown("#### These cases were not judged yet", text_alignment="center")
        st.markdown(
            "Every held-out question is asked with every subset of its modalities, once; then slices are searched. "
            "Some seconds for a small catalogue, minutes where its texts and photos were never encoded.",
            text_alignment="center",
        )
        if work is not None and work.state == "failed":
            st.markdown(f":small[The last attempt: {literal(work.message)} ({literal(work.code)})]")
        if st.button("Judge the cases", key="errors_make", type=leading(), icon=":material/fact_check:"):
            try:
                errors.make(wanted)
            except FusescopeError as refused:
                parts.refusal(refused, title="The work could not start")
            else:
                st.rerun()
        st.space("small")


# ---- who misled


def draw_misled(found: CaseBook, conditions: tuple[Condition, ...]) -> None:
    """How the blame is spread over the modalities, in a slice and beside it."""
    chosen = found.members(conditions)
    counts = errors.misleaders(found, chosen)
    lost = int((chosen & (found.cases.rank > errors.FOUND)).sum())
    told = ", ".join(f"the {word_of(m)} in {number:,}" for m, number in counts.items())
    st.markdown(f"Of **{lost:,}** cases lost here, the modality that misled most was {told or 'none'}.")
    inside = errors.blame(found, chosen)
    outside = errors.blame(found, ~chosen) if conditions else {}
    if st.toggle("Show as table", key="errors_misled_table"):
        st.dataframe(
            [
                {"modality": word_of(m), "cases": name, "n": one.cases, "median": one.median, "5 %": one.low,
                 "25 %": one.lower, "75 %": one.upper, "95 %": one.high, "share that misled": one.misled}
                for side, name in ((inside, "these"), (outside, "the rest"))
                for m, one in side.items()
                if one.cases
            ],
            hide_index=True, key="errors_misled_rows",
            alt="Table: median blame of each modality and in what share of cases it misled",
        )  # fmt: skip
        return
    st.plotly_chart(
        blame_figure(inside, outside), key="errors_blame_chart", config=errors_parts.PLOT,
        alt="Boxes of the blame of each modality: " + "; ".join(
            f"{word_of(m)} median {one.median:+.2f} nats" for m, one in inside.items()
        ),
    )  # fmt: skip
    st.caption(
        "Boxes from quartile to quartile, the line is the median, the ends are 5 and 95 %; all cases that have the "
        "modality count."
    )


# ---- two runs


def draw_runs(found: CaseBook, wanted: CaseSet, conditions: tuple[Condition, ...]) -> None:
    """The same cases under another run: what it fixes and what it breaks."""
    about = found.cases.about
    names = [run.run for run in services.runs() if run.catalogue == about["catalogue"] and run.run != wanted.run]
    if not names:
        st.info("There is no other run of this catalogue. Train one, then compare.", icon=":material/compare:")
        return
    other = st.selectbox("Compared with", names, key=visit.OTHER, bind="query-params")
    theirs = errors.case_set(other, wanted.kind, wanted.part)
    book = errors.book(theirs)
    if book is None:
        draw_missing(theirs)
        return
    key = (about["digest"], book.cases.about["digest"], wanted.kind, wanted.part)
    change = errors.change(found, book, key, conditions)
    if change is None:
        st.warning("The two runs have no case in common here: other protocols held out others, or the slice is empty.")
        return
    errors_parts.change_numbers(len(change.fixed), len(change.broken), change.found, change.lost)
    test = change.test.difference
    st.markdown(
        f"Mean reciprocal rank{' in this slice' if conditions else ''}: **{literal(other)}** {change.after:.3f}, "
        f"**{literal(wanted.run)}** {change.before:.3f}; difference "
        f"**{with_interval(test, '+.3f')}**, p {change.test.p:.2g}; McNemar p {change.mcnemar:.2g} "
        f"on {len(change.pairs):,} cases that both have."
    )
    for title, places in (("Fixed", change.fixed), ("Broken", change.broken)):
        mine = places[: errors.ON_A_PAGE].tolist()
        if mine:
            keys, table = tuple(str(found.cases.key[at]) for at in mine), f"{visit.CHANGES}_{title.lower()}"
            st.markdown(f"**{title}**, first {len(mine)}")
            st.dataframe(
                errors.rows(found, mine, {}), hide_index=True, key=table, selection_mode="single-row",
                on_select=lambda keys=keys, table=table: visit.open_row(keys, table), row_height=30,
                column_config=errors_parts.column_names(found.cases.modalities),
                alt=f"Table of {len(mine)} {title.lower()} cases with their ranks in {wanted.run}",
            )  # fmt: skip
    sample = change.pairs[:: max(1, len(change.pairs) // 5000)]
    st.plotly_chart(
        ranks_figure(found.cases.rank[sample[:, 0]].tolist(), book.cases.rank[sample[:, 1]].tolist(),
                     (wanted.run, other)),
        key="errors_ranks_chart", config=errors_parts.PLOT,
        alt=f"{len(sample)} cases by their rank in {plain(wanted.run)} and in {plain(other)}; counts stand above",
    )  # fmt: skip
