"""Entry point: runs the command line, and turns expected failures into one line and an exit code."""

import sys  # and nothing else, until _drop_callers_paths() has run: not even __future__, which is a file too

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .errors import WebpfError


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
    command = next((word for word in sys.argv[1:] if word not in ("--verbose", "-v")), None)
    sys.exit(_report_exhaustion(_run_supervised if command == "record" else _run_unsupervised))


def _run_unsupervised() -> int:
    import signal

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends with its reader, as with `| head`; `record` must go on
    return _run()


def _run_supervised() -> int:
    from .capture import supervisor

    return supervisor.supervise(lambda: _report_exhaustion(_run_recorder))


def _run_recorder() -> int:
    from .storage import sqlite_library

    sqlite_library.drop_locks()
    return _run()


def _report_exhaustion(run: "Callable[[], int]") -> int:
    """What it returns; one line and an exit code if the caller left it too little memory, or too few descriptors."""
    import os

    try:
        return run()
    except (MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _exhaustion_errnos():
            raise
        message = error.strerror if isinstance(error, OSError) else "Cannot allocate memory"
        os.write(
            2, f"webpf: the system gives no more: {message}; try: ulimit -a\n".encode()
        )  # which needs no memory, nor anything imported
        return os.EX_OSERR


def _exhaustion_errnos() -> "set[int]":
    import errno

    return {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}  # the last: no more processes or threads


def _run() -> int:
    from .host import standard_streams

    standard_streams.prepare()
    code = _exit_code(_run_command)
    unwritten = _exit_code(standard_streams.flush)
    return code or unwritten


def _run_command() -> int:
    # Here, for it takes a tenth of a second, in which Ctrl-C may come.
    from .cli import app

    return app.run()


def _exit_code(step: "Callable[[], int | None]") -> int:
    """What it returns; one line and an exit code if it fails with what can be expected."""
    import signal

    from .errors import WebpfError, from_os_error

    try:
        return step() or 0
    except WebpfError as error:
        return _report_error(error)
    except OSError as error:
        if error.errno in _exhaustion_errnos():
            raise
        return _report_error(from_os_error(error))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _report_error(error: "WebpfError") -> int:
    from .host import invocation
    from .output import messages

    messages.say(error.message + (f"; try: {invocation.adapt_hint(error.hint)}" if error.hint else ""))
    return error.exit_code


if __name__ == "__main__":
    main()
