"""The report: what it says is what was planted, and it is safe and whole as a file."""

from __future__ import annotations

import base64
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from chimerax.siren.core.analysis.landscape import Landscape
from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.blocks.verdicts import BlockEvidence
from chimerax.siren.core.common.errors import Cancelled, SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.report.content import Report, gather, history, share_interval
from chimerax.siren.core.report.doubts import doubts
from chimerax.siren.core.report.inputs import names_in_runs
from chimerax.siren.core.report.markup import Markup, element, text
from chimerax.siren.core.report.page import CAPTIONS, drawn_figures, report_html, write_report
from chimerax.siren.core.report.pictures import MOST_ALONE, Picture, Pictures, pictured_alone
from chimerax.siren.core.runs.steps import run_edit, run_sketch
from ensembles import LEVEL, VOXEL_SIZE, Planted, write_planted

EMPTY = {"meta", "img", "br", "hr"}
NASTY = "\"><script>alert(1)</script><img src=x onerror=alert(2)>&'stalk"
PARAMETERS = SketchParameters(statistic="exact", subsample=1, resamples=4, seed=3)
# a picture of one pixel
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
FLAT = Pictures([Picture(PIXEL, "all")], {1: Picture(PIXEL, "one")}, "flat")
FIGURES = {kind: Picture(PIXEL, kind) for kind in CAPTIONS}


class Page(HTMLParser):
    """The elements, attributes and text of a page; fails where elements are not nested."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return "".join(self.words)


def quickly(report: Report, **keywords: Any) -> str:
    """The page, with pictures and figures of one pixel."""
    return report_html(report, FLAT, figures=FIGURES, **keywords)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("report") / "volumes")


@pytest.fixture(scope="module")
def folder(planted: Planted) -> Path:
    """A sketch of the planted ensemble without one volume, and without one not chosen; "right" is
    block 1, "left" is block 2.
    """
    ensemble = find_ensemble([planted.folder], exclude=["vol_200.mrc"])
    levels = np.full(199, LEVEL)
    return run_sketch(
        ensemble,
        levels,
        f"level {LEVEL}",
        PARAMETERS,
        planted.folder.parent / "siren",
        left_out={"vol_7.mrc": 'flagged: <"odd">'},
    ).folder


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    return gather(folder)


def test_numbers_of_the_table_are_those_planted(report: Report, planted: Planted) -> None:
    used = np.array([k not in (6, 199) for k in range(200)])
    for row, name in zip(report.rows, ("right", "left"), strict=True):
        inside = int(planted.masks[name].sum())
        assert row.voxels == inside
        assert row.volume == pytest.approx(inside * VOXEL_SIZE**3)
        assert row.mass == pytest.approx(inside * VOXEL_SIZE**3 * 0.825 / 1000)
        assert row.present == planted.present[name][used].sum()
    words = Page(quickly(report)).text
    assert f"{report.rows[0].present} of 198" in words and f"{report.rows[0].voxels:,}" in words


def test_the_density_that_was_asked_for_is_used_and_said(folder: Path, report: Report) -> None:
    heavier = gather(folder, density=1.65)
    assert heavier.rows[0].mass == pytest.approx(2 * report.rows[0].mass)
    assert "1.65 Da per Å³" in Page(quickly(heavier)).text


@pytest.mark.parametrize(("count", "many"), [(0, 20), (1, 20), (13, 40), (40, 40)])
def test_the_interval_is_that_of_the_exact_binomial_test(count: int, many: int) -> None:
    expected = binomtest(count, many).proportion_ci(0.95, "exact")
    assert share_interval(count, many) == pytest.approx((expected.low, expected.high))
    # twice as many volumes that are worth no more
    assert share_interval(2 * count, 2 * many, many) == pytest.approx((expected.low, expected.high))
    assert share_interval(count, many, 5 * many) == share_interval(count, many)


@pytest.mark.slow
def test_the_page_is_whole_and_takes_nothing_from_outside(report: Report) -> None:
    page = Page(report_html(report))
    assert not page.named("script") and not page.named("link") and not page.named("iframe")
    pictures = page.named("img")
    assert len(pictures) == 1 + 2 + len(CAPTIONS)  # projections, each block alone, figures
    for attributes in pictures:
        kind, data = re.fullmatch(r"data:image/(png|jpeg);base64,(.*)", attributes["src"]).groups()
        assert kind == "png" and base64.b64decode(data, validate=True).startswith(b"\x89PNG")
        assert len(attributes["alt"]) > 10
    ids = {a["id"] for _, a in page.elements if "id" in a}
    for attributes in page.named("a"):
        link = attributes["href"]
        assert link[1:] in ids if link.startswith("#") else link.startswith("https://doi.org/")
    assert not any(name.startswith("on") for _, a in page.elements for name in a)
    style = re.search(r"<style>(.*?)</style>", quickly(report), re.S)
    assert style and "url(" not in style[1] and "@import" not in style[1]
    assert page.named("html")[0]["lang"] == "en"
    assert any(a.get("name") == "viewport" for a in page.named("meta"))
    heads = [int(n[1]) for n, _ in page.elements if re.fullmatch(r"h\d", n)]
    assert heads[0] == 1 and all(b - a <= 1 for a, b in pairwise(heads))


@pytest.mark.slow
def test_names_from_users_stay_text(report: Report) -> None:
    blocks = replace(report.blocks, names={1: NASTY})
    named = replace(
        report,
        blocks=blocks,
        labels=replace(report.labels, names={1: NASTY}),
        rows=[replace(report.rows[0], name=NASTY), report.rows[1]],
        missing=[NASTY],
    )
    record = replace(report.record, not_chosen=[NASTY], thresholds=NASTY)
    named = replace(named, steps=[replace(report.steps[0], record=record)])
    page = Page(report_html(named, commands=[NASTY], made=NASTY))
    plain = Page(report_html(report, commands=["x"], made="x"))
    kinds = [tag for tag, _ in page.elements]
    assert "script" not in kinds and kinds.count("img") == [t for t, _ in plain.elements].count(
        "img"
    )
    assert not any("onerror" in a for _, a in page.elements)
    assert page.text.count(NASTY) >= 6
    assert any(NASTY in a["alt"] for a in page.named("img"))


def test_equal_runs_give_equal_bytes_but_for_date_and_paths(
    folder: Path, report: Report, tmp_path: Path
) -> None:
    assert quickly(report, made="2025-01-31") == quickly(gather(folder), made="2025-01-31")
    shutil.copytree(folder, tmp_path / "00_sketch")
    other = quickly(gather(tmp_path / "00_sketch"), made="2025-02-01")
    assert other != quickly(report, made="2025-01-31")
    title = f"{folder.parts[-3]}/"
    moved = other.replace(str(tmp_path), str(folder.parent)).replace("2025-02-01", "2025-01-31")
    moved = moved.replace(f"{tmp_path.parts[-2]}/{tmp_path.parts[-1]}", f"{title}siren")
    assert moved == quickly(report, made="2025-01-31")


@pytest.mark.slow
def test_figures_and_projections_have_the_same_bytes_each_time(report: Report) -> None:
    assert report_html(report) == report_html(report)


def test_the_scatter_of_a_report_has_volumes_in_latent_space_where_that_is_known(
    report: Report,
) -> None:
    names = tuple(report.states.names)
    points = np.random.default_rng(3).normal(size=(len(names), 2))
    latent = Landscape(names, points, ("latent 1", "latent 2"))
    known, unknown = drawn_figures(report, landscape=latent), drawn_figures(report)
    assert "Click" not in known["scatter"].alt
    assert known["scatter"].data != unknown["scatter"].data
    assert known["states"].data == unknown["states"].data


def test_volumes_that_were_left_out_are_listed_with_the_reason(report: Report) -> None:
    page = Page(quickly(report))
    assert "vol_7.mrc" in page.words and 'flagged: <"odd">' in page.words
    assert "198 volumes used, 1 left out, 1 not chosen" in page.text
    assert "vol_8.mrc to vol_199.mrc (192)" in page.text


def test_parameters_seed_versions_and_commands_are_in_the_report(
    report: Report, folder: Path
) -> None:
    page = Page(quickly(report, commands=["siren sketch here", "siren expand there"]))
    assert "siren sketch here\nsiren expand there" in page.words
    assert "Seeds: 3 (sketch)" in page.text
    content = json.loads((folder / "run.json").read_text())
    assert content["versions"]["numpy"] in page.words
    assert content["outputs"]["blocks.json"] in page.text
    bold = re.findall(r"<td><b>(.*?)</b></td>", quickly(report))
    assert {"exact", "3", "4", "1"} <= set(bold) and "0.01" not in bold  # not the defaults


def test_the_file_is_written_whole_or_not_at_all(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "new/report.html"
    write_report(report, path, FLAT, figures=FIGURES)
    before = path.read_text(encoding="utf-8")
    assert before == quickly(report)
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        write_report(report, path, made="later", progress=progress)
    assert path.read_text(encoding="utf-8") == before
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(SirenError, match="run"):
        gather(tmp_path)


@pytest.mark.slow
def test_a_report_is_made_without_the_mean_map_and_says_so(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "00_sketch")
    (tmp_path / "00_sketch/mean.mrc").unlink()
    found = gather(tmp_path / "00_sketch")
    assert found.mean is None
    assert "mean.mrc" in Page(report_html(found)).text


def test_an_edited_set_is_reported_with_the_steps_before_it(
    folder: Path, report: Report, tmp_path: Path
) -> None:
    edited = run_edit(report.blocks, report.record, folder, tmp_path / "01_edited").folder
    assert [s.record.step for s in history(edited)] == ["sketch", "edit"]
    found = gather(edited)
    assert found.effective == report.effective
    assert any("edited by hand" in d.about for d in doubts(found))


def test_blocks_changed_since_have_no_verdict_and_are_measured_again(
    folder: Path, report: Report
) -> None:
    half = report.blocks.blocks[1][::2]
    found = gather(folder, replace(report.blocks, blocks={**report.blocks.blocks, 1: half}))
    assert found.edited and found.rows[0].voxels == len(half)
    assert found.rows[0].verdict == "" and found.rows[1].verdict == report.rows[1].verdict
    assert any("no verdict" in d.about for d in doubts(found))


def about(report: Report) -> str:
    return " | ".join(d.about for d in doubts(report))


def test_what_is_to_be_doubted_is_said_and_nothing_else(report: Report) -> None:
    def with_row(**values: Any) -> Report:
        return replace(report, rows=[replace(report.rows[0], **values), report.rows[1]])

    calm = replace(
        report,
        rows=[replace(r, verdict="solid", stability=1.0) for r in report.rows],
        steps=[
            replace(report.steps[0], record=replace(report.record, step="expand", thresholds="t"))
        ],
        effective=None,
    )
    assert about(calm) == "There are only 198 volumes | What holds for every result"
    noise = BlockEvidence(0.9, 1.0, 0.2, 0.0).verdict
    doubtful = doubts(with_row(verdict=noise, name="stalk"))[0]
    assert "Block 1 (stalk) is probably not part" in doubtful.about
    assert "80 % of it is scattered" in doubtful.text
    for report_, words in (
        (with_row(verdict="moving"), "Block 1 may move"),
        (with_row(verdict="graded"), "Block 1 never quite goes away"),
        (with_row(verdict="solid", stability=0.3), "comes back in fewer than half"),
        (with_row(share=0.05), "present or absent in fewer than 10"),
        (with_row(share=0.97), "present or absent in fewer than 10"),
        (replace(report, effective=12.0), "like 12 independent ones"),
        (report, "those of a sketch"),
    ):
        assert words in about(report_)
        assert words not in about(calm)


def test_many_volumes_left_out_flags_and_an_unset_voxel_size_are_to_be_doubted(
    report: Report, tmp_path: Path
) -> None:
    volumes = [
        {**v, "left_out": "no core" if k < 40 else None}
        for k, v in enumerate(report.record.volumes)
    ]
    table = tmp_path / "predictions.csv"
    table.write_text("file,denormalized_predictions,flag\nvol_90.mrc,0.5,junk: too small\n")
    grid = replace(report.record.grid, voxel_size=(1.0, 1.0, 1.0))
    record = replace(report.record, volumes=volumes, thresholds=str(table), grid=grid)
    words = about(replace(report, steps=[replace(report.steps[0], record=record)]))
    assert "40 of 199 volumes were left out" in words
    assert "1 of the volumes that were used is flagged" in words
    assert "voxel size is 1.00 A" in words


def test_no_more_blocks_are_pictured_alone_than_fit_into_a_mail(report: Report) -> None:
    many = replace(report, rows=[replace(report.rows[0], number=n) for n in range(1, 200)])
    assert pictured_alone(many) == list(range(1, MOST_ALONE + 1))


@pytest.mark.slow
def test_a_run_without_blocks_has_a_report_too(planted: Planted, tmp_path: Path) -> None:
    ensemble = find_ensemble([planted.folder], include=["vol_1?.mrc"])
    levels = np.full(len(ensemble), LEVEL)
    run = run_sketch(ensemble, levels, f"level {LEVEL}", PARAMETERS, tmp_path)
    assert not len(run.blocks)
    assert "No block was found." in Page(report_html(gather(run.folder))).text


def test_markup_is_escaped_once() -> None:
    assert element("b", "<", element("i", "&")) == "<b>&lt;<i>&amp;</i></b>"
    assert text(Markup("<b>")) == "<b>" and text("<b>\x07") == "&lt;b&gt;\\x07"
    assert element("img", alt='"', class_="x", src=None) == '<img alt="&quot;" class="x">'


def test_names_are_drawn_together_only_where_their_numbers_follow() -> None:
    assert names_in_runs([]) == []
    assert names_in_runs(["a.mrc", "b.mrc"]) == ["a.mrc", "b.mrc"]
    names = [f"v{k:03d}.mrc" for k in (1, 2, 3, 5, 6, 8, 9, 10, 11)]
    assert names_in_runs([*names, "w.mrc"]) == [
        "v001.mrc to v003.mrc (3)",
        "v005.mrc",
        "v006.mrc",
        "v008.mrc to v011.mrc (4)",
        "w.mrc",
    ]
