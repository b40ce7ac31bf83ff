"""What commands answer to programs: JSON with the numbers and paths of their results."""

from __future__ import annotations

import json
import math
import re
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chimerax.core.commands import Command, JSONResult
from chimerax.core.commands import run as run_command
from chimerax.core.errors import UserError

from chimerax.siren import cmd
from chimerax.siren.session.answers import facts_of, is_awaited, plain, sendable
from chimerax.siren.session.jobs import SirenJob
from ensembles import LEVEL, Planted, write_planted
from waiting import DEADLINE, until

VOLUMES = 120


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes", VOLUMES)


@pytest.fixture(scope="module")
def sketched(_chimerax: Any, planted: Planted) -> dict[str, Any]:
    """The answer of a sketch of the planted ensemble."""
    text = f"siren sketch '{planted.folder}' level {LEVEL} statistic exact subsample 1"
    return answer(_chimerax, text)


def answer(session: Any, command: str) -> Any:
    """What a command answers to a program that asks for JSON."""
    result = run_command(session, command, log=False, return_json=True)
    assert isinstance(result, JSONResult), command
    return json.loads(result.json_value)


def test_every_command_can_answer_with_json(session):
    for name in cmd.COMMANDS:
        command = Command(session)
        command.current_text = name
        command._find_command_name()
        assert command._ci.can_return_json, name


def test_a_sketch_answers_with_its_folder_and_the_rows_of_its_table(session, sketched, planted):
    table = pd.read_csv(Path(sketched["folder"]) / "blocks.csv")
    assert [b["voxels"] for b in sketched["blocks"]] == list(table.voxels)
    assert [b["mean_occupancy"] for b in sketched["blocks"]] == pytest.approx(
        list(table.mean_occupancy)
    )
    assert sorted(b["voxels"] for b in sketched["blocks"]) == sorted(
        int(m.sum()) for m in planted.masks.values()
    )
    assert (sketched["volumes"], sketched["step"]) == (VOLUMES, "sketch")


def test_expand_open_and_save_answer_like_a_sketch(session, sketched):
    folder = sketched["folder"]
    expanded = answer(session, f"siren expand '{folder}'")
    assert Path(expanded["folder"]).name == "02_expand" and len(expanded["blocks"]) == 2
    assert answer(session, f"siren open '{expanded['folder']}'")["blocks"] == expanded["blocks"]
    saved = answer(session, "siren block save #1")
    assert (Path(saved["folder"]) / "run.json").is_file()


def test_states_answer_with_the_volumes_of_each_block(session, sketched, planted, tmp_path):
    table = tmp_path / "states.csv"
    found = answer(session, f"siren states '{sketched['folder']}' saveFile '{table}'")
    for name, block in (("right", found["blocks"][0]), ("left", found["blocks"][1])):
        expected = {f"vol_{v + 1}.mrc" for v in np.flatnonzero(planted.present[name])}
        assert set(block["volumes"]) == expected
    assert found["files"] == [str(table)] and table.is_file()


def test_figures_answer_with_their_file_and_screens_with_table_and_figure(
    session, sketched, planted, tmp_path
):
    figure = tmp_path / "states.png"
    found = answer(session, f"siren plot '{sketched['folder']}' states saveFile '{figure}'")
    assert found == {"file": str(figure)} and figure.is_file()
    command = (
        f"siren screen '{planted.folder}' level {LEVEL} posp 0.001,0.01 outputDir '{tmp_path}'"
    )
    found = answer(session, command)
    assert [s["posp"] for s in found["settings"]] == [0.001, 0.01]
    rows = pd.read_csv(found["table"])
    assert len(rows) == sum(len(s["blocks"]) for s in found["settings"])
    assert Path(found["figure"]).is_file()


def test_edits_answer_with_the_blocks_left_and_models_with_their_number(session, sketched, planted):
    answer(session, f"siren open '{sketched['folder']}'")
    merged = answer(session, "siren block merge #1.1,2")
    assert [b["voxels"] for b in merged["blocks"]] == [sum(b["voxels"] for b in sketched["blocks"])]
    assert answer(session, "siren block undo") == {}
    assert answer(session, 'siren block rename #1.1 "head"')["blocks"][0]["name"] == "head"
    shown = answer(session, f"siren show '{planted.folder}/vol_1.mrc' level 0.5")
    assert shown["model"] == "#2" and shown["name"]
    pair = answer(session, f"siren representatives '{sketched['folder']}' block 1")
    right = planted.present["right"]
    assert right[int(pair["with_block"][4:-4]) - 1]
    assert not right[int(pair["without_block"][4:-4]) - 1]
    assert len(pair["models"]) == 2


@pytest.mark.slow
def test_predictions_labels_and_evaluations_answer_with_levels_and_tables(
    session, run, planted, tmp_path
):
    few = f"'{planted.folder}' include vol_1.mrc,vol_2.mrc,vol_3.mrc outputDir '{tmp_path}'"
    found = answer(session, f"siren predict {few}")
    table = pd.read_csv(found["table"])
    assert [r["file"] for r in found["levels"]] == list(table.file)
    assert [r["level"] for r in found["levels"]] == pytest.approx(
        list(table.denormalized_predictions), nan_ok=True
    )
    proposed = answer(session, f"siren label template {few} count 2")
    assert len(proposed["maps"]) == 2 and Path(proposed["table"]).is_file()
    run(f"open '{planted.folder}/vol_1.mrc'")
    run("volume #1 style surface level 0.5")
    labels = tmp_path / "mine.csv"
    labeled = answer(session, f"siren label #1 lower 0.4 upper 0.6 labels '{labels}'")
    assert labeled["labels"][0] == {
        "vol_id": "0",
        "file": "vol_1.mrc",
        "level": 0.5,
        "lower": 0.4,
        "upper": 0.6,
        "fingerprint": table.fingerprint[0],
    }
    judged = answer(session, f"siren evaluate '{labels}' predictions '{found['table']}'")
    assert judged["volumes"] == 1 and Path(judged["figure"]).is_file()
    small = answer(session, f"siren preprocess {few} box 16")
    assert len(small["files"]) == 3 and all(Path(f).is_file() for f in small["files"])


def test_an_example_answers_with_its_folder_and_blocks(session, tmp_path):
    found = answer(
        session, f"siren example '{tmp_path}/v' volumes 3 box 32 voxelSize 10 resolution 20"
    )
    truth = json.loads((tmp_path / "v/truth.json").read_text())
    assert found["folder"] == str(tmp_path / "v") and found["volumes"] == 3
    assert found["blocks"] == [b["name"] for b in truth["blocks"]]


def test_a_program_waits_for_the_answer_where_windows_are_open(session, sketched, monkeypatch):
    monkeypatch.setattr(session.ui, "is_gui", True)
    monkeypatch.setattr(session.ui, "defer_threads", True)  # to the main thread, as windows do
    found = answer(session, f"siren states '{sketched['folder']}'")
    assert len(found["blocks"]) == 2 and not is_awaited()
    # no frame is drawn: that would need a real window
    job = run_command(session, f"siren states '{sketched['folder']}'")
    assert isinstance(job, SirenJob)  # without JSON, in the background as ever
    assert session.ui.pump(until=job.terminated, timeout=DEADLINE)


def test_without_json_a_command_returns_what_it_always_did(run, sketched):
    assert run(f"siren open '{sketched['folder']}'").folder == Path(sketched["folder"])


def test_numbers_that_json_does_not_know_are_null_and_arrays_are_lists():
    values = {1: float("nan"), "b": np.float32(math.inf), "c": np.arange(3), "d": np.bool_(True)}
    assert plain(values) == {"1": None, "b": None, "c": [0, 1, 2], "d": True}
    assert facts_of(Path("/a/b")) == {"file": Path("/a/b")}
    assert facts_of([]) == {"results": []}


def sent(value: Any) -> Any:
    """A result as the REST server of ChimeraX 1.11 prepares it, before it is written as JSON."""
    if isinstance(value, dict):
        return {sent(k): sent(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [sent(v) for v in value]
    ours = hasattr(value, "session") or "chimerax" in getattr(value, "__module__", "")
    return str(value) if ours else value


def test_the_result_beside_an_answer_can_be_sent_by_the_rest_server_of_1_11(session, sketched):
    figure = f"siren plot '{sketched['folder']}' states saveFile '{sketched['folder']}/s.png'"
    for command in (figure, "siren help sketch", f"siren open '{sketched['folder']}'"):
        result = run_command(session, command, log=False, return_json=True)
        assert json.dumps(sent(result.python_value)), command
    odd = [Path("/a"), {1: (np.float32(2), np.arange(2), pd.NA)}, math.nan, {"b"}, np.bool_(True)]
    written = json.dumps(sent(sendable(odd)), allow_nan=False)
    assert json.loads(written) == ["/a", {"1": [2, [0, 1], "<NA>"]}, None, ["b"], True]
    assert isinstance(sendable(JSONResult("", 1)), JSONResult)  # the server makes it its str


@pytest.fixture
def server(session: Any) -> Iterator[str]:
    """The address of ChimeraX's own REST server, as ``remotecontrol rest start json true`` has."""
    from chimerax.rest_server.server import RESTServer

    rest = RESTServer(session)
    thread = threading.Thread(target=rest.run, args=(None, None, True), daemon=True)
    thread.start()
    until(lambda: rest.httpd is not None and rest.run_count > 0)
    yield f"http://localhost:{rest.server_address[1]}/run"
    httpd = rest.httpd
    threading.Thread(target=httpd.shutdown).start()
    thread.join()
    httpd.server_close()
    session.tasks.remove(rest)


def ask(server: str, command: str) -> Any:
    url = f"{server}?{urllib.parse.urlencode({'command': command})}"
    with urllib.request.urlopen(url) as reply:
        return json.loads(reply.read())


def logged(reply: Any) -> str:
    return "\n".join(line for lines in reply["log messages"].values() for line in lines)


def test_rest_answers_with_results_errors_usage_and_the_manual(server, sketched, tmp_path):
    reply = ask(server, f"siren states '{sketched['folder']}'")
    assert reply["error"] is None
    assert len(json.loads(reply["json values"][0])["blocks"]) == 2
    reply = ask(server, "siren states /no/such/folder")
    assert reply["error"]["type"] == "UserError" and "/no/such/folder" in reply["error"]["message"]
    figure = tmp_path / "states.png"
    reply = ask(server, f"siren plot '{sketched['folder']}' states saveFile '{figure}'")
    assert json.loads(reply["json values"][0]) == {"file": str(figure)} and figure.is_file()
    # 1.11 marks words and arguments of a plain text
    usage = re.sub("['_]", "", logged(ask(server, "usage siren sketch")))
    assert "siren sketch volumes" in usage and "[minSize" in usage
    reply = ask(server, "siren help sketch")
    text = json.loads(reply["json values"][0])["text"]
    assert "smallest community that is a block" in text and "<" not in text
    assert text in logged(reply)


def test_a_package_that_is_missing_is_one_sentence_while_a_command_works_or_is_registered(
    session, run, planted, tmp_path, monkeypatch
):
    """As where SIREn was installed without internet, or what it needs into another Python."""
    monkeypatch.setitem(sys.modules, "graspologic_native", None)
    command = f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{tmp_path}/siren'"
    with pytest.raises(UserError, match=r"^The package graspologic_native, .* restart ChimeraX\.$"):
        run(command)

    def missing(*_: Any) -> Any:
        raise ModuleNotFoundError("No module named 'mrcfile'", name="mrcfile")

    done: dict[str, Any] = {}
    monkeypatch.setattr(cmd, "import_module", missing)
    monkeypatch.setattr(cmd, "register", lambda name, *about, logger: done.update({name: about}))
    cmd.register_command("siren open", session.logger)
    _, function = done["siren open"]
    with pytest.raises(UserError, match='"pip install mrcfile"'):
        function(session, rest="a folder")
