"""Run core's tests on other versions of Python and of the packages it needs.

    python3 devel/versions.py              (or: make test-versions)
    python3 devel/versions.py 3.13 3.14    only these
    python3 devel/versions.py newest       the newest Python found here, with the newest packages
    python3 devel/versions.py pip          what pip would install into each version of ChimeraX

src/core is plain Python, so no ChimeraX is needed. Each combination gets an environment in
.versions/, which is made once; delete that folder to ask for newer packages. Pythons are found on
the path, by pyenv and by uv; one that is missing is reported and left out. ``--quick`` leaves out
slow tests, ``--no-torch`` those that need torch, which takes gigabytes.

Exit status 1 if a test fails, if no Python was found, or if pip would move a package that ChimeraX
ships (chimerax_versions.json lists them; nothing is installed but in .versions/).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / ".versions"
NEEDED = [
    "scipy",
    "networkx",
    "matplotlib",
    "mrcfile",
    "graspologic-native",
    "psutil",
    "hypothesis",
]
NEEDED += ["pytest", "pytest-timeout", "distributed"]


#: What numpy, pandas and Python will take away is better known before they do. As an option of the
#: file of settings, where a module is a pattern; with -W it would be this one module alone
DEPRECATED = "\n".join(
    rf"error::{kind}:chimerax\.siren"
    for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")
)


@dataclass(frozen=True)
class Combination:
    """Versions that are tested together; "" for the newest to be had."""

    python: str
    numpy: str = ""
    pandas: str = ""

    @property
    def name(self) -> str:
        """For a folder, and for the reader."""
        return f"{self.python} numpy {self.numpy or 'newest'} pandas {self.pandas or 'newest'}"

    @property
    def packages(self) -> list[str]:
        """What pip is asked for."""
        pins = (f"numpy=={self.numpy}.*", f"pandas=={self.pandas}.*")
        newest = ("numpy>=2", "pandas>=3")
        wanted = (self.numpy, self.pandas)
        return [p if w else n for p, n, w in zip(pins, newest, wanted, strict=True)]


#: Those of ChimeraX 1.7, 1.8 to 1.12 and 1.13, and what comes after. pandas 3 needs NumPy 2.
COMBINATIONS = (
    Combination("3.11", numpy="1.25", pandas="2.0"),
    Combination("3.11", numpy="1.26", pandas="2.3"),
    Combination("3.11"),
    Combination("3.12", numpy="1.26", pandas="2.3"),
    Combination("3.12"),
    Combination("3.13", pandas="2.3"),
    Combination("3.13"),
    Combination("3.14", pandas="2.3"),
    Combination("3.14"),
)


def main() -> int:
    """Test the combinations asked for; print what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "which", nargs="*", help='versions of Python, whole names, or "newest"; default: all'
    )
    parser.add_argument("--quick", action="store_true", help="leave out slow tests")
    parser.add_argument("--no-torch", action="store_true", help="leave out what needs torch")
    options = parser.parse_args()
    if options.which == ["pip"]:
        return try_pip()
    pythons = {c.python: find_python(c.python) for c in COMBINATIONS}
    chosen = [c for c in COMBINATIONS if not options.which or c.python in options.which]
    chosen += [c for c in COMBINATIONS if c.name in options.which]
    if "newest" in options.which:
        chosen += [c for c in COMBINATIONS if pythons[c.python] and not c.numpy + c.pandas][-1:]
    outcomes = {}
    for one in chosen:
        python = pythons[one.python]
        if python is None:
            outcomes[one.name] = f"not tested: no Python {one.python} here"
        else:
            outcomes[one.name] = test(one, python, options.quick, not options.no_torch)
        print(f"{one.name}: {outcomes[one.name]}", flush=True)
    print("\n".join(["", *(f"{name}: {outcome}" for name, outcome in outcomes.items())]))
    tested = [o for o in outcomes.values() if not o.startswith("not tested")]
    return not tested or any(not o.startswith("passed") for o in tested)


def find_python(version: str) -> str | None:
    """An interpreter of this version that can make environments, or None."""
    found = [shutil.which(f"python{version}"), f"/usr/bin/python{version}", sys.executable]
    found += sorted(map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python")))
    if shutil.which("uv"):
        asked = subprocess.run(["uv", "python", "find", version], capture_output=True, text=True)
        found.append(asked.stdout.strip())
    test = f"import ensurepip, sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
    for python in filter(None, found):
        try:
            done = subprocess.run([python, "-c", test], capture_output=True, check=False)
        except OSError:
            continue
        if done.returncode == 0:
            return python
    return None


def test(one: Combination, python: str, quick: bool, torch: bool) -> str:
    """Make the environment if need be, and run the tests in it; the outcome in words."""
    folder = ENVIRONMENTS / one.name.replace(" ", "-")
    inside = folder / "bin/python"
    done = folder / ("with-torch" if torch else "without-torch")
    if not done.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        packages = [*one.packages, *NEEDED, *(["torch"] if torch else [])]
        pip = [inside, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        for command in ([python, "-m", "venv", folder], [*pip, *packages]):
            if subprocess.run(command, check=False).returncode:
                return "failed: its packages cannot be installed"
    put_package(inside)
    done.touch()
    began = time.monotonic()
    command = [inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/core"]
    command += ["--without-chimerax"]
    command += ["--quick"] if quick else []
    command += ["-o", f"filterwarnings={DEPRECATED}"]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code:
        return f"failed: pytest ended with status {code}"
    return f"passed in {time.monotonic() - began:.0f} s ({versions(inside)})"


def try_pip() -> int:
    """Ask pip what installing the bundle would do to each version of ChimeraX, with the options
    that ChimeraX gives it.
    """
    shipped = json.loads((ROOT / "devel/chimerax_versions.json").read_text(encoding="utf-8"))
    elements = ElementTree.parse(ROOT / "bundle_info.xml").getroot().iter("Dependency")
    needed = {str(e.get("name")): f"{e.get('name')}{e.get('version')}" for e in elements}
    wanted = [text for name, text in needed.items() if not name.startswith("ChimeraX-")]
    bad, seen = 0, {}  # type: int, dict[str, str]
    for version, there in shipped.items():
        python = find_python(there["python"])
        pins = [f"{n}=={there[n]}" for n in sorted(needed.keys() & there.keys()) if "X-" not in n]
        key = " ".join([there["python"], *pins])
        if python is not None and key not in seen:
            folder = ENVIRONMENTS / f"chimerax-{version}"
            pip = [folder / "bin/python", "-m", "pip", "install", "-q"]
            if not folder.is_dir():
                subprocess.run([python, "-m", "venv", folder], check=True)
                subprocess.run([*pip, "--only-binary=:all:", *pins], check=True)
            dry = ["--dry-run", "--upgrade-strategy", "only-if-needed", "--report", "-"]
            done = subprocess.run([*pip, *dry, *wanted], check=True, capture_output=True, text=True)
            installed = json.loads(done.stdout)["install"]
            found = {i["metadata"]["name"]: i["metadata"]["version"] for i in installed}
            moved = sorted(found.keys() & there.keys())
            seen[key] = (
                f"pip would move {', '.join(moved)}"
                if moved
                else ("nothing is moved; new: " + ", ".join(f"{n} {v}" for n, v in found.items()))
            )
            bad += bool(moved)
        print(f"{version}: {seen.get(key, 'not tried: no such Python here')}", flush=True)
    return bool(bad)


def put_package(python: Path) -> None:
    """Put src/ and the weights where ``import chimerax.siren`` finds them, and devel/ on the
    path, as in ChimeraX.
    """
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip())
    package = site / "chimerax/siren"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(ROOT / "src", package)
    shutil.copytree(ROOT / "weights", package / "weights")
    (site / "devel.pth").write_text(f"{ROOT / 'devel'}{os.linesep}", encoding="utf-8")


def versions(python: Path) -> str:
    """What was tested, in words."""
    ask = (
        "import platform, importlib.metadata as m\n"
        "said = ['Python ' + platform.python_version()]\n"
        "for name in ('numpy', 'pandas', 'scipy', 'networkx', 'torch'):\n"
        "    try: said.append(name + ' ' + m.version(name))\n"
        "    except m.PackageNotFoundError: said.append('no ' + name)\n"
        "print(', '.join(said))"
    )
    done = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
