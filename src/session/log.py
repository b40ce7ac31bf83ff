"""What commands write to the log: lines, tables, pictures, and links that run commands."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from chimerax.core.commands import concise_model_spec
from chimerax.core.logger import PlainTextLog
from chimerax.core.models import Model

from ..core.blocks.verdicts import DOUBTFUL
from ..core.common.errors import printable
from .commandline import link_address
from .surfaces import SEEN_THROUGH, BlockMap, block_spec, model_words, verdict_text
from .words import breakable, say_in

if TYPE_CHECKING:  # slow to import
    from pandas import DataFrame

BESIDE = "Blocks of other volumes are seen, too"
FITTED = 'style="max-width:100%"'  # of a picture: no wider than the log


def link(command: str, text: str) -> str:
    """An HTML link for the log that runs a command."""
    return f'<a href="{escape(link_address(command), quote=True)}">{breakable(text)}</a>'


def html_table(rows: Iterable[str]) -> str:
    """A table of these rows; small, so that each is one line in a docked log."""
    return '<table cellpadding="3" style="font-size:small">' + "".join(rows) + "</table>"


def log_blocks(session: Any, table: DataFrame, group: Model | None) -> None:
    """Log the table of blocks, with links to show, hide or isolate the surface of each."""
    if not len(table):
        return
    # doubtful blocks last; the others keep their order
    lines = sorted(table.itertuples(), key=lambda row: _verdict(row).startswith(DOUBTFUL))
    rows = [
        "<tr><th></th><th>block</th><th>voxels</th><th>&Aring;<sup>3</sup></th><th>occupancy</th>"
        "<th>stability</th><th>verdict</th><th></th></tr>"
    ]
    models = (
        {m.siren_block: m for m in group.child_models() if isinstance(m, BlockMap)} if group else {}
    )
    for row in lines:
        verdict = _verdict(row)
        word, _, why = verdict.partition(": ")
        faint = ' style="color:gray"' if verdict.startswith(DOUBTFUL) else ""
        model = models.get(int(row.block))
        swatch, links = "", ""
        if model is not None and group is not None:
            r, g, b = (int(255 * c) for c in model.surfaces[0].rgba[:3])
            swatch = f'<span style="color:rgb({r},{g},{b})">&#9632;</span>'
            links = " ".join(
                (
                    link(f"show #{model.id_string} models", "show"),
                    link(f"hide #{model.id_string} models", "hide"),
                    # whatever blocks there are when it is clicked, after edits, too
                    link(
                        f"hide #{group.id_string}##siren_block models; show "
                        f"#{model.id_string} models",
                        "only",
                    ),
                )
            )
        stable = getattr(row, "stability", np.nan)  # missing in runs before 0.2
        cells = (
            f"{row.voxels:,}",
            f"{row.volume_A3:,.0f}",
            f"{row.mean_occupancy:.2f}",
            f"{stable:.2f}" if stable == stable else "-",
        )
        rows.append(
            f"<tr{faint}><td>{swatch}</td>"
            f"<td>{_number_and_name(row)}{model_words(model) if model else ''}</td>"
            + "".join(f'<td align="right">{c}</td>' for c in cells)
            + f'<td>{escape(word)}</td><td style="white-space:nowrap">{links}</td></tr>'
        )
        if why:  # in a line of its own: the column would be as narrow as its longest word
            rows.append(f'<tr{faint}><td></td><td colspan="7">{escape(why)}</td></tr>')
    session.logger.info(html_table(rows), is_html=True)
    hidden = [m for m in models.values() if m.doubtful and not m.display]
    if hidden:
        text = escape(hidden_text(len(hidden), len(models)))
        command = f"show {block_spec(hidden)} models"
        session.logger.info(f"{text}: {link(command, command)}", is_html=True)


def log_replaced(session: Any, hidden: Sequence[Model]) -> None:
    """Say which sets of blocks a new result has replaced, with a link that shows them again."""
    if hidden:
        names = ", ".join(f"{g.name} (#{g.id_string})" for g in hidden)
        command = f"show {' '.join(f'#!{g.id_string}' for g in hidden)} models"
        session.logger.info(
            "A new result replaces the blocks of the same volumes or output folder; hidden, not "
            f"closed: {breakable(names)}. To see them: {link(command, command)}",
            is_html=True,
        )


def log_beside(session: Any, beside: Sequence[Model]) -> None:
    """Say which blocks of other volumes are seen together with new ones, with a link that hides
    them.
    """
    if beside:
        names = ", ".join(f"{g.name} (#{g.id_string})" for g in beside)
        command = hide_sets(beside)
        session.logger.info(
            f"{BESIDE}: {breakable(names)}. To hide them: {link(command, command)}", is_html=True
        )


def hide_sets(groups: Sequence[Model]) -> str:
    """The command that hides sets of blocks."""
    return f"hide {' '.join(f'#!{g.id_string}' for g in groups)} models"


def log_pile(session: Any, closed: Sequence[str], hidden: Sequence[Model]) -> None:
    """Say which older sets of blocks were closed, and offer to close those that are hidden if they
    are several.
    """
    if closed:
        log_lines(
            session,
            [f"Closed, since the result that replaced them was replaced: {', '.join(closed)}."],
        )
    if len(hidden) > 1:
        command = f"close {' '.join(f'#{g.id_string}' for g in hidden)}"
        session.logger.info(
            f"{len(hidden)} sets of blocks are hidden. To close them: {link(command, command)}",
            is_html=True,
        )


def log_uncovered(session: Any, faded: Model | None, covering: Sequence[Model]) -> None:
    """Say which map was made transparent so that blocks are seen, and which may still hide them."""
    if faded is not None:
        command = f"transparency #{faded.id_string} 0 target s"
        session.logger.info(
            f"The shown map, {breakable(faded.name)} (#{faded.id_string}), is transparent now, so "
            f"that the blocks are seen. To make it opaque: {link(command, command)}",
            is_html=True,
        )
    if covering:
        spec = _spec(session, covering)
        command = f"transparency {spec} {SEEN_THROUGH} target s"
        what = "is opaque" if len(covering) == 1 else "are opaque"
        session.logger.info(
            f"{escape(spec)} {what} and may hide blocks. To see through: {link(command, command)}",
            is_html=True,
        )


def log_may_cover(session: Any, covering: Sequence[Model]) -> None:
    """Say which maps of the user are where a map is shown; they stay as they are."""
    if covering:
        spec = _spec(session, covering)
        command = f"hide {spec} models"
        one = len(covering) == 1
        stays = "stays as it is: it" if one else "stay as they are: they"
        session.logger.info(
            f"{escape(spec)}, opened by you, {stays} may hide the map that is shown. To hide "
            f"{'it' if one else 'them'}: {link(command, command)}",
            is_html=True,
        )


def log_covering(session: Any, hidden: Sequence[Model]) -> None:
    """Say which open maps were hidden so that one of them is seen alone."""
    if hidden:
        command = f"show {_spec(session, hidden)} models"
        session.logger.info(
            "Open maps are hidden while they are shown one by one. To see them all: "
            f"{link(command, command)}",
            is_html=True,
        )


def log_hidden_blocks(session: Any, hidden: Sequence[Model], what: str) -> None:
    """Say that blocks were hidden which would cover what was opened, and how they come back."""
    if hidden:
        command = f"show {' '.join(f'#!{m.id_string}' for m in hidden)} models"
        session.logger.info(
            f"Blocks that would cover {what} are hidden: {link(command, command)}", is_html=True
        )


def _spec(session: Any, models: Sequence[Model]) -> str:
    """Models with their surfaces, as a person would name them."""
    spec = concise_model_spec(session, models, allow_empty_spec=False)
    return str(spec).replace("!", "")


def hidden_text(hidden: int, blocks: int) -> str:
    """How many blocks are doubtful and therefore hidden, in words."""
    if hidden == blocks > 1:
        return f"All {blocks} blocks are doubtful and hidden"
    return f"{hidden} doubtful block{'s are' if hidden > 1 else ' is'} hidden"


def _verdict(row: Any) -> str:
    return verdict_text(getattr(row, "verdict", ""))  # runs before 0.2 have none


def _number_and_name(row: Any) -> str:
    name = getattr(row, "name", "")  # pandas reads an empty cell as NaN
    return escape(f"{row.block} {name}" if isinstance(name, str) and name else str(row.block))


class Quiet(PlainTextLog):
    """Keeps to itself what ChimeraX's own commands tell while it is on, in the Log and the status
    line: for what they do with files that a user never sees. Warnings and errors go on.

    Attributes
    ----------
    said : list of str
        What would have been in the Log.
    """

    excludes_other_logs = True

    def __init__(self, session: Any):
        super().__init__()
        self._session = session
        self.said: list[str] = []

    def log(self, level: int, msg: str) -> bool:
        """Override."""
        if level != self.LEVEL_INFO:
            return False
        self.said.append(msg)
        return True

    def status(self, msg: str, color: str, secondary: bool) -> bool:
        """Override."""
        return True

    def __enter__(self) -> Quiet:
        self._session.logger.add_log(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._session.logger.remove_log(self)


def log_lines(session: Any, lines: Iterable[str]) -> None:
    """Log lines of text."""
    for line in lines:
        say_in(session.logger.info, session, printable(line))


def next_step(session: Any, word: str, command: str) -> None:
    """Offer the next command as a link."""
    session.logger.info(f"Next, {word}: {link(command, command)}", is_html=True)


def log_table(
    session: Any, columns: Sequence[str], rows: Iterable[Sequence[str]], links: bool = False
) -> None:
    """Log a plain table; with ``links``, the last cell of each row is HTML."""
    body = ["<tr>" + "".join(f"<th>{escape(c)}</th>" for c in columns) + "</tr>"]
    for row in rows:
        plain = [breakable(printable(c)) for c in row]
        cells = [*plain[:-1], row[-1] if links else plain[-1]]
        body.append("<tr>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>")
    session.logger.info(html_table(body), is_html=True)


def log_picture(session: Any, path: Path) -> None:
    """Show a PNG in the log, if there are windows."""
    if session.ui.is_gui:
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        session.logger.info(
            f'<img src="data:image/png;base64,{data}" width="640" {FITTED} '
            f'alt="{escape(path.name, quote=True)}">',
            is_html=True,
        )
