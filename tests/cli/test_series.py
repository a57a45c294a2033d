"""webpf record --runs: a command is recorded several times, perhaps in turn with another one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import DEADLINE_SECONDS, wait_until, webpf_command

from webpf.model.series import SeriesRun

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
Query = Callable[..., list[dict[str, Any]]]

RUNS = "SELECT id, name, run, run_group, status, options FROM recordings ORDER BY id"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--runs", "3"], 64),
        (["--runs", "0", "--", "true"], 64),
        (["--runs", "many", "--", "true"], 64),
        (["--runs", "auto", "--max-runs", "4", "--", "true"], 64),
        (["--runs", "auto", "--to-decide", "wall", "--", "true"], 64),
        (["--runs", "2", "--to-decide", "wall>5%", "--", "true"], 64),
        (["--runs", "2", "--warmup", "-1", "--", "true"], 64),
        (["--prepare", "make clean", "--", "true"], 64),
        (["--against", "true", "--", "true"], 64),
        (["--runs", "2", "--against", "a '", "--", "true"], 64),
        (["--runs", "2", "--against", " ", "--", "true"], 64),
        (["--runs", "2", "--against", "true", "--name", "base", "--", "true"], 64),
        (["--runs", "2", "--prepare", "a", "--prepare", "b", "--", "true"], 64),
        (["--runs", "2", "--rotate", "1h", "--", "true"], 64),
        (["--runs", "2", "--metrics", "9100", "--", "true"], 64),
        (["--runs", "2", "--", "./nothing"], 127),
        (["--runs", "2", "--against", "./nothing", "--", "true"], 127),
    ],
)
def test_refusals(arguments: list[str], code: int, webpf: Webpf, tmp_path: Path) -> None:
    ended = webpf("record", *arguments)
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (code, "", 1), ended.stderr
    assert ("; try: " in ended.stderr) == (code == 64)
    assert not [*tmp_path.iterdir()]


def test_the_text_of_a_run() -> None:
    for run in (SeriesRun("abc", 3, 5), SeriesRun("abc", 1, 0, True)):
        assert SeriesRun.parse(run.text) == run
    assert SeriesRun.parse("none") is None
    assert [SeriesRun("a", 2, 5).label("pr"), SeriesRun("a", 2, 0).label(None)] == ["run 2 of 5 (pr)", "run 2"]


@pytest.mark.kernel
def test_runs_are_recordings_of_one_group(webpf: Webpf, query: Query, tmp_path: Path) -> None:
    log = tmp_path / "log"
    prepare = ["--prepare", f"echo prepare >> {log}", "--warmup", "1"]
    ended = webpf("record", "--runs", "2", "--name", "pr", *prepare, "--", "/bin/sh", "-c", f"echo run >> {log}")
    assert ended.returncode == 0, ended.stderr
    assert log.read_text().split() == ["prepare", "run"] * 3
    rows = query(RUNS)
    assert [(row["name"], row["run"], row["status"]) for row in rows] == [("pr", 1, "complete"), ("pr", 2, "complete")]
    assert len({row["run_group"] for row in rows}) == 1
    # Neither the preparation nor the warmup is in a recording.
    assert query("SELECT recording_id, count(*) AS n FROM processes GROUP BY 1") == [
        {"recording_id": 1, "n": 1},
        {"recording_id": 2, "n": 1},
    ]
    said = ended.stderr.splitlines()
    assert [line.split(": ")[1] for line in said] == ["run 1 of 2 (pr)", "run 2 of 2 (pr)"]
    assert webpf("record", "--runs", "1", "-q", "--", "true").stderr == ""
    assert query("SELECT count(DISTINCT run_group) AS n FROM recordings") == [{"n": 2}]


@pytest.mark.kernel
def test_two_commands_are_recorded_in_turn(webpf: Webpf, query: Query, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ["/bin/sh", "-c", f"echo new >> {log}"]
    prepare = ["--prepare", f"echo for new >> {log}", "--prepare", f"echo for old >> {log}"]
    against = ["--against", f"/bin/sh -c 'echo old >> {log}'", "--against-name", "old"]
    ended = webpf("record", "--runs", "2", *prepare, *against, "--", *command)
    assert ended.returncode == 0, ended.stderr
    assert log.read_text().splitlines() == ["for new", "new", "for old", "old", "for old", "old", "for new", "new"]
    rows = query(RUNS)
    assert [(row["name"], row["run"]) for row in rows] == [("new", 1), ("old", 1), ("old", 2), ("new", 2)]
    assert [bool(json.loads(row["options"]).get("against")) for row in rows] == [False, True, True, False]
    assert len({row["run_group"] for row in rows}) == 1
    found = json.loads(webpf("diff", "--format", "json").stdout)
    assert (found["is_paired"], found["before"]["recordings"], found["after"]["recordings"]) == (True, [2, 3], [1, 4])
    listed = json.loads(webpf("recordings", "--format", "json").stdout)
    assert ["old" in each["command"] for each in listed] == [False, True, True, False]


@pytest.mark.kernel
@pytest.mark.parametrize(("options", "code", "recorded"), [([], 7, 2), (["--ignore-failure"], 0, 3)])
def test_a_run_that_fails(
    options: list[str], code: int, recorded: int, webpf: Webpf, query: Query, tmp_path: Path
) -> None:
    script = f"echo >> {tmp_path}/log; [ $(wc -l < {tmp_path}/log) -ne 2 ] || exit 7"
    ended = webpf("record", "-q", "--runs", "3", "--name", "a", *options, "--", "/bin/sh", "-c", script)
    assert (ended.returncode, len(query(RUNS))) == (code, recorded)
    assert "run 2 of 3 (a) failed (/bin/sh: exit code 7)" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "not compared: recording 2 of a, which ended with exit 7" in webpf("diff", "a", "a").stdout


@pytest.mark.kernel
def test_a_preparation_that_fails(webpf: Webpf, tmp_path: Path) -> None:
    ended = webpf("record", "--runs", "3", "--prepare", "exit 4", "--", "true")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (4, 1)
    assert not (tmp_path / "webpf.db").exists()


@pytest.mark.kernel
def test_auto_ends_when_the_runs_suffice(webpf: Webpf, query: Query) -> None:
    ended = webpf("record", "--runs", "auto", "--to-decide", "wall>2000%", "--", "/bin/sleep", "0.1")
    assert ended.returncode == 0, ended.stderr
    assert [row["run"] for row in query(RUNS)] == [1, 2, 3, 4, 5]
    assert "5 runs suffice to decide wall>2000% (±" in ended.stderr


@pytest.mark.kernel
def test_auto_ends_at_the_most_runs(webpf: Webpf, query: Query) -> None:
    options = ["--runs", "auto", "--max-runs", "6", "--to-decide", "wall>0.0001%", "-q"]
    ended = webpf("record", *options, "--", "/bin/sleep", "0.01")
    assert ended.returncode == 0, ended.stderr
    assert len(query(RUNS)) == 6
    assert "6 runs don't suffice to decide wall>0.0001% (±" in ended.stderr


@pytest.mark.kernel
def test_a_signal_ends_the_run_and_the_series(tmp_path: Path, query: Query) -> None:
    log = tmp_path / "log"
    script = f"trap 'echo got >> {log}; exit 3' TERM; echo begun >> {log}; while :; do sleep 0.1; done"
    words = [*webpf_command(), "record", "--runs", "5", "--ignore-failure", "--", "/bin/sh", "-c", script]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as series:
        wait_until(log.exists, "the first run")
        series.send_signal(signal.SIGTERM)
        _, said = series.communicate(timeout=DEADLINE_SECONDS)
    assert series.returncode == 128 + signal.SIGTERM, said
    assert log.read_text().split() == ["begun", "got"]
    assert "signal 15 ended the series; 0 runs are kept" in said
    assert [row["status"] for row in query(RUNS)] == ["complete"]


@pytest.mark.kernel
def test_a_command_with_the_word_runs_is_recorded_once(webpf: Webpf, query: Query) -> None:
    ended = webpf("record", "-q", "/bin/echo", "--runs", "4")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "--runs 4\n", "")
    assert [(row["run"], row["run_group"]) for row in query(RUNS)] == [(None, None)]


@pytest.mark.kernel
@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_a_run_inherits_what_a_single_recording_does(webpf: Webpf) -> None:
    """Its user, signals, and privileges; and so does the preparation. Under sudo, too."""
    script = "id -u; grep -E '^(SigIgn|SigBlk|NoNewPrivs|Groups|CapEff)' /proc/self/status; env | sort | grep -v ^_="
    for sudo in ({}, {"SUDO_UID": "65534", "SUDO_GID": "65534", "SUDO_USER": "nobody"}):
        single = webpf("record", "-q", "--", "/bin/sh", "-c", script, env=sudo)
        series = webpf("record", "-q", "--runs", "1", "--prepare", script, "--", "/bin/sh", "-c", script, env=sudo)
        assert single.returncode == series.returncode == 0, series.stderr
        assert series.stdout == 2 * single.stdout
