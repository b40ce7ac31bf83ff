"""Versions of what computed a result."""

from __future__ import annotations

import platform
from importlib import metadata


def versions() -> dict[str, str]:
    """Versions of what computed the result."""
    found = {"python": platform.python_version()}
    for package in ("ChimeraX-SIREn", "ChimeraX-Core", "numpy", "scipy", "pandas", "mrcfile"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # core also runs from a checkout, without ChimeraX
            continue
    return found
