"""The root processes that serve an unprivileged recorder: they answer what they should, and refuse anything else."""

from __future__ import annotations

import marshal
import os
import random
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import DEADLINE_SECONDS, NOBODY, PROJECT, children_of, wait_until

from webpf.capture import helper_protocol as protocol
from webpf.capture.helper_client import HelperClient
from webpf.capture.helper_process import MOST_HELPERS, HelperProcesses
from webpf.host import cgroups, procfs, recording_cgroups


@pytest.fixture
def helpers() -> Iterator[HelperProcesses]:
    """One helper. At the end, it exits because the socket is closed."""
    known = children()
    processes = HelperProcesses()
    processes.fork()
    processes.ours.settimeout(DEADLINE_SECONDS)
    yield processes
    processes.ours.close()
    for pid in children() - known:
        assert os.waitpid(pid, 0)[1] == 0


def children() -> set[int]:
    """Returns the child processes of this process."""
    return set(children_of(os.getpid()))


def ask(helpers: HelperProcesses, kind: int, numbers: bytes) -> bytes:
    """Sends a request with these numbers; returns the content of the first packet of the answer."""
    helpers.ours.send(protocol.REQUEST.pack(7, kind) + numbers)
    packet = helpers.ours.recv(protocol.LONGEST_ANSWER)
    assert protocol.ANSWER.unpack_from(packet)[0] == 7
    return packet[protocol.ANSWER.size :]


def own_process() -> bytes:
    return protocol.NUMBERS[protocol.PROCESS].pack(os.getpid(), 1 << 20, 0)


def test_it_reads_a_process_as_the_recorder_itself_would(helpers: HelperProcesses) -> None:
    ids: dict[str, int] = {}
    own = procfs.read_process(os.getpid(), 0, 1 << 20, ids)
    assert own is not None
    fields, cgroup_ids = marshal.loads(ask(helpers, protocol.PROCESS, own_process()))
    assert own._replace(time_ns=fields[0]) == fields
    assert cgroup_ids == ids


def test_requests_that_are_refused(helpers: HelperProcesses) -> None:
    """Of a wrong size or kind, and of what isn't there. It still answers afterwards."""
    for kind, numbers in protocol.NUMBERS.items():
        for wrong in (b"", bytes(numbers.size - 1), bytes(numbers.size + 1), b"\xff" * protocol.LONGEST_REQUEST):
            assert ask(helpers, kind, wrong) == b""
        assert ask(helpers, kind, b"\xff" * numbers.size) == b""
        assert ask(helpers, kind, bytes(numbers.size)) == b""
    entries = protocol.MOST_DIRECTORIES * protocol.ENTRY.size
    for wrong in (b"", b"1", bytes(protocol.ENTRY.size - 1), bytes(entries + 1)):
        assert ask(helpers, protocol.DIRECTORIES, wrong) == b""
    for kind in (0, max(protocol.NUMBERS) + 1, 255):
        assert ask(helpers, kind, b"/etc/shadow") == b""
    helpers.ours.send(b"x")  # no complete head: there is no answer to it
    assert ask(helpers, protocol.PROCESS, own_process()) != b""


def test_random_requests(helpers: HelperProcesses) -> None:
    """None ends the helper; it answers each once."""
    seed = random.randrange(1 << 32)
    numbers = random.Random(seed)
    for _ in range(2000):
        kind = numbers.choice([*protocol.NUMBERS, protocol.DIRECTORIES])
        size = protocol.NUMBERS[kind].size if kind in protocol.NUMBERS else protocol.ENTRY.size
        ask(
            helpers, kind, numbers.randbytes(size if numbers.random() < 0.9 else numbers.randrange(protocol.ENTRY.size))
        )
    assert ask(helpers, protocol.PROCESS, own_process()) != b"", f"seed {seed}"


@pytest.mark.skipif(os.geteuid() != 0 or cgroups.mount_point() is None, reason="needs root and cgroup v2")
@pytest.mark.parametrize("kind", [protocol.ENTER, protocol.LEAVE, protocol.REMOVE])
@pytest.mark.parametrize("name", ["other", "webpf-{pid}-1", "webpf-1-1", "webpf-x"])
def test_cgroups_that_no_recorder_of_its_supervisor_has_made(helpers: HelperProcesses, kind: int, name: str) -> None:
    """Neither is anything moved there, nor are they removed."""
    mount = cgroups.mount_point()
    assert mount is not None
    folder = mount / f"test-{os.getpid()}"
    inner = folder / name.format(pid=os.getpid())
    inner.mkdir(parents=True)
    try:
        assert ask(helpers, kind, struct.pack("=Q", inner.stat().st_ino)) == b""
        assert (inner / "cgroup.procs").read_text() == (folder / "cgroup.procs").read_text() == ""
    finally:
        inner.rmdir()
        folder.rmdir()


@pytest.mark.skipif(os.geteuid() != 0 or cgroups.mount_point() is None, reason="needs root and cgroup v2")
def test_a_cgroup_that_the_user_has_made(helpers: HelperProcesses) -> None:
    """It has the name of a recording's cgroup, so only its owner tells."""
    mount = cgroups.mount_point()
    assert mount is not None
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as recorder:
        folder = recording_cgroups.path_below(mount, recorder.pid)
        folder.mkdir()
        try:
            number = struct.pack("=Q", folder.stat().st_ino)
            os.chown(folder, NOBODY, NOBODY)
            for kind in (protocol.ENTER, protocol.LEAVE, protocol.REMOVE):
                assert ask(helpers, kind, number) == b""
            assert (folder / "cgroup.procs").read_text() == ""
            os.chown(folder, 0, 0)
            assert ask(helpers, protocol.REMOVE, number) == protocol.DONE
            assert not folder.exists()
        finally:
            if folder.exists():
                folder.rmdir()


def test_it_ends_with_its_supervisor(helpers: HelperProcesses) -> None:
    """Also if a malicious recorder keeps the socket open. Else its parent would be init, which ENTER would move."""
    left = HelperProcesses()
    supervisor = os.fork()
    if supervisor == 0:
        left.fork()
        os._exit(0)
    assert os.waitpid(supervisor, 0)[1] == 0
    left.keep_our_end()
    left.ours.settimeout(DEADLINE_SECONDS)
    with left.ours:
        assert left.ours.recv(1) == b"", "no process has the helpers' end any more"


IMPORTS = """
import os, sys
from webpf.capture.helper_process import HelperProcesses
from webpf.capture import helper_protocol as protocol

class Finder:
    def find_spec(name, path=None, target=None):
        print("imported", name, flush=True)

helpers = HelperProcesses()
sys.meta_path.insert(0, Finder)
helpers.fork()
for kind, numbers in {**protocol.NUMBERS, protocol.DIRECTORIES: protocol.ENTRY}.items():
    others = len(numbers.unpack(bytes(numbers.size))) - 1
    for content in (numbers.pack(os.getpid(), *[1] * others), b"too short"):
        helpers.ours.send(protocol.REQUEST.pack(1, kind) + content)
        helpers.ours.recv(protocol.LONGEST_ANSWER)
"""


def test_it_reads_no_module_that_the_user_may_have_changed() -> None:
    """Of a clone in the user's folder: all is imported before the recorder stops being root."""
    environment = os.environ | {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=PROJECT, env=environment, timeout=DEADLINE_SECONDS, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.stdout == ""


def test_an_argument_list_that_needs_many_packets(helpers: HelperProcesses) -> None:
    client = HelperClient(helpers.ours, helpers.fork)
    arguments = ["/bin/sh", "-c", "read word", *("x" * 100_000 for _ in range(8))]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE) as child:
        wait_until(Path(f"/proc/{child.pid}/cmdline").read_bytes, "the exec didn't end")
        read = client.read_process(child.pid, 0, 2 << 20, {})
        shown = Path(f"/proc/{child.pid}/cmdline").read_bytes()
        child.kill()
    assert read is not None and read.argv is not None
    assert len(shown) > 800_000
    assert hash(read.argv) == hash(shown)


def test_a_helper_that_hangs_is_joined_by_another(helpers: HelperProcesses) -> None:
    """The helper is stopped. Then no request is answered, until the client starts another helper."""
    before = children()
    stopped = HelperProcesses()
    stopped.fork()
    [first] = children() - before
    os.kill(first, signal.SIGSTOP)
    try:
        client = HelperClient(stopped.ours, stopped.fork)
        read = client.read_process(os.getpid(), 0, 100, {})
        assert client.helpers == 2
        assert read is not None and read.pid == os.getpid()
    finally:
        os.kill(first, signal.SIGCONT)
        stopped.ours.close()
        for pid in children() - before:
            os.waitpid(pid, 0)


def test_there_are_never_more_than_a_few(helpers: HelperProcesses) -> None:
    known = len(children())
    for _ in range(2 * MOST_HELPERS):
        helpers.fork()
    assert len(children()) == known + MOST_HELPERS - 1


def test_directories(helpers: HelperProcesses) -> None:
    """One answer for each directory, with a path if one of the processes is in the directory with these numbers."""
    client = HelperClient(helpers.ours, helpers.fork)
    status = Path.cwd().stat()
    there = (os.major(status.st_dev) << 20 | os.minor(status.st_dev), status.st_ino)
    other = (there[0], there[1] + 1)
    pids = (0, os.getpid(), *[0] * (protocol.MOST_PIDS - 2))
    assert client.request_directories(protocol.ENTRY.pack(*there, *pids) + protocol.ENTRY.pack(*other, *pids))
    answers: list[bytes] = []
    while len(answers) < 2 and (more := client.take_directories(DEADLINE_SECONDS)):
        answers += more
    expected = os.fsencode(Path("/proc/self/cwd").readlink())
    assert answers == [protocol.DIRECTORY_ID.pack(*there) + expected, protocol.DIRECTORY_ID.pack(*other)]


SEALED = """
import os, sys
from webpf.capture import supervisor, supervisor_channel as channel

def record():
    supervised = supervisor.current()
    send = supervised.channel.send
    send(channel.SEALED)
    send(channel.PREPARE + channel.pack([b"touch", os.fsencode(sys.argv[1])], [b"/usr/bin/touch"], [], None))
    send(channel.START)
    send(channel.DONE + b"1")  # too short
    send(channel.PREPARE + b"x" * 1000)  # too long: it closes the channel
    return 5

sys.exit(supervisor.supervise(record))
"""


def test_a_supervisor_takes_no_command_from_a_recorder_that_stopped_being_root(tmp_path: Path) -> None:
    made = tmp_path / "made"
    ended = subprocess.run([sys.executable, "-c", SEALED, made], cwd=PROJECT, timeout=DEADLINE_SECONDS, check=False)
    assert ended.returncode == 5
    assert not made.exists()
