"""Put src on the path, so that training and prediction share their code without ChimeraX.

Use ``import package``, then ``from core.thresholds... import ...``.
"""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "src"))
