"""Makes a small recording on this system, and writes the file to a path: what a guest of tools/compat/record.py runs.

python tools/compat/record_inside.py RESULT
"""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
for number in 1 2 3 4 5 6 7 8; do true; done
false
sh -c 'exit 3'
sh -c 'kill -9 $$'
nice env A=1 sh -c 'exec sleep 0.05'
(sleep 0.1 &)
printf '%s' "$(printf '\\377\\376')" 'two  words' "it's" > /dev/null
python3 -c 'print(sum(range(10**6)))'
"""


def main() -> None:
    """Records a shell that starts some programs, on a machine that is called guest."""
    subprocess.run(["hostname", "guest"], check=True)
    command = [sys.executable, "-m", "webpf", "record", "--db", "/tmp/webpf.db", "--", "sh", "-c", _PROGRAM]
    subprocess.run(command, check=False, cwd="/tmp")
    subprocess.run([sys.executable, "-m", "webpf", "verify", "/tmp/webpf.db"], check=True, cwd="/tmp")
    subprocess.run(["cp", "/tmp/webpf.db", sys.argv[1]], check=True)


if __name__ == "__main__":
    main()
