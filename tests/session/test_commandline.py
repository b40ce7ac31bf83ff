"""Paths and names of any characters come out of a command, or a click on a link, as they went in.

Everything is parsed by ChimeraX itself; links go through Qt's addresses as the log's do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from chimerax.core.commands import BoolArg, CmdDesc, Command, FloatArg, IntArg, ListOf
from chimerax.core.commands.cli import RegisteredCommandInfo, register
from chimerax.map import Volume
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chimerax.siren.commands.arguments import BlockModelsArg, VolumesArg
from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import write_map
from chimerax.siren.panel.commands import (
    keywords_text,
    parameters_text,
    selection_text,
    volumes_text,
)
from chimerax.siren.session.commandline import (
    AnyPath,
    NameArg,
    OpenFile,
    OpenFolder,
    SaveFileInNewFolder,
    SaveFolder,
    foreign_path_text,
    link_address,
    name_text,
    open_text,
    path_text,
    split_models,
)

SPITEFUL = [
    "it' s\" x",
    "a; close",
    "a;close session",
    '" ; close ; "',
    '";close;"',
    "';close;\"; x",
    "' ; close ; '",
    "a\" ' b",
    "'",
    '"',
    "\"' \"' ",
    "#1",
    "#1; close",
    "~",
    "~root",
    "browse",
    "file:x",
    "a,b",
    "a*b?[c]",
    " leading",
    "trailing ",
    "two  blanks",
    "tab\there",
    "line\nend",
    "\r",
    "\\n",
    "a\\",
    '\\"',
    "%41%20%",
    "&amp;<b>",
    "$HOME `x`",
    "é中\u2028\u00a0",
    "50%; close",
    "#1;close",
    "&quot;;close",
    'q" ;close',
    "q' ;close",
    "<a href='x'>;close &",
    "\udcff\udc80",
    "level 5",
    "-",
]
letters = st.characters(codec="utf-8", exclude_characters="/\0")
names = st.one_of(
    st.text(st.sampled_from("ab '\";,\\#~%\n\t"), min_size=1, max_size=12),
    st.text(letters, min_size=1, max_size=20),
    st.binary(min_size=1, max_size=12).map(
        lambda b: os.fsdecode(b.replace(b"\0", b"0").replace(b"/", b"_"))
    ),
).filter(lambda n: n not in (".", "..") and len(os.fsencode(n)) < 200)


def each_spiteful_name(test: Any) -> Any:
    for name in SPITEFUL:
        test = example(name=name)(test)
    return settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )(given(name=names)(test))


@pytest.fixture
def parsed(session: Any) -> Callable[..., list[dict[str, Any]]]:
    """Parse a command line of ``sirentest`` as ChimeraX does: the arguments of each command run."""
    runs: list[dict[str, Any]] = []

    def parse(text: str, description: CmdDesc) -> list[dict[str, Any]]:
        def took(session: Any, **arguments: Any) -> None:
            runs.append(arguments)

        def closed(session: Any) -> None:
            runs.append({"closed": True})

        runs.clear()
        registry = RegisteredCommandInfo()
        description.synopsis = "test"
        register("sirentest", description, took, registry=registry)
        register("close", CmdDesc(synopsis="-"), closed, registry=registry)
        Command(session, registry=registry).run(text, log=False)
        return list(runs)

    return parse


def clicked(address: str) -> str:
    """The command that a click in ChimeraX's log runs; see its ``chimerax_intercept``."""
    from Qt.QtCore import QUrl

    url = QUrl(address).url(QUrl.UrlFormattingOption.None_)
    return unquote(url.split(":", 1)[1])


@pytest.mark.parametrize("kind", [SaveFolder, SaveFileInNewFolder, AnyPath])
@each_spiteful_name
def test_any_path_comes_out_of_a_command_as_it_went_in(parsed: Any, kind: Any, name: str) -> None:
    path = Path("/data") / name / "siren"
    command = f"sirentest {path_text(path)} after 3 also {path_text(path)}"
    for text in (command, clicked(link_address(command))):
        took = parsed(
            text,
            CmdDesc(required=[("folder", kind)], keyword=[("after", IntArg), ("also", kind)]),
        )
        assert took == [{"folder": str(path), "after": 3, "also": str(path)}]


@each_spiteful_name
def test_any_existing_path_is_found_by_the_commands_that_read_it(
    parsed: Any, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    try:
        folder.mkdir(exist_ok=True)
        (folder / "a.csv").touch()
    except OSError:  # not on this file system
        return
    text = f"sirentest {path_text(folder)} {path_text(folder / 'a.csv')} volumes "
    text += volumes_text(str(folder)) if str(folder) == str(folder).strip() else path_text(folder)
    took = parsed(
        text,
        CmdDesc(
            required=[("folder", OpenFolder), ("file", OpenFile)],
            keyword=[("volumes", VolumesArg)],
        ),
    )
    expected = {"folder": str(folder), "file": str(folder / "a.csv"), "volumes": [str(folder)]}
    assert took == [expected]


@each_spiteful_name
def test_any_name_is_one_name_of_include_and_exclude(parsed: Any, name: str) -> None:
    if name in ("x", "b.mrc"):
        return
    lists = [(key, ListOf(NameArg)) for key in ("exclude", "include")]
    words = selection_text([name, "b.mrc", "x"], {name, "b.mrc"})
    assert words.startswith("include")
    listed = ",".join(map(name_text, (name, "b.mrc", name)))
    command = f"sirentest /v {words} exclude {listed} level 0.5"
    for text in (command, clicked(link_address(command))):
        desc = CmdDesc(required=[("folder", SaveFolder)], keyword=[*lists, ("level", FloatArg)])
        assert parsed(text, desc) == [
            {"folder": "/v", "include": ["x"], "exclude": [name, "b.mrc", name], "level": 0.5}
        ]


@each_spiteful_name
def test_any_name_of_a_block_is_one_word_and_the_log_repeats_it_so(parsed: Any, name: str) -> None:
    took, logged, rest = NameArg.parse(f"{name_text(name)} radius 3", None)
    assert (took, logged, rest) == (name, name_text(name), " radius 3")
    desc = CmdDesc(required=[("name", NameArg)], keyword=[("radius", FloatArg)])
    assert parsed(f"sirentest {logged} radius 3", desc) == [{"name": name, "radius": 3.0}]


@each_spiteful_name
def test_texts_in_the_fields_of_the_run_page_stay_values(parsed: Any, name: str) -> None:
    values = {"scheduler": name, "resamples": 3}
    command = " ".join(
        (
            "sirentest",
            parameters_text(SketchParameters, values),
            keywords_text(thresholds=Path("/t") / name, output_dir=f"/o/{name}", level=0.1),
        )
    )
    desc = CmdDesc(
        keyword=[
            ("scheduler", NameArg),
            ("resamples", IntArg),
            ("thresholds", AnyPath),
            ("output_dir", SaveFolder),
            ("level", FloatArg),
        ]
    )
    expected = {
        "resamples": 3,
        "scheduler": name,
        "thresholds": str(Path("/t") / name),
        "output_dir": f"/o/{name}",
        "level": 0.1,
    }
    assert parsed(command, desc) == [expected]


@each_spiteful_name
def test_a_path_for_a_command_of_chimerax_is_right_or_refused(parsed: Any, name: str) -> None:
    from chimerax.core.commands.cli import SaveFileNameArg

    text = foreign_path_text(Path("/data") / name)
    if text is None:
        both = all(
            any(f"{m}{end}" in name for end in "; \t\r\n\v\f\x1c\x85\xa0\u2028") for m in "'\""
        )
        assert both or "\n" in name or not name.isprintable()
        return
    desc = CmdDesc(required=[("file", SaveFileNameArg)])
    assert parsed(f"sirentest {text} ; close", desc) == [
        {"file": str(Path("/data") / name)},
        {"closed": True},
    ]


@pytest.mark.parametrize("name", SPITEFUL)
def test_chimeraxs_open_opens_a_file_or_nothing_is_offered(
    session: Any, run: Any, tmp_path: Path, name: str
) -> None:
    """It quotes the path again, and left "a;close" in two pieces."""
    path = tmp_path / name / "map.mrc"
    path.parent.mkdir()
    write_map(path, np.eye(4, dtype=np.float32)[None].repeat(4, 0), Grid((4, 4, 4), (1, 1, 1)), "x")
    command = open_text(path)
    if command is None:
        assert foreign_path_text(path) is None or set(name) & set(';"$')
        return
    (opened,) = run(clicked(link_address(command)))
    assert opened.data.path == str(path) and session.models.list(type=Volume) == [opened]


@each_spiteful_name
def test_a_quoted_word_ends_at_the_same_quote_in_1_7_and_in_later_versions(name: str) -> None:
    """These are their patterns of one."""
    for text in (path_text(Path("/data") / name), foreign_path_text(Path("/data") / name)):
        if text is None or text[0] not in "'\"":
            continue
        for ends in (r"(\s|$)", r"(\s|;|$)"):
            word = re.match(rf"({text[0]}(.|\n)*?{text[0]}){ends}", f"{text} after")
            assert word is not None and word[1] == text


@pytest.mark.parametrize(
    "typed",
    ["#1; close", "#1 close", "#1 level 3", '#1"', "#1 & #2", "##name=a;close", "sel;close"],
)
def test_the_volumes_field_takes_open_models_and_nothing_after_them(typed: str) -> None:
    assert volumes_text(typed) == path_text(typed)
    assert volumes_text(typed).startswith('"') or volumes_text(typed).startswith("'")


@pytest.mark.parametrize("typed", ["#1", "#1-20", " #1.2,4 ", "#1-3,5.1-4", "#!2", "#1 #3"])
def test_open_models_in_the_volumes_field_stay_as_they_are(typed: str) -> None:
    assert volumes_text(typed) == typed.strip()


# --- a path after open models


@pytest.mark.parametrize(
    ("text", "models", "rest"),
    [
        ("#1 /a/b", "#1", "/a/b"),
        ("#1.2,3 ~/a", "#1.2,3", "~/a"),
        ("#1 out volumes #2", "#1", "out volumes #2"),
        ("#1 #2 /a", "#1 #2", "/a"),
        ("#1, #2 ligand", "#1, #2", "ligand"),
        ("#1 & ~#1.2 'a b'", "#1 & ~#1.2", "'a b'"),
        ('#1 & ##name="a b" /a', '#1 & ##name="a b"', "/a"),
        ("sel /a/b", "sel", "/a/b"),
        ("sel & #2 /a", "sel & #2", "/a"),
        ("#1", "#1", ""),
        ("#1 ; close", "#1", "; close"),
    ],
)
def test_a_path_after_open_models_is_a_path(text: str, models: str, rest: str) -> None:
    spec, after = split_models(text)
    assert (spec, after.strip()) == (models, rest)
    assert spec + after == text


@pytest.mark.parametrize("folder", ["/a/b", "protein", "~/x", "'a b'", "C:/x", "../x", "ligand"])
def test_siren_block_save_takes_an_unquoted_folder_after_a_model(
    session: Any, parsed: Any, folder: str
) -> None:
    import numpy as np

    from chimerax.siren.core.blocks.blockset import BlockSet
    from chimerax.siren.core.maps.grid import Grid
    from chimerax.siren.session.surfaces import open_blocks

    blocks = BlockSet(Grid((4, 4, 4), (1.0, 1.0, 1.0)), {1: np.arange(9), 2: np.arange(20, 40)})
    group = open_blocks(session, blocks, Path("/run"), None, 1.0, None)
    desc = CmdDesc(
        required=[("blocks", BlockModelsArg)],
        optional=[("folder", SaveFolder)],
        keyword=[("open", BoolArg)],
    )
    (took,) = parsed(f"sirentest #{group.id_string} {folder} open false", desc)
    assert len(took["blocks"]) == 2
    assert took["folder"] == os.path.expanduser(folder.strip("'"))
    assert took["open"] is False
