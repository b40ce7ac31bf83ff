"""``siren help``: the manual as text in the log, for where no browser opens."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

from chimerax.core.commands import CmdDesc, RestOfLine
from chimerax.core.errors import UserError

#: Pages beside those of commands: what one may ask for, and the file under docs/user
PAGES = {
    "": "commands/siren.html",
    "method": "siren_method.html",
    "troubleshooting": "siren_troubleshooting.html",
    "glossary": "siren_glossary.html",
    "panel": "tools/siren.html",
}
_BLOCKS = {"p", "h3", "h4", "pre", "table", "tr", "ul", "dl", "dt", "title"}


def help_(session: Any, topic: str = "") -> dict[str, str]:
    """Log a page of the manual as plain text."""
    words = topic.strip().lower().removeprefix("siren").split()
    name = PAGES.get(" ".join(words), f"commands/siren_{'_'.join(words)}.html")
    folder = files(__package__.rpartition(".")[0]).joinpath("docs", "user")
    page = folder.joinpath(name)
    if not re.fullmatch(r"[a-z ]*", " ".join(words)) or not page.is_file():
        pages = sorted(p.name for p in folder.joinpath("commands").iterdir())
        commands = [p[6:-5].replace("_", " ") for p in pages if p.startswith("siren_")]
        raise UserError(
            f"The manual has no page on {topic.strip()}. It has pages on "
            f"{', '.join([*filter(None, PAGES), *commands])}."
        )
    text = page_text(page.read_text(encoding="utf-8"))
    session.logger.info(text)
    return {"page": str(page), "text": text}


def page_text(page: str) -> str:
    """A page of the manual without markup: a line for each paragraph, item and row."""
    reader = _Text()
    reader.feed(page)
    lines = (re.sub(r" *\n *", "\n", line).strip() for line in "".join(reader.parts).split("\0"))
    return "\n".join(line for line in lines if line)


class _Text(HTMLParser):
    """Collects the text; a paragraph ends with a NUL character."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._as_written = self._left_out = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Override."""
        self._as_written = self._as_written or tag == "pre"
        self._left_out = self._left_out or tag == "title"
        if tag in _BLOCKS:
            self.parts.append("\0")
        elif tag in ("li", "dd"):
            self.parts.append("\0- ")
        elif tag == "br":
            self.parts.append(", ")

    def handle_endtag(self, tag: str) -> None:
        """Override."""
        self._as_written = self._as_written and tag != "pre"
        self._left_out = self._left_out and tag != "title"
        if tag in _BLOCKS:
            self.parts.append("\0")
        elif tag == "td":
            self.parts.append("  ")

    def handle_data(self, data: str) -> None:
        """Override."""
        if not self._left_out:
            self.parts.append(data if self._as_written else re.sub(r"\s+", " ", data))


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""

    def help_desc() -> CmdDesc:
        return CmdDesc(
            optional=[("topic", RestOfLine)],
            non_keyword=("topic",),
            synopsis="Print a page of the manual in the log",
        )

    return {"siren help": (help_desc, help_)}
