"""The report of a recording as JSON. All lists are complete, except those of the summary."""

from __future__ import annotations

from pathlib import Path

from ..analysis.command_summary import CommandSummary, ProcessDetails
from ..analysis.critical_path import Section
from ..analysis.report import ActivityCost, RepeatedCommand, Report
from ..output.command_label import cut
from .json_document import Document, head, recording_value

SUMMARY_SHOWN = 10
"""The most processes that a list of the summary names."""
_TITLE = 200  # the most characters of a section's title: there can be as many sections as processes


def report_document(file: Path, report: Report) -> Document:
    """Returns the document of a report."""
    return {
        **head("report"),
        "recording": recording_value(file, report.recording),
        **_totals(report),
        **_summary(report.summary),
        "concurrency": {
            "average": sum(report.concurrency) / len(report.concurrency),
            "most": report.most_active,
            "steps": list(report.concurrency),
        },
        "serial_sections": map(_section, report.serial_sections),
        "critical_path": map(_section, report.critical_path),
        "critical_path_by_activity": (
            {"activity": each.activity, "time_ns": each.time_ns, "process_ids": each.process_ids}
            for each in report.path_shares
        ),
        "repeated": map(_repeated, report.repeated),
        "activities": map(_activity, report.activities),
    }


def _totals(report: Report) -> Document:
    return {
        "start_ns": report.start_ns,
        "end_ns": report.end_ns,
        "wall_ns": report.wall_ns,
        "cpu_ns": report.cpu_ns or None,
        "waiting_ns": report.waiting_ns if report.cpu_ns else None,
        "waiting_for_processor_ns": report.waiting_for_processor_ns,
        **report.summary.costs._asdict(),
        "costs_unknown": report.summary.costs_unknown,
    }


def _summary(summary: CommandSummary) -> Document:
    return {
        "processes": summary.processes,
        "failures": summary.failures,
        "still_running": summary.still_running,
        "command": None if summary.command is None else _process(summary.command),
        "slowest": [{**_process(each), "active_ns": each.active_ns} for each in summary.slowest],
        "most_cpu": map(_process, summary.most_cpu),
        "most_memory": map(_process, summary.most_memory),
        "failed": map(_process, summary.failed),
        "last_failures": map(_process, summary.last_failures),
        "running": map(_process, summary.running),
    }


def _repeated(repeated: RepeatedCommand) -> Document:
    return {
        "line": repeated.line,
        "directory": repeated.directory,
        "process_ids": repeated.process_ids,
        "total_ns": repeated.total_ns,
        "repeated_ns": repeated.repeated_ns,
    }


def _activity(cost: ActivityCost) -> Document:
    return {
        "activity": cost.activity,
        "processes": cost.processes,
        "cpu_ns": cost.cpu_ns,
        "waiting_ns": cost.waiting_ns,
        "waiting_for_processor_ns": cost.waiting_for_processor_ns,
        "waits_for": cost.waits_for,
        "longest_id": cost.longest_id,
        **cost.costs._asdict(),
    }


def _process(process: ProcessDetails) -> Document:
    return {
        "id": process.id,
        "pid": process.pid,
        "title": process.title,
        "start_ns": process.start_ns,
        "end_ns": process.end_ns,
        "lifetime_ns": process.lifetime_ns,
        "cpu_ns": process.cpu_ns,
        **process.costs._asdict(),
        "max_rss_kib": process.max_rss_kib,
        "exit_code": process.exit_code,
        "signal": process.signal,
        "state": process.state,
    }


def _section(section: Section) -> Document:
    return {
        "process_id": section.node.id,
        "title": cut(section.node.title, _TITLE),
        "activity": section.node.activity,
        "start_ns": section.start_ns,
        "end_ns": section.end_ns,
        "duration_ns": section.duration_ns,
    }
