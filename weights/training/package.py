"""Imports the checkout's own core, so that training and prediction share one preprocessing;
ChimeraX is not needed.

``import package`` and then ``from core.thresholds... import ...``.
"""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "src"))
