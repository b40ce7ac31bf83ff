"""Versions of the software that computed a result."""

from __future__ import annotations

import platform
from importlib import metadata

# this code is installed under two names, see setup.py
OURS = "siren-chimerax" if __name__.startswith("siren_chimerax.") else "ChimeraX-SIREn"


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that affect results, by name."""
    found = {"python": platform.python_version()}
    for package in (OURS, "ChimeraX-Core", "numpy", "scipy", "pandas", "mrcfile"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # core also runs from a checkout, without ChimeraX
            continue
    return found
