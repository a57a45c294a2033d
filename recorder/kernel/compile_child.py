"""Compiles bpf/process.c with BCC and prints the object. It runs in a process of its own, for LLVM stays in memory.

BCC can't compile without creating the maps too, so this needs the right to.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from ..errors import Unavailable, WebpfError
from . import bcc_loader, bpf_source, object_format


def main() -> None:
    """Writes the object to stdout, or `{"message": ..., "hint": ...}` and exits with the error's code."""
    try:
        content = object_format.encode(_compile())
    except WebpfError as error:
        content = json.dumps({"message": error.message, "hint": error.hint}).encode()
        sys.stdout.buffer.write(content)
        sys.exit(error.exit_code)
    sys.stdout.buffer.write(content)


def _compile() -> object_format.BpfObject:
    bcc = bcc_loader.load()
    # BCC looks for kernel headers in this folder, which has a few small ones: the kernel's own are not needed.
    os.environ["BCC_KERNEL_SOURCE"] = str(bpf_source.folder())
    try:
        bpf = bcc.BPF(text=bpf_source.source(), cflags=bpf_source.flags())
    except Exception as error:  # BCC raises bare Exceptions; messages of clang and the kernel go to stderr
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    descriptors = {bcc.lib.bpf_table_fd(bpf.module, name.encode()): name for name in bpf_source.MAPS}
    return object_format.BpfObject(
        byte_order=sys.byteorder,
        source_hash=bpf_source.source_hash(),
        bcc_version=bcc_loader.find().version,
        license=bcc.lib.bpf_module_license(bpf.module).decode(),
        maps=tuple(_map(name, descriptor) for descriptor, name in descriptors.items()),
        programs=tuple(_program(bcc, bpf, name, descriptors) for name in bpf_source.OBJECT_PROGRAMS),
    )


def _map(name: str, descriptor: int) -> object_format.Map:
    info = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    fields = dict(re.findall(r"^(\w+):\s*(\w+)$", info, re.MULTILINE))
    sizes = (int(fields[key]) for key in ("map_type", "key_size", "value_size", "max_entries"))
    return object_format.Map(name, *sizes)


def _program(bcc: Any, bpf: Any, name: str, descriptors: dict[int, str]) -> object_format.Program:
    start = bcc.lib.bpf_function_start(bpf.module, name.encode())
    size = bcc.lib.bpf_function_size(bpf.module, name.encode())
    if not start or not size:
        raise Unavailable(f"this version of BCC doesn't give the instructions of {name}", "webpf doctor")
    instructions = ctypes.string_at(start, size)
    marked = {bpf_source.mark_of(number): name for number, name in enumerate(bpf_source.CONSTANTS)}
    found = object_format.loads(instructions, sys.byteorder)
    maps = {load.number: descriptors[load.value] for load in found if load.is_map}
    constants = {load.number: marked[load.value] for load in found if load.source == 0 and load.value in marked}
    return object_format.Program(name, _blank(instructions, maps), maps, constants)


def _blank(instructions: bytes, maps: dict[int, str]) -> bytes:
    """Returns the instructions without the descriptors of this process, so that each compilation gives the same."""
    blank = object_format.Program("", instructions, maps, {})
    return object_format.patch(blank, sys.byteorder, dict.fromkeys(bpf_source.MAPS, 0), {})


if __name__ == "__main__":
    main()
