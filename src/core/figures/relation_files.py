"""The folder of files on how blocks depend on each other.

Example::

    from pathlib import Path

    from chimerax.siren.core import relate
    from chimerax.siren.core.figures.relation_files import write_relations
    from chimerax.siren.core.runs.steps import run_states

    run = Path("siren/02_expand")
    written = write_relations(Path("siren/02_expand_relations"), relate(run_states(run)), run=run)
    sorted(p.name for p in written.folder.iterdir())[:2]  # -> ['combinations.csv', 'graph.graphml']
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from ..analysis.assembly import order_csv, support_csv
from ..analysis.combinations import combinations_csv
from ..analysis.dependence import write_graphml
from ..analysis.relate import Related
from ..analysis.relations import relations_csv
from ..common.files import (
    RECORD,
    atomic_file,
    atomic_folder,
    relative_path,
    set_edits_aside,
    sha256,
    write_json,
)
from ..common.versions import versions
from .draw import save_figure
from .graph import draw_graph, graph_size
from .theme import Labels, Theme

FOLDER_END = "_relations"  # after the name of the run's folder
GRAPHML = ".graphml"
FIGURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class WrittenRelations:
    """What was written.

    Attributes
    ----------
    folder : with relations.csv, combinations.csv, order.csv, support.csv, graph.png, graph.svg,
        graph.pdf, graph.graphml and run.json
    aside : new path of an earlier folder of this name that was edited by hand; None if none was
    replaced : whether the folder of an earlier analysis was replaced
    """

    folder: Path
    aside: Path | None
    replaced: bool


def write_relations(
    folder: Path, related: Related, labels: Labels | None = None, run: Path | None = None
) -> WrittenRelations:
    """Write tables, figures and graph into a folder of their own, completely or not at all.

    Parameters
    ----------
    folder : takes the place of an earlier one of this name, of which a copy is kept if it was
        edited by hand
    related : Related
    labels : names and colors of the blocks
    run : folder of the run, for the record

    Raises
    ------
    SirenError
        If it cannot be written.
    """
    labels = labels or Labels()
    states, found = related.states, related.relations
    volumes = len(states.names)
    with atomic_folder(folder) as temporary:
        for name, text in (
            ("relations.csv", relations_csv(found)),
            ("combinations.csv", combinations_csv(related.combinations, states.numbers, volumes)),
            ("order.csv", order_csv(related.order)),
            ("support.csv", support_csv(related.order)),
        ):
            (temporary / name).write_bytes(text.encode("utf-8", "surrogateescape"))
        for suffix in (*FIGURES, GRAPHML):
            write_graph(temporary / f"graph{suffix}", related, labels)
        seen_from = None if run is None else relative_path(run, folder)
        write_json(
            temporary / RECORD,
            {
                "format": "SIREn relations 1",
                "run": {"path": None if run is None else str(run), "relative": seen_from},
                "parameters": related.parameters.as_dict(),
                "volumes": volumes,
                "effective_volumes": round(found.effective, 1),
                "pairs": found.tally(),
                "versions": versions(),
                "outputs": {p.name: sha256(p) for p in sorted(temporary.iterdir())},
            },
        )
        aside = set_edits_aside(folder)
        replaced = aside is None and folder.exists()
    return WrittenRelations(folder, aside, replaced)


def write_graph(path: Path, related: Related, labels: Labels) -> None:
    """Write the graph as PNG, SVG, PDF or GraphML, by the suffix of the name.

    Raises
    ------
    SirenError
        If it cannot be written.
    """
    graph, found = related.graph, related.relations
    if path.suffix.lower() == GRAPHML:
        with atomic_file(path) as temporary:
            write_graphml(temporary, graph.as_networkx(found, labels.names, labels.colors))
        return

    def fill(figure: Figure) -> None:
        draw_graph(figure, graph, found, labels, Theme())

    save_figure(path, fill, graph_size(graph, found, labels))
