"""Events as JSON lines: nothing is lost on the way there and back, and junk is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import exec_, exit_, fork, free, seen, usage, vanished

from webpf.errors import DataError
from webpf.model import environment, events, json_lines
from webpf.model.environment import Variable
from webpf.model.event_source import Counts, MemorySource
from webpf.model.events import Event, Exec, Exit, Fork, Free, Seen, Usage, Vanished
from webpf.model.host_description import HostDescription
from webpf.model.stream_metadata import CgroupPath, DirectoryPath, Head, StreamCounts

NS = st.integers(0, events.GREATEST)
U32 = st.integers(0, 2**32 - 1)
KIB = st.integers(0, 2**52)
FLAG = st.integers(0, 1)
NAME = st.one_of(st.binary(max_size=16).map(events.decode_escaped), st.text(max_size=16))
ARGV = st.binary(max_size=60)

MAYBE = st.none() | U32
FORKS = st.builds(Fork, NS, U32, NS, U32, NS, NAME, U32, U32, NS, FLAG, *[MAYBE] * 5)
INODE = st.none() | st.integers(-(2**63), 2**63 - 1)
PATH = st.binary(max_size=60).map(events.decode_exact)
EXECUTABLE = (st.none() | PATH, MAYBE, INODE)
VARIABLE = st.text(min_size=1, max_size=8).filter(environment.is_name)
ENVIRONMENT = st.dictionaries(
    VARIABLE, st.tuples(st.just("set"), PATH) | st.sampled_from([("unset", None), ("unknown", None)]), max_size=4
).map(lambda found: tuple(Variable(name, *found[name]) for name in sorted(found)))
EXECS = st.builds(
    Exec, NS, U32, NS, NAME, U32, U32, NS, KIB, PATH, st.none() | ARGV, U32, MAYBE, INODE, *EXECUTABLE, MAYBE, MAYBE,
    st.none() | ENVIRONMENT,
)  # fmt: skip
EXITS = st.builds(Exit, NS, U32, NS, U32, NAME, U32, KIB, *[MAYBE] * 4)
FREES = st.builds(Free, NS, U32, NS, U32, NS, *[st.none() | NS] * 2, *[st.none() | U32] * 4, *[st.none() | NS] * 3)
USAGES = st.builds(Usage, NS, U32, NS, NS, NS, NS, U32, U32, *[st.none() | NS] * 6)
ALIVE = st.one_of(
    st.builds(
        Seen,
        NS,
        U32,
        NS,
        U32,
        NAME,
        U32,
        U32,
        st.none() | NS,
        FLAG,
        st.just(1),
        st.none() | PATH,
        ARGV,
        *[U32] * 3,
        *[MAYBE] * 4,
    ),
    st.builds(Seen, NS, U32, NS, U32, NAME, U32, U32, NS, FLAG, st.just(0), *[st.none()] * 3, *[MAYBE] * 6),
)
GONE = st.builds(Vanished, NS, U32, NS)
EVENTS = st.one_of(FORKS, EXECS, EXITS, FREES, ALIVE, GONE, USAGES)

ONE_OF_EACH: list[Event] = [
    seen(1, -1000),
    seen(2, -1000, argv=None, kernel=1),
    fork(100, 1),
    exec_(100, 1, 2, argv=b"/bin/echo\0\xff\x1b[0m\0"),
    exec_(100, 1, 3)._replace(argv=None, argv_bytes=77),
    exit_(100, 1, 4, status=9),
    free(100, 1, 5),
    vanished(101, 6, 7),
    usage(102, 6, 7),
]


@settings(max_examples=300)
@given(EVENTS)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    line = json.dumps(json_lines.encode(event))
    back = json_lines.decode(json.loads(line))
    assert type(back) is type(event)
    assert back == event


@settings(max_examples=200)
@given(EVENTS)
def test_a_line_is_ascii_and_one_line_whatever_the_name(event: Event) -> None:
    line = json.dumps(json_lines.encode(event))
    assert line.isascii()
    assert not [char for char in line if char < " "]


@given(st.one_of(FORKS, EXECS, EXITS))
def test_an_object_begins_with_event_pid_and_comm(event: Fork | Exec | Exit) -> None:
    line = json_lines.encode(event)
    assert list(line)[:3] == ["event", "pid", "comm"]
    assert line["event"] == {Fork: "F", Exec: "X", Exit: "E"}[type(event)]
    assert (line["pid"], line["comm"]) == (event.pid, event.comm)


KEPT = (Variable("A", "set", ""), Variable("B", "set", b"a\xff"), Variable("C", "unset"), Variable("D", "unknown"))


def test_environment_variables_as_people_see_them() -> None:
    line = json_lines.encode(exec_(100, 1, 2)._replace(environment=KEPT))
    assert {name: value for name, value in line.items() if name.startswith("env")} == {
        "env": {"A": "", "B": "a\\xff", "C": None}, "env_base64": {"B": "Yf8="}, "env_unknown": ["D"],
    }  # fmt: skip
    assert not [name for name in json_lines.encode(exec_(100, 1, 2)) if name.startswith("env")]


@pytest.mark.parametrize(
    "fields",
    [
        {"env": "A"},
        {"env": ["A"]},
        {"env": {"A": 1}},
        {"env": {"A": True}},
        {"env": {"": "x"}},
        {"env": {"A=B": "x"}},
        {"env": {"A\0": "x"}},
        {"env": {"\udc80": "x"}},
        {"env": {"A": "x"}, "env_base64": {"A": "%"}},
        {"env": {"A": "x"}, "env_base64": {"A": 5}},
        {"env": {"A": "x"}, "env_base64": []},
        {"env": {}, "env_unknown": "A"},
        {"env": {}, "env_unknown": [1]},
        {"env": {}, "env_unknown": [[]]},
    ],
)
def test_junk_environments_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="not an event"):
        json_lines.decode(json_lines.encode(exec_(100, 1, 2)) | fields)


def test_an_environment_is_in_its_own_fields() -> None:
    line = json_lines.encode(exec_(100, 1, 2)) | {"environment": "x", "env_unknown": ["A"]}
    assert json_lines.decode(line) == exec_(100, 1, 2)
    lone = json_lines.decode(json_lines.encode(exec_(100, 1, 2)) | {"env": {"A": "\udc80"}})
    assert isinstance(lone, Exec)
    assert lone.environment == (Variable("A", "set", "\\udc80"),)


def test_the_letters_of_all_kinds() -> None:
    assert "".join(json_lines.encode(event)["event"] for event in ONE_OF_EACH) == "AAFXXERGU"


def test_a_fork_as_people_see_it() -> None:
    assert json.dumps(json_lines.encode(Fork(5, 4242, 4, 1, 2, "bash", 1000, 0, 77, 0, 9, 1000, 0, 3, 42))) == (
        '{"event": "F", "pid": 4242, "comm": "bash", "time_ns": 5, "start_ns": 4, "ppid": 1, "parent_start_ns": 2,'
        ' "uid": 1000, "euid": 0, "cgroup_id": 77, "kernel": 0, "sid": 9, "loginuid": 1000, "execs": 0,'
        ' "begun": 3, "ns_pid": 42}'
    )


def test_arguments_are_there_for_people_and_as_exact_bytes() -> None:
    line = json_lines.encode(exec_(1, 1, 2, argv=b"echo\0\xff b\0", argv_bytes=30))
    assert line["args"] == "echo $'\\xff b' …[21 bytes cut]"
    assert line["argv"] == "ZWNobwD/IGIA"
    assert line["argv_bytes"] == 30


def test_arguments_that_are_not_known_are_null() -> None:
    line = json_lines.encode(exec_(1, 1, 2)._replace(argv=None, argv_bytes=9))
    assert (line["argv"], line["argv_bytes"]) == (None, 9)
    assert "args" not in line


EXIT_LINE: dict[str, Any] = json_lines.encode(exit_(1, 2, 3))
EXEC_LINE: dict[str, Any] = json_lines.encode(exec_(1, 2, 3))


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param({}, id="empty object"),
        pytest.param([], id="array"),
        pytest.param(None, id="null"),
        pytest.param("F", id="string"),
        pytest.param(5, id="number"),
        pytest.param({"event": "Z"}, id="unknown letter"),
        pytest.param({"event": None}, id="letter is null"),
        pytest.param({"event": []}, id="letter is an array"),
        pytest.param({"event": "F"}, id="no fields"),
        pytest.param({name: value for name, value in EXIT_LINE.items() if name != "status"}, id="no status"),
        pytest.param(EXEC_LINE | {"argv": 5}, id="argv is a number"),
        pytest.param(EXEC_LINE | {"argv": "A"}, id="argv is cut base64"),
        pytest.param(EXEC_LINE | {"argv": "ä"}, id="argv is not ASCII"),
        pytest.param(EXEC_LINE | {"argv": "!!!!"}, id="argv is no base64"),
    ],
)
def test_junk_is_refused(junk: Any) -> None:
    with pytest.raises(DataError, match="not an event"):
        json_lines.decode(junk)


def test_fields_of_later_versions_are_left_alone() -> None:
    assert json_lines.decode(EXIT_LINE | {"something_new": 1}) == exit_(1, 2, 3)


def play(source: MemorySource) -> list[list[Event]]:
    """All batches of a replay."""
    batches = []
    while not source.exhausted:
        batches.append(source.drain())
    return batches


@pytest.mark.parametrize(
    ("batch", "sizes"), [(1, [1] * 9 + [0]), (3, [3, 3, 3, 0]), (8, [8, 1]), (100, [9])], ids=["1", "3", "8", "100"]
)
def test_events_are_played_back_in_batches(batch: int, sizes: list[int]) -> None:
    source = MemorySource(ONE_OF_EACH, batch)
    batches = play(source)
    assert [event for played in batches for event in played] == ONE_OF_EACH
    assert [len(played) for played in batches] == sizes
    assert source.counts() == Counts(attempted=(1, 2, 1, 1), lost=(0, 0, 0, 0))
    assert source.counts().arrived == (1, 2, 1, 1)
    assert source.drain() == []


def test_a_replay_counts_what_it_was_told_to() -> None:
    told = Counts(attempted=(5, 4, 3, 2), lost=(1, 0, 2, 0))
    source = MemorySource([fork(1, 1)], counts=told)
    source.drain()
    assert source.counts() == told
    assert told.arrived == (4, 4, 1, 2)


@pytest.mark.parametrize("line", [b"{}", b"[]", b'{"event": "F"}', b"no JSON", b"{", b"\xff", b"[NaN]"], ids=repr)
def test_another_line_is_refused(line: bytes) -> None:
    with pytest.raises(DataError):
        json_lines.parse(line)


PATH = st.binary(max_size=20).map(events.decode_exact)
TEXT = st.none() | st.text(max_size=9)
HOSTS = st.builds(
    HostDescription, host=TEXT, machine_id=TEXT, boot_id=TEXT, cpus=st.none() | U32, command=TEXT,
    clock_offset_ns=st.none() | NS, zone=TEXT, utc_offset_s=st.none() | st.integers(-86400, 86400), compiler=TEXT,
)  # fmt: skip
OPTIONS = st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5) | U32 | st.lists(U32, max_size=2))
NOTES = st.one_of(
    st.builds(Head, NS, HOSTS, OPTIONS),
    st.builds(CgroupPath, NS, st.none() | PATH),
    st.builds(DirectoryPath, NS, NS, PATH),
    st.builds(StreamCounts, NS, st.none() | NS, *[U32] * 8),
)


@settings(max_examples=300)
@given(NOTES)
def test_what_is_no_event_comes_back_as_it_was(note: Head | CgroupPath | DirectoryPath | StreamCounts) -> None:
    line = json.dumps(json_lines.encode(note))
    assert line.isascii()
    back = json_lines.parse(line.encode())
    assert type(back) is type(note)
    assert back == note


def test_a_head_is_flat() -> None:
    host = HostDescription(host="here", cpus=2, zone="Europe/Berlin", utc_offset_s=7200)
    line = json_lines.encode(Head(5, host, {"redact": 1}))
    assert (line["event"], line["started_ns"], line["host"], line["cpus"]) == ("H", 5, "here", 2)
    assert (line["zone"], line["utc_offset_s"], line["options"]) == ("Europe/Berlin", 7200, {"redact": 1})


@pytest.mark.parametrize(
    ("given", "compiler", "bcc_version"),
    [
        ({"bcc_version": "0.26.0"}, "BCC 0.26.0", "0.26.0"),  # as older versions print it
        ({"bcc_version": "0.26.0", "compiler": "BCC 0.26.0"}, "BCC 0.26.0", "0.26.0"),
        ({"bcc_version": None, "compiler": "clang 19"}, "clang 19", None),
        ({}, None, None),
    ],
)
def test_the_compiler_in_a_head(given: dict[str, str], compiler: str | None, bcc_version: str | None) -> None:
    line = {"event": "H", "started_ns": 5, "options": {}} | given
    head = json_lines.decode(line)
    assert isinstance(head, Head)
    assert head.host.compiler == compiler
    again = json_lines.encode(head)
    assert (again["compiler"], again["bcc_version"]) == (compiler, bcc_version)


@pytest.mark.parametrize(
    "changed",
    [
        {"pid": "5"}, {"pid": True}, {"pid": 5.0}, {"pid": None}, {"pid": 2**63}, {"comm": 5}, {"comm": None},
        {"time_ns": 2**62 + 1}, {"start_ns": -(2**63)}, {"status": []}, {"uid": "root"},
    ],
    ids=repr,
)  # fmt: skip
def test_values_that_a_file_could_not_keep_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(changed))):
        json_lines.decode(EXIT_LINE | changed)


def test_half_a_character_is_kept_as_text() -> None:
    event = json_lines.parse(json.dumps(EXIT_LINE | {"comm": "a\udcffb"}).encode())
    assert isinstance(event, Exit)
    assert event.comm == "a\\udcffb"
