"""Makes the files of older schemas in tests/storage/old_files: records with older versions of webpf, from git.

Needs root, BCC and the whole history: `python -m tools.old_files FOLDER`. The recorders run in namespaces of their own,
in /tmp/demo on a machine called `demo`, so that the files don't show where they were made.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
COMMITS = {
    "schema-1": "f6e9cce",
    "schema-2": "6c6af42",
    "schema-3": "0f6dc49",
    "schema-4-incidents": "e5e4760",  # while it was made, the fourth schema grew: these five were never released
    "schema-4-exact-paths": "6c828d8",
    "schema-4-kept-short": "f95902a",
    "schema-4-begun": "1eff136",
    "schema-4-known-machine": "ac9a103",
    "schema-4": "8416d7a",
}
"""Name of a file, and the last commit of a webpf that makes such."""

_LARGEST = 100 << 10  # bytes

# In mount and UTS namespaces: the webpf of that time in /opt, with the packages that it needs, and an empty /tmp.
_SETTING = """set -e
hostname demo
mount -t tmpfs none /opt && mkdir /opt/webpf /opt/packages
cp -r "$1/recorder" /opt/webpf/webpf && cp -r "$1/bpf" "$1/queries" /opt/webpf/webpf
mount --bind "$2" /opt/packages && mount --bind "$3" /mnt
mount -t tmpfs none /tmp && mkdir /tmp/demo && cd /tmp/demo
export HOME=/tmp/demo PATH=/usr/sbin:/usr/bin:/sbin:/bin
unset SUDO_UID SUDO_GID SUDO_USER SUDO_COMMAND
webpf() { /usr/bin/python3 -P -c '
import runpy, sys
sys.path[:0] = ["/opt/webpf"]
sys.path.append("/opt/packages")
sys.argv[0] = "/usr/bin/webpf"
runpy.run_module("webpf", run_name="__main__")' "$@"; }
"""

# A failure, a signal, a chain of execs, arguments of odd bytes, an orphan.
_PROGRAM = r"""
true
false
sh -c 'kill -9 $$'
nice env A=1 sh -c 'exec sleep 0.05'
printf '%s' "$(printf '\377\376')" 'two  words' '' "it's" > /dev/null
env printf '%s' "$(printf '\377\376')" 'two  words' '' "it's" > /dev/null
sh -c 'exit 3'
(sleep 0.1; true) &
cd /usr && ls lib > /dev/null; cd /tmp/demo
./"$(printf 'odd\377')"
timeout 0.05 sleep 5
exit 7
"""

# A process from before the recording: the shell that waits for a line before it goes on.
_RECORDINGS = """
cat > demo.sh
printf '#!/bin/sh\\nexec true\\n' > "$(printf 'odd\\377')" && chmod +x odd*
mkfifo begin
sh -c 'read line < begin; sleep 0.1; false; sh demo.sh; exit 5' &
"""
_BY_COMMAND = """
webpf record --db old.db --name command -- sh demo.sh || true
webpf record --db old.db --name pid --duration 4 --pid $! &
"""
_OF_MACHINE = """
webpf record --db old.db --name machine --duration 4 &
"""
_END = """
until [ -s old.db ] && webpf recordings --db old.db 2> /dev/null | grep -q recording; do sleep 0.1; done
echo > begin
wait
wait
cp old.db /mnt
"""


def make(name: str, commit: str, folder: Path) -> Path:
    """Makes one file. Raises CalledProcessError if this version of webpf can't record here."""
    knows_commands = name != "schema-1"
    script = _SETTING + _RECORDINGS + (_BY_COMMAND if knows_commands else _OF_MACHINE) + _END
    packages = next((PROJECT / ".venv" / "lib").glob("python3.*")) / "site-packages"
    with tempfile.TemporaryDirectory() as scratch:
        tree, out = Path(scratch) / "tree", Path(scratch) / "out"
        tree.mkdir()
        out.mkdir()
        archive = subprocess.run(["git", "-C", PROJECT, "archive", commit], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
        command = ["unshare", "--mount", "--uts", "sh", "-c", script, "sh", *map(str, (tree, packages, out))]
        subprocess.run(command, input=_PROGRAM.encode(), check=True)
        made = folder / f"{name}.db"
        made.write_bytes((out / "old.db").read_bytes())
    with closing(sqlite3.connect(made, isolation_level=None)) as connection:
        if not knows_commands:
            _keep_ours(connection)
        connection.execute("UPDATE recordings SET kernel = substr(kernel, 1, instr(kernel || '-', '-') - 1)")
        connection.execute("VACUUM")
    if made.stat().st_size > _LARGEST:
        raise ValueError(f"{made} is too large for a file in git: {made.stat().st_size:,} bytes")
    return made


def _keep_ours(connection: sqlite3.Connection) -> None:
    """Deletes all other processes: the first version of webpf could only record the whole machine."""
    connection.execute("""CREATE TEMP TABLE ours AS
        WITH RECURSIVE tree (id) AS (
            SELECT id FROM processes WHERE args LIKE 'sh -c ''read line%'
            UNION SELECT processes.id FROM tree JOIN processes ON parent_id = tree.id)
        SELECT id FROM tree""")
    for table in ("forks", "programs", "exits", "frees", "found", "missing"):
        connection.execute(f"DELETE FROM {table} WHERE process_id IS NULL OR process_id NOT IN ours")
    connection.execute("DELETE FROM processes WHERE id NOT IN ours")
    connection.execute("UPDATE processes SET parent_id = NULL WHERE parent_id NOT IN ours")
    connection.execute("DELETE FROM cgroup_paths WHERE cgroup_id NOT IN (SELECT cgroup_id FROM processes)")
    for kind, table in (("forks", "forks"), ("execs", "programs"), ("exits", "exits"), ("frees", "frees")):
        count = f"(SELECT count(*) FROM {table})"
        connection.execute(f"UPDATE recordings SET {kind}_attempted = {count}, {kind}_written = {count}")


def main() -> None:
    """Makes all files in a folder, or only the named ones."""
    folder, *wanted = sys.argv[1:]
    for name in wanted or COMMITS:
        print(make(name, COMMITS[name], Path(folder)))


if __name__ == "__main__":
    main()
