"""How the server is made: headers that every answer carries, and the refusal to listen to strangers by accident."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import streamlit as st

from core.config import network_allowed
from pages.shared import access

HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "frame-ancestors 'self'",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "same-origin",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
Message = MutableMapping[str, Any]


class WithHeaders:
    """ASGI middleware: adds HEADERS to every HTTP answer that does not carry them already."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message.get("headers", ())}
                more = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in there]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        await self.app(scope, receive, told if scope["type"] == "http" else send)


def middleware() -> list[Any]:
    from starlette.middleware import Middleware

    return [Middleware(WithHeaders)]


def stay_at_home() -> None:
    """Ends the server where it would listen to other machines, nobody signs in, and nobody said that it may."""
    address = st.get_option("server.address")
    if address in LOOPBACK or network_allowed() or access.signing_in():
        return
    sys.exit(
        f"refused: the app would listen on {address or 'every address of this machine'}, so anybody on the network "
        "could ask, upload and train; 127.0.0.1 was expected. Start it from its own folder, or, where that is meant "
        "let people sign in (SECURITY.md), or put a proxy before it that checks who comes and set FUSESCOPE_NETWORK=1."
    )
