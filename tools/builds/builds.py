"""Records real builds with `webpf record --`, checks them against their own logs, and writes docs/builds.md.

sudo python -m tools.builds.builds [NAME ...]
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from datetime import datetime, timezone
from pathlib import Path

from playwright.sync_api import sync_playwright

from tools.builds import logs
from tools.builds.projects import FOLDER, PROJECTS, Project
from tools.cache import PROJECT, run
from tools.docs import screenshots

DOCUMENT = PROJECT / "docs" / "builds.md"
BEGIN, END = "<!-- tools/builds/builds.py: begin -->\n", "<!-- tools/builds/builds.py: end -->\n"
WEBPF = str(Path(sys.executable).parent / "webpf")
WIDTH = 118
PICTURES = ("configure", "cmake", "failing")


def record(project: Project) -> Path:
    """Builds under webpf; returns the recording. Raises SystemExit if the exit code changes, or events are lost."""
    db = FOLDER / f"{project.name}.db"
    db.unlink(missing_ok=True)
    project.prepare()
    project.build(WEBPF, "record", "--quiet", "--db", str(db), "--name", project.name, "--")
    run(WEBPF, "verify", db)
    return db


def tell(project: Project, db: Path) -> str:
    """Prints the checks of a build, and returns its section of the document."""
    checks = logs.compare(project.name, db)
    for check in checks:
        print(
            f"{'ok' if check.agrees else 'DIFFERS':8} {project.name}: {check.what}: {check.logged} / {check.recorded}"
        )
    report = run(WEBPF, "report", db).replace(f"{FOLDER}/{project.name}", "...")
    report = re.sub(r" /\S*\.\.\.$", " ...", report, flags=re.MULTILINE)  # command lines that the report has cut
    lines = [line if len(line) <= WIDTH else line[: WIDTH - 3] + "..." for line in report.splitlines()]
    table = "".join(f"| {check.what} | {check.logged} | {check.recorded} |\n" for check in checks)
    command = shlex.join(project.command).replace(str(FOLDER), "...").strip()
    text = f"## {project.title}\n\n" + "".join(f"    {line}\n" for line in command.splitlines()) + "\n"
    text += f"| in its own log | logged | recorded |\n|---|---|---|\n{table}\n`webpf report`:\n\n"
    text += "".join(f"    {line}\n" for line in lines) + "\n"
    if project.name in PICTURES:
        text += f"![Its timeline](pictures/build-{project.name}.png)\n\n"
    return text


def picture(name: str, db: Path) -> None:
    """Takes the picture of the timeline of a build."""
    with sync_playwright() as driver, screenshots.browsing(db) as site:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(f"{site}/-/webpf/timeline/{name}/1")
        page.wait_for_selector('#webpf-timeline[data-ready="1"]')
        page.wait_for_timeout(1500)
        screenshots.take(page, f"build-{name}", screenshots.SHOWN)
        browser.close()


def main(names: list[str]) -> None:
    """Records all builds and writes the document, or records some builds without writing it."""
    sections = []
    for project in PROJECTS:
        if names and project.name not in names:
            continue
        db = record(project)
        sections.append(tell(project, db))
        if project.name in PICTURES:
            picture(project.name, db)
    if names:
        return
    tools = "; ".join(run(tool, "--version").splitlines()[0] for tool in ("gcc", "cmake", "make"))
    today = datetime.now(timezone.utc).date().isoformat()
    head = f"{today}, Linux {platform.release()}, {os.cpu_count()} cores; {tools}.\n\n"
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(before + BEGIN + head + "".join(sections) + END + rest.partition(END)[2])


if __name__ == "__main__":
    main(sys.argv[1:])
