"""The scope in the address of a page: its names, its values, and the same words as on the command line."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from datasette.utils import MultiParams

from webpf.analysis import saved_queries, scope_values
from webpf.errors import UsageError
from webpf.storage import data_dictionary
from webpf.web.scope_address import FIELDS, ScopeAddress, parameter


def read(query: str) -> ScopeAddress:
    """Reads the query of an address."""
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return ScopeAddress.read(MultiParams(values))


def test_each_option_has_a_field() -> None:
    options = {field.name for field in scope_values.FIELDS}
    assert options - {field.name for field in FIELDS} == {"local", "args"}
    assert {field.name for field in FIELDS} - options == {"recording", "all", "contains"}


def test_no_name_is_that_of_a_parameter_or_a_column() -> None:
    taken = {each.name for name in saved_queries.names() for each in saved_queries.load(name).parameters}
    taken |= {column.name for table in data_dictionary.all_tables() for column in table.columns}
    assert not taken & {parameter(field) for field in FIELDS}


def test_blank_fields_are_left_out() -> None:
    """A form sends all its fields."""
    assert read("_since=&_until=+&_comm=&_comm=+sh+&pid=1").values == {"comm": ("sh",)}
    assert read("").query_string() == ""


@pytest.mark.parametrize("query", ["?_since=-2h&_comm=a&_comm=b&_failed=1", "?_contains=a+%26+b%3F&_recording=nightly"])
def test_an_address_is_written_as_it_was_read(query: str) -> None:
    assert read(query[1:]).query_string() == query


def test_values_become_those_of_the_options() -> None:
    query = "_user=0&_comm=a&_cgroup=/x&_unit=y&_container=d0&_failed=1&_exit_code=3&_signal=term&_under=7"
    query += "&_min_lifetime=250ms"
    assert list(read(query).parse().filters) == [
        "--user 0", "--comm a", "--cgroup /x", "--unit y", "--container d0", "--exit-code 3", "--signal 15", "--failed",
        "--min-lifetime 0.25s", "--under 7",
    ]  # fmt: skip
    assert read("_contains=a.c").parse().args == (r"a\.c",)
    assert read("_all=1").parse().whole_chain
    assert read("_all=1").parse().is_everything


@pytest.mark.parametrize("query", ["_since=x", "_exit_code=1.5", "_under=x", "_signal=99x", "_min_lifetime=0"])
def test_values_that_cannot_be_read(query: str) -> None:
    with pytest.raises(UsageError):
        read(query).parse()
