"""Entry point: runs the command line, and turns expected failures into one line and an exit code."""

import sys  # nothing else before _drop_callers_paths() has run: even __future__ is a file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .errors import WebpfError


def _drop_callers_paths() -> None:
    """Removes the current folder and PYTHONPATH from the search path, before anything else is imported.

    They can belong to the recorded project or to another user, and webpf runs as root. Modules that Python itself has
    imported before, such as sitecustomize, can't be avoided.
    """
    import os  # Python imported both at its start, so they don't come from such a folder
    import site

    def absolute(folder: str) -> str:
        try:
            return os.path.abspath(folder)  # noqa: PTH100 - pathlib would be one import more
        except OSError:  # the current folder is gone
            return folder

    paths = os.environ.get("PYTHONPATH")
    foreign = {absolute(folder) for folder in (paths.split(os.pathsep) if paths is not None else [])} | {absolute("")}
    own = {os.__file__.rpartition("/")[0], *site.getsitepackages(), site.getusersitepackages()}
    sys.path[:] = [folder for folder in sys.path if folder in own or absolute(folder) not in foreign]


def main() -> None:
    """Runs webpf with sys.argv and exits."""
    _drop_callers_paths()
    command = next((word for word in sys.argv[1:] if word not in ("--verbose", "-v")), None)
    sys.exit(_report_exhaustion(_run_recording if command == "record" else _run_unsupervised))


def _run_recording() -> int:
    return _run() if _is_series(sys.argv[1:]) else _run_supervised()


def _is_series(words: "list[str]") -> bool:
    if not any(word.startswith("--runs") for word in words):
        return False
    from .host import invocation  # a single recording doesn't need it in its supervisor, which must stay small

    return invocation.is_series(words)


def _run_unsupervised() -> int:
    import signal

    signal.signal(
        signal.SIGPIPE, signal.SIG_DFL
    )  # end when the reader closes the pipe, as in `| head`; `record` must go on
    return _run()


def _run_supervised() -> int:
    from .capture import supervisor

    return supervisor.supervise(lambda: _report_exhaustion(_run_recorder))


def _run_recorder() -> int:
    from .host import file_owner, syscalls
    from .storage import sqlite_library

    if file_owner.invoking_user() is not None:  # then it will probably become that user
        syscalls.forbid_new_privileges()  # before there are other threads, which inherit it
    sqlite_library.disable_locks()
    sqlite_library.speed_up_nulls()
    return _run()


def _report_exhaustion(run: "Callable[[], int]") -> int:
    """Returns what `run` returns. If memory, descriptors or processes run out, prints one line and returns EX_OSERR."""
    import os

    try:
        return run()
    except (MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _exhaustion_errnos():
            raise
        message = error.strerror if isinstance(error, OSError) else "Cannot allocate memory"
        os.write(
            2, f"webpf: a resource of the system ran out: {message}; try: ulimit -a\n".encode()
        )  # this needs no more memory and no import
        return os.EX_OSERR


def _exhaustion_errnos() -> "set[int]":
    import errno

    return {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}  # EAGAIN: no more processes or threads


def _run() -> int:
    from .host import standard_streams

    standard_streams.prepare()
    code = _exit_code(_run_command)
    unwritten = _exit_code(standard_streams.flush)
    return code or unwritten


def _run_command() -> int:
    # Imported here, within _exit_code(): the import takes a tenth of a second, and Ctrl-C can come meanwhile.
    from .cli import app

    return app.run()


def _exit_code(step: "Callable[[], int | None]") -> int:
    """Returns what `step` returns, or 0. After an expected error, prints one line and returns its exit code."""
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
    from .output import journal, messages

    hint = f"; try: {invocation.adapt_hint(error.hint)}" if error.hint else ""
    messages.say(error.message + hint, journal.ERROR)
    return error.exit_code


if __name__ == "__main__":
    main()
