"""The ways in which work in core ends early."""


class SirenError(Exception):
    """The input or a parameter is wrong: one sentence that names the file and the remedy."""


class JunkMap(SirenError):
    """A map that holds nothing to contour.

    Attributes
    ----------
    reason : a few words for a table, where the map is one of many
    """

    def __init__(self, sentence: str, reason: str):
        super().__init__(sentence, reason)  # both, or it could not come back from another process
        self.reason = reason

    def __str__(self) -> str:
        return str(self.args[0])


class Cancelled(Exception):
    """The user asked to stop. Nothing was written."""


def join_names(names: "list[str]", most: int = 3) -> str:
    """Names joined for a sentence: ``a.mrc, b.mrc, c.mrc and 4 more``."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most:,} more"
