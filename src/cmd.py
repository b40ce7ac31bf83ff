"""The table of ``siren ...`` commands: which module of :mod:`.commands` holds each."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from chimerax.core.commands import register

from .session import libraries
from .session.answers import answering, refusing

COMMANDS = {
    "siren example": "example",
    "siren preprocess": "thresholds",
    "siren predict": "thresholds",
    "siren evaluate": "labels",
    "siren label": "labels",
    "siren label template": "labels",
    "siren label undo": "labels",
    "siren label redo": "labels",
    "siren finetune": "labels",
    "siren sketch": "blocks",
    "siren screen": "screening",
    "siren expand": "blocks",
    "siren open": "blocks",
    "siren locate": "locate",
    "siren install torch": "install",
    "siren show": "volumes",
    "siren block merge": "edit",
    "siren block split": "edit",
    "siren block grow": "shape",
    "siren block shrink": "shape",
    "siren block paint": "shape",
    "siren block delete": "edit",
    "siren block rename": "edit",
    "siren block color": "edit",
    "siren block label": "edit",
    "siren block legend": "edit",
    "siren block undo": "edit",
    "siren block redo": "edit",
    "siren block save": "edit",
    "siren states": "analysis",
    "siren relate": "relate",
    "siren occupancy": "occupancy",
    "siren plot": "analysis",
    "siren representatives": "analysis",
    "siren particles": "particles",
    "siren annotate": "annotate",
    "siren mask": "masks",
    "siren volumes": "subsets",
    "siren movie": "movies",
    "siren compare": "comparing",
    "siren report": "report",
    "siren figure": "report",
    "siren stop": "volumes",
    "siren help": "manual",
}


def register_command(name: str, logger: Any) -> None:
    """Register a command; ChimeraX calls this when the command is first used."""
    libraries.wait_for()
    try:
        family = import_module(f".commands.{COMMANDS[name]}", __package__)
        description, function = family.descriptions()[name]
        about = description()
    except ModuleNotFoundError as error:
        about, function = refusing(error)
    about.url = f"help:user/commands/{name.replace(' ', '_')}.html"
    register(name, about, answering(function), logger=logger)
