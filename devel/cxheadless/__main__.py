"""``python -m cxheadless ARGUMENTS``: the application, with ChimeraX's own command line."""

import sys

from cxheadless import boot


def main() -> int | str | None:
    arguments = sys.argv[1:]
    # There are no windows to open.  A single dash first is Python's command line (-m, -c), which
    # never opens any.
    if not arguments or arguments[0].startswith("--") or not arguments[0].startswith("-"):
        # without tools it does not ask the network for newer bundles either
        arguments[:0] = ["--nogui", "--notools"]
    boot.keep_settings_in(boot.SETTINGS)
    return boot.application(arguments)


if __name__ == "__main__":
    sys.exit(main())
