"""Exceptions raised by core."""

import errno
import re

#: A word of a command that needs no quotes.
PLAIN = re.compile(r"[^\s;,#~'\"`][^\s;,'\"]*")


def printable(text: str) -> str:
    """A text that every terminal, log and file can hold: what cannot be printed, such as a line
    end or a byte of no encoding in a file's name, is shown as its code.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def typed(name: str) -> str:
    """A name as it is typed in a command that a sentence proposes."""
    if PLAIN.fullmatch(name):
        return name
    return f"'{name}'" if "'" not in name else f'"{name}"'


class SirenError(Exception):
    """Invalid input or parameter; the message names the file and the remedy in one sentence."""

    def __init__(self, *words: str):
        super().__init__(*map(printable, words))


class JunkMap(SirenError):
    """A map without density to contour.

    Attributes
    ----------
    reason : str
        A few words for a table cell, where the map is one of many.
    """

    def __init__(self, sentence: str, reason: str):
        super().__init__(sentence, reason)  # both, or it could not be unpickled in another process
        self.reason = reason

    def __str__(self) -> str:
        return str(self.args[0])


class Cancelled(Exception):
    """The user stopped the run. Nothing was written."""


class StoppedLate(Cancelled):
    """The user stopped the run when it could only go on; the message says what was done."""


#: What to do about an error of the file system; for others, see :func:`file_error`.
_REMEDIES = {
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOSPC: "free some space, or give another folder",
    errno.EDQUOT: "free some space, or give another folder",
    errno.EROFS: "give another folder",
    errno.EACCES: "give another one, or ask for permission",
    errno.EPERM: "give another one, or ask for permission",
    errno.ENOTDIR: "give a folder",
    errno.EISDIR: "give a file",
    errno.ELOOP: "it is a link to itself, so give another one",
}


def file_error(error: OSError) -> SirenError | None:
    """One sentence for an error of the file system that no reader or writer has put in words, such
    as a name that is too long, or a network disk that does not answer; None where no file is named.
    """
    if error.filename is None or not error.strerror:
        return None
    name = error.filename
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    remedy = _REMEDIES.get(error.errno or 0, "look whether it is there, and run the command again")
    return SirenError(f"{text}: {error.strerror}; {remedy}.")


#: What SIREn needs, by the name under which Python imports it: its name for pip.
PACKAGES = {
    "graspologic_native": "graspologic-native",
    "matplotlib": "matplotlib",
    "mrcfile": "mrcfile",
    "networkx": "networkx",
    "pandas": "pandas<3",
    "psutil": "psutil",
}


def known_error(error: BaseException) -> SirenError | None:
    """One sentence for an error of the file system, see :func:`file_error`, or for a package that
    is missing, as after an installation without internet; None for any other.
    """
    if isinstance(error, OSError):
        return file_error(error)
    if isinstance(error, ModuleNotFoundError) and error.name in PACKAGES:
        name = PACKAGES[error.name]
        return SirenError(
            f"The package {error.name}, which SIREn needs, is not installed here: type "
            f'"pip install {name}" in ChimeraX\'s command line, and restart ChimeraX.'
        )
    return None


def join_names(names: "list[str]", most: int = 3) -> str:
    """Join names for a sentence: ``a.mrc, b.mrc, c.mrc and 4 more``."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most:,} more"
