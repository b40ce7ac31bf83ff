"""Run the ChimeraX 1.7.1 library wheel (PyPI: ChimeraX 0.1.71) as an application without windows.

The wheel has ChimeraX's own code, but lacks what makes an application of it.  Here is the rest:

    library     completes the installed wheel: an importable top package, the modules below in their
    places bundles     tells ChimeraX's toolshed which bundles the wheel holds
    nogui       the user interface of a session without windows (``chimerax.core.nogui``)
    boot        starts a session in this process, for tests; ``python -m cxheadless`` is the
    application ui_shim     stands in for ``chimerax.ui``, so that tests can use a tool panel with
    real Qt widgets
"""
