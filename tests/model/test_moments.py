"""Times as users write them. Expected values come from GNU date, which has its own reader of the tz database."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta

import pytest

from webpf.errors import UsageError
from webpf.model import moments
from webpf.model.zone import SECOND_NS, SkippedTime, Zone

BERLIN = Zone.named("Europe/Berlin", None)
FORWARD, BACK = "2026-03-29", "2026-10-25"  # clocks go from 02:00 to 03:00, and from 03:00 to 02:00


def gnu(text: str, zone: str = "Europe/Berlin") -> int:
    """Returns Unix ns of a time as GNU date reads it."""
    ended = subprocess.run(
        ["date", "-d", text, "+%s%N"], env={"TZ": zone, "LC_ALL": "C"}, capture_output=True, text=True, check=True
    )
    return int(ended.stdout)


NOON = gnu("2026-11-27 12:00:00")


def unix_ns(text: str, now: int = NOON, after: int | None = None, zone: Zone = BERLIN) -> int:
    """Returns what a text means."""
    return moments.parse("--since", text).unix_ns(zone, now, after)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("03:00", "2026-11-27 03:00"),
        ("3:00:07.25", "2026-11-27 03:00:07.25"),
        ("12:00", "2026-11-27 12:00"),
        ("12:01", "2026-11-26 12:01"),  # it has not been 12:01 today yet
        ("yesterday 22:00", "2026-11-26 22:00"),
        ("Yesterday", "2026-11-26 00:00"),
        ("today", "2026-11-27 00:00"),
        ("today 13:00", "2026-11-27 13:00"),
        ("now", "2026-11-27 12:00"),
        ("-2h", "2026-11-27 10:00"),
        ("-1d", "2026-11-26 12:00"),
        ("-1h30m", "2026-11-27 10:30"),
        ("-90", "2026-11-27 11:58:30"),
        ("2026-07-01", "2026-07-01 00:00"),
        ("2026-07-01 03:04", "2026-07-01 03:04"),
        ("2026-07-01T03:04:05", "2026-07-01 03:04:05"),
        ("2026-07-01T03:04:05.000000001Z", "2026-07-01 03:04:05.000000001Z"),
        ("2026-07-01 03:04:05-0530", "2026-07-01 03:04:05-0530"),
        ("2026-07-01T03:04+02:00", "2026-07-01 03:04+0200"),
    ],
)
def test_forms(text: str, same: str) -> None:
    assert unix_ns(text) == gnu(same)


@pytest.mark.parametrize(
    ("since", "until", "same"),
    [
        ("2026-11-26 22:00", "04:00", "2026-11-27 04:00"),
        ("2026-11-26 22:00", "22:30", "2026-11-26 22:30"),
        ("2026-11-26 22:00", "22:00", "2026-11-27 22:00"),
        ("2026-10-24 22:00", "02:30", "2026-10-25 02:30 CEST"),
        ("2026-10-25T02:45+02:00", "02:30", "2026-10-25 02:30 CET"),  # the second 02:30 of this night
        ("2026-10-25T02:15+01:00", "02:30", "2026-10-25 02:30 CET"),
    ],
)
def test_the_first_time_after_another(since: str, until: str, same: str) -> None:
    assert unix_ns(until, after=unix_ns(since)) == gnu(same)


def test_of_a_repeated_time_the_first_is_taken() -> None:
    assert unix_ns(f"{BACK} 02:30") == gnu(f"{BACK} 02:30 CEST")
    assert unix_ns("02:30", now=gnu(f"{BACK} 12:00")) == gnu(f"{BACK} 02:30 CEST")
    assert unix_ns(f"{BACK}T02:30+01:00") == gnu(f"{BACK} 02:30 CET")


@pytest.mark.parametrize("text", [f"{FORWARD} 02:00", f"{FORWARD} 02:30", f"{FORWARD}T02:59:59.9", "02:30"])
def test_a_skipped_time_is_refused_with_both_neighbours(text: str) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        gnu(f"{FORWARD} 02:30")  # GNU date refuses it too
    with pytest.raises(UsageError) as raised:
        unix_ns(text, now=gnu(f"{FORWARD} 12:00"))
    assert "01:59:59" in raised.value.message and "03:00:00" in raised.value.message
    assert raised.value.hint.endswith(f"--since '{FORWARD} 03:00'")
    assert unix_ns(f"{FORWARD} 01:59:59", now=NOON) + SECOND_NS == unix_ns(f"{FORWARD} 03:00", now=NOON)


def test_all_minutes_of_days_with_a_change() -> None:
    """Around a change of clocks, each local time is the one that GNU date says, or none."""
    for name, day in (
        ("Europe/Berlin", datetime(2026, 3, 29)),
        ("Australia/Lord_Howe", datetime(2026, 10, 4)),  # by half an hour
        ("America/Santiago", datetime(2026, 9, 6)),  # at midnight
    ):
        zone = Zone.named(name, None)
        times = [day + timedelta(minutes=10 * step) for step in range(30)]
        lines = "".join(f"{each:%Y-%m-%d %H:%M}\n" for each in times)
        command = ["date", "-f", "-", "+%Y-%m-%d %H:%M %s"]
        ended = subprocess.run(command, env={"TZ": name}, input=lines, capture_output=True, text=True, check=False)
        known = {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in ended.stdout.splitlines()}
        assert 0 < len(known) < 30
        for each in times:
            expected = known.get(f"{each:%Y-%m-%d %H:%M}")
            if expected is None:
                with pytest.raises(SkippedTime):
                    zone.unix_ns(each)
            else:
                assert zone.unix_ns(each) == expected * SECOND_NS


@pytest.mark.parametrize(
    "text",
    ["", " ", "3", "25:00", "03:60", "03:00:60", "3 am", "2026-13-01", "2026-02-29", "2026-07-01T24:00", "--2h", "-2x"],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="--until takes a time"):
        moments.parse("--until", text)


@pytest.mark.parametrize("text", ["1969-12-31", "0001-01-01", "9999-12-31", "2262-04-12", "-9999999h"])
def test_times_that_no_row_can_have(text: str) -> None:
    with pytest.raises(UsageError, match="between 1970 and 2262"):
        unix_ns(text)


def test_zones_of_recordings() -> None:
    def of(zone: object, offset: object) -> Zone:
        return Zone.of_recording({"zone": zone, "utc_offset_s": offset})

    summer = gnu("2026-07-01 12:00")
    assert of("Europe/Berlin", 3600).text(summer) == "2026-07-01 12:00:00+02:00"
    assert of(None, 7200).text(summer) == "2026-07-01 12:00:00+02:00"
    assert of("Nowhere/At_All", -34200).text(summer) == "2026-07-01 00:30:00-09:30"
    assert of("../../etc/passwd", None).name == of(None, None).name == of(5, "x").name == "UTC"
