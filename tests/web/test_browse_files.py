"""What `webpf browse` serves is exactly the file that was named, and what runs is exactly what was installed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sites import PYTHONS
from support import exit_, make_recording
from visits import browsing

PLAIN = ["ha#sh.db", "a?mode=memory.db", "per%cent.db", "%41.db", "a b&c;d.db", "ü.db", "[a-z]*.db", "~.db", "'\".db"]
CLASHING = ["_internal.db", "_memory.db", "-.db", "static.db", "no suffix", ".db", "a.b.c.db", "http:x.db"]
OPTIONS = ["--plugins-dir=evil.db", "-h", "--.db"]
HARD = ["new\nline.db", "tab\t\x1b[31m.db", os.fsdecode(b"caf\xe9.db"), os.fsdecode(b"\xff\xfe"), "\u202etxt.db"]


@pytest.mark.parametrize("version", sorted(PYTHONS))
@pytest.mark.parametrize("name", [*PLAIN, *CLASHING, *OPTIONS, *HARD])
def test_exactly_this_file(name: str, version: str, tmp_path: Path) -> None:
    """Told by its size and its process, which SQLite has written; beside it there is what it could be taken for."""
    for number, decoy in enumerate(("ha", "a", "A.db", "percent.db", "webpf.db", "b.db")):
        make_recording(tmp_path / decoy, [exit_(1000 + number, 0, 500)])
    make_recording(tmp_path / name, [exit_(4242, 0, 500), exit_(4343, 0, 700)])
    with browsing(f"./{name}", "--no-open", version=version, cwd=tmp_path) as browse:
        visitor = browse.visitor()
        status, _, where = visitor.get(browse.address)
        assert status == 200
        database = where.partition("/-/webpf/timeline/")[2].partition("/")[0]
        status, text, _ = visitor.get(f"{browse.site}/{database}/processes.json?_shape=arrays&_col=pid")
        assert (status, "4242" in text, "4343" in text) == (200, True, True)
        assert visitor.get(f"{browse.site}/{database}")[0] == 200
        assert visitor.get(f"{browse.site}/")[0] == 200
        assert visitor.get(f"{browse.site}/-/databases.json")[0] == 200
        assert visitor.get(f"{browse.site}/{database}/lifetimes")[0] == 200


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_nothing_can_be_written(built: Path, version: str) -> None:
    """A recording is looked at."""
    before = built.read_bytes()
    with browsing(built, "--no-open", version=version) as browse:
        visitor = browse.visitor()
        for path in ("/webpf?sql=delete+from+processes", "/webpf/-/query?sql=delete+from+processes"):
            visitor.get(browse.site + path)
    assert built.read_bytes() == before


def test_a_recording_that_grows_is_read(built: Path) -> None:
    """With its log beside it, whatever the file is called."""
    named = built.with_name("gr#ow?s.db")
    built.rename(named)
    with browsing(named, "--no-open") as browse, closing(sqlite3.connect(named)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE recordings SET host = 'a host that was written meanwhile'")
        connection.commit()
        assert "written meanwhile" in browse.visitor().get(f"{browse.site}/gr~23ow~3Fs/recordings.json")[1]


def installed_user_packages(folder: Path) -> dict[str, str]:
    """The environment of somebody who has webpf and Datasette as his user's packages, and no virtual environment."""
    packages = folder / ".local" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    packages.parent.mkdir(parents=True)
    packages.symlink_to(next(path for path in sys.path if path.endswith("site-packages") and sys.prefix in path))
    return {"PYTHONUSERBASE": str(folder / ".local")}


MODULES = [
    "httpx",
    "httpx2",
    "datasette",
    "uvicorn",
    "typer",
    "jinja2",
    "asyncio",
    "sqlite3",
    "signal",
    "webpf",
    "yaml",
]


@pytest.mark.parametrize("version", sorted(PYTHONS))
@pytest.mark.parametrize("how", ["current folder", "PYTHONPATH", "relative PYTHONPATH"])
def test_modules_of_strangers_do_not_run(how: str, version: str, built: Path, tmp_path: Path) -> None:
    """In a folder to which others may write."""
    if not PYTHONS[version].exists():
        pytest.skip(f"there is no Datasette {version}: make test installs it")
    trap = tmp_path / "trap"
    trap.mkdir()
    # What webpf itself is found through can't be told from it: so not webpf, nor what Python reads before any of it.
    names = MODULES if how == "current folder" else [name for name in MODULES if name not in ("webpf", "signal")]
    for name in names:
        (trap / f"{name}.py").write_text(
            f"open({str(tmp_path / 'sprung')!r}, 'a').write(__name__ + ' ')\nraise SystemExit"
        )
    shutil.copy(built, trap / "webpf.db")
    path = {"current folder": "", "PYTHONPATH": str(trap), "relative PYTHONPATH": "trap"}[how]
    cwd = tmp_path if how == "relative PYTHONPATH" else trap
    webpf = PYTHONS[version].parent / "webpf"
    command = [str(webpf), "browse", str(trap / "webpf.db"), "--no-open"]
    environment = os.environ | ({"PYTHONPATH": path} if path else {})
    with subprocess.Popen(command, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.terminate()
    sprung = tmp_path / "sprung"
    assert not sprung.exists(), sprung.read_text()
    assert "http://127.0.0.1" in line


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_as_a_module_in_a_folder_of_strangers(version: str, built: Path, tmp_path: Path) -> None:
    """`python -m` puts the current folder first: webpf takes it out before it imports anything but Python's own."""
    for name in ("httpx", "httpx2", "datasette", "uvicorn", "typer", "rich", "yaml", "sqlite_utils", "signal"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'a').write(__name__ + ' ')\n")
    with browsing(built, "--no-open", version=version, cwd=tmp_path) as browse:
        assert browse.visitor()
    sprung = tmp_path / "sprung"
    assert not sprung.exists(), sprung.read_text()


def test_packages_of_the_user_are_found(built: Path, tmp_path: Path) -> None:
    """As after `pip install --user`: an interpreter that has none of its own."""
    system = Path("/usr/bin/python3")
    if not system.exists():
        pytest.skip("no other Python")
    environment = installed_user_packages(tmp_path)
    script = "import sys; sys.argv[0] = 'webpf'; from webpf.__main__ import main; main()"
    without = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(system), "-c", script, "browse", str(built), "--no-open"]
    with subprocess.Popen(command, env=without | environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.terminate()
    assert "http://127.0.0.1" in line


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9.db"), "new\nline.db", "--port.db"])
def test_a_file_that_is_no_recording(name: str, tmp_path: Path) -> None:
    """One line, also of such names."""
    (tmp_path / name).write_bytes(b"text")
    command = [sys.executable, "-m", "webpf", "browse", f"./{name}", "--no-open"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    assert (answer.returncode, answer.stderr.count(b"\n")) == (65, 1)
