"""The missing-modality simulator of the Models page: what is asked for, the job at work, and the figure it made."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.errors import FusescopeError
from core.figures import word_of
from core.figures_missing import METRIC, missing_alt, missing_figure, moved_shares_alt, moved_shares_figure
from pages.shared import missing_services as missing
from pages.shared import parts, wording
from pages.shared.job_parts import job_row
from pages.shared.models_parts import PLOTLY
from pages.shared.models_visit import keep_among, something_ended
from pages.shared.theme import leading, literal

RUN, MODALITY, RATIOS, WHEN, HOW, WAYS, SEED = (
    "missing_run", "missing_modality", "missing_ratios", "missing_when", "missing_how", "missing_ways", "missing_seed",
)  # fmt: skip
SHOWN, SUBJECT, METRIC_KEY, RATIO, AS_TABLE = (
    "missing_shown", "missing_subject", "missing_metric", "missing_ratio", "missing_as_table",
)  # fmt: skip
WHO = {"items": "items, after training", "query": "queries", "training": "items, before training"}
WHICH = {"random": "at random", "category": "by category", "popularity": "the rarest"}
POLL, LOOK = 1.0, 15.0  # seconds between two looks at the job, while it works and while none does
METHOD = """
**What is done.** A share of the products (or held-out queries) loses the modality; one that has nothing else keeps it.
Every way to fill in is fitted on what training products still have, stands in for what is gone, and the same held-out
users and queries are asked again. A stand-in counts as the modality when shares are measured.

**Kept** is NDCG@10 over NDCG@10 of the same run with nothing missing; users (of queries: products) are drawn again with
replacement, 10,000 times, the same for both. **Chosen** is the way with the best NDCG@10 on the *validation* part; the
figure shows the *test* part. Choosing by the test figure would flatter.

**Shares** are exact Shapley values over the modalities: of a query's own, or for users the mean over what they went on
to like. A bar that grows under a filled-in modality says that the run trusts the stand-in.

Lost *in training* compares with the run as it is: it was trained once with everything, the others once each without.
"""


def percent(ratio: float) -> str:
    return f"{ratio:.0%}"


def who(when: str) -> str:
    return WHO[when]


def which(how: str) -> str:
    return WHICH[how]


def draw() -> None:
    """The whole view: form and job on the left, what was measured on the right."""
    runs = missing.runs()
    if not runs:
        with st.container(border=True, horizontal_alignment="center"):
            st.markdown("#### No run reads two modalities", text_alignment="center")
            st.markdown("Train one on words and photos: then one of them can go missing.", text_alignment="center")
        return
    form, shown = st.columns([1, 2], gap="medium")
    with form:
        run = draw_form(runs)
    with shown:
        last = missing.job(run)
        st.fragment(draw_job, run_every=POLL if last and last.active else LOOK)(run)
        draw_answers(run)


def draw_form(runs: dict[str, tuple[str, ...]]) -> str:
    """What goes missing, where, and what stands in. Returns the run."""
    keep_among(RUN, list(runs))
    run = st.selectbox("Run", list(runs), key=RUN, persist_state="session")
    keep_among(MODALITY, runs[run])
    standard = runs[run].index("image") if "image" in runs[run] else 0
    modality = st.selectbox(
        "What goes missing", runs[run], index=standard, key=MODALITY, format_func=word_of, persist_state="session"
    )  # fmt: skip
    ratios = st.pills(
        "How much of it", missing.RATIOS, default=[0.5], selection_mode="multi", key=RATIOS,
        format_func=percent, persist_state="session",
    )  # fmt: skip
    when = st.selectbox(
        "Who loses it", list(missing.WHEN), key=WHEN, persist_state="session",
        format_func=who,
    )  # fmt: skip
    st.caption(missing.WHEN[when])
    how = st.selectbox(
        "Which first", list(missing.HOW), key=HOW, persist_state="session",
        format_func=which,
    )  # fmt: skip
    st.caption(missing.HOW[how])
    known = missing.ways(run)
    ways = st.multiselect(
        "Filled in by", list(known), key=WAYS, placeholder="every way", persist_state="session",
        help="  \n".join(f"**{name}**: {told}" for name, told in known.items()),
    )  # fmt: skip
    seed = st.number_input("Seed", 0, 2**31 - 1, 0, key=SEED, persist_state="session", help="Of who loses it.")
    if st.button("Simulate", key="missing_go", type=leading(), width="stretch", icon=":material/visibility_off:",
                 disabled=not ratios):  # fmt: skip
        try:
            missing.start(run, modality, sorted(ratios), how, when, [way for way in ways if way in known], int(seed))
        except FusescopeError as refused:
            parts.refusal(refused, title="This cannot start now")
        else:
            st.rerun()
    return run


def draw_job(run: str) -> None:
    """The newest simulation of the run, while it is worth a look. Runs again every few seconds by itself."""
    job = missing.job(run)
    if something_ended([job.id] if job and job.active else []):
        st.rerun()
    if job is None or job.state == "done":
        return
    job_row(
        job, f"**{literal(run)}** :gray[loses some]", key="missing", running="at work",
        cancel=(missing.cancel, "Ends it; every way that was measured stays."),
        resume=(missing.resume, "Goes on with the ways that are left."), waits="It starts in a moment.", outcome="",
    )  # fmt: skip


def draw_answers(run: str) -> None:
    try:
        known = missing.answers(run)
    except FusescopeError as refused:
        parts.refusal(refused, title="What was measured cannot be read")
        return
    if not known:
        with st.container(border=True, horizontal_alignment="center"):
            st.markdown("#### What if a modality is missing?", text_alignment="center")
            st.markdown(
                "Half of the photos were never taken, or people ask without words. Choose on the left and press "
                "**Simulate**: here stands what every way of filling the gap keeps, with its interval, and how the "
                "contributions move. It is kept with the run.",
                text_alignment="center",
            )
        return
    labels = [label_of(one) for one in known]
    keep_among(SHOWN, labels)
    label = st.selectbox("Measured", labels, key=SHOWN, persist_state="session") if len(labels) > 1 else labels[0]
    draw_answer(known[labels.index(label)])


def label_of(answer: dict[str, Any]) -> str:
    first = f"{word_of(answer['modality'])} missing: {who(answer['when'])}, {which(answer['how'])}"
    return first + (f", seed {answer['seed']}" if answer["seed"] else "")


def draw_answer(answer: dict[str, Any]) -> None:
    """Figure or table of one simulation, what was chosen in words, and the shares at one ratio."""
    subjects = list(dict.fromkeys(row["subject"] for row in answer["rows"]))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        keep_among(SUBJECT, subjects)
        subject = st.selectbox(
            "Asked by", subjects, key=SUBJECT, persist_state="session", width=150,
            help="users: the next item of known users. queries: held-out words and media.",
        )  # fmt: skip
        metric = st.selectbox("Figure", list(METRIC), key=METRIC_KEY, persist_state="session", width=170)
        as_table = st.toggle("As table", key=AS_TABLE)
        with st.popover("Method", icon=":material/help:", type="tertiary"):
            st.markdown(wording.said(METHOD))
        st.download_button(
            "CSV", lambda: missing.as_csv(answer), file_name="fusescope-missing.csv", mime="text/csv",
            key="missing_csv", icon=":material/download:", type="tertiary", on_click="ignore",
        )  # fmt: skip
    parts_told = {row["part"] for row in answer["rows"] if row["subject"] == subject}
    part = "test" if "test" in parts_told else "validation"
    rows = [row for row in answer["rows"] if (row["subject"], row["part"]) == (subject, part)]
    whole = next(row for row in answer["complete"] if (row["subject"], row["part"]) == (subject, part))
    alt = missing_alt(rows, whole, metric, answer["modality"])
    if as_table:
        st.dataframe(missing.as_rows(answer, subject, part), hide_index=True, key="missing_table", alt=alt)
    else:
        st.plotly_chart(
            missing_figure(rows, whole, metric, answer["modality"]), key="missing_chart", config=PLOTLY, alt=alt
        )  # fmt: skip
    draw_chosen(rows, part)
    draw_shares(answer, rows, whole)


def draw_chosen(rows: list[dict[str, Any]], part: str) -> None:
    """In words, a line a ratio: what validation chose and what it keeps."""
    for row in rows:
        if row["chosen"]:
            left = row["kept"]
            st.markdown(
                f":small[**{row['ratio']:.0%} missing**: validation chooses **{literal(row['method'])}**, which keeps "
                f"**{left['value']:.0%}** ({left['low']:.0%} to {left['high']:.0%}) of NDCG\\@10]"
            )  # fmt: skip
    one = rows[0]
    st.caption(
        f"{part} part, {one['n']:,} {one['subject']}; 95 % intervals. The larger mark is what validation chose. "
        + ", ".join(dict.fromkeys(f"{row['lost']:,} of {row['of']:,} lose it at {row['ratio']:.0%}" for row in rows))
        + "."
    )


def draw_shares(answer: dict[str, Any], rows: list[dict[str, Any]], whole: dict[str, Any]) -> None:
    """How contributions move, at one ratio."""
    st.markdown("#### How the contributions move")
    ratios = sorted({row["ratio"] for row in rows})
    ratio = ratios[0]
    if len(ratios) > 1:
        keep_among(RATIO, ratios)
        ratio = st.segmented_control(
            "At", ratios, key=RATIO, default=ratios[-1], required=True, format_func=percent
        )  # fmt: skip
    own = [row for row in rows if row["ratio"] == ratio]
    st.plotly_chart(
        moved_shares_figure(own, whole, answer["modalities"]), key="missing_shares", config=PLOTLY,
        alt=moved_shares_alt(own, whole, answer["modalities"]),
    )  # fmt: skip
    st.caption("Mean share of each modality in the score, nothing missing on top; the numbers are in the table too.")
