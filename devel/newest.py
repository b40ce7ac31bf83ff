"""Build a newer ChimeraX from its public sources, and run this bundle's tests in it.

    git clone https://github.com/RBVI/ChimeraX
    python3 devel/newest.py ChimeraX                             (v1.11; most tests)
    python3 devel/newest.py ChimeraX v1.11 -- tests/session -x   (arguments of pytest)
    python3 devel/newest.py ChimeraX origin/develop --python 3.13 --latest
    python3 devel/newest.py ChimeraX --windows -- tests/panel          (needs a display)

Sources of the tag or branch, the environment they are built in, and its settings go to .newest/,
which git ignores. ChimeraX's own bundle builder compiles the bundles that the tests need with g++
(ten minutes on two cores); those that are there are not built again: delete the folder of a branch
that has moved. The packages around them are those that this version pins, or with ``--latest`` the
latest that pip finds, NumPy 2 and Qt included. Session, commands, maps and pictures are this
ChimeraX's own; the stand-ins for what tests do with threads and tool windows are those of
cxheadless, as in `make env`. With ``--windows`` there are none of them: nearly all bundles are
built (half an hour), and devel/test_in_chimerax.py runs in the real windows.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import versions

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / ".newest"
TESTS = ["tests/commands", "tests/session", "tests/panel"]
#: What the bundle and its tests use, beside what these need
WANTED = "list_info log help_viewer image_formats movie label color_key shape markers mask zone"
WANTED += " mouse_modes dist_monitor atomic pdb mmcif map_fit map_eraser std_commands task_manager"
WANTED += " rest_server core_formats crystal map"
FIRST = ["bundle_builder", "core", "toolshed_utils"]  # needed to build the others
#: Devices and libraries that are not to be had from PyPI and Debian
NOT_HERE = "bogus exp_cmd leap_motion looking_glass match_align md_crds mmtf realsense rotamer_libs"
NOT_HERE += " segger spacenavigator vive webcam"
PACKAGES = "appdirs beautifulsoup4 Cython distro filelock html2text lxml lz4 matplotlib msgpack"
PACKAGES += (
    " networkx numpy packaging Pillow pkginfo psutil pybind11 PyOpenGL qtshim requests scipy"
)
PACKAGES += " sortedcontainers superqt tifffile webcolors wheel-filename"
EXACT = ["grako", "tinyarray"]  # built without isolation, after the others
WINDOWS = "colorama docutils ihm ipykernel ipython jedi pycollada Pygments qtconsole"
#: Of the bundle and its tests
OWN = ["certifi", "graspologic-native>=1.3,<2", "mrcfile", "pandas>=2,<3", "hypothesis"]
OWN += ["pytest", "pytest-timeout", "distributed", "gemmi", "scikit-image"]
START = "import sys; from cxheadless import boot; sys.exit(boot.application(sys.argv[1:]))"


class NewestError(Exception):
    """It cannot be built; the message tells what is missing."""


@dataclass(frozen=True)
class Sources:
    """A commit of a clone, whose files are laid out without its history."""

    clone: Path
    commit: str
    folder: Path

    @property
    def bundles(self) -> Path:
        return self.folder / "src/bundles"

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.clone), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def lay_out(self) -> None:
        """Write the files; those that a clone without all of its blobs lacks are left out."""
        if self.folder.is_dir():
            return
        part = self.folder.with_name(self.folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        where = ["src/bundles", "prereqs", "copyright.txt", "pyproject.toml", "mk"]
        rows = self.git("ls-tree", "-r", "-z", self.commit, "--", *where).split("\0")
        reader = subprocess.Popen(
            ["git", "-C", str(self.clone), "cat-file", "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert reader.stdin and reader.stdout
        for row in filter(None, rows):
            (mode, kind, digest), name = row.split("\t")[0].split(), row.split("\t", 1)[1]
            if kind != "blob" or mode == "120000" or "/tests/" in name:
                continue
            reader.stdin.write(f"{digest}\n".encode())
            reader.stdin.flush()
            head = reader.stdout.readline().split()
            if head[-1] == b"missing":
                print(f"not in this clone: {name}", flush=True)
                continue
            content = reader.stdout.read(int(head[2]) + 1)[:-1]
            file = part / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        reader.stdin.close()
        reader.wait()
        part.rename(self.folder)

    def pins(self) -> dict[str, str]:
        """The packages that this version comes with, as pip is asked for them."""
        project = tomllib.loads((self.folder / "pyproject.toml").read_text())["project"]
        listed: Iterable[str] = (r for rs in project["optional-dependencies"].values() for r in rs)
        return {named(r).lower(): r.split(";")[0].replace(" ", "") for r in listed}

    def needs(self) -> dict[str, tuple[list[str], list[str]]]:
        """The folder of each bundle: those of the bundles it needs, and to be built."""
        found: dict[str, tuple[str, list[str], list[str]]] = {}
        for folder in sorted(self.bundles.iterdir()):
            bundle = folder / "pyproject.toml"
            if bundle.is_file():
                project = tomllib.loads(bundle.read_text()).get("project", {})
                run = [named(r) for r in project.get("dependencies", [])]
                found[folder.name] = (project.get("name", ""), run, [])
            for bundle in sorted(folder.glob("bundle_info.xml*"))[:1]:
                top = ElementTree.parse(bundle).getroot()
                each = list(top.iter("Dependency"))
                run = [str(e.get("name")) for e in each]
                build = [str(e.get("name")) for e in each if e.get("build") == "true"]
                found[folder.name] = (str(top.get("name")), run, build)
        folder_of = {name.lower(): folder for folder, (name, _, _) in found.items()}

        def folders(names: list[str]) -> list[str]:
            return [folder_of[n.lower()] for n in names if n.lower() in folder_of]

        return {f: (folders(run), folders(build)) for f, (_, run, build) in found.items()}


def named(requirement: str) -> str:
    """The name of the package that is required."""
    return re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]


def order(needs: dict[str, tuple[list[str], list[str]]], wanted: Iterable[str]) -> list[str]:
    """The bundles to build: those wanted and those they need, what others are built with first."""
    chosen: list[str] = []
    todo = [*wanted]
    while todo:
        one = todo.pop(0)
        if one not in chosen:
            chosen.append(one)
            todo += needs[one][0]
    done = list(FIRST)

    def add(one: str) -> None:
        if one not in done:
            for before in needs[one][1]:
                add(before)
            done.append(one)

    for one in sorted(chosen):
        add(one)
    return done


@dataclass(frozen=True)
class Environment:
    """The virtual environment that this ChimeraX is installed in."""

    folder: Path
    version: str  # of Python

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"

    @property
    def site(self) -> Path:
        return self.folder / f"lib/python{self.version}/site-packages"

    @property
    def variables(self) -> dict[str, str]:
        """Of the processes in it: ChimeraX keeps its settings here, and g++ need not optimize."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        flags = {"CFLAGS": "-O1 -g0 -w", "CXXFLAGS": "-O1 -g0 -w"}
        return {**os.environ, **flags, "HOME": str(home), "PYTHONNOUSERSITE": "1"}

    def run(self, *arguments: str | Path, cwd: Path = ROOT, log: Path | None = None) -> None:
        """Run a program's Python; what it prints goes to the log, and is shown if it fails."""
        done = subprocess.run(
            [self.python, *arguments],
            cwd=cwd,
            env=self.variables,
            stdout=subprocess.PIPE if log else None,
            stderr=subprocess.STDOUT if log else None,
        )
        if log:
            log.write_bytes(done.stdout)
        if done.returncode:
            said = done.stdout.decode(errors="replace")[-2000:] if log else ""
            words = " ".join(map(str, arguments))[:200]
            raise NewestError(f"{words} ended with status {done.returncode}. {said}")

    def pip(self, *arguments: str | Path) -> None:
        self.run("-m", "pip", "-q", "--disable-pip-version-check", "install", *arguments)

    def chimerax(self, command: str, cwd: Path, log: Path) -> None:
        options = ["--nogui", "--safemode", "--exit", "--cmd", command]
        self.run("-I", "-c", START, *options, cwd=cwd, log=log)

    def make(self, sources: Sources, latest: bool, windows: bool, torch: bool) -> None:
        """Install the packages that ChimeraX comes with, and those of the bundle."""
        done = self.folder / ("packages-windows" if windows else "packages")
        if done.is_file():
            return
        python = versions.find_python(self.version)
        if python is None:
            raise NewestError(f"There is no Python {self.version} here.")
        if not self.python.is_file():
            subprocess.run([python, "-m", "venv", "--copies", self.folder], check=True)
        pins = sources.pins()
        names = PACKAGES.split() + (WINDOWS.split() if windows else [])
        packages = [n if latest else pins.get(n.lower(), n) for n in names]
        packages += qt(sources, latest, windows)
        # setuptools from 77 on knows their licenses, and below 81 has pkg_resources
        own = [*OWN, "torch"] if torch else OWN
        self.pip("setuptools>=77,<81", "wheel", "build", *packages, *own)
        self.pip("--no-build-isolation", *(pins.get(n, n) for n in EXACT))
        self.site.joinpath("cxheadless.pth").write_text(f"{ROOT / 'devel'}\n")
        from cxheadless.library import fix_grako

        fix_grako(self.site / "grako")
        done.touch()


def qt(sources: Sources, latest: bool, windows: bool) -> list[str]:
    """PyQt of this version, whose makefile has it in pieces."""
    text = (sources.folder / "prereqs/PyQt/Makefile").read_text()
    number = dict(re.findall(r"^(\w+_VERSION) *= *([\d.]+)", text, re.M))
    base = number.get("BASE_VERSION")
    pinned = base is not None and not latest
    packages = [f"PyQt6=={base}.{number['PYQT_MINOR_VERSION']}" if pinned else "PyQt6"]
    packages += [f"PyQt6-Qt6=={base}.{number['QT_MINOR_VERSION']}"] if pinned else []
    if windows:
        minor = number.get("PYQTWE_MINOR_VERSION")
        packages += [f"PyQt6-WebEngine=={base}.{minor}" if pinned else "PyQt6-WebEngine"]
        packages += [f"PyQt6-WebEngine-Qt6=={base}.{number['QT_MINOR_VERSION']}"] if pinned else []
    return packages


# ---- the bundles


def build(sources: Sources, there: Environment, names: list[str], optional: set[str]) -> list[str]:
    """Build and install bundles; those that are optional may fail, and are returned."""
    logs = there.folder / "logs"
    logs.mkdir(exist_ok=True)
    failed = []
    for name in names:
        done = logs / f"{name}.done"
        if done.is_file():
            continue
        folder = sources.bundles / name
        print(f"building {name} ...", flush=True)
        try:
            shutil.rmtree(folder / "dist", ignore_errors=True)
            prepare(sources, there, name)
            info = folder / "pyproject.toml"
            if info.is_file() and (name in FIRST or "tool.chimerax" not in info.read_text()):
                build_it = ("-m", "build", "--no-isolation", "--wheel")
                there.run(*build_it, cwd=folder, log=logs / f"{name}.txt")
            else:
                there.chimerax("devel build . exit true", folder, logs / f"{name}.txt")
            wheels = sorted((folder / "dist").glob("*.whl"))
            if not wheels:  # "devel build" logs errors and carries on
                raise NewestError(f"{name} was not built: see {logs / name}.txt")
            there.pip("--no-deps", "--no-index", "--force-reinstall", wheels[-1])
        except NewestError as error:
            if name not in optional:
                raise
            print(f"left out: {error}", flush=True)
            failed.append(name)
            continue
        done.touch()
    return failed


def prepare(sources: Sources, there: Environment, name: str) -> None:
    """Do what the bundle's makefile does before the builder."""
    folder = sources.bundles / name
    imex = (sources.folder / "prereqs/imex/imex.i").read_text()

    def write(file: str, text: str) -> None:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(text, encoding="utf-8")

    if name == "core":
        template = (folder / "buildinfo.py.in").read_text()
        version = re.search(r"^BUNDLE_VERSION = (\S+)", (folder / "Makefile").read_text(), re.M)
        assert version is not None
        date = sources.git("show", "-s", "--format=%cs", sources.commit).strip()
        for word, text in (
            ('"VERSION', f'"{version[1]}'),
            ('"COMMIT', f'"{sources.commit}'),
            ('"DAYTIME', f'"{date} 00:00:00 UTC'),
            ('"BRANCH', '"of devel/newest.py'),
            ('"COPYRIGHT', '"Regents of the University of California'),
        ):
            template = template.replace(word, text)
        write("src/buildinfo.py", template)
        parser, grammar = ("src/commands/_atomspec.py", "src/commands/_atomspec.peg")
        log = there.folder / "logs/grako.txt"
        there.run("-m", "grako", "--name", "_atomspec", "-o", parser, grammar, cwd=folder, log=log)
    elif name == "atomic_lib":
        for part in ("atomstruct", "element", "pyinstance"):
            write(f"atomic_cpp/{part}_cpp/imex.h", imex.replace("LIBNAME", part.upper()))
        write("atomic_cpp/pyinstance_cpp/imex.map.h", imex.replace("LIBNAME", "PYINSTANCE_MAP"))
    elif name == "pdb_lib":
        write("connect_cpp/imex.h", imex.replace("LIBNAME", "PDB_CONNECT"))
    elif name == "ui":
        write("src/about.html", "<html>ChimeraX, built by devel/newest.py</html>")
    elif name == "mmcif":
        code = folder / "mmcif_cpp/readcif_cpp"
        write("mmcif_cpp/include/readcif.h", (code / "readcif.h").read_text())
        (folder / "mmcif_cpp/lib").mkdir(exist_ok=True)
        compiler = ["g++", "-O1", "-w", "-fPIC", "-std=c++17", "-fvisibility-ms-compat"]
        for command in (
            [*compiler, "-c", "readcif.cpp"],
            ["ar", "rcs", "../lib/libreadcif.a", "readcif.o"],
        ):
            subprocess.run(command, cwd=code, check=True)
    for template_file in folder.glob("bundle_info.xml.in"):
        makers = sorted(folder.glob("make*.py"))
        if makers and not (folder / "bundle_info.xml").exists():
            log = there.folder / f"logs/{name}-info.txt"
            there.run(makers[0], template_file.name, "bundle_info.xml", cwd=folder, log=log)


def finish(there: Environment) -> None:
    """Put the stand-in for tests behind ChimeraX's own session without windows."""
    module = there.site / "chimerax/core/nogui.py"
    own = "from cxheadless.nogui import UI, NoGuiLog  # devel/newest.py\n"
    if own not in module.read_text():
        with module.open("a") as file:
            file.write(f"\n\n{own}")


def install_bundle(there: Environment) -> None:
    """Install this project, built by this version's builder."""
    from env import copy_sources

    copy = there.folder / "siren"
    shutil.rmtree(copy, ignore_errors=True)
    copy_sources(copy)
    there.chimerax("devel build . exit true", copy, there.folder / "logs/siren.txt")
    wheels = list((copy / "dist").glob("*.whl"))
    if not wheels:
        raise NewestError(f"`devel build` of this bundle failed: {there.folder}/logs/siren.txt")
    there.pip("--no-deps", "--no-index", "--force-reinstall", *wheels)


def placed(arguments: list[str]) -> list[str]:
    """Arguments of pytest whose tests are found from any folder."""
    return [str(ROOT / a) if (ROOT / a.partition("::")[0]).exists() else a for a in arguments]


def test(there: Environment, windows: bool, arguments: list[str]) -> int:
    """Run pytest in it; the exit status."""
    variables = {**there.variables, "OMP_NUM_THREADS": "1"}
    if windows:
        script = " ".join([str(ROOT / "devel/test_in_chimerax.py"), *placed(arguments)])
        # in the application's own process, for its windows
        command: list[Any] = [there.python, "-I", "-c", START, "--script", script]
        return subprocess.run(command, cwd=there.folder, env=variables).returncode
    command = [there.python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run([*command, *(arguments or TESTS)], cwd=ROOT, env=variables).returncode


def main() -> int:
    """Build what is not there yet; then the tests."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("clone", type=Path, help="clone of RBVI/ChimeraX")
    parser.add_argument("ref", nargs="?", default="v1.11", help="tag, branch or commit")
    parser.add_argument("--python", default="3.11", help="version of Python")
    parser.add_argument(
        "--latest", action="store_true", help="the latest packages, not those pinned"
    )
    parser.add_argument("--windows", action="store_true", help="nearly all bundles, real windows")
    parser.add_argument("--no-torch", action="store_true", help="torch can take gigabytes")
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    options, rest = parser.parse_args(given[:end]), given[end + 1 :]
    name = "-".join([options.ref.replace("/", "-"), options.python, *["latest"] * options.latest])
    there = Environment(PLACE / name, options.python)
    try:
        asked = Sources(options.clone.resolve(), options.ref, there.folder)
        commit = asked.git("rev-parse", f"{options.ref}^{{commit}}").strip()
        sources = Sources(asked.clone, commit, PLACE / f"sources-{name}")
        sources.lay_out()
        there.make(sources, options.latest, options.windows, not options.no_torch)
        needs = sources.needs()
        wanted = WANTED.split()
        optional = set(needs) - set(NOT_HERE.split()) if options.windows else set()
        bundles = order(needs, [*wanted, *sorted(optional)])
        needed = set(order(needs, wanted))
        failed = build(sources, there, bundles, set(bundles) - needed)
        finish(there)
        install_bundle(there)
    except (NewestError, subprocess.CalledProcessError, OSError) as error:
        print(f"newest: {error}", file=sys.stderr)
        return 1
    said = versions.versions(there.python)
    print(f"ChimeraX {options.ref} ({commit[:9]}), {said}: {len(bundles) - len(failed)} bundles")
    return test(there, options.windows, rest)


if __name__ == "__main__":
    sys.exit(main())
