"""HTML from plain values: every text is escaped unless it is :class:`Markup`.

Example::

    from chimerax.siren.core.report.markup import element

    element("p", "1 < 2, ", element("b", "surely"))  # -> '<p>1 &lt; 2, <b>surely</b></p>'
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from ..common.errors import printable

_EMPTY = {"img", "meta", "br", "hr"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """A value as HTML; text is escaped, and what cannot be printed is shown as its code."""
    return value if isinstance(value, Markup) else Markup(escape(printable(str(value))))


def joined(parts: Iterable[object], between: str = "") -> Markup:
    """Values one after the other."""
    return Markup(between.join(map(text, parts)))


def element(name: str, /, *content: object, **attributes: object) -> Markup:
    """An element with its content; ``class_`` stands for the attribute class, and attributes that
    are None are left out.
    """
    words = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(printable(str(value)), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    ]
    start = f"<{name}{''.join(words)}>"
    return Markup(start if name in _EMPTY else f"{start}{joined(content)}</{name}>")


def table(
    columns: Sequence[object], rows: Iterable[Sequence[object]], numeric: Iterable[int] = ()
) -> Markup:
    """A table with a row of headings, that can be scrolled sideways on a small screen; the columns
    ``numeric`` are aligned to the right.
    """
    right = set(numeric)

    def cells(name: str, row: Sequence[object], **more: object) -> Markup:
        return joined(
            element(name, cell, class_="n" if k in right else None, **more)
            for k, cell in enumerate(row)
        )

    head = element("thead", element("tr", cells("th", columns, scope="col")))
    body = element("tbody", joined(element("tr", cells("td", row)) for row in rows))
    return element("div", element("table", head, body), class_="wide")


def items(parts: Iterable[object]) -> Markup:
    """A list."""
    return element("ul", joined(element("li", part) for part in parts))


def image(data: bytes, alt: str, **attributes: object) -> Markup:
    """A PNG or JPEG picture inside the file itself."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    address = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return element("img", src=address, alt=alt, **attributes)
