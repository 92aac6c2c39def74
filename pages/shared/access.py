"""Who may do what, where an installation asks people to sign in (OIDC, `st.login`); else everybody may do everything.

`[auth]` in .streamlit/secrets.toml switches it on; `[roles]` beside it lists who may look (viewers) and who may also
label, import and train (annotators), by mail, "*@domain" or "*". Who is on neither list is not let in. Whatever writes
goes through `writable`, so a button that is merely hidden protects nothing. Streamlit reads the file again whenever it
changes: a server that asked at its start asks until its end, and lets nobody in while the file cannot be read.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
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


_asked_at_start = False  # set by check_secrets; an AppTest has no start


def signing_in() -> bool:
    """Whether people must sign in here; so too where the settings that would say it cannot be read."""
    found = _secrets()
    return _asked_at_start or found is None or "auth" in found


def person() -> str:
    """The mail of who signed in; "" for nobody. An address that the provider does not call verified is nobody's."""
    if not _settings() or not st.user.get("is_logged_in") or st.user.get("email_verified", True) is not True:
        return ""
    return str(st.user.get("email") or "").strip().lower()


def role() -> Role:
    """Of this visitor; annotator for everybody where nobody signs in, "" for who may not even look."""
    if not signing_in():
        return "annotator"
    who, lists = person(), _settings().get("roles", {})
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
    if not _settings():
        st.error("Who may sign in here cannot be read just now. Ask who runs this installation. (E-SESSION-ROLE)")
        return
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
    """Decides for this server whether people sign in; ends it where its settings would let anybody be anybody."""
    global _asked_at_start
    found = _secrets()
    if found is None:
        sys.exit(
            f"refused: {' or '.join(_secret_files())} cannot be read, so nobody knows whether people must sign in; "
            "TOML was expected. Correct the file, or take it away."
        )
    _asked_at_start = "auth" in found
    if _asked_at_start and len(str(found["auth"].get("cookie_secret", ""))) < SHORTEST_SECRET:
        sys.exit(
            f"refused: cookie_secret in .streamlit/secrets.toml signs who is who; {SHORTEST_SECRET} random letters or "
            "more were expected. Make one with: python -c 'import secrets; print(secrets.token_hex(32))'"
        )


def _secrets() -> Mapping[str, Any] | None:
    """None: there is a file of settings, and it cannot be read."""
    try:
        if st.secrets.load_if_toml_exists():
            return st.secrets
    except (OSError, ValueError):  # no right to read it, not UTF-8
        return None
    return None if _secret_files() else {}


def _secret_files() -> list[str]:
    return [path for path in st.get_option("secrets.files") if Path(path).exists()]


def _settings() -> Mapping[str, Any]:
    """What says who may sign in, as it is now; empty where that cannot be told."""
    found = _secrets() or {}
    return found if "auth" in found else {}


def _listed(who: str, known: object) -> bool:
    """known: what the settings list, or one entry by itself. A domain counts for verified addresses alone."""
    listed = [known] if isinstance(known, str) else known if isinstance(known, list | tuple) else []
    entries = [one.strip().lower() for one in listed if isinstance(one, str)]
    by_domain = st.user.get("email_verified") is True
    return any(one in ("*", who) or (by_domain and one[:2] == "*@" and who.endswith(one[1:])) for one in entries)
