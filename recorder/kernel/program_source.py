"""Where the compiled BPF programs come from: a file, webpf's own package, the cache, or BCC."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError, NotFound
from ..host import trusted_file
from ..log import get_logger
from ..model import argv
from . import bcc_loader, bpf_source, compiler, object_cache, object_format

_log = get_logger(__name__)

VARIABLE = "WEBPF_PROGRAM"
"""The environment variable that names the object; root doesn't read it under sudo."""

PACKAGED = "process.bpf"
"""The name of the object in webpf's own package, beside process.c."""


_ELSEWHERE = "sudo webpf compile -o /usr/local/lib/webpf.bpf"


@dataclass(frozen=True)
class FoundObject:
    """An object, and where it is from. is_stored: it was not compiled now, and BCC may make another."""

    compiled: object_format.BpfObject
    origin: str
    is_stored: bool = False


def find(program: Path | None = None) -> FoundObject:
    """Returns the object to load: the file `program` or `$WEBPF_PROGRAM`, else from the package, the cache, or BCC.

    Raises NotFound or DataError for a file that is not there or can't be used, and Unavailable if there is none and
    BCC can't compile it. What the package or the cache has is ignored if it can't be used.
    """
    chosen = chosen_file(program)
    if chosen is not None:
        return FoundObject(_read_chosen(chosen), str(chosen))
    return find_stored() or compile_now()


def find_stored() -> FoundObject | None:
    """Returns the object of the package or of the cache; None if neither has one that can be used."""
    path = packaged_path()
    try:
        compiled = object_format.decode(path.read_bytes())
        _check_fit(compiled)
        return FoundObject(compiled, f"{path}, installed with webpf", True)
    except FileNotFoundError:
        pass
    except (OSError, DataError) as error:
        _log.info("%s is not used: %s", path, error)
    cached = object_cache.read_object()
    if cached is not None:
        try:
            _check_fit(cached)
            return FoundObject(cached, f"the cache {object_cache.object_path()}", True)
        except DataError as error:
            _log.info("%s is not used: %s", object_cache.object_path(), error)
    return None


def compile_now() -> FoundObject:
    """Compiles the object with BCC, and keeps it in the cache. Raises Unavailable."""
    content, compiled = compiler.compile_programs()
    object_cache.keep_object(content)
    return FoundObject(compiled, f"BCC {compiled.bcc_version}, compiled now")


def check_available(program: Path | None = None) -> None:
    """Raises what find() would raise if there is no object and no BCC. Compiles nothing; takes a few milliseconds."""
    chosen = chosen_file(program)
    if chosen is not None:
        _read_chosen(chosen)
    elif find_stored() is None:
        bcc_loader.find()


def chosen_file(program: Path | None) -> Path | None:
    """Returns the file that the option or the environment names."""
    if program is not None:
        return program
    # Under sudo the environment may be that of the user behind it.
    is_behind_sudo = os.geteuid() == 0 and "SUDO_UID" in os.environ
    named = "" if is_behind_sudo else os.environ.get(VARIABLE, "")
    return Path(named) if named else None


def packaged_path() -> Path:
    """Returns the path of the object that may be installed with webpf."""
    return bpf_source.folder() / PACKAGED


def _read_chosen(path: Path) -> object_format.BpfObject:
    again = f"sudo webpf compile -o {argv.file_word(path)}"
    try:
        content = trusted_file.read(path.absolute(), object_format.MAX_BYTES)
    except FileNotFoundError:
        raise NotFound(f"there is no BPF object {path}", again) from None
    except OSError as error:
        raise DataError(f"the BPF object {path} can't be read: {error.strerror}", _ELSEWHERE) from None
    except DataError as error:
        raise DataError(f"the BPF object {path} can't be trusted: {error.message}", _ELSEWHERE) from None
    try:
        compiled = object_format.decode(content)
        _check_fit(compiled)
    except DataError as error:
        raise DataError(f"the BPF object {path} can't be used: {error.message}", f"{again} --force") from None
    return compiled


def _check_fit(compiled: object_format.BpfObject) -> None:
    if compiled.byte_order != sys.byteorder:
        raise DataError(f"it is for {compiled.byte_order}-endian machines")
    if compiled.source_hash != bpf_source.source_hash():
        raise DataError("it was compiled by another version of webpf")
