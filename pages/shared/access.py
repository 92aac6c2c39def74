"""Who may do what, where an installation asks people to sign in (OIDC, `st.login`); else everybody may do everything.

`[auth]` in .streamlit/secrets.toml switches it on; `[roles]` beside it lists who may look (viewers) and who may also
label, import and train (annotators), by mail, "*@domain" or "*". Who is on neither list is not let in. Whatever writes
goes through `writable`, so a button that is merely hidden protects nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from core.errors import RoleError
from pages.shared import services
from pages.shared.theme import literal

if TYPE_CHECKING:
    from core.workspace import Workspace

Role = Literal["annotator", "viewer", ""]
ROLES: tuple[Role, ...] = ("annotator", "viewer")
SHORTEST_SECRET = 32  # letters of what signs the cookie: whoever guesses it is anybody


def signing_in() -> bool:
    """Whether people must sign in here."""
    return "auth" in _secrets()


def person() -> str:
    """The mail of who signed in; "" for nobody. An address that the provider calls unverified is nobody's."""
    if not signing_in() or not st.user.get("is_logged_in") or st.user.get("email_verified") is False:
        return ""
    return str(st.user.get("email") or "").strip().lower()


def role() -> Role:
    """Of this visitor; annotator for everybody where nobody signs in, "" for who may not even look."""
    if not signing_in():
        return "annotator"
    who, lists = person(), _secrets().get("roles", {})
    return next((one for one in ROLES if who and _listed(who, lists.get(f"{one}s", ()))), "")


def may_write() -> bool:
    return role() == "annotator"


def writable() -> Workspace:
    """The workspace, to change something in it. Raises RoleError for whoever may only look."""
    if not may_write():
        raise RoleError(
            "E-SESSION-ROLE", f"{person() or 'a visitor'} may look here, not change anything; an annotator was "
            "expected. Ask who runs this installation to add you to its annotators.",
        )  # fmt: skip
    return services.workspace()


def draw_door() -> None:
    """What somebody sees who is not let in: the way to sign in, or why that was not enough."""
    st.header("Fusescope", anchor=False)
    if not st.user.get("is_logged_in"):
        st.markdown("This installation asks who you are before it shows anything.")
        st.button("Sign in", key="access_in", type="primary", icon=":material/login:", on_click=st.login)
        return
    who = str(st.user.get("email") or "Your account")
    st.error(f"{literal(who)} is on no list of this installation. Ask who runs it to add you. (E-SESSION-ROLE)")
    st.button("Sign out", key="access_out", icon=":material/logout:", on_click=st.logout)


def draw_badge() -> None:
    """Who is here, as what, and the way out; nothing where nobody signs in."""
    if signing_in():
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", gap="small"):
            st.caption(f":material/person: {literal(person())}, {role()}", width="content")
            st.button("Sign out", key="access_out", type="tertiary", on_click=st.logout)


def check_secrets() -> None:
    """Ends the server where its own settings would let anybody be anybody."""
    if signing_in() and len(str(_secrets()["auth"].get("cookie_secret", ""))) < SHORTEST_SECRET:
        sys.exit(
            f"refused: cookie_secret in .streamlit/secrets.toml signs who is who; {SHORTEST_SECRET} random letters or "
            "more were expected. Make one with: python -c 'import secrets; print(secrets.token_hex(32))'"
        )


def _secrets() -> Mapping[str, Any]:
    return st.secrets if st.secrets.load_if_toml_exists() else {}


def _listed(who: str, known: Sequence[str]) -> bool:
    return any(one == "*" or who == one or (one[:2] == "*@" and who.endswith(one[1:])) for one in map(str.lower, known))
