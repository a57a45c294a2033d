"""Keeps the compiled BPF programs and the offsets of this kernel, so that only the first recording compiles."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from ..errors import DataError, WebpfError
from ..host import trusted_file
from ..log import get_logger
from . import bpf_source, btf, object_format

_log = get_logger(__name__)

_SYSTEM = Path("/var/cache/webpf")
_NOTES = Path("/sys/kernel/notes")
_NOTE = struct.Struct("=3I")  # Elf64_Nhdr: sizes of name and content, type
_BUILD_ID = (b"GNU\0", 3)  # NT_GNU_BUILD_ID

_KEEP = 16  # files: objects of a few versions of webpf, offsets of a few kernels
_MAX_CONSTANTS_BYTES = 1 << 16
_HEADING = "webpf kernel constants 1"


def folder() -> Path | None:
    """Returns the folder of the cache: the system's for root, else the user's own. None: this user has none.

    Root never reads the environment for it, which may be that of the user behind sudo.
    """
    if os.geteuid() == 0:
        return _SYSTEM
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not base.startswith("/"):  # relative paths are to be ignored, says the XDG base directory specification
        home = os.environ.get("HOME", "")
        base = f"{home}/.cache" if home.startswith("/") else ""
    return Path(base) / "webpf" if base else None


def object_path() -> Path | None:
    """Returns where the object of this version of webpf is kept, if there is a cache."""
    place = folder()
    return place and place / f"programs-{_source_key()}"


def read_object() -> object_format.BpfObject | None:
    """Returns the object, or None if it has to be compiled: the log then says why."""
    path = object_path()
    content = _read(path, object_format.MAX_BYTES)
    if content is None:
        return None
    try:
        return object_format.decode(content)
    except DataError as error:
        _log.info("%s is not used: %s", path, error.message)
        return None


def keep_object(content: bytes) -> None:
    """Keeps an object. Where that is impossible, the log says so."""
    _write(object_path(), content)


def read_constants() -> dict[str, int]:
    """Returns the constants of btf.CONSTANTS for the running kernel, from the cache or from BTF. Raises Unavailable."""
    if not btf.VMLINUX.exists():
        return btf.read_constants()  # raises Unavailable
    build_id = read_build_id()
    place = folder()
    path = place / f"kernel-{build_id}-{_source_key()}" if place and build_id else None
    content = _read(path, _MAX_CONSTANTS_BYTES)
    kept = None if content is None else _parse_constants(content)
    if kept is not None:
        return kept
    if content is not None:
        _log.info("%s is not used: it is damaged", path)
    values = btf.read_constants()
    _write(path, _format_constants(values).encode())
    return values


def read_build_id(notes: Path = _NOTES) -> str | None:
    """Returns the build id of the running kernel, in hexadecimal; None where the kernel has or shows none."""
    try:
        content = notes.read_bytes()
    except OSError:
        return None
    at = 0
    while at + _NOTE.size <= len(content):
        name_size, size, kind = _NOTE.unpack_from(content, at)
        name_at = at + _NOTE.size
        content_at = name_at + (name_size + 3 & ~3)
        if (content[name_at : name_at + name_size], kind) == _BUILD_ID and 0 < size <= 64:
            return content[content_at : content_at + size].hex()
        at = content_at + (size + 3 & ~3)
    return None


def _source_key() -> str:
    return bpf_source.source_hash().hex()[:32]


def _format_constants(values: dict[str, int]) -> str:
    return "\n".join([_HEADING, *(f"{name} {value}" for name, value in values.items()), "end\n"])


def _parse_constants(content: bytes) -> dict[str, int] | None:
    """Returns the values; None if the content is anything else than _format_constants() writes."""
    fields = [line.partition(" ") for line in content.decode("ascii", "replace").splitlines()[1:-1]]
    numbers = [value for _, _, value in fields]
    if not all(value.isascii() and value.isdigit() and len(value) <= 10 for value in numbers):
        return None
    values = {name: int(value) for name, _, value in fields}
    is_whole = tuple(values) == btf.CONSTANTS and _format_constants(values).encode() == content
    return values if is_whole else None


def _read(path: Path | None, max_bytes: int) -> bytes | None:
    if path is None:
        return None
    try:
        return trusted_file.read(path, max_bytes)
    except FileNotFoundError:
        _log.info("%s is not in the cache yet", path)
    except OSError as error:
        _log.info("%s is not used: %s", path, error.strerror)
    except WebpfError as error:
        _log.info("the cache %s is not used: %s", path.parent, error.message)
    return None


def _write(path: Path | None, content: bytes) -> None:
    if path is None:
        _log.info("there is no cache: neither XDG_CACHE_HOME nor HOME says where")
        return
    try:
        if os.geteuid() != 0:
            path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        trusted_file.write(path, content, _KEEP)
    except OSError as error:
        _log.info("the cache %s can't be written: %s", path.parent, error.strerror)
    except WebpfError as error:
        _log.info("the cache %s is not used: %s", path.parent, error.message)
    else:
        _log.info("%s is kept in the cache", path)
