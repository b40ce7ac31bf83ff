"""Ctrl-C without windows, as in a shell or a batch job."""

from __future__ import annotations

import os
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from chimerax.siren.core.common.partial import PREFIX
from waiting import until

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 120  # s, for a start on a busy computer
COMMAND = "siren example volumes volumes 5000"


@pytest.mark.processes
@pytest.mark.parametrize("how", ["command", "script"])
def test_ctrl_c_ends_with_a_status_that_stops_what_follows_and_leaves_nothing(
    tmp_path: Path, how: str
) -> None:
    (tmp_path / "script.py").write_text(
        f"from chimerax.core.commands import run\nrun(session, {COMMAND!r})\nprint('went on')\n"
    )
    arguments = ["--cmd", COMMAND] if how == "command" else ["--script", "script.py"]
    line = f"'{ROOT}/devel/chimerax' --nogui --exit \"$@\" && echo what follows"
    with subprocess.Popen(
        ["bash", "-c", line, "bash", *arguments],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # in the background of a shell, Ctrl-C would be ignored
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            until(
                lambda: any(tmp_path.glob(f"{PREFIX}*/*")) or process.poll() is not None,
                "writing",
            )
            os.killpg(process.pid, signal.SIGINT)
            said, _ = process.communicate(timeout=DEADLINE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert "Stopped. Nothing was written" in said
    assert "what follows" not in said and "went on" not in said
    assert "Traceback" not in said
    assert process.returncode != 0
    assert not (tmp_path / "volumes").exists() and not any(tmp_path.glob(f"{PREFIX}*"))
