"""The options of a recording, with defaults and checks; and what a recording restores at its end."""

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
    for name in same | {"no_args", "mode"}:
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
def test_a_rebuild_pairs_with_the_same_filter_setting(options: RecordOptions, is_filtered: bool) -> None:
    assert options.is_filtered is is_filtered
    recorded = options.recorded()
    without_key = {key: recorded[key] for key in recorded.keys() - {"filtered"}}  # as in older recordings
    for kept in (recorded, without_key):
        row = {**recording_values(), "id": 1, "ended_ns": None, "lost": 0, "kept_short": 0}
        row |= {f"{kind.name}s_{what}": 0 for kind in KERNEL_KINDS for what in StoredCounts._fields}
        pairing = event_reader.make_pairing(Recording.from_row(row, COMPLETE, json.loads(json.dumps(kept))))
        assert pairing._is_filtered is is_filtered


@pytest.mark.parametrize(
    ("name", "hint"), [("", "PATH"), ("=", "PATH"), ("A=1", "A"), ("=A", "PATH"), ("\udcff", "PATH")]
)
def test_impossible_names_of_variables(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match="is not the name of an environment variable") as caught:
        RecordOptions(env=("HOME", name)).validate()
    assert caught.value.hint == f"webpf record --env {hint}"
    assert caught.value.message.isprintable()


def test_the_names_of_variables_are_recorded() -> None:
    """Each once, and only if there are any: so `not set` and `not asked for` differ."""
    options = RecordOptions(env=("B", "A b", "B", "Ä"))
    options.validate()
    assert json.loads(json.dumps(options.recorded()))["env"] == ["B", "A b", "Ä"]
    assert "env" not in RecordOptions().recorded()


@pytest.mark.parametrize("name", list(FilterOptions.__dataclass_fields__))
def test_each_filter_is_refused_for_one_process(name: str) -> None:
    """The test takes the filters from FilterOptions, so it includes new ones."""
    option = FilterOptions.__dataclass_fields__[name].metadata["option"]
    for options in (RecordOptions(pid=1), RecordOptions(command=("make",))):
        with_filter = RecordOptions(
            command=options.command, pid=options.pid, filters=FilterOptions(**{name: ("root",)})
        )
        with pytest.raises(UsageError, match=f"{option} is only for recordings of the whole machine"):
            with_filter.validate()


def handlers() -> dict[int, object]:
    return {number: signal.getsignal(number) for number in ALL_STOP_SIGNALS}


def test_signal_handlers_are_restored_at_the_end() -> None:
    before = handlers()
    stop = StopSignal(ALL_STOP_SIGNALS)
    targets = WholeMachine(), RunningProcess(os.getpid())
    assert handlers() == before, "a constructor must not change them"
    for block in (stop, ignored(ALL_STOP_SIGNALS), *targets, open_target(RecordOptions(), None)):
        with block:
            assert handlers() != before
        assert handlers() == before
    with stop:
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.received == signal.SIGTERM


def test_signal_handlers_are_restored_after_a_failure(tmp_path: Path) -> None:
    before, descriptors = handlers(), len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(NotFound), open_target(RecordOptions(pid=2**31 - 1), None):
        pass
    with pytest.raises(ZeroDivisionError), open_target(RecordOptions(pid=os.getpid()), None):
        raise ZeroDivisionError
    assert handlers() == before
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_garbage_collection_is_restored_at_the_end() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    with pytest.raises(ZeroDivisionError), live_recording._rare_garbage_collection():
        assert gc.get_threshold()[0] > before[0][0]
        raise ZeroDivisionError
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
