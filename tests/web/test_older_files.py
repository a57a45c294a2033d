"""Files with an older schema: webpf's pages say in one line how to upgrade them; Datasette's own pages work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import old_files
import pytest
from sites import PYTHONS, Site, running
from story import BUILD
from support import make_recording, wait_until

from webpf.storage.upgrade import upgrade

MESSAGES = {
    "schema-1": "schema-1.db was made by webpf's schema 1, this is schema 5; try: webpf upgrade schema-1.db",
    "schema-3": "schema-3.db was made by webpf's schema 3, this is schema 5; try: webpf upgrade schema-3.db",
    "schema-4-begun": "schema-4-begun.db was made by webpf's schema 4, this is schema 5;"
    " try: webpf upgrade schema-4-begun.db",
}
PAGES = [
    "timeline/{}/1",
    "timeline/{}/1/window.json",
    "timeline/{}/1/overview.json",
    "timeline/{}/1/choices.json",
    "perfetto/{}/1/trace",
]


@pytest.fixture(scope="module", params=sorted(PYTHONS))
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Each Datasette with older files and a current one."""
    folder = tmp_path_factory.mktemp("older")
    make_recording(folder / "good.db", BUILD)
    paths: list[Path] = [old_files.copy(name, folder / f"{name}.db") for name in MESSAGES]
    with running(request.param, [folder / "good.db", *paths]) as site:
        yield site


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("page", PAGES)
def test_pages_say_what_to_do(page: str, name: str, site: Site) -> None:
    status, text = site.get("/-/webpf/" + page.format(name))
    assert status == 503
    assert MESSAGES[name] in unescape(text)


@pytest.mark.parametrize("name", MESSAGES)
def test_pages_of_datasette_work(name: str, site: Site) -> None:
    for path in (f"/{name}/processes", f"/{name}/recordings/1", f"/{name}/events", f"/{name}/programs"):
        assert site.get(path)[0] == 200, path
    assert len(site.rows(f"/{name}/recordings")) in (1, 2)
    status, text = site.get(f"/{name}")
    assert status == 200
    assert MESSAGES[name] in unescape(text)
    assert not re.search(f'href="/{name}/(lifetimes|failures)"', text)


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_a_file_that_is_upgraded_while_it_is_served(version: str, tmp_path: Path) -> None:
    path = old_files.copy("schema-3", tmp_path / "old.db")
    with running(version, [path]) as site:
        assert site.get("/-/webpf/timeline/old/1")[0] == 503
        upgrade(path)
        wait_until(lambda: site.get("/-/webpf/timeline/old/1")[0] == 200, "the timeline isn't shown")
        assert site.get("/-/webpf/timeline/old/1/window.json")[0] == 200
    # Datasette's own pages use connections that are still open to the old file: docs/usage.md says to restart it.
    with running(version, [path]) as site:
        assert site.get("/old/processes")[0] == 200


def test_the_current_file_beside_them(site: Site) -> None:
    for path in ("/", "/good", "/good/processes", "/good/lifetimes", "/-/webpf/timeline/good/1"):
        status, text = site.get(path)
        assert status == 200, path
        assert "webpf upgrade good.db" not in text
    text = site.get("/")[1]
    assert 'href="/-/webpf/timeline/good/1"' in text
    assert "/-/webpf/timeline/schema" not in text
