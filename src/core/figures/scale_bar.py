"""How long a scale bar is, and what it says.

Example::

    from chimerax.siren.core.figures.scale_bar import bar_length, length_text

    bar_length(310.0, 0.3)  # -> 50.0
    length_text(50.0, nanometers=True)  # -> '5 nm'
"""

from __future__ import annotations

import math

STEPS = (1.0, 2.0, 5.0)  # a scale bar is one of these times a power of ten


def bar_length(width: float, share: float) -> float:
    """The longest round length, in A, of at most a share of a width in A."""
    most = width * share
    power = 10.0 ** math.floor(math.log10(most))
    # a hair, so that 50 of 100 is a half
    return max(step * power for step in STEPS if step * power <= most * (1 + 1e-9))


def length_text(length: float, nanometers: bool = False) -> str:
    """A length in A, or in nm, with its unit."""
    return f"{length / 10:g} nm" if nanometers else f"{length:g} Å"
