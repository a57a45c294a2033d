"""Where -o writes: directly to devices, pipes and descriptors, through links, and atomically to files."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import DEADLINE_SECONDS, NOBODY, disposition, wait_until, webpf_command

from webpf.errors import CannotCreate, UsageError
from webpf.fleet import tree
from webpf.storage import atomic_file

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make devices, mounts and others' files")
CSV = ("export", "--to", "csv")


@pytest.fixture(autouse=True)
def _without_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests themselves may run under sudo."""
    for name in ("SUDO_UID", "SUDO_GID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def expected(built: Path, webpf: Webpf) -> str:
    """The export as written to standard output."""
    return webpf(*CSV, built).stdout


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Path]:
    """A sticky folder like /tmp, in which other users may write."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o1777)
        yield Path(folder)


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a bash script in a folder, with a function `webpf` that calls webpf."""
    define = f'webpf() {{ {" ".join(webpf_command())} "$@"; }}\n'
    return subprocess.run(
        ["bash", "-c", define + script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * DEADLINE_SECONDS,
    )


@needs_root
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_device_is_not_replaced(force: list[str], built: Path, webpf: Webpf, tmp_path: Path) -> None:
    """The test makes a second /dev/null, so that the real one is not at risk."""
    device = tmp_path / "null"
    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    ended = webpf(*CSV, built, "-o", device, *force)
    assert (ended.returncode, ended.stderr) == (0, "")
    merged = webpf("merge", built, "-o", device, *force)
    assert (merged.returncode, len(merged.stderr.splitlines()), "--force" in merged.stderr) == (73, 1, False)
    status = device.stat()
    assert (stat.S_ISCHR(status.st_mode), status.st_rdev) == (True, os.makedev(1, 3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["null", "webpf.db"]


def test_descriptors_are_written_to(expected: str, tmp_path: Path) -> None:
    """At their current position: the content before it is kept."""
    ended = shell(
        """
        webpf export --to csv -o /dev/stdout | cat > piped
        echo before > appended; webpf export --to csv -o /dev/stdout >> appended
        webpf export --to csv -o /dev/fd/3 3> third
        exec {out}> >(gzip > zipped.gz; echo > done); webpf export --to csv -o /dev/fd/$out; exec {out}>&-
        ln -s /proc/self/fd/1 link; webpf export --to csv -o link > linked
        while ! [ -e done ]; do sleep 0.05; done
        """,
        tmp_path,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    for name in ("piped", "third", "linked"):
        assert (tmp_path / name).read_text() == expected, name
    assert (tmp_path / "appended").read_text() == "before\n" + expected
    assert gzip.decompress((tmp_path / "zipped.gz").read_bytes()).decode() == expected
    assert (tmp_path / "link").is_symlink()


def test_a_descriptor_that_can_not_be_written(built: Path, tmp_path: Path) -> None:
    for words, code in (("/dev/fd/9", 73), ("/dev/fd/4 4< /dev/null", 74)):
        ended = shell(f"webpf export --to csv -o {words}", tmp_path)
        assert (ended.returncode, len(ended.stderr.splitlines())) == (code, 1), ended


def test_a_pipe_is_written_to(expected: str, built: Path, webpf: Webpf, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        ended = webpf(*CSV, built, "-o", "pipe")
        assert (ended.returncode, reader.communicate(timeout=DEADLINE_SECONDS)[0]) == (0, expected)
    assert (tmp_path / "pipe").is_fifo()


def test_waiting_for_a_reader_of_a_pipe_can_be_interrupted(built: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (
        disposition(signal.SIGTERM, signal.SIG_DFL),
        subprocess.Popen(
            [*webpf_command(), *CSV, str(built), "-o", "pipe"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        # It blocks in open(). https://man7.org/linux/man-pages/man5/proc_pid_wchan.5.html
        wait_until(lambda: "wait_for_partner" in wchan(process.pid), "it doesn't wait for a reader")
        process.terminate()
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert (process.returncode, len(errors.splitlines())) == (128 + signal.SIGTERM, 1)
    assert (tmp_path / "pipe").is_fifo()


def wchan(pid: int) -> str:
    """Returns the kernel function in which a process sleeps."""
    return Path(f"/proc/{pid}/wchan").read_text()


@pytest.mark.parametrize("kind", ["socket", "directory", "block device"])
def test_paths_that_can_not_be_outputs(kind: str, built: Path, webpf: Webpf, tmp_path: Path) -> None:
    """No hint suggests --force, which would replace them."""
    out = tmp_path / "out"
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(out))
    elif kind == "directory":
        out.mkdir()
    elif os.geteuid() != 0:
        pytest.skip("only root can make devices")
    else:
        os.mknod(out, 0o600 | stat.S_IFBLK, os.makedev(7, 77))
    before = out.lstat()
    for command in (CSV, ("merge",)):
        for force in ([], ["--force"]):
            ended = webpf(*command, built, "-o", out, *force)
            assert (ended.returncode, len(ended.stderr.splitlines())) == (73, 1), ended
            assert "--force" not in ended.stderr
            assert f"is a {kind}" in ended.stderr
    assert os.path.samestat(out.lstat(), before)


def test_a_link_is_followed_and_kept(expected: str, built: Path, webpf: Webpf, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("folder/file")
    assert webpf(*CSV, built, "-o", "one").returncode == 0
    file = tmp_path / "folder" / "file"
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (expected, 0o600)
    assert webpf(*CSV, built, "-o", "one").returncode == 64
    file.write_text("mine")
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 12345, 23456)
    assert webpf(*CSV, built, "-o", "one", "--force").returncode == 0
    status = file.stat()
    assert (file.read_text(), stat.S_IMODE(status.st_mode)) == (expected, 0o640)
    if os.geteuid() == 0:
        assert (status.st_uid, status.st_gid) == (12345, 23456)
    assert ((tmp_path / "one").readlink(), (tmp_path / "two").readlink()) == (Path("two"), Path("folder/file"))
    assert webpf("merge", built, "-o", "one", "--force").returncode == 0
    assert file.read_bytes().startswith(b"SQLite format 3\0")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@needs_root
@pytest.mark.parametrize("command", [CSV, ("merge",)])
def test_links_of_other_users_are_not_followed(
    command: tuple[str, ...], built: Path, webpf: Webpf, foreign: Path
) -> None:
    """Neither a link to a file nor one in a parent folder is followed, and a pipe of another user is not written to."""
    victim = foreign / "folder" / "victim"
    victim.parent.mkdir()
    victim.write_text("mine")
    (foreign / "link").symlink_to(victim)
    (foreign / "new").symlink_to(foreign / "folder" / "new")
    (foreign / "own").symlink_to("link")
    (foreign / "way").symlink_to(foreign / "folder")
    os.mkfifo(foreign / "pipe")
    for name in ("link", "new", "way", "pipe"):
        os.lchown(foreign / name, NOBODY, NOBODY)
    for name in ("link", "new", "own", "way/victim", "way/new", "pipe"):
        ended = webpf(*command, built, "-o", foreign / name, "--force")
        assert (ended.returncode, len(ended.stderr.splitlines())) == (73, 1), (name, ended)
    assert (victim.read_text(), list(victim.parent.iterdir())) == ("mine", [victim])


def test_a_temporary_file_that_was_replaced_is_refused(tmp_path: Path) -> None:
    """Somebody who may write in the folder replaces the temporary file with a link."""
    (tmp_path / "victim").write_text("mine")

    def write() -> None:
        with atomic_file.open_output(tmp_path / "out", replaces=False) as out:
            [made] = tmp_path.glob(".webpf-*")
            made.unlink()
            made.symlink_to("victim")
            out.write(b"secret")

    with pytest.raises(CannotCreate):
        write()
    assert (tmp_path / "victim").read_text() == "mine"
    assert list(tmp_path.iterdir()) == [tmp_path / "victim"]


MEANWHILE = """
import pathlib, sys
from webpf.storage import atomic_file
from webpf.errors import UsageError
def write(meanwhile):
    with atomic_file.open_output(pathlib.Path("out"), replaces=False) as out:
        out.write(b"ours")
        if meanwhile: pathlib.Path("out").write_text("theirs")
try: write(True)
except UsageError: print("refused", pathlib.Path("out").read_text())
pathlib.Path("out").unlink()
write(False)
print(pathlib.Path("out").read_text(), [each.name for each in pathlib.Path().iterdir()])
"""


def check_meanwhile(before: list[str], folder: Path) -> None:
    """Checks that a file which appears at the path during the write is never replaced."""
    script = [sys.executable, "-c", MEANWHILE]
    ended = subprocess.run([*before, *script], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines() == ["refused theirs", "ours ['out']"], ended


@pytest.mark.parametrize(
    "missing",
    [(), ("renameat2:error=EINVAL",), ("renameat2:error=ENOSYS", "link,linkat:error=EPERM")],
    ids=["all there", "no rename without replacing", "no hard links"],
)
def test_a_file_that_appears_meanwhile_is_kept(missing: tuple[str, ...], tmp_path: Path) -> None:
    if missing and not shutil.which("strace"):
        pytest.skip("no strace, which makes system calls fail")
    injected = [word for each in missing for word in ("-e", f"inject={each}")]
    check_meanwhile(["strace", "-f", "-qq", "-o", "/dev/null", *injected] if missing else [], tmp_path)


@pytest.fixture(params=["exfat"])
def without_links(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A mounted file system without hard links, owners and modes."""
    kind = request.param
    if os.geteuid() != 0 or not shutil.which(f"mkfs.{kind}"):
        pytest.skip(f"not root, or no mkfs.{kind}")
    image, folder = tmp_path / "image", tmp_path / "mounted"
    image.write_bytes(bytes(16 << 20))
    folder.mkdir()
    subprocess.run([f"mkfs.{kind}", image], check=True, capture_output=True)
    attached = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=False)
    if attached.returncode != 0:
        pytest.skip(f"no loop device: {attached.stderr}")
    device = attached.stdout.strip()
    # For exfat, mount uses the kernel's driver or FUSE.
    mounted = subprocess.run(["mount", "-t", kind, device, folder], capture_output=True, text=True, check=False)
    if mounted.returncode != 0 and kind == "exfat" and shutil.which("mount.exfat-fuse"):
        mounted = subprocess.run(["mount.exfat-fuse", device, folder], capture_output=True, text=True, check=False)
    try:
        if mounted.returncode != 0:
            pytest.skip(f"no {kind} here: {mounted.stderr.strip()}")
        yield folder
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        subprocess.run(["losetup", "-d", device], check=True)


def test_without_hard_links(expected: str, built: Path, webpf: Webpf, without_links: Path) -> None:
    (without_links / "a").touch()
    with pytest.raises(OSError):
        os.link(without_links / "a", without_links / "b")
    (without_links / "a").unlink()
    check_meanwhile([], without_links)
    out = without_links / "out"
    assert [webpf(*CSV, built, "-o", out, *force).returncode for force in ([], ["--force"])] == [64, 0]
    assert out.read_text() == expected
    assert webpf("merge", built, "-o", without_links / "all.db").returncode == 0
    assert webpf("verify", without_links / "all.db").returncode == 0
    assert webpf("export", built, "--to", "parquet", "-o", without_links / "tree").returncode == 0
    assert len(list((without_links / "tree").rglob("*.parquet"))) == len(tree.TABLES)
    assert sorted(path.name for path in without_links.iterdir()) == ["all.db", "out", "tree"]


@needs_root
@pytest.mark.parametrize(("options", "code"), [("size=4k", 74), ("ro", 73)])
def test_a_full_and_a_read_only_file_system(options: str, code: int, built: Path, tmp_path: Path) -> None:
    """In a mount of its own: each command reports one line, and leaves no file."""
    ended = shell(
        f"""
        mkdir mounted; mount -t tmpfs -o {options} none mounted; trap "umount mounted" EXIT
        for command in "export --to ndjson" "export --to parquet" merge; do
            webpf $command webpf.db -o mounted/out; echo $? $(find mounted | wc -l)
        done
        """,
        tmp_path,
    )
    assert ended.stdout.splitlines() == [f"{code} 1"] * 3, ended
    assert len(ended.stderr.splitlines()) == 3


def test_a_full_device(built: Path, webpf: Webpf) -> None:
    ended = webpf(*CSV, built, "-o", "/dev/full")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (74, 1)
    assert Path("/dev/full").is_char_device()


def test_no_folder_and_names_that_are_too_long(built: Path, webpf: Webpf, tmp_path: Path) -> None:
    for command in (CSV, ("merge",)):
        for name in ("no such/file", "x" * 300, "webpf.db/file"):
            ended = webpf(*command, built, "-o", name)
            assert (ended.returncode, len(ended.stderr.splitlines())) == (73, 1), ended
        hint = webpf(*command, built, "-o", "no such/file").stderr.rpartition("try: ")[2]
        assert shell(hint, tmp_path).returncode == 0
        assert webpf(*command, built, "-o", "no such/file").returncode == 0
        shutil.rmtree(tmp_path / "no such")
    assert webpf(*CSV, built, "-o", "x" * 255).returncode == 0  # the longest allowed name


def test_the_recording_itself_is_no_output(built: Path, webpf: Webpf, tmp_path: Path) -> None:
    before = built.read_bytes()
    (tmp_path / "link").symlink_to(built.name)
    for name in (built.name, "link"):
        assert webpf(*CSV, built, "-o", name, "--force").returncode == 64
    assert built.read_bytes() == before


def test_a_leftover_log_is_not_used_for_the_new_file(built: Path, webpf: Webpf, tmp_path: Path) -> None:
    (tmp_path / "all.db-wal").write_text("of another")
    for force in ([], ["--force"]):
        ended = webpf("merge", built, "-o", "all.db", *force)
        assert (ended.returncode, len(ended.stderr.splitlines())) == (73, 1)
    assert (tmp_path / "all.db-wal").read_text() == "of another"


def test_a_folder_of_a_tree_that_is_a_device(built: Path, webpf: Webpf) -> None:
    ended = webpf("export", built, "--to", "parquet", "-o", "/dev/null")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (73, 1)
    assert Path("/dev/null").is_char_device()


def test_an_existing_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError), atomic_file.open_output(tmp_path / "out", replaces=False):
        pass
    assert (tmp_path / "out").read_text() == "mine"
