"""The unit file, as systemd's own programs read it; `make service` runs it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from webpf.host import service_place
from webpf.service import unit_file

analyzes = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def write(folder: Path, *options: str) -> Path:
    """Writes the unit, with a program that exists everywhere."""
    path = folder / service_place.UNIT
    path.write_text(unit_file.text(["/bin/echo"], options), encoding="utf-8")
    return path


def analyze(*arguments: str | Path) -> str:
    answer = subprocess.run(["systemd-analyze", *arguments], check=False, capture_output=True, text=True)
    return answer.stdout + answer.stderr


@analyzes
def test_systemd_has_nothing_to_say_of_it(tmp_path: Path) -> None:
    said = analyze("verify", "--man=no", write(tmp_path, "--redact", '50% of "$HOME" \\S+ ; and'))
    assert [line for line in said.splitlines() if "webpf" in line and "User=webpf" not in line] == []


@analyzes
def test_it_may_do_little(tmp_path: Path) -> None:
    """What is left are bpf(2), perf_event_open(2) and the capabilities that a recording needs."""
    said = analyze("security", "--offline=true", "--no-pager", write(tmp_path))
    found = re.search(r"Overall exposure level for webpf.service: ([\d.]+)", said)
    assert found is not None and float(found[1]) <= 1.2, said


def test_denied_calls_come_before_the_allowed_ones() -> None:
    """A later line wins: in the other order, the recorder would be killed at the first new cgroup."""
    text = unit_file.text(["webpf"], [])
    filters = re.findall(r"^SystemCallFilter=(.*)$", text, re.MULTILINE)
    assert [each.startswith("~") for each in filters] == [False, True, False]
    assert "open_by_handle_at" in filters[-1].split()


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("--no-args", "--no-args"),
        ("7d", "7d"),
        ("", '""'),
        ("two words", '"two words"'),
        (";", '";"'),
        ("a;b", '"a;b"'),
        ("it's", '"it\'s"'),
        ('"', '"\\""'),
        (r"\S+", '"\\\\S+"'),
        ("$HOME", '"$$HOME"'),
        ("50%", '"50%%"'),
        ("a\nExecStart=/bin/sh", '"a\\nExecStart=/bin/sh"'),
    ],
)
def test_words_are_quoted_as_systemd_reads_them(word: str, written: str) -> None:
    """See systemd.service(5), "Command lines"."""
    line = re.search(r"^ExecStart=(.*)$", unit_file.text(["/opt/webpf/bin/webpf"], ["--name", word]), re.MULTILINE)
    assert line is not None
    start = "/opt/webpf/bin/webpf record --db /var/lib/webpf/webpf.db --mode 0640 --name "
    assert line[1] == start + written
