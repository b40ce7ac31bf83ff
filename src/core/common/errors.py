"""Exceptions raised by core."""


def printable(text: str) -> str:
    """A text that every terminal, log and file can hold: what cannot be printed, such as a line
    end or a byte of no encoding in a file's name, is shown as its code.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


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


def join_names(names: "list[str]", most: int = 3) -> str:
    """Join names for a sentence: ``a.mrc, b.mrc, c.mrc and 4 more``."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most:,} more"
