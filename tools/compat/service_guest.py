"""Tries the service of webpf on this system, as root, over several boots: tools/compat/service.py runs it in a guest.

    python service_guest.py RESULT

RESULT gets JSON lines: {"check": name, "ok": boolean, "found": text}, and at the end {"done": true}. The phase is in a
file, so each boot goes on with the next one: A installs, records, and breaks things, then reboots; B checks, and cuts
the power; C checks, uninstalls, and switches off.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

WEBPF = "/srv/venv/bin/webpf"
DB = Path("/var/lib/webpf/webpf.db")
STATE = Path("/var/lib/webpf-test")
DROP_IN = Path("/run/systemd/system/webpf.service.d/test.conf")
PATTERN = '50% "$HOME" \\S+ ;'
"""For --redact: what systemd reads differently if it isn't quoted."""
MARK = 98765.25
PORT = 9435
DEADLINE_SECONDS = 240.0

Answer = tuple[int, str]


def say(**row: object) -> None:
    """Writes a line of the result, and shows it on the console."""
    line = json.dumps({"up": round(time.clock_gettime(time.CLOCK_BOOTTIME), 1), **row})
    with Path(sys.argv[1]).open("a") as out:
        out.write(line + "\n")
    print(line, flush=True)


def check(name: str, ok: object, found: object = "") -> None:
    """Writes whether a check has passed."""
    say(check=name, ok=bool(ok), found="" if ok else str(found)[-2000:])


@contextlib.contextmanager
def checking(name: str) -> Iterator[None]:
    """An exception in the block is a check that has failed."""
    try:
        yield
    except Exception as error:
        check(name, False, repr(error))


def sh(command: str, user: str = "root") -> Answer:
    """Runs a shell command as a user; returns its exit code and all that it wrote."""
    words = ["sh", "-c", command] if user == "root" else ["runuser", "-u", user, "--", "sh", "-c", command]
    try:
        called = subprocess.run(
            words, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", timeout=DEADLINE_SECONDS, cwd="/",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 999, "timeout"
    return called.returncode, called.stdout.strip()


def wait_until(condition: Callable[[], object]) -> bool:
    """Waits for a condition; returns whether it came true in time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def ask(sql: str, *values: object) -> list[tuple[object, ...]]:
    """Returns rows of the service's file; none if it can't be read now."""
    try:
        with closing(sqlite3.connect(f"file:{DB}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(sql, values).fetchall()
    except sqlite3.OperationalError as error:
        if "unable to open" in str(error) or "no such table" in str(error):  # nothing is recorded yet
            return []
        raise


def recordings() -> list[str]:
    """Returns the status of each recording."""
    return [str(status) for (status,) in ask("SELECT status FROM recordings ORDER BY id")]


def is_active() -> bool:
    return sh("systemctl is-active webpf")[1] == "active"


def one_line(name: str, answer: Answer, code: int, *words: str) -> None:
    """Checks an exit code, and that there is one line with these words."""
    check(name, answer[0] == code and len(answer[1].splitlines()) == 1 and all(w in answer[1] for w in words), answer)


def owner_and_mode(path: Path) -> str:
    return f"{path.owner()}:{path.group()} {path.stat().st_mode & 0o7777:04o}"


def load(tag: str) -> None:
    """Runs processes that end in different ways. Those in units live long enough for a look at their cgroup."""
    folder = STATE / f"work-{tag}"
    folder.mkdir()
    folder.chmod(0o755)
    run = "systemd-run --quiet --collect"
    sh(f"sh -c ': {tag}-plain; exit 3'")
    sh(f"sh -c ': {tag}-kill; kill -9 $$'")
    sh(f"{run} --wait --unit=unit-{tag} sh -c ': {tag}-unit; sleep 1; exit 7'")
    sh(f"{run} --scope --unit=scope-{tag} sh -c ': {tag}-scope; sleep 1; exit 4'")
    sh(f"cd {folder} && sh -c ': {tag}-cwd; sleep 1; true'")
    sh(f"sh -c ': {tag}-other; exit 5'", "alice")
    wait_until(lambda: len(ends(tag)) == 6)


def ends(tag: str) -> dict[str, tuple[object, ...]]:
    """Returns exit code, signal, user, cgroup and directory of each process of load()."""
    sql = """SELECT args, exit_code, signal, p.uid, c.path, w.path FROM processes AS p
        JOIN commands ON commands.id = p.command_id
        LEFT JOIN cgroup_paths AS c ON (c.recording_id, c.cgroup_id) = (p.recording_id, p.cgroup_id)
        LEFT JOIN programs AS g ON g.process_id = p.id
        LEFT JOIN working_directories AS w
            ON (w.recording_id, w.device, w.inode) = (p.recording_id, g.cwd_device, g.cwd_inode)
        WHERE p.comm = 'sh' AND p.state = 'exited' AND args LIKE ?"""
    found = {}
    for args, *rest in ask(sql, f"%sh -c ': {tag}-%"):
        # systemd-run looks up the path.
        name = re.match(rf"(?:/usr/bin/)?sh -c ': {tag}-(\w+);", str(args))
        if name:
            found[name[1]] = tuple(rest)
    return found


def check_load(tag: str) -> None:
    """Checks that the file has the truth about load()."""
    found, alice = ends(tag), int(sh("id -u alice")[1])
    expected = {"plain": (3, None, 0), "kill": (None, 9, 0), "unit": (7, None, 0), "scope": (4, None, 0),
                "cwd": (0, None, 0), "other": (5, None, alice)}  # fmt: skip
    check(f"{tag}: how each process ended", {k: v[:3] for k, v in found.items()} == expected, found)
    paths = {"unit": f"/system.slice/unit-{tag}.service", "scope": f"/system.slice/scope-{tag}.scope"}
    check(f"{tag}: cgroups", all(found.get(name, (0,) * 5)[3] == path for name, path in paths.items()), found)
    check(f"{tag}: the working directory", found.get("cwd", (0,) * 5)[4] == f"{STATE}/work-{tag}", found)
    lost = ask("SELECT sum(forks_lost + execs_lost + exits_lost + frees_lost) FROM recordings")
    check(f"{tag}: no event was lost", lost == [(0,)], lost)


def check_old_process() -> None:
    """A process of another user from before the recording."""
    sql = """SELECT filename, p.uid, c.path FROM processes AS p JOIN commands ON commands.id = p.command_id
        JOIN cgroup_paths AS c ON (c.recording_id, c.cgroup_id) = (p.recording_id, p.cgroup_id) WHERE args = ?"""
    expected = ("/usr/bin/sleep", int(sh("id -u bob")[1]), "/system.slice/webpf-test.service")
    rows = ask(sql, f"sleep {MARK}")
    check("a process from before: program, user, cgroup", rows[:1] == [expected], rows)


def check_before_install() -> None:
    for user in ("alice", "bob"):
        sh(f"useradd --create-home {user}")
    one_line("status without a service", sh(f"{WEBPF} service status"), 66, "service install")
    one_line("uninstall without a service", sh(f"{WEBPF} service uninstall"), 66, "service install")
    one_line("install by an ordinary user", sh(f"{WEBPF} service install", "alice"), 77, "; try: sudo ")
    one_line("a reader who doesn't exist", sh(f"{WEBPF} service install --reader carol"), 66, "carol")
    one_line("a wrong option", sh(f"{WEBPF} service install -- --buffer-mib 3"), 64, "power of two")
    copy = Path("/home") / "alice" / "webpf"
    sh(f"install -o alice {WEBPF} {copy}")
    one_line("a program in a home folder", sh(f"{copy} service install"), 73, " -m venv /opt/webpf && ")
    left = [path for path in ("/etc/systemd/system/webpf.service", str(DB.parent)) if Path(path).exists()]
    check("nothing is installed until then", not left and sh("id webpf")[0] != 0, left)


def check_install() -> None:
    subprocess.Popen(["runuser", "-u", "bob", "--", "sleep", str(MARK)])
    begun = time.monotonic()
    answer = sh(f"{WEBPF} service install --keep 7d --max-size 2GiB --reader alice -- --redact '{PATTERN}'")
    say(install_seconds=round(time.monotonic() - begun, 1))
    check("install", answer[0] == 0 and str(DB) in answer[1] and "alice can read it" in answer[1], answer)
    check("the recording is there when install returns", recordings() == ["recording"], recordings())
    one_line("install again", sh(f"{WEBPF} service install"), 64, "exists already", "--force")
    sides = [DB, *(DB.with_name(f"{DB.name}-{side}") for side in ("wal", "shm"))]
    found = {path.name: owner_and_mode(path) for path in (DB.parent, *sides)}
    expected = {DB.parent.name: "webpf:webpf 0750"} | {side.name: "webpf:webpf 0640" for side in sides}
    check("owner, group and mode of the folder and all files", found == expected, found)
    pid = sh("systemctl show webpf -p MainPID --value")[1]
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    check("a pattern with special characters arrives as it is", words[-2:] == ["--redact", PATTERN], words)
    said = sh("systemd-analyze security --no-pager webpf.service")[1]
    level = re.search(r"Overall exposure level for webpf.service: ([\d.]+)", said)
    check("systemd-analyze security: at most 1.2", level and float(level[1]) <= 1.2, said)
    say(exposure=level and level[1])
    answer = sh("systemd-analyze verify webpf.service")
    check("systemd-analyze verify", answer == (0, ""), answer)
    memory = Path("/sys/fs/cgroup/system.slice/webpf.service/memory.peak")
    if memory.exists():
        say(peak_mib=round(int(memory.read_text()) / 2**20, 1))


def check_readers() -> None:
    """While it records."""
    code, rows = sh(f"{WEBPF} query failures --format ndjson", "alice")
    check("a reader asks while it records, without naming the file", code == 0 and '"exit_code": 7' in rows, rows)
    refused = sh(f"{WEBPF} query failures", "bob")
    one_line("another user can't, and learns how to", refused, 77, "sudo usermod -aG webpf bob")
    sh("usermod -aG webpf bob")
    check("after that line, it can", sh(f"{WEBPF} query failures", "bob")[0] == 0)
    code, text = sh(f"{WEBPF} service status", "alice")
    words = ("active (running)", "starts at boot", "processes", "no event", str(DB))
    check("status", code == 0 and all(word in text for word in words), (code, text))
    lines = [json.loads(line) for line in sh("journalctl -u webpf -o json --no-pager")[1].splitlines()]
    own = [line for line in lines if str(line.get("MESSAGE", "")).startswith("webpf: ")]
    check("the journal has one line, of priority 6", [line["PRIORITY"] for line in own] == ["6"], own)


def check_kill() -> None:
    before = len(recordings())
    sh("systemctl kill --signal=KILL --kill-whom=main webpf")
    restarted = wait_until(lambda: len(recordings()) > before and is_active())
    check("after kill -9 it records again", restarted, recordings())
    check("the killed recording is interrupted", recordings() == ["interrupted", "recording"], recordings())
    load("kill")
    check_load("kill")


def check_broken_units() -> None:
    """Settings that don't fit: the start fails, and the journal has the reason in one line; or a warning."""
    for name, setting, code, words in (
        ("without CAP_BPF", "AmbientCapabilities=~CAP_BPF", "77", "needs root (or CAP_BPF"),
        ("ProcSubset=pid", "ProcSubset=pid", "69", "subset=pid"),
        ("PrivateUsers=yes", "PrivateUsers=yes", "77", "in a user namespace of its own"),
    ):
        since = time.time()
        answer = restart_with(setting)
        status = sh("systemctl show webpf -p ExecMainStatus --value")[1]
        log = own_messages(since)
        check(f"{name}: systemctl fails with {code}", answer[0] != 0 and status == code, (answer, status, log))
        check(f"{name}: one line says why", len(log) == 1 and words in log[0], log)
        check(f"{name}: status exits with 69", sh(f"{WEBPF} service status")[0] == 69)
    since = time.time()
    if int(sh("systemctl --version")[1].split()[1]) >= 257:
        answer = restart_with("ProtectControlGroups=strict")
        log = own_messages(since)
        found = any("no paths of cgroups" in line for line in log)
        check("ProtectControlGroups=strict: a warning", answer[0] == 0 and found, (answer, log))
    answer = restart_with("WatchdogSec=3s\nWatchdogSignal=SIGKILL")
    time.sleep(8)  # it stays up: this needs time to pass, not a condition
    check("a watchdog of 3 s is fed", answer[0] == 0 and is_active(), sh("systemctl status webpf"))
    pid = sh("systemctl show webpf -p MainPID --value")[1]
    sh(f"pkill -STOP -P {pid}")
    restarted = wait_until(lambda: sh("systemctl show webpf -p MainPID --value")[1] not in ("0", pid) and is_active())
    check("a recorder that hangs is ended, and started again", restarted, sh("systemctl status webpf"))
    answer = restart_with("")
    check("without them it records again", answer[0] == 0 and recordings()[-1] == "recording", answer)


def restart_with(setting: str) -> Answer:
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text(f"[Service]\n{setting}\n")
    if not setting:
        DROP_IN.unlink()
    sh("systemctl daemon-reload; systemctl reset-failed webpf")
    return sh("systemctl restart webpf")


def own_messages(since: float) -> list[str]:
    """Returns the lines of webpf in the journal, but not those about the start and end of a recording."""
    said = sh(f"journalctl -u webpf -o cat --no-pager --since @{since:.0f}")[1]
    return [line for line in said.splitlines() if re.match(r"webpf: (?!recording \d)", line)]


def scrape() -> str:
    """Returns what Prometheus would read, or the error."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=30) as answer:
            return str(answer.read().decode())
    except OSError as error:
        return repr(error)


def phase_a() -> None:
    check_before_install()
    check_install()
    load("first")
    check_load("first")
    check_old_process()
    check_readers()
    check_kill()
    check_broken_units()
    load("boot")


def check_boot(what: str, status: str) -> None:
    """After a reboot: the recording from before has this status, and a new one goes on."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    sql = "SELECT status, boot_id = ? FROM recordings ORDER BY id DESC LIMIT 2"
    come = wait_until(lambda: [row[1] for row in ask(sql, boot)] == [1, 0])
    rows = ask(sql, boot)
    check(f"after {what}, it records by itself", come and is_active(), rows)
    check(f"after {what}, the recording before is {status}", len(rows) == 2 and rows[1][0] == status, rows)
    code, text = sh(f"{WEBPF} verify {DB}")
    check(f"after {what}, verify finds nothing wrong", code == 0, text)
    found = owner_and_mode(DB)
    check(f"after {what}, group and mode are the same", found == "webpf:webpf 0640", found)


def phase_b() -> None:
    check_boot("a reboot", "complete")
    check_load("boot")
    load("cut")
    sh("sync")


def metric(name: str) -> float:
    """Returns a number that Prometheus would read; -1 if there is none."""
    found = re.search(rf"^{name} ([\d.e+]+)$", scrape(), re.MULTILINE)
    return float(found[1]) if found else -1.0


def check_full_disk(how: str, *limits: str) -> None:
    """The disk is full for a while: the service goes on, and what ran meanwhile is in the file afterwards.

    limits: the options for them. With --keep-free, writing pauses before the disk is full.
    """
    answer = sh(f"{WEBPF} service install --force --metrics {PORT} {' '.join(limits)}")
    check(f"{how}: it records", answer[0] == 0 and wait_until(lambda: metric("webpf_pauses_total") == 0), answer)
    [(number,)] = ask("SELECT max(id) FROM recordings")
    filler = Path("/var/tmp/filler")
    with filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        size = 64 << 20
        while size:
            try:
                os.posix_fallocate(out.fileno(), out.seek(0, os.SEEK_END), size)
            except OSError:
                size //= 2
    code = 101
    paused = wait_until(lambda: sh(f"exit {code}")[0] == code and metric("webpf_pauses_total") > 0)
    check(f"{how}: it reports the pause while the disk is full", paused and is_active(), scrape())
    sh("exit 102")
    filler.unlink()
    sql = "SELECT count(*) FROM processes WHERE exit_code = 102 AND recording_id >= ?"
    come = wait_until(lambda: ask(sql, number) == [(1,)])
    check(f"{how}: what ran meanwhile is in the file afterwards", come, recordings())
    sql = "SELECT kind FROM incidents WHERE recording_id >= ? AND kind <> 'deleted'"
    told = wait_until(lambda: ("full",) in ask(sql, number))  # a moment after what had waited
    check(f"{how}: the file says so", told and is_active(), ask(sql, number))
    code, text = sh(f"{WEBPF} verify {DB}")
    check(f"{how}: verify finds nothing wrong", code == 0, text)


def phase_c() -> None:
    check_boot("a power cut", "interrupted")
    check_load("cut")
    check("a reader still can", sh(f"{WEBPF} query failures", "alice")[0] == 0)
    answer = sh(f"{WEBPF} service install --force --metrics {PORT} -- --no-args")
    check("install --force gives it other options", answer[0] == 0, answer)
    check("Prometheus can read its numbers", wait_until(lambda: "webpf_events_total" in scrape()), scrape())
    options = ask("SELECT json_extract(options, '$.no_args') FROM recordings ORDER BY id DESC LIMIT 1")
    check("the next recording has them", options == [(1,)], options)
    check_full_disk("full disk", "--max-size", "2GiB")
    check_full_disk("full disk and --keep-free", "--keep-free", "5%")
    answer = sh(f"{WEBPF} service uninstall")
    check("uninstall", answer[0] == 0 and str(DB) in answer[1], answer)
    left = Path("/etc/systemd/system/webpf.service").exists() or is_active()
    check("the service is gone", not left and "webpf" not in sh("systemctl --failed --no-legend")[1])
    is_plain = not list(DB.parent.glob("*-wal"))
    check("the recordings stay, complete", recordings()[-1] == "complete" and is_plain, recordings())
    check("a reader can read them", sh(f"{WEBPF} query failures --db {DB}", "alice")[0] == 0)
    answer = sh(f"{WEBPF} service install")
    check("install after an uninstall", answer[0] == 0 and recordings()[-1] == "recording", answer)
    sh("systemctl stop webpf")


PHASES = {"A": (phase_a, "systemctl reboot"), "B": (phase_b, "echo b > /proc/sysrq-trigger"), "C": (phase_c, "")}


def main() -> None:
    """Runs the phase that is next, and ends this boot."""
    STATE.mkdir(exist_ok=True)
    STATE.chmod(0o755)
    file = STATE / "phase"
    name = file.read_text() if file.exists() else "A"
    phase, ending = PHASES[name]
    say(phase=name, kernel=platform.version(), systemd=sh("systemctl --version")[1].splitlines()[0])
    with checking(f"phase {name}"):
        phase()
    following = chr(ord(name) + 1)
    if following in PHASES:
        file.write_text(following)
        os.sync()
        say(ends=name)
    else:
        say(done=True)
        ending = "systemctl poweroff"
    sh(ending)


if __name__ == "__main__":
    main()
