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


def text(*options: str, metrics: str | None = None) -> str:
    """Returns the unit, with a program that exists everywhere."""
    return unit_file.text(unit_file.command_line(["/bin/echo"], options, metrics), metrics)


def write(folder: Path, *options: str, metrics: str | None = None) -> Path:
    """Writes the unit."""
    path = folder / service_place.UNIT
    path.write_text(text(*options, metrics=metrics), encoding="utf-8")
    return path


def analyze(*arguments: str | Path) -> str:
    answer = subprocess.run(["systemd-analyze", *arguments], check=False, capture_output=True, text=True)
    return answer.stdout + answer.stderr


@analyzes
def test_systemd_has_nothing_to_say_of_it(tmp_path: Path) -> None:
    said = analyze("verify", write(tmp_path, "--redact", '50% of "$HOME" \\S+ ; and'))
    assert [line for line in said.splitlines() if "webpf" in line and "User=webpf" not in line] == []


@analyzes
def test_it_may_do_little(tmp_path: Path) -> None:
    """What is left are bpf(2), perf_event_open(2) and the capabilities that a recording needs."""
    said = analyze("security", "--offline=true", "--no-pager", write(tmp_path))
    found = re.search(r"Overall exposure level for webpf.service: ([\d.]+)", said)
    assert found is not None and float(found[1]) <= 1.2, said


def test_denied_calls_come_before_the_allowed_ones() -> None:
    """A later line wins: in the other order, the recorder would be killed at the first new cgroup."""
    filters = re.findall(r"^SystemCallFilter=(.*)$", text(), re.MULTILINE)
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
    line = re.search(r"^ExecStart=(.*)$", text("--name", word), re.MULTILINE)
    assert line is not None
    start = "/bin/echo record --db /var/lib/webpf/webpf.db --mode 0640 --name "
    assert line[1] == start + written


@analyzes
@pytest.mark.parametrize(("metrics", "is_bounded"), [("9435", True), ("[::1]:9435", True), ("0.0.0.0:9435", False)])
def test_metrics_need_the_network(metrics: str, is_bounded: bool, tmp_path: Path) -> None:
    """Only that of this machine, if the address says so."""
    unit = write(tmp_path, "--no-args", metrics=metrics)
    lines = unit.read_text(encoding="utf-8").splitlines()
    assert lines[lines.index("Type=notify") + 1].endswith(f"--mode 0640 --metrics {metrics} --no-args")
    assert "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6" in lines and "PrivateNetwork=yes" not in lines
    assert ("IPAddressAllow=localhost" in lines, "IPAddressDeny=any" in lines) == (is_bounded, is_bounded)
    assert [line for line in analyze("verify", unit).splitlines() if "User=webpf" not in line] == []
