"""The frame: page settings, logo, navigation, run. No data, no state; every page renders without anything made here.

The server imports this file once, for `app`; every visitor's run draws the frame.
"""

from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.shared import access, demo, questions, served

ROOT = Path(__file__).resolve().parent


def draw() -> None:
    st.set_page_config(page_title="Fusescope", page_icon=str(ROOT / "assets" / "mark.svg"), layout="wide")
    st.logo(str(ROOT / "assets" / "logo.svg"), size="large")
    if not access.role():
        st.navigation([st.Page(access.draw_door, title="Sign in", url_path="sign-in")], position="hidden").run()
        return
    page = st.navigation(
        [
            st.Page(ROOT / "pages" / "home_page.py", title="Home", icon=":material/home:", default=True),
            st.Page(
                ROOT / "pages" / "recommend_page.py",
                title="Recommend",
                icon=":material/search:",
                url_path="recommend",
                help="Ask with words and photos, see what moved the answer",
            ),
            st.Page(
                ROOT / "pages" / "explain_page.py",
                title="Explain",
                icon=":material/biotech:",
                url_path="explain",
                help="Why this one, why not that one, what if, and how far to trust it",
            ),
            st.Page(
                ROOT / "pages" / "map_page.py",
                title="Map",
                icon=":material/scatter_plot:",
                url_path="map",
                help="The aligned space, before and after alignment, with your query in it",
            ),
            st.Page(
                ROOT / "pages" / "errors_page.py",
                title="Errors",
                icon=":material/troubleshoot:",
                url_path="errors",
                help="What the model gets wrong, where, and which modality misled it",
            ),
            st.Page(
                ROOT / "pages" / "models_page.py",
                title="Models",
                icon=":material/model_training:",
                url_path="models",
                help="Train runs, compare them on one board, put two side by side",
            ),
            st.Page(
                ROOT / "pages" / "data_page.py",
                title="Data",
                icon=":material/inventory_2:",
                url_path="data",
                help="What a catalogue holds, what was cleaned and refused; import your own",
            ),
        ],
        position="top",
    )
    questions.sweep()
    access.draw_badge()
    demo.draw_bar()
    page.run()


if get_script_run_ctx(suppress_warning=True) is not None:
    draw()
elif __name__ != "__main__":
    served.stay_at_home()
    access.check_secrets()
    app = st.App(__file__, middleware=served.middleware())
