"""What this is, guided stories, the state of store and machine. Loads no model; the stories are drawn first."""

from __future__ import annotations

import streamlit as st

from core.errors import FusescopeError
from pages.shared import parts, services, visit, wording
from pages.shared.theme import leading, literal


def media_of(story: services.Story, kind: str) -> list[bytes]:
    """The first two photos or sounds of a story's steps."""
    paths = dict.fromkeys(path for step in story.steps for path in getattr(step, kind))
    return services.story_media(story.catalogue, tuple(paths)[:2])


st.title("See what a recommendation is made of")
st.markdown(
    "Fusescope recommends products from the words of a review and a few photos. Under every product it shows how much "
    "the words and how much the photos moved its score, measured by taking each of them away. It also says when your "
    "query is unlike anything in the shop, so that you know how far to trust the answer."
)
st.page_link("pages/recommend_page.py", label="Ask with your own words and photos", icon=":material/arrow_forward:")

st.subheader("Guided stories, one click each")
stories = services.stories()
for place, story in zip(st.columns(max(len(stories), 1), border=True), stories, strict=False):
    words = next((step.text for step in story.steps if step.text), "")
    with place, st.container(height="stretch", vertical_alignment="distribute"):
        with st.container(gap="small"):
            parts.story_ingredients(media_of(story, "photos"), words, media_of(story, "sounds"))
            st.markdown(f"**{literal(story.title)}**  \n{literal(story.lead)}")
        if st.button(
            "Open this story", key=f"home_story_{story.story_id}", icon=":material/play_arrow:", type=leading()
        ):
            address = visit.Address(story=story.story_id)
            st.switch_page("pages/recommend_page.py", query_params=address.as_parameters())

st.subheader("This installation")
state = st.grid(4, min_column_width=220, gap="small", border=True)
machine = services.machine()
with state.cell():
    st.caption(":material/memory: Machine")
    st.markdown(f"**{machine.device}**, {machine.detail}")
    st.caption(" · ".join(f"{name} {number or 'missing'}" for name, number in machine.versions.items()))
with state.cell():
    st.caption(":material/inventory_2: Weights")
    found = sum(machine.weights.values())
    st.markdown(f"**{found} of {len(machine.weights)}** bundled encoders are here")
    st.caption(" · ".join(f"{name}{'' if here else ': missing'}" for name, here in machine.weights.items()))
try:
    catalogues, runs = services.catalogues(), services.runs()
except FusescopeError as refused:
    with state.cell(column_span=2):
        st.caption(":material/database: Store")
        st.text(str(refused))
else:
    with state.cell():
        st.caption(":material/storefront: Catalogues")
        st.markdown(f"**{len(catalogues)}** in this workspace")
        for shop in catalogues[:3]:
            told = wording.words(shop.name)
            st.caption(f"{literal(shop.name)}: {shop.items:,} {told.items}, {shop.interactions:,} {told.queries}")
    with state.cell():
        st.caption(":material/model_training: Runs")
        st.markdown(f"**{len(runs)}** ready to answer")
        for run in runs[:3]:
            st.caption(f"{literal(run.run)}: {literal(f'{run.align} + {run.fuse} + {run.rank}')}")
parts.foot(machine.device, "No model is loaded before the first question.")
