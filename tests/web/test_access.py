"""Permissions: webpf's pages and links follow Datasette's permissions for tables and queries, in both versions."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from itsdangerous import URLSafeSerializer
from sites import PYTHONS, Site, running
from story import BUILD
from support import make_recording

VERSIONS = sorted(PYTHONS)
ME = {"id": "me"}
TIMELINE = "/-/webpf/timeline/webpf/1"
PERFETTO = "/-/webpf/perfetto/webpf/1"
DATA = ("window", "choices", "process", "match", "stretch", "path")
WINDOW_PAGES = (TIMELINE, *(f"{TIMELINE}/{name}.json{'?id=5' if name == 'process' else ''}" for name in DATA))
OVERVIEW_PAGES = (f"{TIMELINE}/overview.json", PERFETTO, f"{PERFETTO}/trace")
SECRET = "a secret"


def get(site: Site, path: str, actor: dict[str, str] | None) -> tuple[int, str]:
    """Returns status and text of a page for an actor; None: not logged in."""
    request = urllib.request.Request(site.address + path)
    if actor:
        request.add_header("Cookie", f"ds_actor={URLSafeSerializer(SECRET, 'actor').dumps({'a': actor})}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


@contextmanager
def restricted_site(
    version: str, folder: Path, database: dict[str, Any], instance: dict[str, Any] | None = None
) -> Iterator[Site]:
    """Runs a Datasette with the story and this configuration of its database."""
    make_recording(folder / "webpf.db", BUILD)
    config = folder / "config.json"
    config.write_text(json.dumps({"databases": {"webpf": database}, **(instance or {})}))
    option = "-m" if version == "0.65" else "-c"
    with running(version, [folder / "webpf.db", option, config, "--secret", SECRET]) as site:
        yield site


def tables(*names: str) -> dict[str, Any]:
    """Returns the configuration of a database in which only ME may see these tables."""
    return {"tables": {name: {"allow": ME} for name in names}}


RESTRICTIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (tables("processes"), {}),
    (tables("recordings"), {}),
    ({"allow": ME}, {}),
    ({}, {"allow": ME}),
]


@pytest.mark.parametrize("place", range(len(RESTRICTIONS)))
@pytest.mark.parametrize("version", VERSIONS)
def test_forbidden_tables_forbid_pages_and_links(version: str, tmp_path: Path, place: int) -> None:
    """The expected status is that of Datasette's own pages of the two tables."""
    with restricted_site(version, tmp_path, *RESTRICTIONS[place]) as site:
        for actor in (None, {"id": "other"}, ME):
            own = {get(site, f"/webpf/{table}", actor)[0] for table in ("processes", "recordings")}
            expected = 200 if own == {200} else 403
            assert expected == (200 if actor == ME else 403)
            assert {path: get(site, path, actor)[0] for path in WINDOW_PAGES + OVERVIEW_PAGES} == dict.fromkeys(
                WINDOW_PAGES + OVERVIEW_PAGES, expected
            )
            for page in ("/", "/webpf", "/webpf/event_list", "/webpf/recordings"):
                assert (TIMELINE in get(site, page, actor)[1]) == (actor == ME)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_forbidden_saved_query_forbids_pages_with_its_results(version: str, tmp_path: Path) -> None:
    """The overview and the trace contain results of `concurrency`; the bars don't."""
    queries = {name: {"sql": "select 1", "allow": ME} for name in ("concurrency", "tree")}
    with restricted_site(version, tmp_path, {"queries": queries}) as site:
        assert get(site, "/webpf/concurrency", None)[0] == 403
        assert {path: get(site, path, None)[0] for path in WINDOW_PAGES} == dict.fromkeys(WINDOW_PAGES, 200)
        assert {path: get(site, path, None)[0] for path in OVERVIEW_PAGES} == dict.fromkeys(OVERVIEW_PAGES, 403)
        assert "Open in Perfetto" not in get(site, TIMELINE, None)[1]
        assert "Open in Perfetto" in get(site, TIMELINE, ME)[1]
        assert {path: get(site, path, ME)[0] for path in OVERVIEW_PAGES} == dict.fromkeys(OVERVIEW_PAGES, 200)
        assert 'href="/webpf/tree' not in get(site, "/webpf/processes?_size=3", None)[1]
        assert 'href="/webpf/tree' in get(site, "/webpf/processes?_size=3", ME)[1]


@pytest.mark.parametrize("version", VERSIONS)
def test_details_leave_out_what_is_in_forbidden_tables(version: str, tmp_path: Path) -> None:
    with restricted_site(version, tmp_path, tables("programs")) as site:
        for actor, shows in ((None, False), (ME, True)):
            details = json.loads(get(site, f"{TIMELINE}/process.json?id=5", actor)[1])
            assert (details["programs"] is not None, details["pid"]) == (shows, 100)
            assert ("/webpf/programs?process_id=5" in [link["href"] for link in details["links"]]) == shows
            assert "/webpf/processes/5" in [link["href"] for link in details["links"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_configured_query_replaces_the_saved_one(version: str, tmp_path: Path) -> None:
    with restricted_site(version, tmp_path, {"queries": {"users": "select 6 * 7 as answer"}}) as site:
        assert site.rows("/webpf/users") == [{"answer": 42}]
        assert site.rows("/webpf/orphans") != []


@pytest.mark.parametrize("version", VERSIONS)
def test_cells_only_link_to_allowed_pages(version: str, tmp_path: Path) -> None:
    with restricted_site(version, tmp_path, tables("processes", "programs")) as site:
        assert 'href="/webpf/processes/17"' not in get(site, "/webpf/crashes", None)[1]
        assert ">17<" in get(site, "/webpf/crashes", None)[1]
        assert 'href="/webpf/processes/17"' in get(site, "/webpf/crashes", ME)[1]
        assert "timeline</a>" not in get(site, "/webpf/recordings", None)[1]
        assert "timeline</a>" in get(site, "/webpf/recordings", ME)[1]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_link_to_another_table_needs_permission_for_it(version: str, tmp_path: Path) -> None:
    link = 'href="/webpf/programs?process_id='
    with restricted_site(version, tmp_path, tables("programs")) as site:
        for actor in (None, ME):
            rows = get(site, "/webpf/processes", actor)[1].partition("<tbody>")[2]
            assert (link in rows) == (actor == ME)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_timeline_works_without_the_overview(version: str, tmp_path: Path, chromium: Any) -> None:
    """The bars are shown, and the status line says that the overview can't be read."""
    queries = {"concurrency": {"sql": "select 1", "allow": ME}}
    with restricted_site(version, tmp_path, {"queries": queries}) as site:
        context = chromium.new_context(viewport={"width": 1280, "height": 800}, base_url=site.address)
        page = context.new_page()
        page.goto(f"{TIMELINE}?residents=1")
        state = "document.getElementById('wt-state').textContent"
        page.wait_for_function(f"{state}.includes('13 bars') && {state}.includes('the overview can\\'t be read')")
        page.keyboard.press("+")
        page.wait_for_function(f"{state}.includes('600.000 ms shown')")
        context.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_who_may_not_see_the_tables_may_not_filter_by_them(version: str, tmp_path: Path) -> None:
    """A filter would tell what is in them."""
    with restricted_site(version, tmp_path, tables("cgroup_paths")) as site:
        for actor, status in ((None, 403), (ME, 200)):
            for path in ("/webpf/rate", "/webpf/rate.json", "/-/webpf/timeline/webpf", TIMELINE + "/window.json"):
                assert get(site, path, actor)[0] == 200
                assert get(site, f"{path}?_comm=gcc", actor)[0] == status
            assert ("webpf-scope" in get(site, "/webpf/rate", actor)[1]) == (actor == ME)
            assert ("webpf-scope" in get(site, "/webpf", actor)[1]) == (actor == ME)
