"""Loads the compiled BPF programs with bpf(2): creates the maps, writes the constants, attaches to the tracepoints."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from ..errors import Unavailable
from ..host import cpus, resource_limits
from ..log import get_logger, is_verbose, suppressed
from . import bpf_source, bpf_syscall, object_format
from .preflight import kernel_version

_log = get_logger(__name__)

_WITHOUT_MEMLOCK = (5, 11)  # since then the memory of maps counts for the cgroup
_ERRNO_NOT_SUPPORTED = 524  # ENOTSUPP, which is none of user space
_MISSES, _ID = b"recursion_misses:", b"prog_id:"
_INFO_BYTES = 4096


class Refused(Unavailable):
    """The kernel's verifier doesn't accept a BPF program. Another compiler may make one that it accepts."""


class LoadedPrograms:
    """The BPF programs in the kernel, with their maps. attach() lets them run; close() takes all of it back.

    constants: the value of each constant of bpf/process.c. entries: the sizes of maps that differ from those of the
    object; the ring buffer's is in bytes. with_second: whether the second program of each tracepoint is loaded too.
    Raises Unavailable if the kernel refuses anything.
    """

    def __init__(
        self,
        compiled: object_format.BpfObject,
        constants: Mapping[str, int],
        entries: Mapping[str, int],
        with_second: bool,
    ) -> None:
        self._maps: dict[str, int] = {}
        self._programs: dict[str, int] = {}
        self._infos: dict[str, int] = {}
        self._misses: dict[str, int] = {}
        self._links: dict[str, int] = {}
        self._value_sizes = {each.name: each.value_size for each in compiled.maps}
        bpf_syscall.check_processor()
        if kernel_version() < _WITHOUT_MEMLOCK:
            resource_limits.lift_locked_memory()
        started = time.monotonic()
        try:
            for each in compiled.maps:
                self._maps[each.name] = _create(each, entries.get(each.name, each.entries))
            with _signals_blocked():
                self._load_all(compiled, constants, with_second)
        except BaseException:
            self.close()
            raise
        _log.info("the BPF programs are loaded, in %.3f s", time.monotonic() - started)

    def attach(self) -> None:
        """Attaches the programs to their tracepoints; a second program runs after the first. Raises Unavailable."""
        tracepoints = bpf_source.FIRST_PROGRAMS | bpf_source.SECOND_PROGRAMS
        for name, descriptor in self._programs.items():
            try:
                self._links[name] = bpf_syscall.attach_raw_tracepoint(descriptor, tracepoints[name])
            except OSError as error:
                message = f"the kernel doesn't attach a BPF program to {tracepoints[name]}: {_reason(error)}"
                raise Unavailable(message, "webpf doctor") from error

    def map_descriptor(self, name: str) -> int:
        """Returns the descriptor of a map, as long as this is not closed."""
        return self._maps[name]

    def set_value(self, name: str, key: bytes, value: bytes) -> None:
        """Sets a value of a map. Raises OSError if the map is full."""
        bpf_syscall.update(self._maps[name], key, value)

    def remove_key(self, name: str, key: bytes) -> None:
        """Removes a key from a map, if it is there."""
        bpf_syscall.delete(self._maps[name], key)

    def sum_of_cpus(self, name: str, key: bytes) -> int:
        """Returns the sum of the values of 64 bits that the CPUs have under a key."""
        size = self._value_sizes[name] * cpus.possible()
        value = bpf_syscall.look_up(self._maps[name], key, size)
        return sum(struct.unpack(f"={size // 8}Q", value or bytes(size)))

    def misses(self, name: str) -> int:
        """Returns how often the kernel skipped this BPF program; 0 before Linux 5.12, which doesn't count it."""
        with suppressed(__name__, "reading how often the kernel skipped a BPF program", OSError):
            self._misses[name] = self._read_info(name, _MISSES)
        return self._misses.get(name, 0)  # the last number, if the process that holds the programs was killed

    def hand_over(self, hold: Callable[[int], int]) -> None:
        """Closes the descriptors of the programs, which stay attached.

        Whoever has such a descriptor can run the program on any address (BPF_PROG_TEST_RUN), and so read the memory of
        the kernel, without any privilege. hold: lets another process open the program with this id; returns a
        descriptor of that process's file in /proc/PID/fdinfo. Raises what `hold` raises; then nothing is closed.
        """
        infos = {name: hold(self._read_info(name, _ID)) for name in self._programs}
        for descriptor in (*self._infos.values(), *self._programs.values()):
            os.close(descriptor)
        self._infos, self._programs = infos, {}

    def _read_info(self, name: str, field: bytes) -> int:
        """Returns a number from what the kernel says of a program; 0 if it doesn't say it. Raises OSError."""
        info = os.pread(self._infos[name], _INFO_BYTES, 0)
        return int(info.partition(field)[2].split(maxsplit=1)[0]) if field in info else 0

    def detach(self, names: Iterable[str] = (*bpf_source.FIRST_PROGRAMS, *bpf_source.SECOND_PROGRAMS)) -> None:
        """Ends the programs of these names. The maps stay."""
        for name in names:
            if name in self._links:
                os.close(self._links.pop(name))

    def close(self) -> None:
        """Ends the programs and frees the maps. Can be called more than once."""
        kinds = (self._links, self._infos, self._programs, self._maps)
        descriptors = [descriptor for each in kinds for descriptor in each.values()]
        self._links, self._infos, self._programs, self._maps = {}, {}, {}, {}
        for descriptor in descriptors:
            with suppressed(__name__, "closing a BPF descriptor", OSError):
                os.close(descriptor)

    def _load_all(self, compiled: object_format.BpfObject, constants: Mapping[str, int], with_second: bool) -> None:
        chosen = {name: compiled.program(name) for name in bpf_source.FIRST_PROGRAMS}
        if constants["MAX_ENVIRONMENT"]:
            chosen["webpf_exec"] = compiled.program(bpf_source.PROGRAM_WITH_ENVIRONMENT)
        for name, program in chosen.items():
            self._programs[name] = self._load(compiled, program, name, constants)
        second = zip(chosen.values(), bpf_source.SECOND_PROGRAMS, strict=True) if with_second else ()
        for program, name in second:
            self._programs[name] = self._load(compiled, program, name, {**constants, "SECOND": 1})
        for name, descriptor in self._programs.items():
            self._infos[name] = os.open(f"/proc/self/fdinfo/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)

    def _load(
        self,
        compiled: object_format.BpfObject,
        program: object_format.Program,
        name: str,
        constants: Mapping[str, int],
    ) -> int:
        instructions = object_format.patch(program, compiled.byte_order, self._maps, constants)
        arguments = instructions, compiled.license, name
        try:
            return bpf_syscall.load_raw_tracepoint(*arguments)
        except OSError as error:
            if is_verbose():
                for line in bpf_syscall.verifier_log(*arguments).splitlines():
                    _log.info("verifier: %s", line)
            message = f"the kernel refuses the BPF program {name}: {_reason(error)}"
            raise Refused(message, "webpf record --dry-run --verbose") from error


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Delays signals within the block: the verifier gives up (EAGAIN) when one is waiting for this thread."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _create(each: object_format.Map, entries: int) -> int:
    try:
        return bpf_syscall.create_map(each.type, each.key_size, each.value_size, entries, each.name)
    except OSError as error:
        size = f" of {entries >> 20} MiB" if each.name == "ring" else ""
        hint = "webpf record --buffer-mib 1" if error.errno == errno.ENOMEM else "webpf doctor"
        message = f"the kernel doesn't create the BPF map {each.name}{size}: {_reason(error)}"
        raise Unavailable(message, hint) from error


def _reason(error: OSError) -> str:
    return "not supported" if error.errno == _ERRNO_NOT_SUPPORTED else error.strerror or str(error)
