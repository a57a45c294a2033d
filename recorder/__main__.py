"""Entry point: runs the command line, and turns expected failures into one line and an exit code."""

from __future__ import annotations

import sys


def _drop_callers_paths() -> None:
    """Takes the current folder and PYTHONPATH off the search path, before anything else is imported.

    They may be those of the project that is recorded, or a stranger's; and webpf is run as root. What Python itself has
    imported by now, such as a sitecustomize, can't be helped.
    """
    import os  # Python has imported these two at its start, so they come from nowhere else
    import site

    def absolute(folder: str) -> str:
        try:
            return os.path.abspath(folder)  # noqa: PTH100 - pathlib would be one import more
        except OSError:  # the current folder is gone
            return folder

    given = os.environ.get("PYTHONPATH")
    foreign = {absolute(folder) for folder in (given.split(os.pathsep) if given is not None else [])} | {absolute("")}
    own = {os.__file__.rpartition("/")[0], *site.getsitepackages(), site.getusersitepackages()}
    sys.path[:] = [folder for folder in sys.path if folder in own or absolute(folder) not in foreign]


def main() -> None:
    """Runs webpf with sys.argv and exits."""
    _drop_callers_paths()
    if sys.argv[1:2] == ["record"]:
        from . import supervisor

        sys.exit(supervisor.supervise(_run))
    sys.exit(_run())


def _run() -> int:
    import errno
    import os
    import signal

    from .errors import WebpfError

    try:
        from . import cli

        code = cli.run()
        sys.stdout.flush()
        return code
    except WebpfError as error:
        from . import terminal

        terminal.say(error.message + (f"; try: {error.hint}" if error.hint else ""))
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise
        from . import terminal

        terminal.say(f"{error or 'there is too little memory'}; try: ulimit -a")
        return os.EX_OSERR


if __name__ == "__main__":
    main()
