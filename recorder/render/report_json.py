"""The report of a recording as JSON. All lists are complete, except those of the summary."""

from __future__ import annotations

from pathlib import Path

from ..analysis.command_summary import CommandSummary, ProcessDetails
from ..analysis.critical_path import Section
from ..analysis.report import Report
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
        "start_ns": report.start_ns,
        "end_ns": report.end_ns,
        "wall_ns": report.wall_ns,
        "cpu_ns": report.cpu_ns or None,
        "waiting_ns": report.waiting_ns if report.cpu_ns else None,
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
        "repeated": (
            {
                "line": each.line,
                "directory": each.directory,
                "process_ids": each.process_ids,
                "total_ns": each.total_ns,
                "repeated_ns": each.repeated_ns,
            }
            for each in report.repeated
        ),
        "activities": (
            {
                "activity": each.activity,
                "processes": each.processes,
                "cpu_ns": each.cpu_ns,
                "waiting_ns": each.waiting_ns,
                "longest_id": each.longest_id,
            }
            for each in report.activities
        ),
    }


def _summary(summary: CommandSummary) -> Document:
    return {
        "processes": summary.processes,
        "failures": summary.failures,
        "still_running": summary.still_running,
        "command": None if summary.command is None else _process(summary.command),
        "slowest": map(_process, summary.slowest),
        "most_cpu": map(_process, summary.most_cpu),
        "most_memory": map(_process, summary.most_memory),
        "failed": map(_process, summary.failed),
        "running": map(_process, summary.running),
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
