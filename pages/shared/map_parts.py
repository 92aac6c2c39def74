"""Drawn pieces of the map page: values in, elements out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from core.domain import Item, Modality
from core.figures import no_photo, shorten, signed
from core.figures_map import FUSED, SIGN, slot_word
from pages.shared import map_services, parts, services, wording
from pages.shared.theme import literal

METHOD = """
**The points.** Every product has a point for each of its modalities, in the shared space after alignment, and one fused
point. Alignment should put the words and the photo of one product close to each other, and apart from other products.

**Before.** The same products as the frozen encoders see them: every modality standardised, its principal axes, unit
length. The axes of words and photos have nothing to do with each other, so numbers *across* modalities are chance
there, by definition. CKA and mutual neighbours are compared on the encoders' own vectors, where before means something.
Both frames are laid onto each other (Procrustes), so that a product is easy to follow; in between is drawn, not
computed.

**How true is the picture?** A map in two dimensions cannot keep everything. *Trustworthiness* falls when neighbours on
the map are none in the space; *continuity* when neighbours in the space are torn apart; *neighbours kept* is the plain
overlap of the two lists of 15. *Stability* draws the map again with other seeds: who is whose neighbour hardly changes,
where whole clusters lie to each other may, so read nothing into the distance of two clusters.

**A smaller gap is no goal by itself.** Retrieval is: can the words of a product find its photo? Good alignment with
uniformity near 0 is collapse, not success.

**Your query** is placed by the weighted mean of its ten nearest products in the space. No map was computed with it in
it, so its place is approximate; the list of its neighbours is exact.
"""


def progress(label: str, fraction: float, remaining: float | None) -> None:
    left = "" if remaining is None else f", about {remaining:.0f} s left"
    st.progress(min(1.0, max(0.0, fraction)), text=f"Drawing the map: {literal(label)}{left}")


def truth_tiles(numbers: Mapping[str, Any], report: Mapping[str, Any], frame: str, pair: str) -> None:
    """The numbers beside the picture, each with a sentence; pair: the modalities that are compared, "" for none."""
    told, stable = numbers.get(frame, {}), numbers.get("stability")
    gap, found = report["gap"].get(pair), report["pairs"].get(pair)
    best = found and found["after"].get("ceiling")
    tiles = [
        ("Trustworthiness", _number(told.get("trustworthiness")),
         "1: every neighbour on the map is one in the space; a random map has .5."),
        ("Continuity", _number(told.get("continuity")),
         "1: every neighbour in the space is one on the map; low: clusters are torn apart."),
        ("Neighbours kept", _number(told.get("neighbours_kept")),
         "Share of the 15 nearest in the space that are among the 15 nearest on the map."),
        ("Stability, 2-D after", _number(stable and stable["neighbours_kept"])
         + (f" · {stable['disparity']:.2f} apart" if stable else ""),
         "Over five seeds, of the flat map after alignment: neighbours on the map that stay the same, and how far "
         "apart whole maps are (Procrustes disparity, 0 = the same map)."),
        ("Modality gap", _change(gap, lambda one: one),
         "Distance between the means of two modalities, before and after alignment"
         + (f", {pair_words(pair)}. By chance, two halves of one modality: {gap['chance']:.2f}." if gap else ".")),
        ("Other side in 10", _change(found, lambda one: one["recall@10"]["forward"]),
         wording.said("How often a product's other modality is among the ten nearest, before and after alignment")
         + (f", {found_words(pair)}. By chance {found['after']['chance']['recall@10']:.2f}"
            + (f", at best {best['recall@10']:.2f}" if best else "") if found else "") + "."),
    ]  # fmt: skip
    row = st.grid(3, min_column_width=110, gap="xsmall", border=True)
    for label, value, sentence in tiles:
        with row.cell():
            st.markdown(f":small[:gray[{label}]]  \n**{value}**", help=sentence)


def pair_words(pair: str) -> str:
    return " and ".join(slot_word(one) for one in pair.split("-"))


def either_words(pair: str) -> str:
    return " or ".join(slot_word(one) for one in pair.split("-"))


def found_words(pair: str, back: bool = False) -> str:
    """Which side asks and which is found."""
    asks, found = (slot_word(one) for one in (reversed(pair.split("-")) if back else pair.split("-")))
    return f"{asks} {'find' if asks.endswith('s') else 'finds'} {found}"


def pairs_table(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every pair of modalities in one row, after alignment."""
    rows = []
    for pair, states in report["pairs"].items():
        after = states["after"]
        rows.append(
            {
                "pair": pair_words(pair), "recall@10": after["recall@10"]["forward"],
                "the other way": after["recall@10"]["backward"],
                "at best": (after.get("ceiling") or {}).get("recall@10"), "chance": after["chance"]["recall@10"],
                "candidates": after["candidates"], "gap": report["gap"][pair]["after"],
                "alignment": report["alignment"][pair]["after"],
            }
        )  # fmt: skip
    return rows


def worst_of(report: Mapping[str, Any], pair: str) -> tuple[list[Mapping[str, Any]], int]:
    """The least likely pairs of two modalities, and of how many; a report from before they were told of each pair has
    them among the worst of all."""
    told = report.get("worst_of", {}).get(pair)
    if told is not None:
        return told["pairs"], told["compared"]
    return [one for one in report["worst_pairs"] if "-".join(one["modalities"]) == pair], report["pairs_compared"]


def _change(states: Mapping[str, Any] | None, number: Callable[[Any], float]) -> str:
    return f"{number(states['before']):.2f} → {number(states['after']):.2f}" if states else "none"


def _number(value: float | None, digits: int = 3) -> str:
    return "none" if value is None else f"{value:.{digits}f}"


def space_table(report: Mapping[str, Any], pair: str) -> list[dict[str, str]]:
    """All numbers of a pair of modalities as rows: what, before, after, chance, how to read it."""
    if pair not in report["pairs"]:
        return []
    before, after = report["pairs"][pair]["before"], report["pairs"][pair]["after"]
    ways, both = {"forward": found_words(pair), "backward": found_words(pair, back=True)}, pair_words(pair)
    rows = []
    for k in (1, 5, 10):
        for way, words in ways.items():
            found, chance = [one[f"recall@{k}"][way] for one in (before, after)], after["chance"][f"recall@{k}"]
            best = f"; {after['ceiling'][f'recall@{k}']:.3f} at best" if after.get("ceiling") else ""
            rows.append(_row(f"{words}, recall@{k}", *found, f"{chance:.3f}", f"higher is better{best}"))
    for way, words in ways.items():
        rank = f"median rank {after['median_rank'][way]:.0f} of {after['candidates']}"
        rows.append(_row(f"{words}, MRR", before["mrr"][way], after["mrr"][way], f"{after['chance']['mrr']:.3f}", rank))
    rows.append(
        _row(f"mutual neighbours of {both}", before["mutual_neighbours"], after["mutual_neighbours"],
             f"{after['chance']['mutual_neighbours']:.3f}", "share of the ten nearest that both sides have")
    )  # fmt: skip
    rows.append(_row(f"CKA of {both}", before["cka"], after["cka"], "0.000", "1: the same geometry; debiased"))
    gap, near = report["gap"][pair], report["alignment"][pair]
    rows.append(_row(f"gap of {both}", gap["before"], gap["after"], f"{gap['chance']:.3f}", "0 is none"))
    rows.append(
        _row(f"alignment of {both}", near["before"], near["after"],
             f"{near['chance_before']:.3f}, {near['chance_after']:.3f}", "mean squared distance, 0 is best")
    )  # fmt: skip
    for modality in pair.split("-"):
        if one := report["uniformity"].get(modality):
            said = "lower is more spread; about -4 at most, 0 is collapse"
            rows.append(_row(f"uniformity of {slot_word(modality)}", one["before"], one["after"], "", said))
    return rows


def _row(what: str, before: float, after: float, chance: str, reading: str) -> dict[str, str]:
    return {
        "number": what, "before": f"{before:.3f}", "after": f"{after:.3f}", "chance": chance, "how to read it": reading
    }  # fmt: skip


def measured_on(report: Mapping[str, Any]) -> str:
    seen = report["evaluated"]
    sample = (
        f", a sample of {seen['items']:,} of {seen['of']:,} (seed {seen['seed']})" if seen["items"] < seen["of"] else ""
    )
    if seen["which"] == "held out":
        return wording.said(f"Measured on {seen['items']:,} products that training has not seen{sample}.")
    sort = (
        "training has seen these products, so the numbers after alignment flatter"
        if seen["in_sample"]
        else "none was trained on"
    )
    return wording.said(f"Measured on all {seen['items']:,} products{sample}; {sort}.")


# ---- products


def product(shown: map_services.Drawing, item_id: str) -> None:
    """Photo and facts of one product, and its neighbours side by side."""
    shop = services.shop(shown.map.catalogue)
    item, picture = shop.items.get(item_id), services.picture(shop, item_id, 320)
    title = item.title if item and item.title else item_id
    with st.container(horizontal=True, gap="small"):
        st.image(picture or no_photo(), width=150, alt=parts.picture_alt(title, picture))
        with st.container(width="stretch", gap="xsmall"):
            st.markdown(f"**{literal(title)}**")
            st.caption(
                literal(
                    " · ".join(filter(None, [item.category if item else "", parts.money(item.price) if item else ""]))
                )
            )
            [row] = map_services.item_rows(shown, [item_id])
            if row["distance_of_sides"] is not None:
                st.caption(f"Distance of its sides {row['distance_of_sides']:.2f} (0 together, 1.41 unrelated)")
            if row["neighbours_kept_over_seeds"] is not None:
                st.caption(f"{row['neighbours_kept_over_seeds']:.0%} of its neighbours on the map survive another seed")
    if item and item.description:
        st.markdown(f":small[:gray[{literal(shorten(item.description, 260))}]]")
    lists = {slot: map_services.neighbours(shown, item_id, slot) for slot in shown.map.slots}
    neighbour_lists(shown, {slot: ids for slot, ids in lists.items() if ids}, wording.said("Nearest products"))


def neighbour_lists(shown: map_services.Drawing, lists: Mapping[str, Sequence[str]], heading: str) -> None:
    """Neighbours by each modality and fused, a row of small photos each, and why they differ."""
    shop = services.shop(shown.map.catalogue)
    st.markdown(f"**{heading}**")
    for slot, ids in lists.items():
        st.caption(f"{SIGN.get(slot, '●')} by {slot_word(slot)}" if slot != FUSED else f"{SIGN[FUSED]} fused")
        with st.container(horizontal=True, gap="xsmall"):
            pictures = [services.picture(shop, one, 96) for one in ids[:5]]
            for one, picture in zip(ids, pictures, strict=False):
                st.image(picture or no_photo(), width=60, alt=parts.picture_alt(shop.titles.get(one, one), picture))
        st.markdown(f":small[{literal('; '.join(shorten(shop.titles.get(one, one), 28) for one in ids[:5]))}]")
    told = map_services.agreement(shown, lists)
    if told:
        st.caption(literal("Why they differ: " + ". ".join(told) + "."))


def gallery(shown: map_services.Drawing, item_ids: Sequence[str], most: int = 12) -> None:
    """A group as small photos under their titles."""
    shop = services.shop(shown.map.catalogue)
    grid = st.grid(4, min_column_width=70, gap="xsmall")
    for item_id in item_ids[:most]:
        with grid.cell():
            picture = services.picture(shop, item_id, 96)
            title = shop.titles.get(item_id, item_id)
            st.image(picture or no_photo(), width="stretch", alt=parts.picture_alt(title, picture))
            st.markdown(f":small[{literal(shorten(title, 24))}]")


# ---- worst pairs

JUDGED = {  # who says that a pair is unlikely: see core/mapping/report.py
    "others": "judged by a map fitted on the other products and by the other files of the same product, since the "
    "aligner was trained on these very pairs. Deviations count from the usual pair; the distance is that after "
    "alignment.",
    "aligner": "far apart after alignment. Deviations compare a pair with others that training has, or has not, seen.",
}


def worst_pair(shown: map_services.Drawing, pair: Mapping[str, Any], place: int) -> None:
    """Both sides of a product that do not fit each other."""
    shop = services.shop(shown.map.catalogue)
    item = shop.items.get(pair["item_id"])
    for modality in reversed(pair["modalities"]):
        SIDE.get(modality, _words)(shown, item, pair[modality], modality)
    seen = "" if pair["trained"] else " · not trained on"
    st.caption(
        f"{place}\\. **{literal(shorten(pair['title'] or pair['item_id'], 40))}** · distance {pair['distance']:.2f}, "
        f"{signed(pair['excess'], 1)} deviations{seen}"
    )  # fmt: skip


def _words(shown: map_services.Drawing, item: Item | None, text: str, modality: Modality) -> None:
    st.markdown(f":small[{literal(shorten(text or 'one of several files', 170))}]")


def _photo(shown: map_services.Drawing, item: Item | None, path: str, modality: Modality) -> None:
    picture = map_services.thumbnail(shown.map.catalogue, shown.map.version, path, 320) if path else None
    st.image(picture or no_photo(), width="stretch", alt=parts.picture_alt(item.title if item else path, picture))


def _sound(shown: map_services.Drawing, item: Item | None, path: str, modality: Modality) -> None:
    data = map_services.medium(shown.map.catalogue, path) if path else None
    if data is None:
        _words(shown, item, path, modality)
    else:
        st.audio(data, alt=f"Sound of the {wording.words().item} {item.title if item else path}")


def _clip(shown: map_services.Drawing, item: Item | None, path: str, modality: Modality) -> None:
    data = map_services.medium(shown.map.catalogue, path) if path else None
    if data is None:
        _words(shown, item, path, modality)
    else:
        st.video(data, alt=f"Clip of the {wording.words().item} {item.title if item else path}")


SIDE: dict[Modality, Callable[[map_services.Drawing, Item | None, str, Modality], None]] = {
    "text": _words, "image": _photo, "audio": _sound, "video": _clip,
}  # fmt: skip
