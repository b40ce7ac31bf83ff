"""Files and folders that are written completely or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import SirenError

RECORD = "run.json"
_IGNORED = {".DS_Store", "Thumbs.db", "desktop.ini"}  # written by file managers, not by people


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` on success and is deleted on an exception.

    Raises
    ------
    SirenError
        If the folder cannot be written to.
    """
    with _plain_errors(path), _folder_for(path):
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces ``path`` on success and is deleted on an exception.

    An existing ``path`` is replaced; call :func:`set_edits_aside` first if a person may have edited
    it.

    Raises
    ------
    SirenError
        If the folder cannot be made.
    """
    with _plain_errors(path), _folder_for(path):
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            if path.exists():
                _exchange(temporary, path)
            else:
                temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _exchange(new: Path, path: Path) -> None:
    """Replace the folder ``path`` by ``new``; restore it if that fails."""
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        path.replace(old / path.name)
        try:
            new.replace(path)
        except OSError:
            (old / path.name).replace(path)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def set_edits_aside(path: Path) -> Path | None:
    """Rename a folder that was edited since its run, so that no work is lost.

    Returns
    -------
    Path or None
        The new path; None if there is no folder, or it holds exactly the files that its record
        lists.

    Raises
    ------
    SirenError
        If the folder cannot be renamed.
    """
    if not path.exists() or _as_recorded(path):
        return None
    number = 1
    while (aside := path.with_name(f"{path.name}_edited_{number}")).exists():
        number += 1
    with _plain_errors(path):
        path.rename(aside)
    return aside


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def relative_path(path: Path | str, folder: Path) -> str | None:
    """A path as seen from a folder, with slashes and links resolved; None on another drive."""
    try:
        return Path(os.path.relpath(os.path.realpath(path), os.path.realpath(folder))).as_posix()
    except ValueError:
        return None


def file_as_input(path: Path, folder: Path) -> dict[str, str | None]:
    """What the record in ``folder`` says of a file that was read."""
    return {
        "path": str(path.absolute()),
        "relative": relative_path(path, folder),
        "sha256": sha256(path),
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write readable JSON, with each list on one line."""
    path.write_text(_json(content, 0) + "\n", encoding="utf-8", newline="\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    SirenError
        If the file is missing or not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SirenError(
            f"{path} cannot be read ({error}): run the step that writes it again."
        ) from error
    if not isinstance(content, dict):
        raise SirenError(f"{path} is not a file of SIREn: run the step that writes it again.")
    return content


def _json(value: Any, depth: int) -> str:
    if not isinstance(value, dict) or not value:
        return json.dumps(value, separators=(", ", ": "))
    pad = "  " * (depth + 1)
    rows = ",\n".join(f"{pad}{json.dumps(str(k))}: {_json(v, depth + 1)}" for k, v in value.items())
    return "{\n" + rows + "\n" + "  " * depth + "}"


def _as_recorded(path: Path) -> bool:
    try:
        outputs = json.loads((path / RECORD).read_text(encoding="utf-8"))["outputs"]
        present = {p.name for p in path.iterdir()} - {RECORD} - _IGNORED
        return present == set(outputs) and all(
            sha256(path / name) == digest for name, digest in outputs.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextmanager
def _folder_for(path: Path) -> Iterator[None]:
    """Create the parent folders of a path; on an exception, remove those that were created."""
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in made:  # innermost first
            with suppress(OSError):  # not created, or already in use
                folder.rmdir()
        raise


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SirenError(
            f"{path} cannot be written ({error.strerror or error}): give another output folder."
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
