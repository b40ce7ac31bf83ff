"""Run the ChimeraX 1.7.1 library wheel (PyPI: ChimeraX 0.1.71) as an application without windows.

The wheel has ChimeraX's own code but lacks the parts that make it an application. They are here:

- ``library`` completes the installed wheel: an importable top package, and the modules below in
  their places
- ``bundles`` tells ChimeraX's toolshed which bundles the wheel contains
- ``nogui`` is the user interface of a session without windows (``chimerax.core.nogui``)
- ``boot`` starts a session in this process, for tests; ``python -m cxheadless`` is the application
- ``toolshed_tool`` stands in for the window that lists updates of bundles
- ``ui_shim`` stands in for ``chimerax.ui``, so that tests can use a panel with real Qt widgets
"""
