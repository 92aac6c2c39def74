"""A page of HTML that is one file, works from disk without network, and runs nothing.

Everything that is not made here is escaped: `element` escapes its children and attributes unless they are Safe, and
only this file makes Safe ones. The policy in the head forbids scripts, forms and every request; pictures are inside.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6472; --line: #d9dde3; --card: #f7f8fa; --page: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaee; --soft: #a3abb8; --line: #39404b; --card: #1c222b; --page: #12161c; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 0 auto; padding: 24px;
  max-width: 1040px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 32px 0 8px; }
h3 { font-size: 16px; margin: 24px 0 6px; }
p, figcaption, .soft { color: var(--soft); } p { margin: 6px 0; max-width: 76ch; }
table { border-collapse: collapse; margin: 8px 0; font-size: 14px; } caption { text-align: left; color: var(--soft); }
th, td { border-bottom: 1px solid var(--line); padding: 4px 12px 4px 0; text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.row { display: flex; flex-wrap: wrap; gap: 14px; } figure { margin: 0; width: 148px; font-size: 13px; }
figure img { width: 148px; border-radius: 6px; display: block; } .wide { width: 320px; } .wide img { width: 320px; }
.sound img { width: 100%; max-width: 640px; display: block; border-radius: 6px; }
.truth { outline: 3px solid #2e7d6b; border-radius: 8px; padding: 3px; }
.case { border: 1px solid var(--line); border-radius: 10px; padding: 4px 18px 14px; margin: 16px 0;
  break-inside: avoid; }
blockquote { margin: 8px 0; padding: 2px 14px; border-left: 3px solid var(--line); white-space: pre-line; }
code { font-size: 13px; overflow-wrap: anywhere; }
"""


class Safe(str):
    """Markup that was made here, or text that was escaped."""

    __slots__ = ()


def element(tag: str, /, *children: object, **attributes: object) -> Safe:
    """<tag ...>children</tag>, all escaped; `class_` is class, None leaves an attribute out."""
    given = {key.rstrip("_"): value for key, value in attributes.items() if value is not None}
    told = "".join(f' {key}="{escape(str(value), quote=True)}"' for key, value in given.items())
    if tag in ("img", "meta"):
        return Safe(f"<{tag}{told}>")
    return Safe(f"<{tag}{told}>{joined(children)}</{tag}>")


def joined(children: Iterable[object]) -> Safe:
    """One after another, each escaped unless it is Safe; None is nothing."""
    return Safe("".join(one if isinstance(one, Safe) else escape(str(one)) for one in children if one is not None))


def picture(data: bytes | str, alt: str) -> Safe:
    """A photo (JPEG, PNG or WebP bytes) or an SVG drawing, inside the page."""
    kind, content = ("image/svg+xml", data.encode()) if isinstance(data, str) else (_kind(data), data)
    return element("img", src=f"data:{kind};base64,{base64.b64encode(content).decode()}", alt=alt)


def table(rows: Sequence[Mapping[str, object]], caption: str = "") -> Safe:
    """Rows as a table; numbers stand to the right, with up to four digits."""
    if not rows:
        return element("p", "None.")
    columns = list(rows[0])
    right = {name for name in columns if all(isinstance(row[name], int | float | None) for row in rows)}
    kinds = {name: "number" if name in right else None for name in columns}
    head = element("tr", *(element("th", name, class_=kinds[name]) for name in columns))
    body = (element("tr", *(element("td", _cell(row[name]), class_=kinds[name]) for name in columns)) for row in rows)
    return element("table", element("caption", caption) if caption else None, element("thead", head),
                   element("tbody", *body))  # fmt: skip


def page(title: str, lead: str, *sections: object) -> bytes:
    """The whole file."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Safe(f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY, quote=True)}">'),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} - Fusescope"),
        element("style", Safe(STYLE)),
    )
    body = element("body", element("h1", title), element("p", lead), *sections)
    return f'<!doctype html>\n<html lang="en">{head}{body}</html>\n'.encode("utf-8", "replace")


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, float):
        return value
    return f"{value:.4g}" if value == 0 or 1e-4 <= abs(value) < 1e6 else f"{value:.2e}"


def _kind(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return "image/png" if data[:4] == b"\x89PNG" else "image/jpeg"
