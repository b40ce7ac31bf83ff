"""The pages of commands, their examples, and the pages beside them."""

from __future__ import annotations

import ast
import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from chimerax.core.commands.cli import usage
from chimerax.core.errors import UserError

import help_page
from chimerax.siren import cmd
from chimerax.siren.commands.manual import page_text

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "src/docs/user"
PAGES = sorted(DOCS.rglob("*.html"))
COMMANDS = sorted(cmd.COMMANDS)


def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_the_pages_of_commands_are_those_of_the_code():
    wanted = help_page.command_pages(help_page.PAGE.read_text(encoding="utf-8"))
    found = {p.name: p.read_text(encoding="utf-8") for p in DOCS.glob("commands/siren_*.html")}
    assert sorted(found) == sorted(help_page.file_of(name) for name in COMMANDS)
    for name, text in wanted.items():
        assert found[name] == text, f"{name} is out of date: run make help-page"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_has_every_keyword_that_chimerax_takes_with_its_meaning(session, command):
    """The keywords as ChimeraX prints them, which knows nothing of how the page is made."""
    page = text_of(f"commands/{help_page.file_of(command)}")
    text = usage(session, command, show_subcommands=0)
    for keyword in re.findall(r"\[(\w+) _", text):
        row = re.search(rf"<tr><td><b>{keyword}</b> (.+?)</td><td>(.+?)</td></tr>", page, re.S)
        assert row, f"{keyword} of {command} is not explained: add a row to its section of the page"
    assert len(re.findall(r"<h4>Keywords", page)) <= 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_says_what_the_command_does_and_has_an_example(command):
    page = text_of(f"commands/{help_page.file_of(command)}")
    section = page.split("</h4>", 1)[1]
    assert len(section.split("<h4>")[0]) > 40, f"the manual has no section on {command}"
    assert f"\n{command}" in page.split("<h4>Examples</h4>")[-1], (
        f"devel/examples.cxc has no example of {command}"
    )


def test_stand_ins_for_chimerax_give_the_synopsis_that_chimerax_has(session):
    for name, about in help_page.described().items():
        assert f"— {about['synopsis']}" in usage(session, name, show_subcommands=0) or (
            about["synopsis"] in usage(session, name, show_subcommands=0)
        )


@pytest.mark.slow
def test_the_examples_run_as_written(run, tmp_path, monkeypatch):
    """In order, as ``open examples.cxc`` runs them."""
    monkeypatch.chdir(tmp_path)
    for line in help_page.EXAMPLES.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            run(line)
    for name in ("states.csv", "states.png", "levels.pdf", "siren/edited/blocks.csv"):
        assert (tmp_path / "tryout" / name).is_file()


@pytest.mark.slow
def test_the_first_try_of_the_manual_and_the_readme_is_the_same_and_runs(
    run, tmp_path, monkeypatch
):
    lines = re.search(r"<pre>\n(siren example.*?)</pre>", text_of("commands/siren.html"), re.S)
    assert lines and f"```\n{lines[1]}```" in (ROOT / "README.md").read_text(encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    results = [run(line) for line in lines[1].splitlines()]
    assert (tmp_path / "siren-example/siren/02_expand/run.json").is_file()
    assert len(results[-1].blocks) > 5


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.anchors |= {given[k] for k in ("name", "id") if given.get(k)}


def parsed(page: Path) -> _Links:
    reader = _Links()
    reader.feed(page.read_text(encoding="utf-8"))
    return reader


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_of_the_manual_lead_somewhere(page):
    for link in parsed(page).links:
        url = urlparse(link)
        if url.scheme:
            continue
        target = (page.parent / unquote(url.path)).resolve() if url.path else page
        assert target.is_file(), link
        assert not url.fragment or url.fragment in parsed(target).anchors, link


def test_messages_quoted_under_troubleshooting_are_those_of_the_code():
    said = ""
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                said += "".join(
                    v.value if isinstance(v, ast.Constant) else "\0" for v in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                said += node.value
            said += "\n" * isinstance(node, ast.JoinedStr | ast.Constant)
    page = text_of("siren_troubleshooting.html")
    quoted = [
        html.unescape(" ".join(q.split()))
        for heading in re.findall(r"<dt>(.*?)</dt>", page, re.S)
        for q in re.findall(r"<i>(.*?)</i>", heading, re.S)
    ]
    assert len(quoted) > 20
    for words in quoted:
        assert words in said, f"no message says {words!r}"


def test_keywords_and_commands_named_under_troubleshooting_exist():
    page = text_of("siren_troubleshooting.html")
    bold = {" ".join(b.split()) for b in re.findall(r"<b>(.*?)</b>", page, re.S)}
    known = {k["keyword"] for c in help_page.described().values() for k in c["keywords"]}
    for words in bold:
        if words.startswith("siren "):
            assert any(words.startswith(name) for name in COMMANDS), words
        elif re.fullmatch(r"[a-z]+[A-Za-z]*", words):
            assert words in known | {"profile"}, words


def test_the_glossary_is_in_order_and_has_the_words_of_the_tables():
    words = re.findall(r"<dt><b>(.*?)</b></dt>", text_of("siren_glossary.html"))
    assert words == sorted(words) and len(words) == len(set(words))
    from chimerax.siren.core.blocks.columns import COLUMNS

    for column in ("stability", "strength", "contrast", "solidity", "verdict", "block"):
        assert column in words and column in COLUMNS


@pytest.mark.parametrize(
    ("command", "page"),
    [
        ("help siren", "siren.html"),
        ("help siren sketch", "siren_sketch.html"),
        ("help siren block merge", "siren_block_merge.html"),
        ("help siren label template", "siren_label_template.html"),
    ],
)
def test_help_opens_the_page_of_a_command(run, monkeypatch, command, page):
    from chimerax import help_viewer
    from chimerax.core import toolshed

    opened: list[str] = []
    monkeypatch.setattr(help_viewer, "show_url", lambda session, url, **_: opened.append(url))
    run(command)
    assert [url.partition("#")[0] for url in opened] == [f"help:user/commands/{page}"]
    found = [Path(d, "user/commands", page) for d in toolshed.get_help_directories()]
    (installed,) = (p for p in found if p.is_file())
    assert installed.read_text(encoding="utf-8") == text_of(f"commands/{page}")


def test_the_manual_is_printed_as_text_and_unknown_topics_are_named(run):
    printed = run("siren help")
    assert "siren predict VOLUMES" in printed["text"] and "<" not in printed["text"]
    assert "Communities" in run("siren help method")["text"]
    with pytest.raises(UserError, match=r"no page on nonsense.*troubleshooting.*block merge"):
        run("siren help nonsense")
    with pytest.raises(UserError, match="no page on"):
        run("siren help ../../secret")


def test_text_of_a_page_keeps_rows_items_and_code_apart():
    page = "<title>T</title><p>One\ntwo.</p><ul><li>a<li>b &amp; c</ul><pre>\nx\ny\n</pre>"
    assert page_text(page) == "One two.\n- a\n- b & c\nx\ny"
    assert page_text("<table><tr><td>k</td><td>v</td></tr></table>") == "k  v"
