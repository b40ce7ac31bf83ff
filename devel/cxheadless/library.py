"""``python -m cxheadless.library``: complete the ChimeraX wheel of this environment."""

from __future__ import annotations

import re
import shutil
import sysconfig
from pathlib import Path

from cxheadless import boot, bundles

MODULES = {
    # The wheel's own imports all 150 packages, in an order that fails.
    "chimerax/__init__.py": "from pkgutil import extend_path\n\n__path__ = extend_path(__path__, "
    "__name__)\n",
    "chimerax/core/nogui.py": "from cxheadless.nogui import UI, NoGuiLog\n",
    "chimerax/toolshed_utils/tool.py": "from cxheadless.toolshed_tool import OUT_OF_DATE, "
    "DialogType, show\n",
}


def complete() -> None:
    site = Path(sysconfig.get_path("purelib"))
    for name, text in MODULES.items():
        (site / name).write_text(text)
    fix_grako(site / "grako")
    bundles.write(site)
    renew_toolshed_cache(boot.SETTINGS / "cache" / "ChimeraX" / "1.7" / "toolshed")


def fix_grako(folder: Path) -> None:
    """Fix imports of abstract classes in grako 3.16.5, the version that ChimeraX needs, for Python
    3.10 and later.

    The application ships a fixed copy, too.
    """
    for file in folder.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        text = re.sub(r"^import collections$", "import collections.abc", text, flags=re.M)
        text = re.sub(r"\bcollections\.(Mapping|Iterable)\b", r"collections.abc.\1", text)
        text = text.replace(
            "from collections import Callable", "from collections.abc import Callable"
        )
        text = text.replace(
            "import defaultdict, Mapping", "import defaultdict\nfrom collections.abc import Mapping"
        )
        file.write_text(text, encoding="utf-8")


def renew_toolshed_cache(folder: Path) -> None:
    """Make ChimeraX search its bundles again, and not complain about an empty list of available
    ones.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "available.json").write_text("[]")


if __name__ == "__main__":
    complete()
