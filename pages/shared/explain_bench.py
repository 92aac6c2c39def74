"""The what-if bench, and what lies beyond one case: users, facts, causes, and whether a modality is used at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from core.domain import Modality, Recommendation
from core.errors import FusescopeError
from core.figures import color_of, signed, word_of
from pages.shared import explain_media, explain_parts, explain_services, explain_visit, parts, services, visit, wording
from pages.shared.theme import literal, named

if TYPE_CHECKING:
    from core.explaining import Microscope

WHOLE, COVER, CROP = "Whole", "Cover", "Cut out"


def choose_touched(scope: Microscope) -> tuple[int | None, int | None]:
    """Touch a word to see its patches, or a patch to see its words; nothing chosen shows the weights themselves."""
    words, patches = explain_services.word_labels(scope), explain_services.patch_labels(scope)
    told = "Where the fuser reads words and patches together: its attention. Else: what both do only together."
    with st.container(horizontal=True, gap="medium"):
        word = st.selectbox(
            "Touch a word to see its patches", list(words), index=None, key=explain_visit.WORD, width=260,
            placeholder="none, show the weights", help=told,
        )  # fmt: skip
        patch = st.selectbox(
            "Touch a patch to see its words", list(patches), index=None, key=explain_visit.PATCH, width=260,
            placeholder="none, show the weights", help=told,
        )  # fmt: skip
    return words.get(word or ""), patches.get(patch or "")


def choose_map(scope: Microscope, weights: dict[str, Any]) -> dict[str, Any]:
    """Which attention is drawn: the pooling, the mean, a single head, or rolled out over the blocks."""
    maps = scope.maps
    if len(maps) < 2:
        return weights
    shown = st.segmented_control(
        "Attention of", list(maps), key=explain_visit.MAP, default="rollout" if "rollout" in maps else None,
        help="Pooling: how tokens became the modality's vector. Mean, heads, rollout: what the fuser's summary read.",
    )  # fmt: skip
    return maps.get(str(shown), weights)


@st.fragment
def draw_bench(scope: Microscope, run: str, answer: Recommendation, shop: services.Shop) -> None:
    """Strike, reword, cover, cut, swap, silence, drop: the question is asked again and the list shows who moved."""
    if scope.scorer.scope != "query":
        st.caption("The bench changes a question. Ask with words or a photo to use it.")
        return
    asking, answering = st.columns([3, 2], gap="medium")
    with asking:
        text = reworded(scope)
        photos = repainted(scope, shop)
        others = explain_media.retimed(scope)
        dropped = st.pills(
            "Drop a modality", scope.players, selection_mode="multi", format_func=word_of, key=explain_visit.DROPPED
        )
        st.button(
            "Put everything back", key="explain_back", icon=":material/restart_alt:", type="tertiary",
            on_click=explain_visit.clear_bench, args=(scope.query.text,),
        )  # fmt: skip
    with answering:
        try:
            changed = explain_services.changed(scope.query, text, photos, dropped, others)
            with st.spinner("Asking again", show_time=True):
                after = services.answer(run, changed)
        except FusescopeError as refused:
            parts.refusal(refused, title="The changed question cannot be answered")
            return
        weights = chosen_weights(after)
        same = changed == scope.query and all(weight == 1 for weight in weights.values())
        draw_after(scope, answer, services.reweigh(after, weights, shop), shop, same=same)
    draw_unseating(scope, run, answer, shop)


def reworded(scope: Microscope) -> str | None:
    """The text with words struck or edited; None where nothing was changed."""
    if "text" not in scope.scorer.units:
        return None
    labels = explain_services.word_labels(scope)
    gone = st.pills(
        "Strike words", list(labels), selection_mode="multi", key=explain_visit.STRUCK, wrap=True,
        disabled=st.session_state.get(explain_visit.REWORDED, scope.query.text) != scope.query.text,
        help="Press a word to strike it, press again to put it back. An edited text is asked as it stands.",
    )  # fmt: skip
    text = st.text_area(
        "Or edit them", key=explain_visit.REWORDED, height=80,
        help="Struck words are taken out of the question as it was asked; an edited text takes their place.",
    )  # fmt: skip
    if text != scope.query.text:
        return text
    return explain_services.struck(scope, [labels[word] for word in gone]) if gone else None


def repainted(scope: Microscope, shop: services.Shop) -> list[bytes] | None:
    """The photos, one of them covered, cut or swapped; None where nothing was changed."""
    own = explain_services.photos(scope, shop)
    if not own:
        return None
    number = 0
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        if len(own) > 1:
            names = [f"photo {place + 1}" for place in range(len(own))]
            number = names.index(str(st.selectbox("Photo", names, key=explain_visit.PHOTO, width=120)))
        how = st.segmented_control(
            "Photo becomes", [WHOLE, COVER, CROP], key=explain_visit.EDIT, default=WHOLE, required=True,
            help="Cover paints a box over in the photo's mean colour; cut out keeps the box alone.",
        )  # fmt: skip
    swap = st.file_uploader(
        "Or swap it for another", type=["jpg", "jpeg", "png", "webp", "avif"], key=explain_visit.swap_key(),
        max_upload_size=services.LIMITS.photo_bytes // 1_000_000,
    )  # fmt: skip
    changed = list(own)
    if swap is not None:
        read = services.read_photos([(swap.name, swap.getvalue())])
        parts.message_cards(read.notices, narrow=True)
        changed = [*own[:number], *read.photos[:1], *own[number + 1 :]] if read.photos else own
    if how in (COVER, CROP):
        across = st.slider("From left to right, %", 0, 100, (25, 75), 5, key=explain_visit.ACROSS)
        down = st.slider("From top to bottom, %", 0, 100, (25, 75), 5, key=explain_visit.DOWN)
        edited = explain_services.painted(changed[number], across, down, "crop" if how == CROP else "cover")
        changed = [*changed[:number], edited, *changed[number + 1 :]]
    if changed == own:
        return None
    st.image(changed[number], width=220, alt=f"Photo {number + 1} as it is asked now: {str(how).lower()}")
    return changed


def chosen_weights(after: Recommendation) -> dict[Modality, float]:
    """One slider a modality that is there."""
    weights: dict[Modality, float] = {}
    if len(after.players) > 1:
        with st.container(horizontal=True, gap="medium"):
            for player in after.players:
                weights[player] = st.slider(
                    f"Weight of the {word_of(player)}", 0.0, 1.0, 1.0, 0.05, key=explain_visit.WEIGHT[player],
                    width=160, help="1 is the model as trained, 0 takes this modality away.",
                )  # fmt: skip
    return weights


def draw_after(
    scope: Microscope, before: Recommendation, after: Recommendation, shop: services.Shop, *, same: bool
) -> None:  # fmt: skip
    """Who leads now, and where the explained product went."""
    found = explain_services.moves(before, after, shop.titles, top=8)
    now = next((m for m in explain_services.moves(before, after, shop.titles, top=len(after.item_ids))
                if m.item_id == scope.item_id), None)  # fmt: skip
    if now is not None:
        told = "Nothing is changed yet. " if same else ""
        st.markdown(
            f"{told}**{literal(shop.titles[scope.item_id])}** is now **{parts.ordinal(now.now)}** "
            f"({parts.moved(now.was, now.now)}), score **{signed(now.score, 3)}**."
        )
    explain_parts.moves_list(found, shop)


def draw_unseating(scope: Microscope, run: str, answer: Recommendation, shop: services.Shop) -> None:
    """The smallest change found that costs the product its first place, and whether it holds when asked anew."""
    st.markdown("**The smallest change that would unseat number one**")
    if scope.place != 1:
        first = answer.items[0]
        st.page_link(
            "pages/explain_page.py", label=f"{wording.said('This product is not first')}; look into {first.title}",
            icon=":material/looks_one:",
            query_params={**visit.address()[0].as_parameters(), explain_visit.ITEM: first.item_id},
        )  # fmt: skip
        return
    found = scope.unseating
    if not found.found:
        st.caption(f"None found by taking away up to {len(found.steps)} parts; its lead is {found.lead:.3f}.")
        return
    rows = [
        {
            "step": number, "taken away": f"{word_of(one.modality)}: {one.name}", "lead left": one.lead,
            "then closest": shop.titles[answer.item_ids[one.rival]],
        }
        for number, one in enumerate(found.steps, start=1)
    ]  # fmt: skip
    st.dataframe(
        rows, hide_index=True, key="explain_unseating",
        column_config={"lead left": st.column_config.NumberColumn("lead left", format="%+.3f")},
        alt=f"The {len(rows)} steps of the search, from a lead of {found.lead:.3f}",
    )  # fmt: skip
    changed = scope.without_units({m: found.gone(m) for m in scope.players})
    if changed.parts:
        after = services.answer(run, changed)
        place = {one.item_id: one.rank for one in after.items}.get(scope.item_id)
        gone = place != 1
        item = wording.words().item
        told = f"the {item} is {parts.ordinal(place)}" if place else f"it leaves the first {services.TOP}"
        st.caption(
            f"Searched at the token states. Asked again with these parts truly gone: {told}"
            + (", so the change holds." if gone else ", so the neighbours still carried what was taken away.")
        )


# ---- beyond one case


@st.fragment
def draw_facts(scope: Microscope) -> None:
    """The user's history, an imitation by named facts, and interventions."""
    if scope.history:
        st.markdown("**What the user's history did to this score**")
        met = scope.history[:12]
        explain_parts.bars(
            [one.title for one in met], [one.effect for one in met],
            "score lost had they never met it (leaving one out)", "explain_history",
        )  # fmt: skip
        if st.toggle("Show as table", key="explain_history_table"):
            rows = [{"met": one.title, "rating": one.rating, "score lost": one.effect} for one in scope.history]
            told = f"Table of {len(rows)} things this user met and the score each gives"
            st.dataframe(rows, hide_index=True, key="explain_history_rows", alt=told)
    st.markdown(wording.said("**Causes: what the score loses when one modality becomes another product's**"))
    found = scope.interventions
    if found:
        explain_parts.bars(
            [word_of(m) for m in found], [one.effect for one in found.values()], "score lost", "explain_do",
            [(one.low, one.high) for one in found.values()],
        )  # fmt: skip
        if st.toggle("Show as table", key="explain_do_table"):
            rows = [
                {"exchanged": f"do({word_of(m)})", "score lost": one.effect, "low": one.low, "high": one.high}
                for m, one in found.items()
            ]
            st.dataframe(rows, hide_index=True, key="explain_do_rows", alt="Table of score lost, with intervals")
        draws = next(iter(found.values())).draws
        st.caption(wording.said(
            f"Mean over {draws} products drawn with seed 0, with the 95 % interval over draws. This is an "
            "intervention: the modality was really exchanged and everything else held. It is no correlation between "
            "what products have and how they score."
        ))  # fmt: skip
    draw_surrogate(scope)


def draw_surrogate(scope: Microscope) -> None:
    st.markdown("**A plain model that imitates this list**")
    made = scope.surrogate
    if made.fidelity is None:
        st.caption(wording.said("Too few products or no facts that some have and some have not."))
        return
    top = dict(list(made.weights.items())[:12])
    if made.trusted:
        explain_parts.bars(list(top), list(top.values()), "log odds of being near the top", "explain_facts")
    told = wording.said(
        f"Logistic regression on named facts, fitted to tell the first {made.top} of {made.items} products from the "
        f"others. Fidelity on products it had not seen: area under the curve {made.fidelity:.2f} (chance .5). "
        "It shows what products near the top have in common, which is correlation, not cause."
    )
    st.caption(told if made.trusted else f"{told} Below .7 it does not imitate the ranker, so no bars are shown.")
    if st.toggle("Show as table", key="explain_facts_table"):
        rows = [{"fact": fact, "log odds": weight} for fact, weight in made.weights.items()]
        st.dataframe(
            rows, hide_index=True, key="explain_facts_rows", alt=f"Table of {len(rows)} facts and their weights"
        )


def draw_used(audit: dict[str, Any] | None, run: str) -> None:
    """Whether the run uses each modality at all, over held-out data: one figure, one table."""
    if audit is None:
        with st.container(border=True):
            st.markdown("#### :material/fact_check: Nobody has audited this run yet")
            st.markdown(
                "One command asks whether each modality is really used, and which explanations are faithful, over a "
                "hundred held-out cases. Its verdict then stands here."
            )
            st.code(f"python -m core audit --run {run}", language="bash")
        return
    metric = audit["metric"].upper()
    for m, one in audit["modalities"].items():
        share = one["perceptual"]
        used = "used" if share["low"] > 0 else "not shown to be used"
        path = "" if one["in_scoring_path"] else "; not in the scoring path"
        st.markdown(
            f"{named(m)}: **{used}**{path} :small[:gray[{share['value']:.0%} of {metric} goes when exchanged, "
            f"{share['low']:.0%} to {share['high']:.0%}]]"
        )
    rows = explain_parts.usage_rows(audit)
    explain_parts.bars(
        [f"{word_of(row['modality'])}: {row['measure']}" for row in rows], [row["value"] for row in rows],
        f"loss of {metric} (perceptual: share of it)", "explain_usage", [(row["low"], row["high"]) for row in rows],
        [color_of(row["modality"]) for row in rows],
    )  # fmt: skip
    users = wording.said("products before known users and their held-out likes")
    of = "held-out questions" if audit["scope"] == "query" else users
    st.caption(
        f"{audit['things']} {of}, seed {audit['seed']}, 95 % intervals. Perceptual: the "
        f"share of {metric} that goes when the modality is exchanged among them. Ablation: taken away at "
        "inference, nothing retrained. EMAP gain: what "
        "only the interplay of modalities adds. "
        + (
            "Retrained: MRR of questions and NDCG@10 of the next item lost by a run that was trained without it."
            if any("retrained" in one for one in audit["modalities"].values())
            else "Trained again without it: `audit --retrain SEEDS` measures that too."
        )
    )
    if st.toggle("Show as table", key="explain_usage_table"):
        st.dataframe(rows, hide_index=True, key="explain_usage_rows", alt="Table of usage measures with intervals")
