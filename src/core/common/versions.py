"""Versions of the software that computed a result."""

from __future__ import annotations

import platform
from importlib import metadata


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that affect results, by name."""
    found = {"python": platform.python_version()}
    for package in ("ChimeraX-SIREn", "ChimeraX-Core", "numpy", "scipy", "pandas", "mrcfile"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # core also runs from a checkout, without ChimeraX
            continue
    return found
