"""Loading with bpf(2): the verifier accepts the object with all combinations of options; a refusal is one line."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bpf_objects import instruction

from webpf.errors import DataError, Unavailable
from webpf.kernel import bpf_source, compiler, loader, object_cache, object_format, program_source
from webpf.kernel.filters import Cgroup, Filters
from webpf.kernel.loader import LoadedPrograms
from webpf.kernel.object_format import BpfObject, Program
from webpf.kernel.probe import Probe
from webpf.kernel.program_options import ProgramOptions

pytestmark = pytest.mark.kernel

FILTERS = [
    Filters(uids, names, cgroup)
    for uids, names, cgroup in itertools.product(
        [(), (0, 1000, 2**32 - 2)], [(), (b"make", b"fifteen bytes ..")], [None, Cgroup(2**63, 3)]
    )
]


@pytest.fixture(scope="module")
def compiled() -> BpfObject:
    """The object."""
    return program_source.find().compiled


def load(compiled: BpfObject, options: ProgramOptions, **constants: int) -> LoadedPrograms:
    """Loaded, but not attached."""
    return LoadedPrograms(compiled, options.constants() | constants, options.entries(), options.interruptible)


@pytest.mark.parametrize("filters", FILTERS, ids=lambda it: "".join("01"[bool(each)] for each in vars(it).values()))
def test_all_combinations_are_accepted(filters: Filters, compiled: BpfObject) -> None:
    """Also those of other kernels, as far as the verifier of this one can tell."""
    booleans, limits = [False, True], [0, 1, 32768, 2 << 20]
    for follows, interruptible, max_args, max_environment in itertools.product(booleans, booleans, limits, [0, 65536]):
        options = ProgramOptions(8 << 20, max_args, interruptible, follows, filters, max_environment)
        for group_dead, are_ids in itertools.product([0, 1], [0, 1]) if max_args == 32768 else [(1, 0)]:
            load(
                compiled, options, EXIT_HAS_GROUP_DEAD=group_dead, CGROUP_ANCESTORS_ARE_IDS=are_ids, PAGE_KIB=64
            ).close()


def test_environments_cost_nothing_unless_they_are_asked_for(compiled: BpfObject) -> None:
    """Then webpf_exec is the program that never read one; else it is another one, under the same name."""
    only = {"MAX_ENVIRONMENT", "OFF_MM_ENV_START", "OFF_MM_ENV_END"}
    uses = {each.name for each in compiled.programs if only & {*each.constants.values()}}
    assert uses == {bpf_source.PROGRAM_WITH_ENVIRONMENT}
    sizes = []
    for max_environment in (0, 1, 65536):
        loaded = load(compiled, ProgramOptions(1 << 20, max_environment=max_environment))
        own = [each for each in bpftool("prog", "show") if each["id"] in own_ids("prog_id")]
        assert {each["name"] for each in own} == set(bpf_source.FIRST_PROGRAMS)
        sizes += [each["bytes_xlated"] for each in own if each["name"] == "webpf_exec"]
        loaded.close()
    assert sizes[0] not in sizes[1:]


def bpf_descriptors() -> list[str]:
    """What this process has open of BPF."""
    links = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(path.readlink()))
        except OSError:
            continue  # that of the listing
    return [link for link in links if "bpf" in link]


def test_nothing_stays_open(compiled: BpfObject) -> None:
    before = bpf_descriptors()
    loaded = load(compiled, ProgramOptions(1 << 20))
    loaded.attach()
    assert len(bpf_descriptors()) > len(before)
    loaded.close()
    loaded.close()
    assert bpf_descriptors() == before
    with pytest.raises(Unavailable):
        load(refused(compiled), ProgramOptions(1 << 20))
    assert bpf_descriptors() == before


@pytest.fixture
def probe() -> Iterator[Probe]:
    """It records."""
    made = Probe(0, buffer_mib=1, filters=Filters(uids=(12345,), names=(b"make",)), follows=True)
    yield made
    made.close()


def bpftool(*arguments: str) -> list[dict[str, object]]:
    """What bpftool says."""
    if not shutil.which("bpftool"):
        pytest.skip("no bpftool")
    shown = json.loads(subprocess.run(["bpftool", "-j", *arguments], capture_output=True, check=True).stdout)
    return shown if isinstance(shown, list) else [shown]


def own_ids(field: str) -> set[int]:
    """The kernel's numbers of what this process has open."""
    infos = [path.read_text() for path in Path("/proc/self/fdinfo").iterdir() if path.exists()]
    return {int(number) for info in infos for number in re.findall(rf"^{field}:\s*(\d+)$", info, re.MULTILINE)}


def test_what_bpftool_sees(probe: Probe) -> None:
    """The programs by their names, with their maps; a map that is not used has one entry."""
    own = [each for each in bpftool("prog", "show") if each["id"] in own_ids("prog_id")]
    assert {each["name"] for each in own} == set(bpf_source.FIRST_PROGRAMS)
    assert {each["type"] for each in own} == {"raw_tracepoint"}
    maps = {str(each["name"]): each for each in bpftool("map", "show") if each["id"] in own_ids("map_id")}
    assert set(maps) == {name[:15] for name in bpf_source.MAPS}
    assert {name: each["max_entries"] for name, each in maps.items() if name != "counts"} == {
        "ring": 1 << 20, "gate": 1, "followed": 65536, "followed_pids": 65536, "parent_to_follo": 1,
        "held_forks": 32768, "ended_threads": 16384, "threads_missed": 1, "filter_uids": 1, "filter_comms": 1,
    }  # fmt: skip


def test_maps_that_are_not_used_are_small() -> None:
    sizes = ProgramOptions(1 << 20).entries()
    assert sizes == {
        "ring": 1 << 20, "followed": 1, "followed_pids": 1, "held_forks": 1, "filter_uids": 1, "filter_comms": 1,
    }  # fmt: skip


def refused(compiled: BpfObject) -> BpfObject:
    """The object with a program that leaves its result open."""
    first, *rest = compiled.programs
    return replace(compiled, programs=(Program(first.name, instruction(0x95), {}, {}), *rest))


def test_a_refusal_is_one_line(compiled: BpfObject, caplog: pytest.LogCaptureFixture) -> None:
    """And with --verbose the verifier's words."""
    for is_verbose in (False, True):
        caplog.clear()
        caplog.set_level(logging.INFO if is_verbose else logging.WARNING, "webpf")
        with pytest.raises(loader.Refused) as caught:
            load(refused(compiled), ProgramOptions(1 << 20))
        assert caught.value.message == "the kernel refuses the BPF program webpf_fork: Permission denied"
        assert ("verifier: R0 !read_ok" in caplog.text) == is_verbose


def test_what_the_kernel_refuses_is_compiled_again(
    compiled: BpfObject, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If it was stored; another compiler may do better."""
    caplog.set_level(logging.INFO, "webpf")
    bad = program_source.FoundObject(refused(compiled), "the cache", is_stored=True)
    monkeypatch.setattr(program_source, "find", lambda program: bad)
    kept: list[bytes] = []
    monkeypatch.setattr(object_cache, "keep_object", kept.append)
    Probe(0, buffer_mib=1).close()
    assert len(kept) == 1
    assert "the kernel refuses the BPF program webpf_fork: Permission denied; they are compiled again" in caplog.text

    def no_compiler() -> tuple[bytes, BpfObject]:
        raise Unavailable("BCC is not installed")

    monkeypatch.setattr(compiler, "compile_programs", no_compiler)
    with pytest.raises(Unavailable, match="the kernel refuses"):
        Probe(0, buffer_mib=1)


def test_signals_do_not_disturb_it(compiled: BpfObject) -> None:
    """The verifier gives up when a signal waits: they come when all is loaded."""
    come: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: come.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        for _ in range(20):
            load(compiled, ProgramOptions(1 << 20)).close()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert come


def test_damaged_instructions_are_refused_or_load(compiled: BpfObject) -> None:
    """The verifier is behind all other checks: no instruction crashes the loader. Nothing is attached."""
    content = object_format.encode(compiled)
    start = content.index(compiled.programs[0].instructions)
    size = len(compiled.programs[0].instructions)
    refusals = 0
    for seed in range(60):
        chance = random.Random(seed)
        body = bytearray(content[:-32])
        for _ in range(chance.randrange(1, 4)):
            body[start + chance.randrange(size)] = chance.randrange(256)
        try:
            load(object_format.decode(bytes(body) + hashlib.sha256(body).digest()), ProgramOptions(1 << 20)).close()
        except (DataError, Unavailable) as error:
            refusals += 1
            assert "\n" not in error.message
    assert refusals


def test_a_buffer_that_the_kernel_does_not_give(compiled: BpfObject) -> None:
    with pytest.raises(Unavailable, match="the kernel doesn't create the BPF map ring") as caught:
        LoadedPrograms(compiled, ProgramOptions().constants(), {"ring": 3}, False)
    assert "\n" not in caught.value.message
