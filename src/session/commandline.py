"""Text that becomes a command: the only place where paths and names are quoted.

ChimeraX's tokenizer ends a quoted word at a quote that a blank, or the end, follows (from 1.8 on a
semicolon, too), and has no escapes in paths: some names cannot be quoted. The commands of SIREn
also take such a path as a ``file:`` address, in which every byte can be written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from chimerax.core.commands import Annotation, AnnotationError, StringArg, next_token
from chimerax.core.commands.cli import (
    FileNameArg,
    OpenFileNameArg,
    OpenFolderNameArg,
    SaveFileNameArg,
    SaveFolderNameArg,
    quote_path_if_necessary,
)

from ..core.common.errors import PLAIN, printable
from ..core.common.files import restore

ADDRESS = "file:"
_SPEC = re.compile(r"#[#\d.,\-!*\s]*")  # open models, as the panel lists them
# in links: the characters that every version of the log leaves as they are
_LINK_SAFE = " !\"#$&'()*+,-./:;=?@_~"


def path_text(path: Path | str) -> str:
    """A path as one word of a command of SIREn."""
    text = str(path)
    return _quoted(text) or Path(text).absolute().as_uri()


def foreign_path_text(path: Path) -> str | None:
    """A path as one word of a command of ChimeraX; None if none of its words can hold it."""
    return _quoted(str(path))


def open_text(path: Path) -> str | None:
    """ChimeraX's command that opens a file; None if it cannot: it quotes the path once more by its
    own rules, which leave some names with quotes or semicolons in pieces, and puts in the values of
    variables such as $HOME.
    """
    text = foreign_path_text(path)
    if os.path.expandvars(path) != str(path):
        return None
    try:
        token, _, rest = next_token(quote_path_if_necessary(str(path)))
    except (ValueError, AnnotationError):
        return None
    return f"open {text}" if text is not None and (token, rest) == (str(path), "") else None


def _quoted(text: str) -> str | None:
    if text in ("", "browse") or text.lower().startswith(ADDRESS):
        return f'"./{text}"' if text else '""'
    if not all(c.isprintable() or c.isspace() for c in text) or "\n" in text:
        return None  # no word holds a line end, no terminal the bytes of no encoding
    if text.startswith("~"):
        text = f"./{text}"  # a name, not a person's home
    if PLAIN.fullmatch(text):
        return text
    for mark in ('"', "'"):
        if not re.search(rf"{mark}[\s;]", text):
            return f"{mark}{text}{mark}"
    return None


def name_text(name: str) -> str:
    """A name as one word of a command, where the command takes a text rather than a path."""
    if PLAIN.fullmatch(name) and name.isprintable() and "\\" not in name:
        return name
    return '"' + "".join(map(_escaped, name)) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    if character in "\\'\"" or (not character.isprintable() and code < 256):
        return f"\\x{code:02x}"
    if character.isprintable():
        return character
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def names_text(names: Sequence[str]) -> str:
    """Names of volumes as one argument of a command."""
    return ",".join(map(name_text, names))


def value_text(value: Any, word: str = "") -> str:
    """The value of a keyword.

    Parameters
    ----------
    value : bool, number, str or Path, or a sequence of numbers
    word : what a text stands for if not for a path: ``map`` for a path or an open map
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list | tuple):
        return ",".join(map(value_text, value))
    if isinstance(value, str):
        if word == "map":
            return models_text(value) or path_text(value)
        return name_text(value) if word else path_text(value)
    return path_text(value) if isinstance(value, Path) else str(value)


def models_text(text: str) -> str | None:
    """Open models as a person typed them in a field, if they are no more than that."""
    text = text.strip()
    return text if _SPEC.fullmatch(text) else None


def link_address(command: str) -> str:
    """The address of a link in the log that runs a command, which comes out of it unchanged."""
    return "cxcmd:" + re.sub(
        r"^ | $|(?<= ) ", "%20", quote(command, safe=_LINK_SAFE, errors="surrogatepass")
    )


# --- the other way: from the command line


def split_models(text: str) -> tuple[str, str]:
    """Part a command after its open models: ``#1 /a/b`` names a model and a path, and not the
    chains a and b of the model.
    """
    end = len(text)
    for blank in re.finditer(r"\s+", text):
        before, after = text[: blank.start()], text[blank.end() :]
        joined = before[-1:] in ("", *"&|~,(") or re.match(r"~?#|[&|]", after)
        if not joined and before.count('"') % 2 == 0:
            end = blank.start()
            break
    return text[:end], text[end:]


def path_word(text: str) -> tuple[str, str, str]:
    """The path in the next word of a command, which may be a ``file:`` address: path, the word, and
    the rest, as annotations return them.
    """
    if not text:
        raise AnnotationError("Expected a file or folder")
    token, used, rest = next_token(text)
    if not token.lower().startswith(ADDRESS):
        path = os.path.expanduser(token)
        restore_named(path)
        return path, used, rest
    address = urlsplit(token)
    if address.netloc not in ("", "localhost") or not address.path.startswith("/"):
        raise AnnotationError(f"{token} is not an address of a file on this computer")
    path = url2pathname(address.path) if os.name == "nt" else _decoded(address.path)
    if "\0" in path:
        raise AnnotationError(f"{token} is not an address of a file on this computer")
    restore_named(path)
    return path, used, rest


def restore_named(path: str) -> None:
    """Restore a folder that is named, if a killed run left it hidden."""
    with suppress(ValueError):  # no path at all
        restore(Path(path).absolute())


def _decoded(path: str) -> str:
    return os.fsdecode(unquote_to_bytes(path))


def _addressed(kind: type[Annotation], exists: bool, within: bool = False) -> Any:
    """ChimeraX's annotation for a path, which takes ``file:`` addresses as well.

    Parameters
    ----------
    exists : whether the path must be there
    within : whether its folder must: one that was misspelled is not made for a single file
    """

    class Addressed(kind):
        @classmethod
        def parse(cls, text: str, session: Any) -> tuple[str, str, str]:
            word = next_token(text)[0] if text else ""
            if not word.lower().startswith(ADDRESS):
                restore_named(os.path.expanduser(word))
                path, used, rest = super().parse(text, session)
            else:
                path, used, rest = path_word(text)
                if exists and not os.path.exists(path):
                    raise AnnotationError(f"File '{path}' does not exist")
            folder = os.path.dirname(os.path.abspath(os.path.expanduser(path)))
            if within and path and not os.path.isdir(folder):
                name = printable(os.path.basename(path))
                raise AnnotationError(
                    f"there is no folder {printable(folder)} for {name}: make it, or save elsewhere"
                )
            return path, used, rest

    Addressed.__name__ = Addressed.__qualname__ = kind.__name__
    return Addressed


OpenFile, OpenFolder = _addressed(OpenFileNameArg, True), _addressed(OpenFolderNameArg, True)
# a single file goes into a folder that is there; a folder for results is made, as it is what was
# asked for
SaveFile = _addressed(SaveFileNameArg, False, True)
#: A file in a folder that is made if need be, as the table of labels in an output folder.
SaveFileInNewFolder = _addressed(SaveFileNameArg, False)
SaveFolder = _addressed(SaveFolderNameArg, False)
AnyPath = _addressed(FileNameArg, False)


class NameArg(StringArg):
    """A name; the log repeats it so that it can be typed again."""

    @staticmethod
    def parse(text: str, session: Any) -> tuple[str, str, str]:
        """Return the name, its word, and the rest."""
        if not text:
            raise AnnotationError("Expected a name")
        token, _, rest = next_token(text, convert=True)
        return token, name_text(token), rest
