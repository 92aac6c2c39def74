"""A visitor without a browser: speaks the app's own protocol over a WebSocket, asks with words and photos."""

from __future__ import annotations

import asyncio
import re
import time
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

WORDS, PHOTOS, GO = "Words of a review", "Photos, up to", "Recommend"
AGAIN = 3  # ForwardMsg.FINISHED_EARLY_FOR_RERUN: the page runs once more by itself
ANSWERED = re.compile(rb"\d+ of [\d,]+ products|\bE-[A-Z]+-[A-Z]+")
LARGEST = 64 << 20  # bytes of a message


@dataclass
class Seen:
    """What one action brought: seconds until the page stood, bytes received, all of them, whether it failed, and bytes
    of the largest message."""

    seconds: float
    size: int
    content: bytes
    failed: str = ""
    largest: int = 0


@dataclass
class Visitor:
    """One tab at Recommend. `port` on this machine; call `open` first. before: the session this tab had until now."""

    port: int
    before: str = ""
    socket: ClientConnection | None = None
    session: str = ""
    token: str = ""
    query: str = ""
    page: str = ""
    widgets: dict[str, str] = field(default_factory=dict)  # label -> id
    states: dict[str, Any] = field(default_factory=dict)

    async def open(self, page: str = "recommend", patience: float = 120) -> Seen:
        self.token = await asyncio.to_thread(self._xsrf)
        offered = ["streamlit", self.token or "none", *filter(None, [self.before])]
        self.socket = await connect(
            f"ws://127.0.0.1:{self.port}/_stcore/stream", subprotocols=offered,
            max_size=LARGEST, origin=f"http://127.0.0.1:{self.port}", additional_headers={"Cookie": self._cookie()},
            proxy=None, ping_timeout=None,
        )  # fmt: skip
        message = BackMsg()
        message.rerun_script.page_name = page
        message.rerun_script.query_string = self.query
        return await self._act(message, patience)

    async def ask(self, words: str, photos: tuple[tuple[str, bytes], ...] = (), patience: float = 120) -> Seen:
        """Types, uploads, presses Recommend, waits for the answer. Uploading is part of the action."""
        begun = time.monotonic()
        message = BackMsg()
        told = message.rerun_script
        told.query_string, told.page_script_hash = self.query, self.page
        one = told.widget_states.widgets.add()
        one.id, one.string_value = self.widgets[WORDS], words
        if photos:
            await self.upload(told.widget_states.widgets.add(), photos)
        one = told.widget_states.widgets.add()
        one.id, one.trigger_value = self.widgets[GO], True
        seen = await self._act(message, patience, ANSWERED)
        seen.seconds = time.monotonic() - begun
        return seen

    async def upload(self, state: Any, photos: tuple[tuple[str, bytes], ...]) -> None:
        """Puts the files where the server says and names them in a widget's state."""
        wish = BackMsg()
        wish.file_urls_request.request_id = uuid.uuid4().hex
        wish.file_urls_request.session_id = self.session
        wish.file_urls_request.file_names.extend(name for name, _ in photos)
        assert self.socket is not None
        await self.socket.send(wish.SerializeToString())
        while True:
            answer = ForwardMsg.FromString(await self.socket.recv())
            if answer.WhichOneof("type") == "file_urls_response":
                break
        state.id = next(ident for label, ident in self.widgets.items() if label.startswith(PHOTOS))
        for urls, (name, data) in zip(answer.file_urls_response.file_urls, photos, strict=True):
            await asyncio.to_thread(self._put, urls.upload_url, name, data)
            info = state.file_uploader_state_value.uploaded_file_info.add()
            info.name, info.size, info.file_id = name, len(data), urls.file_id
            info.file_urls.CopyFrom(urls)

    async def close(self) -> None:
        if self.socket is not None:
            await self.socket.close()

    # ---- inside

    async def _act(self, message: BackMsg, patience: float, until: re.Pattern[bytes] | None = None) -> Seen:
        """Sends, then listens until the page stands; a page that runs once more by itself is waited for."""
        assert self.socket is not None
        begun, parts = time.monotonic(), []
        try:
            async with asyncio.timeout(patience):
                await self.socket.send(message.SerializeToString())
                while True:
                    data = await self.socket.recv()
                    parts.append(data)
                    if self._hear(ForwardMsg.FromString(data)) and (until is None or until.search(b"".join(parts))):
                        break
        except Exception as error:
            return Seen(time.monotonic() - begun, 0, b"", failed=f"{type(error).__name__} {error}"[:200])
        content = b"".join(parts)
        failed = "an exception on the page" if b"Traceback" in content or b"uncaught" in content.lower() else ""
        return Seen(time.monotonic() - begun, len(content), content, failed, max(map(len, parts)))

    def _hear(self, message: ForwardMsg) -> bool:
        """Learns from a message; whether the page stands."""
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.session = message.new_session.initialize.session_id or self.session
        elif kind == "navigation":
            self.page = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            element = message.delta.new_element
            inner = getattr(element, str(element.WhichOneof("type")))
            if getattr(inner, "label", "") and getattr(inner, "id", ""):
                self.widgets[PHOTOS if inner.label.startswith(PHOTOS) else inner.label] = inner.id
        return kind == "script_finished" and message.script_finished != AGAIN

    def _xsrf(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_stcore/health", timeout=30) as answer:
            cookie = answer.headers.get("Set-Cookie", "")
        return cookie.partition("_streamlit_xsrf=")[2].partition(";")[0]

    def _cookie(self) -> str:
        return f"_streamlit_xsrf={self.token}"

    def _put(self, url: str, name: str, data: bytes) -> None:
        edge = uuid.uuid4().hex
        head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        body = head.encode() + data + f"\r\n--{edge}--\r\n".encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{url if url.startswith('/') else '/' + url}", data=body, method="PUT",
            headers={"Content-Type": f"multipart/form-data; boundary={edge}", "X-Xsrftoken": self.token,
                     "Cookie": self._cookie()},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
