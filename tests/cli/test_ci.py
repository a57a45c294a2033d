"""docs/ci.md and action.yml: the shell of their steps is run, for a command that is slower, and for an equal one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import DEADLINE_SECONDS, PROJECT

ACTION = yaml.safe_load((PROJECT / "action.yml").read_text(encoding="utf-8"))
PAGE = (PROJECT / "docs" / "ci.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(PLAIN,) = (text for language, text in BLOCKS if language == "sh")
GITHUB, GITLAB = (yaml.safe_load(text) for language, text in BLOCKS if language == "yaml")

_INPUT = re.compile(r"\$\{\{ inputs\.([\w-]+) \}\}")
_BASH = ["bash", "--noprofile", "--norc", "-eo", "pipefail"]  # as GitHub's runner calls it


def environment(**more: str) -> dict[str, str]:
    """Returns the environment of a step, in which webpf is found."""
    folder = str(Path(sys.executable).parent)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WEBPF_")}
    return kept | {"PATH": f"{folder}:{os.environ['PATH']}"} | more


def run(script: str, folder: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs the shell of a step."""
    return subprocess.run(
        [*_BASH, "-c", script],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=8 * DEADLINE_SECONDS,
    )


def run_action(folder: Path, **inputs: str) -> tuple[int, dict[str, str], str]:
    """Runs the steps of the action but the first, which installs. Returns the exit code, the outputs, the summary."""
    values = {name: each.get("default", "") for name, each in ACTION["inputs"].items()} | inputs
    files = {"GITHUB_OUTPUT": str(folder / "output"), "GITHUB_STEP_SUMMARY": str(folder / "summary")}
    code = 0
    for step in ACTION["runs"]["steps"][1:]:
        own = {name: _INPUT.sub(lambda found: values[found[1]], text) for name, text in step["env"].items()}
        ended = run(step["run"], folder, own | files | {"RUNNER_TEMP": str(folder)})
        code = ended.returncode
        if code:
            break
    written = (folder / "output").read_text().splitlines() if (folder / "output").exists() else []
    summary = (folder / "summary").read_text() if (folder / "summary").exists() else ""
    return code, dict(line.split("=", 1) for line in written), summary


def test_the_action_says_what_it_takes() -> None:
    """Each input is used, each output comes from a step, and the example uses what there is."""
    text = (PROJECT / "action.yml").read_text(encoding="utf-8")
    assert set(_INPUT.findall(text)) == set(ACTION["inputs"])
    (gate,) = (step for step in GITHUB["jobs"]["speed"]["steps"] if "OWNER/webpf" in step.get("uses", ""))
    assert set(gate["with"]) <= set(ACTION["inputs"])
    needed = {name for name, each in ACTION["inputs"].items() if each.get("required")}
    assert needed <= set(gate["with"])
    assert set(re.findall(r"steps\.gate\.outputs\.(\w+)", PAGE)) <= set(ACTION["outputs"])


def test_gitlabs_script_is_the_plain_one() -> None:
    """So it is enough to run that. What differs is the name of the base, and where the comparison goes."""
    joined = [" ".join(line.split()) for line in PLAIN.replace("\\\n", " ").splitlines()]
    fetch, worktree, record, compare = (" ".join(each.split()) for each in GITLAB["speed"]["script"])
    assert joined[:3] == [fetch.replace('"$CI_MERGE_REQUEST_TARGET_BRANCH_NAME"', "main"), worktree, record]
    assert compare.replace(" | tee comment.md", " > comment.md || code=$?") in joined
    assert GITLAB["speed"]["allow_failure"] == {"exit_codes": 75}


@pytest.mark.kernel
@pytest.mark.parametrize(("seconds", "verdict"), [("0.1", {"passed", "undecided"}), ("0.3", {"failed"})])
def test_the_steps_of_the_action(seconds: str, verdict: set[str], tmp_path: Path) -> None:
    inputs: dict[str, Any] = {"prepare": "echo >> prepared", "max-runs": "5", "fail-if": "wall>50%\nfailures>0\n"}
    code, outputs, summary = run_action(tmp_path, command=f"sleep {seconds}", against="sleep 0.1", **inputs)
    assert outputs["verdict"] in verdict, summary
    assert code == (outputs["verdict"] == "failed")
    assert Path(outputs["comment"]).read_text() == summary
    assert summary.startswith("## webpf diff\n")
    assert "| wall | " in summary
    assert len((tmp_path / "prepared").read_text()) == 5  # before each run of the command alone


@pytest.mark.kernel
def test_the_plain_shell(tmp_path: Path) -> None:
    """In a clone whose branch makes the build three times as slow."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for number in (1, 3):
        (origin / "Makefile").write_text(f"all:\n\tsleep 0.{number}\nclean:\n\t@echo >> cleaned\n")
        if number == 1:
            subprocess.run([*git, "init", "-q", "-b", "main"], cwd=origin, check=True)
            subprocess.run([*git, "add", "."], cwd=origin, check=True)
            subprocess.run([*git, "commit", "-q", "-m", "base"], cwd=origin, check=True)
            subprocess.run([*git, "clone", "-q", origin, clone], check=True)
    (clone / "Makefile").write_bytes((origin / "Makefile").read_bytes())
    ended = run(PLAIN.replace("--max-runs 15", "--max-runs 5"), clone, {})
    assert ended.returncode == 1, ended.stderr
    comment = (clone / "comment.md").read_text()
    assert comment in ended.stdout
    assert "**More than allowed:** `wall>10% (+" in comment
    assert re.search(r"^\| `sleep` \| slower 1\d\d\.\d\d ms -> [34]\d\d\.\d\d ms ", comment, re.MULTILINE)
    assert len((clone / "cleaned").read_text()) == len((tmp_path / "base" / "cleaned").read_text()) == 5
