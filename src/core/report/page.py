"""The report as one HTML file: pictures inside, no scripts, nothing from outside.

Example::

    from pathlib import Path

    from chimerax.siren.core.report.content import gather
    from chimerax.siren.core.report.page import write_report

    write_report(gather(Path("siren/02_expand")), Path("report.html"), made="2025-01-31")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..analysis.landscape import Landscape
from ..analysis.relations import NEEDED_BY, ONLY_WITH
from ..blocks.verdicts import DOUBTFUL
from ..common import constants
from ..common.files import RECORD, atomic_file
from ..common.parameters import camel_case
from ..common.progress import Progress
from ..common.versions import OURS, versions
from ..figures.draw import Content, draw, figure_bytes, size_of
from ..figures.theme import Theme
from ..runs.record import Record
from .content import BlockRow, Report, Step
from .doubts import doubts, doubts_of_block
from .inputs import default_of, names_in_runs, places_of
from .markup import Markup, element, image, items, joined, table
from .pictures import Picture, Pictures, projected
from .style import STYLE

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
MOST_COMBINATIONS, MOST_PAIRS = 12, 40
MANY_VOLUMES = 60  # names; more are folded
STEP_WORDS = {"sketch": "sketch", "edit": "edited by hand", "expand": "expansion"}
METHOD = "10.1016/j.str.2025.02.004"
CAPTIONS = {
    "states": "Each column is a volume, each row a block; the darker, the more of the block is "
    "occupied. Rows and columns are ordered by likeness.",
    "scatter": "Each point is a volume; its place is in latent space where that is known beside "
    "the volumes, else by the shares of its blocks, where volumes alike lie on each other. The "
    "axes say which.",
    "graph": "What needs what: an arrow leads from a block to those that are seen only with it. "
    "Dashed lines join blocks that exclude each other.",
    "correlation": "Correlation of presence, phi: 1 always together, -1 never.",
    "conditional": "Of the volumes with the block of the column, the percentage that also have "
    "that of the row.",
}
FIGURE_SIZE, FIGURE_DPI = (7.0, 4.8), 150


def write_report(
    report: Report,
    path: Path,
    pictures: Pictures | None = None,
    commands: Sequence[str] = (),
    made: str = "",
    figures: Mapping[str, Picture] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the report of a run, completely or not at all; see :func:`report_html`.

    Raises
    ------
    SirenError, Cancelled
        If it cannot be written; an earlier file stays as it was.
    """
    page = report_html(report, pictures, commands, made, figures, progress)
    with atomic_file(path) as temporary:
        temporary.write_bytes(page.encode("utf-8"))
    return path


def report_html(
    report: Report,
    pictures: Pictures | None = None,
    commands: Sequence[str] = (),
    made: str = "",
    figures: Mapping[str, Picture] | None = None,
    progress: Progress | None = None,
) -> str:
    """The report as HTML. Equal runs give equal bytes, but for the date and for paths.

    Parameters
    ----------
    report : Report
    pictures : rendered ones; by default projections are drawn, which needs no graphics
    commands : that repeat the run, a line each
    made : the date
    figures : as of :func:`drawn_figures`, which draws them by default
    progress : Progress, optional

    Raises
    ------
    Cancelled
        If ``progress`` was asked to stop.
    """
    progress = progress or Progress()
    pictures = pictures or projected(report, progress)
    title = f"SIREn report: {_place(report.folder)}"
    sections: list[tuple[str, str, Markup]] = [
        ("doubt", "What to doubt", _doubts(report)),
        ("blocks", "The blocks", _table(report)),
        ("pictures", "Pictures", _pictures(report, pictures)),
        *_figures(report, drawn_figures(report, progress) if figures is None else figures),
        ("volumes", "Volumes and contour levels", _volumes(report)),
        ("made", "How it was made", _made(report)),
        ("repeat", "How to repeat it", _repeat(report, commands)),
        ("cite", "How to cite", _cite()),
    ]
    body = joined(
        [
            element("header", element("h1", title), _summary(report, made)),
            element(
                "nav",
                element(
                    "ul",
                    joined(
                        element("li", element("a", heading, href=f"#{name}"))
                        for name, heading, _ in sections
                    ),
                ),
                aria_label="Contents",
            ),
            element(
                "main",
                joined(
                    element("section", element("h2", heading), content, id=name)
                    for name, heading, content in sections
                ),
            ),
            _footer(report, made),
        ],
        "\n",
    )
    head = joined(
        [
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=POLICY),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="generator", content="SIREn for ChimeraX"),
            element("title", title),
            element("style", Markup(STYLE)),
        ],
        "\n",
    )
    whole = element("html", element("head", head), element("body", body), lang="en")
    return f"<!DOCTYPE html>\n{whole}\n"


def _place(folder: Path) -> str:
    return "/".join(folder.parts[-3:]).replace("//", "/")


# ---- the sections


def _summary(report: Report, made: str) -> Markup:
    record, rows = report.record, report.rows
    doubtful = sum(r.verdict.startswith(DOUBTFUL) for r in rows)
    used = len(report.states.names)
    facts = [
        (f"{len(rows):,}", f"blocks, {doubtful:,} of them doubtful" if doubtful else "blocks"),
        (f"{used:,}", f"of {len(record.volumes):,} volumes used"),
        (
            "unknown" if report.effective is None else f"{report.effective:,.0f}",
            "effective (independent) volumes",
        ),
        (f"{min(record.grid.voxel_size):.3g} Å", f"voxels, in {_box(record)}"),
        (f"{sum(r.mass for r in rows):,.0f} kDa", f"in all blocks, at {report.density:g} Da/Å³"),
    ]
    lead = (
        "Which parts of the molecule come and go in an ensemble of cryo-EM maps. SIREn set a "
        "contour level for each map, found voxels that are occupied together and empty together "
        "more often than chance allows, and clustered them into blocks."
    )
    what = f"{STEP_WORDS.get(record.step, record.step).capitalize()} in {report.folder}"
    return joined(
        [
            element("p", f"{what}{f'; report of {made}' if made else ''}", class_="sub"),
            element("p", lead),
            element(
                "div",
                joined(element("div", element("b", value), words) for value, words in facts),
                class_="facts",
            ),
        ]
    )


def _box(record: Record) -> str:
    z, y, x = record.grid.shape
    return f"boxes of {x} x {y} x {z}"


def _doubts(report: Report) -> Markup:
    found = doubts(report)
    return joined(
        element(
            "div",
            element("b", doubt.about),
            doubt.text,
            class_="doubt" if doubt is not found[-1] else "doubt always",
        )
        for doubt in found
    )


def _table(report: Report) -> Markup:
    # doubtful blocks last; the others keep their order
    rows = sorted(report.rows, key=lambda r: r.verdict.startswith(DOUBTFUL))
    columns = (
        "Block",
        "Verdict",
        "Stability",
        "Voxels",
        "Å³",
        "kDa",
        "Volumes with it",
        "Share of volumes (95 %)",
    )
    cells = [
        (
            _name(report, row),
            row.verdict or "not known",
            "-" if row.stability is None else f"{row.stability:.2f}",
            f"{row.voxels:,}",
            f"{row.volume:,.0f}",
            _mass(row.mass),
            f"{row.present:,} of {len(report.states.names):,}",
            f"{100 * row.share:.0f} % ({100 * row.low:.0f} to {100 * row.high:.0f})",
        )
        for row in rows
    ]
    many = len(report.states.names)
    worth = min(many, report.effective or many)
    by = (
        f"by the {worth:,.0f} effective volumes"
        if report.effective is not None
        else f"by {many:,} volumes, as if each were independent"
    )
    notes = [
        f"kDa: at {report.density:g} Da per Å³ of density above the contour level "
        f"({constants.PROTEIN_DENSITY:g} is protein's; nucleic acid has about 1.1).",
        f"A block counts as in a volume with {report.states.cut_words}. Interval of the share: "
        f"Clopper and Pearson's, 95 %, {by}.",
        "Verdict: what the density says. Solid: a part that comes and goes. Graded: it never goes "
        "quite away. Moving: density around it goes where it comes. Doubtful: probably not a part. "
        "Stability: how often the block comes back in random halves of the volumes.",
    ]
    if not rows:
        return element("p", "No block was found.")
    return joined(
        [
            table(columns, cells, range(2, 8)),
            joined(element("p", note, class_="small") for note in notes),
        ]
    )


def _mass(mass: float) -> str:
    return f"{mass:,.0f}" if mass >= 10 else f"{mass:.1f}"


def _name(report: Report, row: BlockRow) -> Markup:
    return joined([_swatch(report, row.number), f"{row.number} {row.name}".strip()])


def _swatch(report: Report, number: int) -> Markup:
    rgb = report.labels.colors.get(number, (0.6, 0.6, 0.6))[:3]
    red, green, blue = (round(255 * float(c)) for c in rgb)
    style = f"background:#{red:02x}{green:02x}{blue:02x}"
    return element("span", "", class_="swatch", style=style, aria_hidden="true")


def _pictures(report: Report, pictures: Pictures) -> Markup:
    legend = element(
        "ul", joined(element("li", _name(report, row)) for row in report.rows), class_="legend"
    )
    alone = joined(
        element(
            "figure",
            image(picture.data, picture.alt, loading="lazy"),
            element(
                "figcaption",
                _name(report, row),
                joined([element("br"), "; ".join(said)]) if (said := _said(row, report)) else "",
            ),
        )
        for row in report.rows
        if (picture := pictures.alone.get(row.number)) is not None
    )
    left = len(report.rows) - len(pictures.alone)
    parts = [
        element("p", pictures.note, class_="small"),
        legend,
        element("div", joined(map(_figure, pictures.views)), class_="views")
        if len(pictures.views) > 1
        else joined(map(_figure, pictures.views)),
    ]
    if pictures.alone:
        parts += [element("h3", "Each block alone"), element("div", alone, class_="each")]
    if left > 0 and pictures.alone:
        parts.append(element("p", f"{left:,} more blocks are not pictured.", class_="small"))
    return joined(parts)


def _said(row: BlockRow, report: Report) -> list[str]:
    """A verdict's reason is in the table."""
    return [words.partition(":")[0] for words in doubts_of_block(row, report)]


def _figure(picture: Picture) -> Markup:
    caption = element("figcaption", picture.caption) if picture.caption else ""
    return element("figure", image(picture.data, picture.alt), caption)


def drawn_figures(
    report: Report, progress: Progress | None = None, landscape: Landscape | None = None
) -> dict[str, Picture]:
    """The figures of a report by kind, see :mod:`..figures.draw`; needs seconds.

    Parameters
    ----------
    landscape : places of the volumes in the scatter; by their states if not given
    """
    progress = progress or Progress()
    kinds = list(CAPTIONS) if len(report.rows) > 1 else ["states"]
    if not report.rows:
        return {}
    content = Content.of(*report.record.known_levels, report.states)
    if landscape is not None:
        content = replace(content, landscape=landscape)
    found = {}
    for kind in progress.each(kinds, "drawing figures", len(kinds)):
        said: list[str] = []

        def fill(figure: Any, kind: str = kind, said: list[str] = said) -> None:
            caption = draw(figure, kind, content, report.labels, Theme()).caption
            said.append(caption.partition(" Click ")[0])  # nothing happens to clicks on paper

        size = size_of(kind, content, report.labels) if kind == "graph" else FIGURE_SIZE
        data = figure_bytes(fill, ".png", size, FIGURE_DPI)
        found[kind] = Picture(data, said[0], CAPTIONS[kind])
    return found


def _figures(report: Report, figures: Mapping[str, Picture]) -> list[tuple[str, str, Markup]]:
    """The sections with figures: which volumes have which blocks, and how blocks depend on each
    other.
    """
    if not report.rows:
        return []
    drawn = [_figure(figures[k]) for k in ("states", "scatter") if k in figures]
    states = joined([*drawn, _combinations(report)])
    sections = [("states", "Which volumes have which blocks", states)]
    matrices = [_figure(figures[k]) for k in ("correlation", "conditional") if k in figures]
    if matrices:
        graph = [_figure(figures["graph"])] if "graph" in figures else []
        parts = [
            *(element("div", part, class_="single") for part in graph),
            _relations(report),
            element("div", joined(matrices), class_="single"),
        ]
        sections.append(("relations", "How blocks depend on each other", joined(parts)))
    return sections


def _combinations(report: Report) -> Markup:
    """The most frequent combinations of blocks."""
    assert report.related is not None
    found = report.related.combinations
    rows = [
        (
            ", ".join(report.labels.words(n) for n in c.blocks) or "none",
            f"{c.count:,}",
            f"{100 * c.count / len(report.states.names):.0f} %",
            "" if c.sure else "perhaps wrong calls",
            c.volume,
        )
        for c in found[:MOST_COMBINATIONS]
    ]
    heads = ("Blocks", "Volumes", "Share", "", "For example")
    more = f"; the {MOST_COMBINATIONS} most frequent:" if len(found) > len(rows) else ":"
    return joined(
        [
            element("h3", "Combinations of blocks"),
            element("p", f"{len(found):,} combinations are seen{more}", class_="small"),
            table(heads, rows, (1, 2)),
        ]
    )


def _relations(report: Report) -> Markup:
    assert report.related is not None
    found, graph = report.related.relations, report.related.graph
    rank = {n: k for k, n in enumerate(found.numbers)}
    said = [
        report.labels.in_sentence(found.text(rank[a], rank[b]))
        for a, b, word in found.graph().edges(data="relation")
        if word == ONLY_WITH or (rank[a] < rank[b] and word != NEEDED_BY)
    ]
    if not said:
        return element("p", "No pair of blocks depends on each other more than chance would have.")
    order = report.related.order
    return joined(
        [
            items(graph.sentences(report.labels.words)),
            element("h3", "Order of assembly"),
            element("p", order.text()),
            element("h3", "Pairs that depend on each other"),
            items(said[:MOST_PAIRS]),
            element("p", f"And {len(said) - MOST_PAIRS:,} more.") if said[MOST_PAIRS:] else "",
        ]
    )


def _volumes(report: Report) -> Markup:
    record = report.record
    left = [v for v in record.volumes if v["left_out"]]
    levels = [v["level"] for v in record.used]
    parts: list[Markup] = [
        element(
            "p",
            f"{len(record.used):,} volumes used, {len(left):,} left out, "
            f"{len(record.not_chosen):,} not chosen, from {places_of(record)}.",
        ),
        element(
            "p",
            f"Contour levels: {record.thresholds}; from {min(levels):.4g} to {max(levels):.4g}, "
            f"median {sorted(levels)[len(levels) // 2]:.4g}.",
        ),
    ]
    if left:
        parts += [
            element("h3", "Left out"),
            table(("Volume", "Reason"), [(v["name"], v["left_out"]) for v in left]),
        ]
    if record.not_chosen:
        parts += [element("h3", "Not chosen"), _names(record.not_chosen)]
    parts += [element("h3", "Used"), _names([v["name"] for v in record.used])]
    return joined(parts)


def _names(names: Sequence[str]) -> Markup:
    words = element("p", ", ".join(names_in_runs(names)), class_="small")
    if len(names_in_runs(names)) <= MANY_VOLUMES:
        return words
    return element("details", element("summary", f"{len(names):,} names"), words)


def _made(report: Report) -> Markup:
    steps = report.steps
    names = list(dict.fromkeys(n for s in steps for n in s.record.parameters))
    heads = [STEP_WORDS.get(s.record.step, s.record.step) for s in steps]

    def cell(step: Step, name: str) -> object:
        if name not in step.record.parameters:
            return ""
        value = step.record.parameters[name]
        words = (
            "-"
            if value is None
            else str(value).lower()
            if value is True or value is False
            else str(value)
        )
        return words if default_of(step.record.step, name) == value else element("b", words)

    parameters = [(camel_case(n), *(cell(s, n) for s in steps)) for n in names]
    now = versions()
    packages = sorted({*now, *(p for s in steps for p in s.versions)}, key=str.lower)
    software = [(p, *(s.versions.get(p, "-") for s in steps), now.get(p, "-")) for p in packages]
    counts = [
        (name.replace("_", " "), *(_count(s.record.counts.get(name)) for s in steps))
        for name in dict.fromkeys(n for s in steps for n in s.record.counts)
    ]
    seeds = ", ".join(
        f"{s.record.parameters['seed']} ({STEP_WORDS.get(s.record.step, s.record.step)})"
        for s in steps
        if "seed" in s.record.parameters
    )
    return joined(
        [
            items(
                f"{STEP_WORDS.get(s.record.step, s.record.step).capitalize()}: {s.folder}"
                for s in steps
            ),
            element(
                "p",
                f"Seeds: {seeds or 'none'}. The same volumes, parameters and seeds give the same "
                "blocks, byte for byte.",
            ),
            element(
                "div",
                element(
                    "div",
                    element("h3", "Parameters"),
                    element("p", "Bold: not the default.", class_="small"),
                    table(("Parameter", *heads), parameters),
                ),
                element(
                    "div",
                    element("h3", "Counts"),
                    table(("Count", *heads), counts, range(1, len(steps) + 1)),
                    element("h3", "Versions"),
                    table(("Software", *heads, "this report"), software),
                ),
                class_="pair",
            ),
        ]
    )


def _count(value: object) -> str:
    if value is None:
        return "-"
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:,.4g}"
        if isinstance(value, float)
        else str(value)
    )


def _repeat(report: Report, commands: Sequence[str]) -> Markup:
    digest = report.record.outputs.get("blocks.json", "")
    parts = []
    if commands:
        parts += [
            element("p", "In ChimeraX with SIREn, from the same volumes:"),
            element("pre", element("code", joined(commands, "\n"))),
        ]
    parts.append(
        element(
            "p",
            f"{report.folder / RECORD} has all parameters, levels and volumes, with fingerprints "
            "of the maps.",
            *([f" SHA-256 of blocks.json: {digest}."] if digest else []),
            *([" The blocks of this report were edited since."] if report.edited else []),
            class_="small",
        )
    )
    return joined(parts)


def _cite() -> Markup:
    return items(
        [
            joined(
                [
                    "Method: Kinman LF, Carreira MV, Powell BM, Davis JH. Structure 33:974-987 "
                    "(2025), ",
                    _doi(METHOD),
                    ".",
                ]
            ),
            f"Software: SIREn for ChimeraX, version {versions().get(OURS, 'unknown')}.",
            joined(
                [
                    "ChimeraX, if you show its pictures: Meng EC et al. Protein Sci. 32:e4792 "
                    "(2023), ",
                    _doi("10.1002/pro.4792"),
                    ".",
                ]
            ),
            "And the program that made the volumes.",
        ]
    )


def _doi(doi: str) -> Markup:
    return element("a", f"doi {doi}", href=f"https://doi.org/{doi}")


def _footer(report: Report, made: str) -> Markup:
    words = (
        f"Written by SIREn for ChimeraX{f' on {made}' if made else ''}. This file needs no other "
        "file and no network, and runs no program. To make a PDF, print it."
    )
    return element("footer", element("p", words, class_="small"))
