"""The cache of BPF programs and offsets: what can't be trusted, or is damaged, is not used, and the log says so."""

from __future__ import annotations

import logging
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bpf_objects import an_object
from private_folder import private_folder
from support import NOBODY

from webpf.errors import Unavailable
from webpf.kernel import bpf_source, btf, compiler, object_cache, object_format, program_source

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of other users")
CONTENT = object_format.encode(an_object())


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The cache, empty, and no object that is installed with webpf."""
    with private_folder() as folder:
        monkeypatch.setattr(object_cache, "_SYSTEM", folder / "webpf")
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
        monkeypatch.delenv(program_source.VARIABLE, raising=False)
        monkeypatch.setattr(program_source, "packaged_path", lambda: folder / "none")
        yield folder / "webpf"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What --verbose would show."""
    caplog.set_level(logging.INFO, "webpf")
    return caplog


def path_of_object() -> Path:
    """Where the object is kept."""
    path = object_cache.object_path()
    assert path is not None
    return path


def test_what_is_kept_is_found(cache: Path) -> None:
    assert program_source.find_stored() is None
    object_cache.keep_object(CONTENT)
    found = program_source.find_stored()
    assert found is not None and found.compiled == an_object()
    assert str(cache) in found.origin


@is_root
def test_root_reads_nothing_of_the_environment(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/tmp/of the user")
    monkeypatch.setenv("HOME", "/tmp/of the user")
    assert object_cache.folder() == cache


def test_the_users_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for xdg, home, expected in (
        ("/a/cache", "/homes/x", "/a/cache/webpf"),
        ("", "/homes/x", "/homes/x/.cache/webpf"),
        ("relative", "/homes/x", "/homes/x/.cache/webpf"),
        ("", "", None),
        ("", "relative", None),
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", xdg)
        monkeypatch.setenv("HOME", home)
        assert object_cache.folder() == (None if expected is None else Path(expected))


def make_fifo(path: Path) -> None:
    """A FIFO in its place."""
    path.unlink()
    os.mkfifo(path)


def plant(path: Path) -> None:
    """A link to another's file."""
    target = path.with_name("target")
    path.rename(target)
    path.symlink_to(target)


@is_root
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: os.chown(path, NOBODY, NOBODY), "belongs to another user"),
        (lambda path: path.chmod(0o664), "can be written by other users"),
        (lambda path: path.chmod(0o646), "can be written by other users"),
        (lambda path: os.chown(path.parent, NOBODY, NOBODY), "belongs to another user"),
        (lambda path: path.parent.chmod(0o775), "can be written by other users"),
        (lambda path: path.parent.chmod(0o1777), "can be written by other users"),
        (plant, "symbolic links"),
        (make_fifo, "not a regular file"),
        (lambda path: path.write_bytes(CONTENT[:1000]), "checksum"),
        (lambda path: path.write_bytes(b""), "no BPF object"),
        (lambda path: path.write_bytes(bytes(2 << 20)), "too large"),
        (lambda path: path.write_bytes(object_format.encode(an_object("big"))), "big-endian"),
        (
            lambda path: path.write_bytes(object_format.encode(replace(an_object(), source_hash=bytes(32)))),
            "another version of webpf",
        ),
    ],
)
def test_odd_things_in_the_cache(
    spoil: Callable[[Path], object], words: str, cache: Path, log: pytest.LogCaptureFixture
) -> None:
    """It is not used, but compiled again; and that says why."""
    object_cache.keep_object(CONTENT)
    spoil(path_of_object())
    assert program_source.find_stored() is None
    assert words in log.text


@is_root
def test_a_folder_that_can_not_be_written(cache: Path, log: pytest.LogCaptureFixture) -> None:
    cache.write_text("not a folder")
    object_cache.keep_object(CONTENT)
    assert f"the cache {cache} can't be written" in log.text


def test_no_folder_at_all(cache: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_cache, "folder", lambda: None)
    object_cache.keep_object(CONTENT)
    assert program_source.find_stored() is None
    assert "there is no cache" in log.text


@pytest.mark.skipif(not btf.VMLINUX.exists(), reason="this kernel has no BTF")
def test_offsets_are_kept_for_the_kernel(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if object_cache.read_build_id() is None:
        pytest.skip("this kernel has no build id")
    values = object_cache.read_constants()
    assert values == btf.read_constants()
    with monkeypatch.context() as patch:
        patch.setattr(btf, "read_constants", lambda: pytest.fail("BTF is read again"))
        assert object_cache.read_constants() == values
    # Another kernel, or a damaged file: BTF is read.
    [kept] = cache.glob("kernel-*")
    whole = kept.read_bytes()
    damaged = [whole[:size] for size in range(0, len(whole), 7)]
    damaged += [whole.replace(b"OFF_TASK_PID", b"OFF_TASK_PIG"), whole + b"x", whole.replace(b" ", b" -"), b"\xff" * 99]
    for content in damaged:
        kept.write_bytes(content)
        assert object_cache.read_constants() == values
        assert kept.read_bytes() == whole
    monkeypatch.setattr(object_cache, "read_build_id", lambda: "ab12")
    assert object_cache.read_constants() == values
    assert len(list(cache.glob("kernel-*"))) == 2


def note(name: bytes, kind: int, content: bytes) -> bytes:
    """One ELF note."""
    padded = [each + bytes(-len(each) % 4) for each in (name, content)]
    return struct.pack("=3I", len(name), len(content), kind) + b"".join(padded)


def test_build_ids(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    own = note(b"GNU\0", 3, bytes(range(20)))
    for content, expected in (
        (own, bytes(range(20)).hex()),
        (note(b"Linux\0", 257, b"\1") + note(b"GNU\0", 1, b"1234") + own, bytes(range(20)).hex()),
        (note(b"Xen\0", 3, b"12345678"), None),
        (note(b"GNU\0", 3, b""), None),
        (own[:15], ""),
        (b"", None),
        (b"\xff" * 50, None),
    ):
        notes.write_bytes(content)
        assert object_cache.read_build_id(notes) == (expected or None) or expected == ""
    assert object_cache.read_build_id(tmp_path / "none") is None


def test_the_build_id_is_that_of_the_notes() -> None:
    """As the tool that reads ELF notes shows it, where the kernel has one."""
    own = object_cache.read_build_id()
    assert own is None or (len(own) >= 16 and bytes.fromhex(own) in Path("/sys/kernel/notes").read_bytes())


def test_the_object_of_the_package_goes_first(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = cache.parent / "installed"
    installed.write_bytes(CONTENT)
    monkeypatch.setattr(program_source, "packaged_path", lambda: installed)
    found = program_source.find_stored()
    assert found is not None and str(installed) in found.origin


def test_an_object_of_the_package_that_does_not_fit(
    cache: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache is next."""
    installed = cache.parent / "installed"
    installed.write_bytes(object_format.encode(replace(an_object(), source_hash=bytes(32))))
    monkeypatch.setattr(program_source, "packaged_path", lambda: installed)
    object_cache.keep_object(CONTENT)
    found = program_source.find_stored()
    assert found is not None and str(cache) in found.origin
    assert f"{installed} is not used: it was compiled by another version of webpf" in log.text


@pytest.mark.parametrize("is_behind_sudo", [False, True])
@is_root
def test_the_environment_under_sudo(is_behind_sudo: bool, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = cache.parent / "chosen"
    chosen.write_bytes(CONTENT)
    monkeypatch.setenv(program_source.VARIABLE, str(chosen))
    if is_behind_sudo:
        monkeypatch.setenv("SUDO_UID", "1000")
        assert program_source.chosen_file(None) is None
        assert program_source.chosen_file(chosen) == chosen
    else:
        assert program_source.find().origin == str(chosen)


@pytest.mark.kernel
def test_compiling_twice_gives_the_same() -> None:
    """And BCC stays out of this process."""
    contents = {compiler.compile_programs()[0] for _ in range(2)}
    assert len(contents) == 1
    compiled = object_format.decode(contents.pop())
    assert compiled.source_hash == bpf_source.source_hash()
    used = {name for program in compiled.programs for name in program.constants.values()}
    assert used == set(bpf_source.CONSTANTS)
    assert compiled.license == "Dual BSD/GPL"
    maps = Path("/proc/self/maps").read_text()
    assert "libbcc" not in maps and "libLLVM" not in maps


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"int webpf_fork(void *ctx) { return nonsense; }", "error: use of undeclared identifier"),
        (b"#error out of order", "error: out of order"),
    ],
)
def test_a_compiler_that_fails(source: bytes, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, with what clang says; --verbose has all of it."""
    broken = f"import webpf.kernel.bpf_source as s; s.source = lambda: {source!r}; "
    monkeypatch.setattr(compiler, "_PROGRAM", compiler._PROGRAM.replace("from webpf", broken + "from webpf", 1))
    with pytest.raises(Unavailable, match=words) as caught:
        compiler.compile_programs()
    assert "\n" not in caught.value.message


@pytest.mark.kernel
def test_a_compiler_that_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_PROGRAM", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(Unavailable, match="it was ended by SIGKILL"):
        compiler.compile_programs()
    monkeypatch.setattr(compiler, "_PROGRAM", "print('nonsense')")
    with pytest.raises(Unavailable, match="can't be used: it is no BPF object"):
        compiler.compile_programs()
    subprocess.run(["true"], check=True)  # the process can still start others
