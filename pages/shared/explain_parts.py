"""Drawn pieces of the microscope: values in, elements out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from core.domain import Modality, Recommendation
from core.figures import MODALITY_COLOR, shorten, signed, word_of
from core.figures_explain import (
    Part,
    areas_figure,
    bars_figure,
    curves_figure,
    modality_parts,
    scale_picture,
    waterfall_figure,
    words_picture,
)
from pages.shared import explain_services, parts, services
from pages.shared.theme import literal, named

if TYPE_CHECKING:
    from core.explain.contributions import Contribution, Sensitivity
    from core.explaining import Microscope, Verdict

CONFIG = {"displaylogo": False, "showSendToCloud": False}
UNITS = {"score": "score", "rank": "places (minus the rank)", "top_k": "inside the first ten: 1, else 0"}
STARTS = {"query": "nothing asked", "item": "nothing known of it"}

METHOD = """
**Contribution.** The exact Shapley value of a modality: its mean gain over every order in which the modalities could
arrive. Nothing + contributions = the printed score; the residual is what is missing from that sum. *Rank* and *first
ten* are split the same way, and may disagree with the score: a large change of the score may move no place.

**Interaction.** What two modalities do together beyond what each does: above 0 they only work together, below 0 one
makes the other redundant.

**Baseline.** What stands where a modality is taken away: nothing, the average item, or other items.

**Words and patches.** Each method gives every part a weight. *Deletion*: take parts away, the most important first; a
good order makes the score fall faster. *Insertion* is the reverse. A method is trusted here where its order is better
than at least 19 of 20 random orders by deletion and by insertion. *Random models*: a picture that stays the same when
the model's values are shuffled says nothing about the model. What fails is greyed out.

**On this page** parts are masked at the token states: fast, but the neighbours of a struck word still know of it. The
verdict for the whole run, `python -m core audit`, encodes words and pixels anew.
"""


def product(scope: Microscope, shop: services.Shop, answer: Recommendation) -> None:
    """The explained product: photo, title, place and score."""
    picture = services.picture(shop, scope.item_id, 480)
    title = scope.item.title or scope.item_id
    st.image(picture or parts.no_photo(), width="stretch", alt=parts.picture_alt(title, picture))
    st.markdown(
        f"**{literal(shorten(title, 80))}**  \n{parts.money(scope.item.price)} :gray[·] "
        f"**{parts.ordinal(scope.place)}** of {len(answer.item_ids):,} :gray[·] score "
        f"**{scope.printed:.3f}**".replace("**-", "**\u2212")
    )


def split_alt(found: Contribution, unit: str) -> str:
    told = ", ".join(f"{word_of(m)} {signed(value, 3)}" for m, value in found.phi.items())
    return f"Waterfall of the {unit}: from {signed(found.base, 3)} over {told} to {signed(found.full, 3)}"


def split_chart(found: Contribution, value: str, scope: str, as_table: bool) -> None:
    """The waterfall of one value, or its table twin."""
    if as_table:
        rows = [
            {"modality": word_of(m), "contribution": phi, "alone": found.alone[m], "share": found.shares.get(m)}
            for m, phi in found.phi.items()
        ]
        st.dataframe(
            rows, hide_index=True, key="explain_split_table",
            column_config={"share": st.column_config.NumberColumn("share", format="percent")},
            alt=split_alt(found, UNITS[value]),
        )  # fmt: skip
        return
    st.plotly_chart(
        waterfall_figure(STARTS[scope], found.base, modality_parts(found.phi), "printed", UNITS[value]),
        key=f"explain_split_{value}", config=CONFIG, alt=split_alt(found, UNITS[value]),
    )  # fmt: skip


def small_print(scope: Microscope, found: Contribution, judged: Sensitivity | None) -> None:
    """Residual, interaction, path, gates and how much the baseline matters: one line each."""
    lines = []
    for inside, icon, told in (
        (True, "link", "In the scoring path of this ranker"),
        (False, "link_off", "**Not in the scoring path** of this ranker, exactly 0"),
    ):
        if those := [named(m) for m, one in scope.in_path.items() if one is inside]:
            lines.append(f":material/{icon}: {told}: {', '.join(those)}")
    if found.pairs:
        told = "; ".join(f"{named(a)} with {named(b)} {signed(value, 3)}" for (a, b), value in found.pairs.items())
        lines.append(f":gray[Interaction (above 0: only together; below 0: redundant):] {told}")
    if scope.players:
        gates = " · ".join(f"{named(m)} {value:.2f}" for m, value in scope.gates.items())
        apart = f" :gray[· they disagree with the shares by] {scope.disagreement:.0%}"
        some = scope.contributions()["score"].shares
        lines.append(
            f":gray[Gates, the fuser's weights inside the model, are no contributions:] {gates}{apart if some else ''}"
        )
    if judged is not None:
        verdict = (
            ":material/warning: **the picture depends on the baseline**" if judged.depends
            else "the leading modality and the signs stay the same"
        )  # fmt: skip
        each = "; ".join(
            f"{explain_services.baselines()[name]}: "
            + ", ".join(f"{word_of(m)} {share:.0%}" for m, share in one.shares.items())
            for name, one in judged.by_baseline.items()
        )
        lines.append(f":gray[Of the score, against other baselines] {verdict} :gray[({each})]")
    lines.append(f":gray[Residual, base + contributions \u2212 what is printed:] {signed(found.residual, 7)}")
    st.markdown("  \n".join(f":small[{line}]" for line in lines))


# ---- words and photos


def words(scope: Microscope, weights: np.ndarray, *, grey: bool = False) -> None:
    units = scope.scorer.units["text"]
    most = np.argsort(-np.abs(weights))[:3]
    strongest = ", ".join(f"{units.names[row]} {signed(float(weights[row]))}" for row in most)
    st.image(
        words_picture(units.names, weights.tolist(), grey=grey), width="stretch",
        alt=f"The words, {'in greys' if grey else 'coloured'} by their weight: {' '.join(units.names)[:400]}. "
        f"Strongest: {strongest}",
    )  # fmt: skip


def photo(
    scope: Microscope, image: bytes, weights: np.ndarray, number: int, opacity: float, *, grey: bool = False
) -> None:  # fmt: skip
    grid = explain_services.grid_of(scope, weights, number)
    row, column = np.unravel_index(int(np.abs(grid).argmax()), grid.shape)
    told = f"strongest at row {row + 1} of {grid.shape[0]}, column {column + 1} of {grid.shape[1]}"
    st.image(
        explain_services.overlay(image, grid, opacity, grey=grey), width="stretch",
        alt=f"Photo {number + 1} under its weights: {told}, {signed(float(grid[row, column]))}",
    )  # fmt: skip


def legend() -> None:
    st.image(scale_picture(), width=300, alt="Scale: purple lowers the score, pale does nothing, green raises it")


def weight_table(scope: Microscope, weights: Mapping[Modality, np.ndarray]) -> None:
    rows = [
        {
            "modality": word_of(m), "part": units.names[row],
            "medium": units.parts[row] + 1, "weight": float(weights[m][row]),
        }
        for m, units in scope.scorer.units.items()
        for row in range(len(units))
    ]  # fmt: skip
    rows.sort(key=lambda one: -abs(float(one["weight"])))  # type: ignore[arg-type]
    st.dataframe(
        rows, hide_index=True, key="explain_weights", height=360,
        column_config={"weight": st.column_config.NumberColumn("weight, score units", format="%+.4f")},
        alt=f"Table of {len(rows)} parts with their weights, the strongest first",
    )  # fmt: skip


# ---- trust


def verdict_line(m: Modality, verdict: Verdict) -> str:
    """One line on whether a method may be trusted on this case."""
    if verdict.passed:
        told = "better than at least 19 of 20 random orders, by deletion and by insertion"
        return f":green[:material/check_circle:] {named(m)}: {told}"
    return f":gray[:material/block: {word_of(m)}: {literal(verdict.reason)}]"


def trust_rows(
    verdicts: Mapping[str, Mapping[Modality, Verdict]], titles: Mapping[str, str], m: Modality
) -> list[dict[str, Any]]:  # fmt: skip
    rows = []
    for name, by_modality in verdicts.items():
        verdict = by_modality.get(m)
        if verdict is None or verdict.trial is None:
            continue
        trial = verdict.trial
        rows.append({
            "name": titles[name], "deletion": trial.deletion.area, "insertion": trial.insertion.area,
            "random deletion": float(trial.random_deletion.mean()),
            "random insertion": float(trial.random_insertion.mean()),
            "low": float(trial.random_deletion.min()), "high": float(trial.random_deletion.max()),
            "beaten": float((trial.random_deletion > trial.deletion.area).mean()),
            "random models": verdict.likeness, "passed": verdict.passed, "reason": verdict.reason,
        })  # fmt: skip
    return rows


def trust_chart(rows: Sequence[Mapping[str, Any]], m: Modality, as_table: bool) -> None:
    passed = [str(row["name"]) for row in rows if row["passed"]]
    told = f"Methods for the {word_of(m)}; trusted here: {', '.join(passed) or 'none'}"
    if as_table:
        keep = ("name", "deletion", "random deletion", "insertion", "random insertion", "beaten", "random models",
                "passed", "reason")  # fmt: skip
        st.dataframe(
            [{key: row[key] for key in keep} for row in rows], hide_index=True, key=f"explain_trust_{m}",
            column_config={"beaten": st.column_config.NumberColumn("random orders beaten", format="percent")},
            alt=told,
        )  # fmt: skip
        return
    st.plotly_chart(areas_figure(rows), key=f"explain_areas_{m}", config=CONFIG, alt=told)


def curve_charts(verdict: Verdict, title: str, m: Modality, as_table: bool) -> None:
    """What is left of the score, and of the rank, as parts are taken away or given back; chance beside it."""
    trial = verdict.trial
    if trial is None:
        return
    lines = {
        title: (trial.deletion, trial.insertion, MODALITY_COLOR.get(m, "#4C8DC4")),
        "random orders": (trial.chance_deletion, trial.chance_insertion, "#7F7F7F"),
    }
    for column, of in zip(st.columns(2), ("score", "rank"), strict=True):
        curves = {
            name: {
                "fractions": down.fractions, "color": color,
                "deletion": getattr(down, of), "insertion": getattr(up, of),
            }
            for name, (down, up, color) in lines.items()
        }  # fmt: skip
        told = (
            f"Deletion and insertion of {title} for the {word_of(m)}, {of}: from {curves[title]['deletion'][0]:.2f} to "
            f"{curves[title]['deletion'][-1]:.2f}; random orders beaten {trial.beaten_deletion:.0%} by deletion, "
            f"{trial.beaten_insertion:.0%} by insertion, on the score"
        )
        if as_table:
            rows = [
                {"share of parts": fraction, **{f"{name}, {side}": float(one[side][at])
                                                for name, one in curves.items() for side in ("deletion", "insertion")}}
                for at, fraction in enumerate(map(float, trial.deletion.fractions))
            ]  # fmt: skip
            column.dataframe(rows, hide_index=True, key=f"explain_curve_{of}_{m}", alt=told)
        else:
            figure = curves_figure(curves, f"{of} left, {word_of(m)}")
            column.plotly_chart(figure, key=f"explain_curve_{of}_{m}", config=CONFIG, alt=told)


def run_verdicts(audit: Mapping[str, Any], titles: Mapping[str, str]) -> list[str]:
    """What the audit of the run says of each method, as Markdown."""
    told = []
    for name, by_modality in audit["methods"].items():
        each = " · ".join(
            f"{named(m)} " + ("faithful" if one["passed"] else f":gray[not shown to be: {literal(one['reason'])}]")
            for m, one in by_modality.items()
        )
        told.append(f":small[{titles.get(name, name)}: {each}]")
    return told


def usage_rows(audit: Mapping[str, Any]) -> list[dict[str, Any]]:
    named_so = {"perceptual": "perceptual score", "ablation": "ablation", "emap_gain": "EMAP gain"}
    named_again = {"queries": "retrained without it, questions", "users": "retrained without it, next item"}
    return [
        {"modality": m, "measure": title, **{key: side[name][key] for key in ("value", "low", "high")}}
        for m, one in audit["modalities"].items()
        for side, names in ((one, named_so), (one.get("retrained", {}), named_again))
        for name, title in names.items()
        if side.get(name)
    ]


# ---- the rest


def bars(
    names: Sequence[str], values: Sequence[float], unit: str, key: str, ranges: Sequence[Any] = (),
    colors: Sequence[str] = (),
) -> None:  # fmt: skip
    told = "; ".join(f"{name} {signed(value, 3)}" for name, value in list(zip(names, values, strict=True))[:6])
    figure = bars_figure(names, values, unit, ranges, colors)
    st.plotly_chart(figure, key=key, config=CONFIG, alt=f"Bars, {unit}: {told}")


def difference_chart(found: Contribution, one: str, other: str) -> None:
    pieces = [
        Part(name=word_of(m), value=value, color=MODALITY_COLOR.get(m, "#7F7F7F")) for m, value in found.phi.items()
    ]
    st.plotly_chart(
        waterfall_figure("nothing asked", found.base, pieces, "difference", "score of the first minus the second"),
        key="explain_difference", config=CONFIG,
        alt=f"{one} against {other}: " + split_alt(found, "difference of scores"),
    )  # fmt: skip


def difference_table(found: Contribution) -> None:
    rows = [{"part": "nothing asked", "difference of scores": found.base}]
    rows += [{"part": word_of(m), "difference of scores": value} for m, value in found.phi.items()]
    st.dataframe(
        [*rows, {"part": "all", "difference of scores": found.full}], hide_index=True, key="explain_difference_rows",
        column_config={"difference of scores": st.column_config.NumberColumn(format="%+.4f")},
        alt=f"Table of {split_alt(found, 'difference of scores')}",
    )  # fmt: skip


def moves_list(found: Sequence[explain_services.Move], shop: services.Shop) -> None:
    """The list after a change: photo, title, and an arrow for who moved."""
    for move in found:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            picture = services.picture(shop, move.item_id, 96)
            st.image(picture or parts.no_photo(), width=52, alt=parts.picture_alt(move.title, picture))
            with st.container(width="stretch"):
                arrow = parts.moved(move.was, move.now)
                was = "" if arrow == "=" else f" :gray[was {parts.ordinal(move.was)}]"
                st.markdown(f"**{move.now}. {literal(shorten(move.title, 44))}**  \n:small[{arrow}{was}]")
