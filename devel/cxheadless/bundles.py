"""Tell the toolshed what the packages in the ChimeraX wheel offer.

The toolshed finds bundles by the ``ChimeraX ::`` classifiers of installed distributions; the wheel
is a single distribution without any. This table lists the commands, formats and tools of the
packages, and ``write`` makes a small .dist-info folder for each bundle. If a command is missing,
add a row.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

INSTALLER = "cxheadless"


@dataclass(frozen=True)
class Bundle:
    """A bundle of ChimeraX 1.7.1, with its version there, so that dependencies on it are met."""

    package: str  # below chimerax
    version: str
    commands: str = ""  # separated by commas
    custom_init: bool = False
    classifiers: tuple[str, ...] = ()


# (format, nicknames, suffixes, supported commands)
MAP_FORMATS = (
    ("MRC density map", "mrc", ".mrc", "open save"),
    ("CCP4 density map", "ccp4", ".ccp4,.map", "open save"),
    ("Chimera map", "cmap", ".cmap,.cmp", "open save"),
    ("IMOD map", "imodmap", ".rec", "open"),
    ("DSN6 density map", "dsn6", ".omap", "open"),
    ("BRIX density map", "brix", ".brix", "open save"),
    ("APBS potential", "apbs", ".dx", "open"),
    ("SITUS map file", "situs", ".sit,.situs", "open"),
    ("SPIDER volume data", "spider", ".spi,.vol", "open"),
    ("TOM toolbox EM density map", "tom_em", ".em", "open"),
    ("Gaussian cube grid", "cube", ".cube,.cub", "open"),
    ("EMAN HDF map", "emanhdf", ".hdf,.hdf5,.h5", "open"),
    ("Image stack", "images", ".tif,.tiff,.png,.pgm", "open"),
)
IMAGE_FORMATS = (
    ("Portable Network Graphics", "png", ".png"),
    ("Joint Photographic Experts Group image", "jpeg", ".jpg,.jpeg"),
    ("Tagged Image File format", "tiff", ".tif,.tiff"),
)
MAP_FILTERS = (
    "add,bin,boxes,copy,cover,falloff,flatten,flip,fourier,gaussian,laplacian,localCorrelation,maximum,minimum,median,"
    "morph,multiply,new,octant,~octant,permuteAxes,resample,ridges,scale,sharpen,subtract,threshold,tile,unbend,unroll,"
    "zone,unzone"
)
MOVIE = "abort,crossfade,duplicate,encode,formats,ignore,record,reset,status,stop"


def _formats(category: str, *formats: tuple[str, str, str]) -> tuple[str, ...]:
    """Classifiers of data formats, each a name, nicknames and suffixes."""
    return tuple(
        f"Provider :: {name} :: data formats :: category:{category}"
        + (f" :: nicknames:{nicknames}" if nicknames else "")
        + f" :: suffixes:{suffixes}"
        for name, nicknames, suffixes in formats
    )


def _provider(manager: str, name: str, *options: str) -> str:
    return " :: ".join(("Provider", name, manager, *options))


def _map_providers() -> Iterator[str]:
    for name, _, _, uses in MAP_FORMATS:
        if "open" in uses:
            # an image stack can be given as a pattern, which is not a file
            options = ("check_path:false",) if name == "Image stack" else ()
            yield _provider("open command", name, "want_path:true", "batch:true", *options)
        if "save" in uses:
            yield _provider("save command", name)


def _image_providers() -> Iterator[str]:
    for name, nickname, suffixes in IMAGE_FORMATS:
        (format_classifier,) = _formats("Image", (name, nickname, suffixes))
        yield f"{format_classifier} :: default_for:{suffixes}"
        yield _provider("save command", name)


BUNDLES = {
    "Core": Bundle("core", "1.7.1"),
    "Arrays": Bundle("arrays", "1.1", classifiers=("IncludeDir :: include", "LibraryDir :: lib")),
    "Geometry": Bundle("geometry", "1.3"),
    "Graphics": Bundle("graphics", "1.1.1"),
    "IO": Bundle("io", "1.0.1"),
    "DataFormats": Bundle("data_formats", "1.2.3", classifiers=("Manager :: data formats",)),
    "OpenCommand": Bundle(
        "open_command",
        "1.13.1",
        "open,usage open",
        classifiers=("Manager :: open command", "InitAfter :: manager :: ChimeraX-DataFormats"),
    ),
    "SaveCommand": Bundle(
        "save_command",
        "1.5.1",
        "save,usage save",
        classifiers=("Manager :: save command", "InitAfter :: manager :: ChimeraX-DataFormats"),
    ),
    "CoreFormats": Bundle(
        "core_formats",
        "1.2",
        classifiers=(
            *_formats("Session", ("ChimeraX session", "session", ".cxs")),
            *_formats(
                "Command script", ("ChimeraX commands", "cmd", ".cxc"), ("Python", "", ".py")
            ),
            _provider("open command", "ChimeraX session", "want_path:true"),
            _provider("open command", "ChimeraX commands", "want_path:true"),
            _provider("open command", "Python"),
            _provider("save command", "ChimeraX session", "compression_okay:false"),
        ),
    ),
    "MapData": Bundle(
        "map_data", "2.0", classifiers=_formats("Volume data", *(row[:3] for row in MAP_FORMATS))
    ),
    "Map": Bundle(
        "map",
        "1.1.4",
        "volume,molmap,measure mapstats,measure mapvalues",
        custom_init=True,
        classifiers=(
            *_map_providers(),
            "Tool :: Volume Viewer :: Volume Data :: map display settings",
        ),
    ),
    "MapFilter": Bundle(
        "map_filter",
        "2.0.1",
        ",".join(f"volume {name}" for name in MAP_FILTERS.split(",")) + ",vop",
    ),
    "MapSeries": Bundle("map_series", "2.1.1", "vseries,measure motion", custom_init=True),
    "MapFit": Bundle("map_fit", "2.0", "fitmap"),
    "MapEraser": Bundle("map_eraser", "1.0.1", "volume erase", custom_init=True),
    "Mask": Bundle("mask", "1.0.2", "volume mask,volume onesmask"),
    "Zone": Bundle("zone", "1.0.1", "zone", custom_init=True),
    "Surface": Bundle(
        "surface",
        "1.0.1",
        "color electrostatic,color sample,color gradient,color radial,color cylindrical,color "
        "height,color image,"
        "surface,~surface,surface close,surface style,surface squaremesh,surface showall,surface "
        "cap,surface dust,"
        "surface undust,surface invertShown,surface transform,surface zone,surface unzone,surface "
        "check,"
        "surface splitbycolor,sop,measure sasa,measure volume,measure area,volume splitbyzone",
        custom_init=True,
    ),
    "StdCommands": Bundle(
        "std_commands",
        "1.12.4",
        "alias,alias list,alias "
        "delete,~alias,align,angle,camera,cartoon,~cartoon,cd,clip,~clip,close,cofr,~cofr,color,"
        "colour,color delete,color list,color name,color "
        "show,delete,exit,quit,fly,graphics,hide,~show,~display,"
        "lighting,lighting model,material,measure center,measure correlation,measure "
        "inertia,measure rotation,"
        "measure "
        "symmetry,move,palette,perframe,~perframe,pwd,rainbow,rename,roll,rock,runscript,select,~select,set,"
        "~set,setattr,show,display,size,split,stop,style,tile,~tile,time,transparency,turn,undo,redo,usage,version,"
        "view,wait,windowsize,wobble,select zone,zoom",
        custom_init=True,
        classifiers=(
            "Selector :: sel :: selected things :: true",
            "Selector :: all :: everything :: true",
        ),
    ),
    "ListInfo": Bundle("list_info", "1.2.2", "info"),
    "Log": Bundle(
        "log",
        "1.1.6",
        "echo,log",
        custom_init=True,
        classifiers=("Tool :: Log :: General :: log panel",),
    ),
    "Help": Bundle("help_viewer", "1.2.2", "help", custom_init=True),
    "TaskManager": Bundle("taskmanager", "1.0", "taskman"),
    "ImageFormats": Bundle("image_formats", "1.2", classifiers=tuple(_image_providers())),
    "Movie": Bundle("movie", "1.0", ",".join(f"movie {n}" for n in MOVIE.split(","))),
    "Label": Bundle("label", "1.1.8", "2dlabels,scalebar,label,~label", custom_init=True),
    "ColorKey": Bundle("color_key", "1.5.5", "key,~key"),
    "Shape": Bundle("shape", "1.0.1", "shape"),
    "Markers": Bundle(
        "markers",
        "1.0.1",
        "marker",
        custom_init=True,
        classifiers=(
            *_formats("Generic 3D objects", ("Marker model", "markers", ".cmm")),
            _provider("open command", "Marker model", "want_path:true"),
            _provider("save command", "Marker model"),
        ),
    ),
    "MouseModes": Bundle("mouse_modes", "1.2", "ui mousemode,mousemode", custom_init=True),
    "DistMonitor": Bundle("dist_monitor", "1.4", "distance,~distance", custom_init=True),
    "Atomic": Bundle("atomic", "1.49.1", custom_init=True),
    "AtomicLibrary": Bundle("atomic_lib", "12.1.5", classifiers=("LibraryDir :: lib",)),
    "PDB": Bundle(
        "pdb",
        "2.7.3",
        classifiers=(
            *_formats("Molecular structure", ("PDB", "", ".pdb,.ent :: default_for:.pdb")),
            _provider("open command", "PDB"),
            _provider("save command", "PDB", "compression_okay:false"),
        ),
    ),
    "PDBLibrary": Bundle("pdb_lib", "1.0.4", classifiers=("LibraryDir :: lib",)),
    "mmCIF": Bundle(
        "mmcif",
        "2.12.1",
        classifiers=(
            *_formats(
                "Molecular structure", ("mmCIF", "", ".cif,.mmcif :: default_for:.cif,.mmcif")
            ),
            _provider("open command", "mmCIF", "want_path:true"),
            _provider("save command", "mmCIF", "compression_okay:false"),
        ),
    ),
    "BundleBuilder": Bundle("bundle_builder", "1.2.2"),
    "ToolshedUtils": Bundle("toolshed_utils", "1.2.4", custom_init=True),
}


def write(site: Path) -> None:
    """Write the .dist-info folders beside the library, replacing earlier ones."""
    for marker in site.glob("*.dist-info/INSTALLER"):
        if marker.read_text().strip() == INSTALLER:
            shutil.rmtree(marker.parent)
    for name, bundle in BUNDLES.items():
        folder = site / f"ChimeraX_{name}-{bundle.version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(_metadata(f"ChimeraX-{name}", bundle), encoding="utf-8")
        (folder / "INSTALLER").write_text(f"{INSTALLER}\n")
        (folder / "WHEEL").write_text(
            "Wheel-Version: 1.0\nGenerator: "
            f"{INSTALLER}\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        # the toolshed reads from here which Python packages belong to the bundle
        packages = sorted((site / "chimerax" / bundle.package).rglob("__init__.py"))
        (folder / "RECORD").write_text(
            "".join(f"{path.relative_to(site).as_posix()},,\n" for path in packages)
        )


def _metadata(name: str, bundle: Bundle) -> str:
    session_versions = "1,2" if bundle.package == "core" else "1,1"
    custom_init = "true" if bundle.custom_init else ""
    classifiers = [
        f"Bundle :: General :: {session_versions} :: chimerax.{bundle.package} ::  :: "
        f"{custom_init}",
        *(
            f"Command :: {command} :: General :: {command} command"
            for command in bundle.commands.split(",")
            if command
        ),
        *bundle.classifiers,
    ]
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {bundle.version}",
        f"Summary: what the library's chimerax.{bundle.package} offers",
        *(f"Classifier: ChimeraX :: {classifier}" for classifier in classifiers),
    ]
    return "\n".join(lines) + "\n"
