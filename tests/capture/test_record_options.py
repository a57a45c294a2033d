"""The options of a recording: one container with its defaults and checks; and what a recording undoes at its end."""

from __future__ import annotations

import gc
import inspect
import json
import os
import re
import signal
from pathlib import Path

import pytest
from support import PROJECT, recording_values

from webpf.capture import live_recording
from webpf.capture.record_options import RecordOptions
from webpf.capture.targets import RunningProcess, WholeMachine, open_target
from webpf.cli import record
from webpf.errors import NotFound, UsageError
from webpf.host.signals import ALL_STOP_SIGNALS, StopSignal, ignored
from webpf.kernel.filters import FilterOptions
from webpf.model.events import KERNEL_KINDS
from webpf.model.recording import COMPLETE, Recording, StoredCounts
from webpf.storage import event_reader


def test_the_command_line_has_the_same_defaults() -> None:
    parameters = inspect.signature(record.record).parameters
    defaults = RecordOptions()
    same = {"db", "duration", "pid", "all", "as_root", "own_cgroup", "min_lifetime", "name", "buffer_mib", "max_args"}
    for name in same | {"no_args"}:
        assert parameters[name].default == getattr(defaults, name), name
    defaults.validate()


def test_the_keys_that_saved_queries_read_are_recorded() -> None:
    queries = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "queries").glob("*.sql"))
    keys = set(re.findall(r"options, '\$\.(\w+)'", queries)) | {"of", "cgroup", "users", "names"}
    secret = RecordOptions(redact=("s3cret",), filters=FilterOptions(users=("root",)))
    recorded = secret.recorded()
    assert keys <= recorded.keys()
    assert "s3cret" not in json.dumps(recorded)
    assert (recorded["redact"], recorded["users"], recorded["of"]) == (1, ("root",), "machine")


@pytest.mark.parametrize(
    ("options", "is_filtered"),
    [
        (RecordOptions(), False),
        (RecordOptions(filters=FilterOptions(names=("make",))), True),
        (RecordOptions(command=("make",), own_cgroup=True), True),
        (RecordOptions(min_lifetime=5), False),
    ],
)
def test_a_recording_is_paired_again_as_it_was(options: RecordOptions, is_filtered: bool) -> None:
    assert options.is_filtered is is_filtered
    recorded = options.recorded()
    for kept in (recorded, {key: recorded[key] for key in recorded.keys() - {"filtered"}}):  # before: without that key
        row = {**recording_values(), "id": 1, "ended_ns": None, "lost": 0, "kept_short": 0}
        row |= {f"{kind.name}s_{what}": 0 for kind in KERNEL_KINDS for what in StoredCounts._fields}
        pairing = event_reader.make_pairing(Recording.from_row(row, COMPLETE, json.loads(json.dumps(kept))))
        assert pairing._is_filtered is is_filtered


@pytest.mark.parametrize("name", list(FilterOptions.__dataclass_fields__))
def test_each_filter_is_refused_for_one_process(name: str) -> None:
    """Whatever filters there are: nobody lists them."""
    option = FilterOptions.__dataclass_fields__[name].metadata["option"]
    for options in (RecordOptions(pid=1), RecordOptions(command=("make",))):
        given = RecordOptions(command=options.command, pid=options.pid, filters=FilterOptions(**{name: ("root",)}))
        with pytest.raises(UsageError, match=f"{option} is only for recordings of the whole machine"):
            given.validate()


def handlers() -> dict[int, object]:
    return {number: signal.getsignal(number) for number in ALL_STOP_SIGNALS}


def test_signals_are_handled_as_before_at_the_end() -> None:
    before = handlers()
    stop = StopSignal(ALL_STOP_SIGNALS)
    targets = WholeMachine(), RunningProcess(os.getpid())
    assert handlers() == before, "a constructor does nothing"
    for block in (stop, ignored(ALL_STOP_SIGNALS), *targets, open_target(RecordOptions(), None)):
        with block:
            assert handlers() != before
        assert handlers() == before
    with stop:
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.received == signal.SIGTERM


def test_signals_are_handled_as_before_where_it_fails(tmp_path: Path) -> None:
    before, descriptors = handlers(), len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(NotFound), open_target(RecordOptions(pid=2**31 - 1), None):
        pass
    with pytest.raises(ZeroDivisionError), open_target(RecordOptions(pid=os.getpid()), None):
        raise ZeroDivisionError
    assert handlers() == before
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_garbage_is_collected_as_before_at_the_end() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    with pytest.raises(ZeroDivisionError), live_recording._rare_garbage_collection():
        assert gc.get_threshold()[0] > before[0][0]
        raise ZeroDivisionError
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
