"""`webpf browse` serves exactly the given file, and imports only installed modules."""

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

SPECIAL_CHARACTERS = [
    "ha#sh.db",
    "a?mode=memory.db",
    "per%cent.db",
    "%41.db",
    "a b&c;d.db",
    "ü.db",
    "[a-z]*.db",
    "~.db",
    "'\".db",
]
RESERVED = ["_internal.db", "_memory.db", "-.db", "static.db", "no suffix", ".db", "a.b.c.db", "http:x.db"]
LIKE_OPTIONS = ["--plugins-dir=evil.db", "-h", "--.db"]
UNPRINTABLE = ["new\nline.db", "tab\t\x1b[31m.db", os.fsdecode(b"caf\xe9.db"), os.fsdecode(b"\xff\xfe"), "\u202etxt.db"]


@pytest.mark.parametrize("version", sorted(PYTHONS))
@pytest.mark.parametrize("name", [*SPECIAL_CHARACTERS, *RESERVED, *LIKE_OPTIONS, *UNPRINTABLE])
def test_serves_exactly_this_file(name: str, version: str, tmp_path: Path) -> None:
    """The pids in the answer show which file is served. Files with similar names are in the same folder."""
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
def test_the_file_is_not_changed(built: Path, version: str) -> None:
    """SQL that writes has no effect on it."""
    before = built.read_bytes()
    with browsing(built, "--no-open", version=version) as browse:
        visitor = browse.visitor()
        for path in ("/webpf?sql=delete+from+processes", "/webpf/-/query?sql=delete+from+processes"):
            visitor.get(browse.site + path)
    assert built.read_bytes() == before


def test_changes_in_the_wal_are_shown(built: Path) -> None:
    """Even if the file's name needs quoting."""
    named = built.with_name("gr#ow?s.db")
    built.rename(named)
    with browsing(named, "--no-open") as browse, closing(sqlite3.connect(named)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE recordings SET host = 'a host that was written meanwhile'")
        connection.commit()
        assert "written meanwhile" in browse.visitor().get(f"{browse.site}/gr~23ow~3Fs/recordings.json")[1]


def user_site_environment(folder: Path) -> dict[str, str]:
    """Returns an environment in which webpf and Datasette are in the user's site-packages."""
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
def test_foreign_modules_are_not_imported(how: str, version: str, built: Path, tmp_path: Path) -> None:
    """Modules with the names of webpf's dependencies, where other users could put them, are not imported."""
    if not PYTHONS[version].exists():
        pytest.skip(f"there is no Datasette {version}: make test installs it")
    trap = tmp_path / "trap"
    trap.mkdir()
    # PYTHONPATH may be how Python finds webpf itself, so `webpf` and modules that are imported before it are left out.
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
def test_python_m_does_not_import_foreign_modules(version: str, built: Path, tmp_path: Path) -> None:
    """`python -m` puts the current folder first in the search path; webpf removes it before other imports."""
    for name in ("httpx", "httpx2", "datasette", "uvicorn", "typer", "rich", "yaml", "sqlite_utils", "signal"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'a').write(__name__ + ' ')\n")
    with browsing(built, "--no-open", version=version, cwd=tmp_path) as browse:
        assert browse.visitor()
    sprung = tmp_path / "sprung"
    assert not sprung.exists(), sprung.read_text()


def test_user_site_packages_are_used(built: Path, tmp_path: Path) -> None:
    """As after `pip install --user`, with an interpreter that has no packages of its own."""
    system = Path("/usr/bin/python3")
    if not system.exists():
        pytest.skip("no other Python")
    environment = user_site_environment(tmp_path)
    script = "import sys; sys.argv[0] = 'webpf'; from webpf.__main__ import main; main()"
    without = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(system), "-c", script, "browse", str(built), "--no-open"]
    with subprocess.Popen(command, env=without | environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.terminate()
    assert "http://127.0.0.1" in line


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9.db"), "new\nline.db", "--port.db"])
def test_a_file_that_is_not_a_recording(name: str, tmp_path: Path) -> None:
    """The error is one line, even with such a name."""
    (tmp_path / name).write_bytes(b"text")
    command = [sys.executable, "-m", "webpf", "browse", f"./{name}", "--no-open"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    assert (answer.returncode, answer.stderr.count(b"\n")) == (65, 1)
