"""``python -m cxheadless ARGUMENTS``: the application, with ChimeraX's own command line."""

import sys

from cxheadless import boot


def main() -> int | str | None:
    arguments = sys.argv[1:]
    # There are no windows to open. A leading single dash is Python's command line (-m, -c), which
    # opens none anyway.
    if not arguments or arguments[0].startswith("--") or not arguments[0].startswith("-"):
        # without tools, it does not look for newer bundles on the network either
        arguments[:0] = ["--nogui", "--notools"]
    boot.keep_settings_in(boot.SETTINGS)
    return boot.application(arguments)


if __name__ == "__main__":
    sys.exit(main())
