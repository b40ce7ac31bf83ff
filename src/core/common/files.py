"""Files and folders that are written completely or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import SirenError
from .partial import PREFIX, discard, exchange, partial_file, partial_folder
from .reading import open_file, read_bytes
from .schema import Check, Mismatch

RECORD = "run.json"
OLD = ".siren-old-"  # before the name of a folder that is being replaced
_ATTEMPTS = 5  # at replacing a folder that others restore in between
_HELD = (5, 32, 33)  # errors of Windows where another program has a file open
_IGNORED = {".DS_Store", "Thumbs.db", "desktop.ini"}  # written by file managers, not by people


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` on success and is deleted on an exception.

    Raises
    ------
    SirenError
        If the folder cannot be written to.
    """
    with atomic_files(path) as (temporary,):
        yield temporary


@contextmanager
def atomic_files(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Yield temporary paths that replace ``paths``, of one folder, one right after the other on
    success; all are deleted on an exception.

    Raises
    ------
    SirenError
        If the folder cannot be written to.
    """
    with _plain_errors(paths[0]), _folder_for(paths[0]), ExitStack() as stack:
        temporary = tuple(
            stack.enter_context(partial_file(path.parent, path.suffix)) for path in paths
        )
        yield temporary
        for written in temporary:
            written.chmod(0o666 & ~_umask())
        for path in paths[1:]:  # Windows refuses where another program holds one: then before all
            if path.is_file():
                os.replace(path, path)
        for written, path in zip(temporary, paths, strict=True):
            os.replace(written, path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces ``path`` on success and is deleted on an exception.

    An existing ``path`` is replaced, in one step where the system can: somebody who reads it, and a
    kill at any moment, find the earlier folder or the new one. Call :func:`set_edits_aside` first
    if a person may have edited it.

    Raises
    ------
    SirenError
        If the folder cannot be made.
    """
    with _plain_errors(path), _folder_for(path):
        restore(path)
        with partial_folder(path.parent) as temporary:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            if not os.path.lexists(path):
                temporary.replace(path)
            elif not exchange(temporary, path):
                _exchange_in_steps(temporary, path)


def _exchange_in_steps(new: Path, path: Path) -> None:
    """Replace ``path`` by the folder ``new``, and remove it; restore it if that fails."""
    old = _old(path)
    for attempt in range(_ATTEMPTS):
        discard(old)  # what a process that was killed has left, or a file that was open then
        path.replace(old)
        try:
            new.replace(path)
            break
        except OSError:
            # somebody who reads it may have restored it in this moment: then once more
            restored = os.path.lexists(path) and not os.path.lexists(old)
            if not restored:
                old.replace(path)
            if not restored or attempt == _ATTEMPTS - 1:
                raise
    discard(old)


def restore(path: Path) -> None:
    """Give a folder its name back if its replacement was killed between two steps, see
    :func:`atomic_folder`; the same for the folders that it is in.
    """
    missing = []
    for place in (path, *path.parents):
        if os.path.lexists(place):
            break
        missing.append(place)
    for place in reversed(missing):
        if not place.name or not os.path.lexists(_old(place)):
            return
        with suppress(OSError):
            _old(place).replace(place)


def restore_inside(folder: Path) -> None:
    """:func:`restore` for every folder in this one, before they are listed."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(OLD):
                restore(folder / name.removeprefix(OLD))


def _old(path: Path) -> Path:
    return path.with_name(f"{OLD}{path.name}")


def set_edits_aside(path: Path, always: bool = False) -> Path | None:
    """Keep a copy of a folder that was edited since its run, before it is replaced.

    The folder stays where it is, so that it is there whenever the program ends. Files of the copy
    are links to the same data where the file system can.

    Parameters
    ----------
    always : keep it also if nobody edited its files since, as where it holds work by hand

    Returns
    -------
    Path or None
        The path of the copy; None if there is no folder, or, unless ``always``, it holds exactly
        the files that its record lists.

    Raises
    ------
    SirenError
        If the copy cannot be made.
    """
    if not path.exists() or (not always and _as_recorded(path)):
        return None
    number = 1
    while (aside := path.with_name(f"{path.name}_edited_{number}")).exists():
        number += 1
    with _plain_errors(aside), partial_folder(path.parent) as temporary:
        copy_linked(path, temporary / "copy")
        (temporary / "copy").rename(aside)
    return aside


def check_writable(folder: Path) -> None:
    """Refuse a folder for results that cannot be made or written to, before work is done for it.

    Nothing is made: the folder, or the nearest one above it that is there, is written to for a
    moment.

    Raises
    ------
    SirenError
        If it cannot.
    """
    there = next((f for f in (folder, *folder.parents) if os.path.lexists(f)), folder)
    with _plain_errors(folder), tempfile.TemporaryFile(prefix=PREFIX, dir=there):
        pass


def keep_others(path: Path, new: Path, replaced: Collection[str] = ()) -> None:
    """Give the folder ``new``, which is about to take the place of ``path``, what else that holds:
    all but the entries ``replaced``, and those that ``new`` has itself.
    """
    if not path.is_dir():
        return
    for entry in path.iterdir():
        if entry.name in replaced or entry.name.startswith(PREFIX):
            continue
        if not os.path.lexists(new / entry.name):
            copy_linked(entry, new / entry.name)
        elif (new / entry.name).is_dir() and entry.is_dir():
            keep_others(entry, new / entry.name)


def copy_linked(path: Path, target: Path) -> None:
    """Copy a file or folder to a new path, as hard links where the file system can."""
    if path.is_dir() and not path.is_symlink():
        shutil.copytree(path, target, symlinks=True, copy_function=_link_or_copy)
    else:
        _link_or_copy(str(path), str(target))


def _link_or_copy(path: str, target: str) -> str:
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(path, target, follow_symlinks=False)
    return target


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open_file(path) as file:
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


def read_json(
    path: Path,
    check: Check | None = None,
    what: str = "a file of SIREn",
    remedy: str = "run the step that writes it again",
) -> dict[str, Any]:
    """Read a JSON object, and check that it is what it should be.

    Parameters
    ----------
    path : Path
    check : callable, optional
        As made by :mod:`.schema`; gets the object, and returns what is read of it.
    what, remedy : str
        For the errors.

    Raises
    ------
    SirenError
        If the file is missing, is not a JSON object, or does not pass the check.
    """
    try:
        content = json.loads(read_bytes(path).decode("utf-8-sig"))
    except RecursionError as error:
        raise SirenError(f"{path} cannot be read (it is nested too deeply): {remedy}.") from error
    except (OSError, ValueError, MemoryError) as error:
        raise SirenError(f"{path} cannot be read ({_reason(error)}): {remedy}.") from error
    if not isinstance(content, dict):
        raise SirenError(f"{path} is not {what}: {remedy}.")
    try:
        return content if check is None else check(content)
    except Mismatch as error:
        raise SirenError(f"{path} is not {what} ({error}): {remedy}.") from error


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error).partition("\n")[0] or "too large"


def _json(value: Any, depth: int) -> str:
    if not isinstance(value, dict) or not value:
        return json.dumps(value, separators=(", ", ": "))
    pad = "  " * (depth + 1)
    rows = ",\n".join(f"{pad}{json.dumps(str(k))}: {_json(v, depth + 1)}" for k, v in value.items())
    return "{\n" + rows + "\n" + "  " * depth + "}"


def _as_recorded(path: Path) -> bool:
    try:
        outputs = read_json(path / RECORD)["outputs"]
        # nobody edits by hand what a killed process has left behind
        there = {p.name for p in path.iterdir() if not p.name.startswith(PREFIX)}
        present = there - {RECORD} - _IGNORED
        return present == set(outputs) and all(
            sha256(path / name) == digest for name, digest in outputs.items()
        )
    except (OSError, SirenError, KeyError, TypeError, AttributeError):
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
        reason = error.strerror or error
        if getattr(error, "winerror", None) in _HELD:
            held = error.filename2 or error.filename or path
            if Path(held).name.startswith(PREFIX):
                held = path
            raise SirenError(
                f"{held} cannot be replaced ({reason}): close it where it is open, such as in "
                "Excel, or give another output folder."
            ) from error
        raise SirenError(
            f"{path} cannot be written ({reason}): give another output folder."
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
