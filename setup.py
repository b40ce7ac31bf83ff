"""``pip install .``: src/core and the weights, as the plain Python package ``siren_chimerax``.

For ChimeraX, use ``devel install`` there. Both read bundle_info.xml, so that nothing is said twice.
There is no [project] table in pyproject.toml, since ChimeraX builds the bundle by setuptools in
this folder, which would take that table for the bundle's. It never runs setup.py.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from setuptools import find_packages, setup

NAME, CODE = "siren_chimerax", "src/core"
WEIGHTS = "chimerax.siren.weights"  # as the bundle calls that package
EXTRAS = {"predict": ["torch"], "plots": ["matplotlib"], "cluster": ["distributed"]}

bundle = ElementTree.parse(Path(__file__).parent / "bundle_info.xml").getroot()
# without upper bounds, which keep pip from replacing ChimeraX's NumPy
needed = {
    name: name + str(dependency.get("version")).split(",")[0]
    for dependency in bundle.iter("Dependency")
    if not (name := str(dependency.get("name"))).startswith("ChimeraX-")
}
extras = {extra: [needed.pop(n, n) for n in names] for extra, names in EXTRAS.items()}
(folder,) = (p.get("folder") for p in bundle.iter("Package") if p.get("name") == WEIGHTS)
(files,) = (d for d in bundle.iter("DataFiles") if d.get("package") == WEIGHTS)

# not in "build", which ChimeraX uses: setuptools puts all that lies there into the wheel
with TemporaryDirectory(prefix="siren-build-") as build:
    setup(
        name=NAME.replace("_", "-"),
        version=bundle.get("version"),
        description=bundle.findtext("Synopsis"),
        long_description=bundle.findtext("Description"),
        author=bundle.findtext("Author"),
        author_email=bundle.findtext("Email"),
        url=bundle.findtext("URL"),
        license=bundle.findtext("License"),
        python_requires=">=3.11",
        install_requires=list(needed.values()),
        extras_require=extras,
        packages=[NAME, f"{NAME}.weights", *(f"{NAME}.{room}" for room in find_packages(CODE))],
        package_dir={NAME: CODE, f"{NAME}.weights": folder},
        package_data={f"{NAME}.weights": [f.text for f in files]},
        include_package_data=False,
        options={"build": {"build_base": build}},
    )
