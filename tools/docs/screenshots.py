"""Takes pictures of every page: records a small build on this machine, and opens its pages in chromium.

Pictures that the documents show go to docs/pictures, the others to build/pictures.

    sudo python -m tools.docs.screenshots

Needs root, gcc, make, chromium, and playwright (of the extra `dev`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tools.cache import PROJECT
from webpf.analysis import saved_queries
from webpf.storage import data_dictionary

SHOWN = PROJECT / "docs" / "pictures"
OTHERS = PROJECT / "build" / "pictures"
WIDTH, HEIGHT = 1280, 800

MAKEFILE = """
objects := $(patsubst %.c,%.o,$(wildcard *.c))
all: program check
program: $(objects) ; gcc -o $@ $^
%.o: %.c ; gcc -O2 -c $< -o $@
check: program ; ./program; sh -c 'grep -q nothing Makefile || true'; python3 -c 'import json, email, http.client'; \\
	sh -c 'sleep 0.3; exit 3' || sh -c 'kill -SEGV $$$$' || timeout 0.4 sleep 5 || true
"""

SOURCE = """
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int part{n}(char *text) {{ regex_t r; regcomp(&r, "a*b{n}", 0); return regexec(&r, text, 0, 0, 0); }}
{main}
"""


def write_project(folder: Path, parts: int = 14) -> None:
    """Writes a C project whose make runs a few dozen processes."""
    (folder / "Makefile").write_text(MAKEFILE)
    for n in range(parts):
        main = 'int main(void) { puts("built"); return 0; }' if n == 0 else ""
        (folder / f"part{n}.c").write_text(SOURCE.format(n=n, main=main))


def record_build(folder: Path) -> Path:
    """Records `make -j2` twice, into one file."""
    db = folder / "webpf.db"
    for name in ("first build", "after a clean"):
        recorder = subprocess.Popen(
            [sys.executable, "-m", "webpf", "record", "--quiet", "--db", str(db), "--name", name], cwd=folder
        )
        while not db.exists():
            time.sleep(0.05)
        time.sleep(1.0)
        subprocess.run(["make", "-s", "-j2"], cwd=folder, check=False, env={"PATH": "/usr/bin:/bin"})
        for made in folder.glob("*.o"):
            made.unlink()
        (folder / "program").unlink(missing_ok=True)
        recorder.send_signal(signal.SIGINT)
        recorder.wait()
    return db


@contextmanager
def browsing(db: Path) -> Iterator[str]:
    """Runs `webpf browse` on a file; yields its address, which works for one browser only."""
    command = [sys.executable, "-m", "webpf", "browse", str(db), "--no-open"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            yield server.stderr.readline().split()[1]
        finally:
            server.terminate()


def take(page: Page, name: str, folder: Path) -> None:
    """Takes one picture."""
    page.screenshot(path=str(folder / f"{name}.png"))
    print(folder / f"{name}.png")


def take_tables(page: Page, site: str, make: int) -> None:
    """Takes pictures of every saved query and table. make: the pid of the build."""
    for query in saved_queries.names():
        values = f"?pid={make}" if query in ("tree", "execs", "ancestors") else ""
        page.goto(f"{site}/webpf/{query}{values}")
        take(page, query, SHOWN if query in ("lifetimes", "tree") else OTHERS)
    for name, path in [("start", "/"), ("database", "/webpf"), ("process", "/webpf/processes/20")]:
        page.goto(site + path)
        take(page, name, OTHERS)
    for table in data_dictionary.all_tables():
        page.goto(f"{site}/webpf/{table.name}")
        take(page, f"table-{table.name}", OTHERS)


def take_pictures(page: Page, site: str) -> None:
    """Takes pictures of the timeline and of Perfetto."""
    page.goto(f"{site}/-/webpf/timeline/webpf/2")
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')
    page.wait_for_timeout(1500)
    box = page.locator("#wt-main").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + 130)
    page.wait_for_timeout(300)
    take(page, "timeline", SHOWN)
    page.click("text=Open in Perfetto")
    page.wait_for_function("() => document.getElementById('wp-state').textContent.startsWith('a trace of')")
    page.frames[1].wait_for_function("() => window.app && app.trace")
    page.wait_for_timeout(3000)
    take(page, "perfetto", OTHERS)  # with all that ran on this machine


def main() -> None:
    """Records, then takes the pictures."""
    if os.geteuid() != 0:
        raise SystemExit("recording needs root: sudo make screenshots")
    for pictures in (SHOWN, OTHERS):
        pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        folder = Path(name)
        write_project(folder)
        db = record_build(folder)
        with saved_queries.run(db, saved_queries.load("lifetimes"), {}) as result:
            make = next(row[0] for row in result.rows if row[1] == "make")
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        with browsing(db) as address:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(address)
            site = address.partition("/-/")[0]
            take_tables(page, site, make)
            take_pictures(page, site)
        browser.close()


if __name__ == "__main__":
    main()
