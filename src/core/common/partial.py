"""Files and folders while they are written: hidden, locked, and removed once their writer is gone.

A writer that is killed leaves its partial file behind. The next writer in the same folder removes
it: the lock on it, which ends with the process, tells that nobody writes it any more. Process
numbers would not: containers use the same ones again.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import SirenError

try:
    import fcntl
except ImportError:  # Windows: it does not delete files that are open
    fcntl = None  # type: ignore[assignment]

PREFIX = ".siren-part-"
OLD_SECONDS = 24 * 3600.0  # where locks do not work, older ones are taken to be left behind
_EXCHANGE_LINUX, _EXCHANGE_MAC, _HERE = 2, 2, -100  # RENAME_EXCHANGE, RENAME_SWAP, AT_FDCWD


@contextmanager
def partial_file(folder: Path, suffix: str) -> Iterator[Path]:
    """Yield the path of a new hidden file in ``folder``; whatever is still there is deleted.

    What earlier writers left behind in the folder is removed.
    """
    remove_leftovers(folder)
    while True:
        handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=suffix, dir=folder)
        if _hold(handle, name):
            break
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
        if fcntl is not None:
            os.close(handle)


@contextmanager
def partial_folder(folder: Path) -> Iterator[Path]:
    """Yield the path of a new hidden folder in ``folder``; whatever is still there is deleted.

    What earlier writers left behind in the folder is removed.
    """
    remove_leftovers(folder)
    while True:
        name = tempfile.mkdtemp(prefix=PREFIX, dir=folder)
        handle = None if fcntl is None else os.open(name, os.O_RDONLY)
        if handle is None or _hold(handle, name):
            break
    try:
        yield Path(name)
    finally:
        with suppress(OSError):
            _remove(name)
        if handle is not None:
            os.close(handle)


def _hold(handle: int, name: str) -> bool:
    """Lock a partial file until its handle is closed; False if another writer had removed it."""
    if fcntl is None:
        os.close(handle)  # an open file cannot be moved there
        return True
    with suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX)
    with suppress(OSError):
        if os.path.samestat(os.fstat(handle), os.stat(name)):
            return True
    os.close(handle)
    return False


def remove_leftovers(folder: Path) -> None:
    """Delete the partial files and folders in ``folder`` that nobody writes any more."""
    try:
        found = [e.path for e in os.scandir(folder) if e.name.startswith(PREFIX)]
    except OSError:
        return
    for path in found:
        with suppress(OSError), _if_abandoned(path) as abandoned:
            if abandoned:
                _remove(path)


def discard(path: Path) -> None:
    """Delete a file or folder of ours. What cannot be deleted yet, since it is open elsewhere (on
    Windows, or a network drive), gets the name of a leftover, and goes with the next run.
    """
    if os.path.lexists(path):
        with suppress(OSError):
            hidden = tempfile.mktemp(prefix=PREFIX, dir=path.parent)
            path = path.rename(hidden)
        with suppress(OSError):
            _remove(str(path))


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:  # what a new folder has replaced may be a file or a link
        os.unlink(path)


@contextmanager
def _if_abandoned(path: str) -> Iterator[bool]:
    """Whether the writer of a partial file is gone; it stays so inside the ``with`` block."""
    old = time.time() - os.lstat(path).st_mtime > OLD_SECONDS
    if fcntl is None or os.path.islink(path):
        yield old
        return
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        except OSError:  # a file system without locks
            free = old
        yield free
    finally:
        os.close(handle)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process, or thread, changes a file of ``folder`` that is read first.

    Where folders cannot be locked (Windows, some network drives) nothing is waited for.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Be the only writer of a file that is read, changed and written; its folder is made.

    Raises
    ------
    SirenError
        If the folder cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with only_writer(path.parent):
            yield
    except OSError as error:
        raise SirenError(
            f"{path} cannot be written ({error.strerror or error}): give another folder."
        ) from error


def exchange(one: Path, other: Path) -> bool:
    """Exchange two files or folders in one step; False where the system cannot."""
    names = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            failed = library.renamex_np(*names, _EXCHANGE_MAC)
        else:
            failed = library.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE_LINUX)
    except (OSError, AttributeError, TypeError):  # Windows; an old C library
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
        return False  # the file system, such as NFS
    raise OSError(number, os.strerror(number), str(other))
