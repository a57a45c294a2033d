"""Entry point: runs the command line, and turns expected failures into one line and an exit code."""

from __future__ import annotations

import signal
import sys

from . import cli
from .errors import WebpfError

_INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Runs webpf with sys.argv and exits."""
    sys.exit(_run())


def _run() -> int:
    try:
        code = cli.run()
        sys.stdout.flush()
        return code
    except WebpfError as error:
        from . import terminal

        terminal.say(error.message + (f"; try: {error.hint}" if error.hint else ""))
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    main()
