"""Reads for webpf's pages: they have a time limit, use no thread of Datasette, and end when the client disconnects."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from datasette.app import Datasette
from sites import PYTHONS, Site, running
from slow import make_slow
from story import BUILD
from support import make_recording

from webpf.web.read_pool import ReadFailed, ReadPool

ENDLESS = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"
PROCESSES = 17  # in the story, including a kernel thread
SOON = 3.0  # seconds that an immediate answer may take on a busy machine


async def stays_connected() -> Any:
    """Acts as ASGI's receive() for a client that stays connected."""
    await asyncio.Event().wait()


def read(connection: Any, progress: object) -> int:
    """Reads without end."""
    return int(connection.execute(ENDLESS).fetchone()[0])


def count(connection: Any, progress: object) -> int:
    """Reads quickly."""
    return int(connection.execute("SELECT count(*) FROM processes").fetchone()[0])


Test = Callable[[Any], Awaitable[None]]


@pytest.fixture
def run_on_database(built: Path) -> Callable[[Test], None]:
    """Returns a function that runs a coroutine on a Datasette database with the story."""

    def run(test: Test) -> None:
        async def whole() -> None:
            datasette = Datasette([str(built)])
            database = datasette.get_database("webpf")
            await test(database)
            while database._all_file_connections:  # cancelled reads still close theirs
                await asyncio.sleep(0.01)

        asyncio.run(asyncio.wait_for(whole(), 20))

    return run


def test_a_newer_read_of_a_page_cancels_the_older(run_on_database: Callable[[Test], None]) -> None:
    pool = ReadPool(threads=1, seconds=60)

    async def test(database: Any) -> None:
        runs = asyncio.Event()
        loop = asyncio.get_running_loop()

        def signal_and_read(connection: Any, progress: object) -> int:
            loop.call_soon_threadsafe(runs.set)
            return read(connection, progress)

        older = asyncio.ensure_future(pool.read(database, signal_and_read, "a", stays_connected))
        await runs.wait()
        begun = time.monotonic()
        assert await pool.read(database, count, "a", stays_connected) == PROCESSES
        assert time.monotonic() - begun < SOON
        with pytest.raises(ReadFailed) as error:
            await older
        assert error.value.status == 409

    run_on_database(test)


def test_reads_of_other_pages_are_not_cancelled(run_on_database: Callable[[Test], None]) -> None:
    pool = ReadPool(threads=2, seconds=60)

    async def test(database: Any) -> None:
        def slow(connection: Any, progress: object) -> int:
            sql = ENDLESS.replace("FROM c)", "FROM c WHERE n < 3000000)")
            return int(connection.execute(sql).fetchone()[0])

        other = asyncio.ensure_future(pool.read(database, slow, "b", stays_connected))
        unnamed = asyncio.ensure_future(pool.read(database, slow, "", stays_connected))
        for _ in range(20):
            assert await pool.read(database, count, "a", stays_connected) == PROCESSES
        assert (await other, await unnamed) == (3000000, 3000000)

    run_on_database(test)


def test_the_time_limit(run_on_database: Callable[[Test], None]) -> None:
    """It includes the time of waiting for a thread. Afterwards the thread is free."""
    pool = ReadPool(threads=1, seconds=0.5)

    async def test(database: Any) -> None:
        begun = time.monotonic()
        both = [pool.read(database, read, page, stays_connected) for page in ("a", "b")]
        errors = await asyncio.gather(*both, return_exceptions=True)
        assert [error.status for error in errors if isinstance(error, ReadFailed)] == [503, 503]
        assert 0.5 <= time.monotonic() - begun < SOON
        assert await pool.read(database, count, "c", stays_connected) == PROCESSES

    run_on_database(test)


def test_a_read_is_cancelled_when_its_client_disconnects(run_on_database: Callable[[Test], None]) -> None:
    pool = ReadPool(threads=1, seconds=60)

    async def test(database: Any) -> None:
        messages = iter([{"type": "http.request"}, {"type": "http.disconnect"}])

        async def disconnects() -> Any:
            return next(messages)

        with pytest.raises(ReadFailed):
            await pool.read(database, read, "", disconnects)
        assert await pool.read(database, count, "", stays_connected) == PROCESSES

    run_on_database(test)


def test_too_many_requests_are_refused(run_on_database: Callable[[Test], None]) -> None:
    pool = ReadPool(threads=1, seconds=1)

    async def test(database: Any) -> None:
        many = [pool.read(database, read, "", stays_connected) for _ in range(300)]
        errors = await asyncio.gather(*many, return_exceptions=True)
        refused = [error for error in errors if "too many requests" in str(error)]
        assert len(refused) == 200

    run_on_database(test)


@pytest.fixture(scope="module", params=sorted(PYTHONS))
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Each Datasette with a recording on which queries take minutes, and the story."""
    folder = tmp_path_factory.mktemp("slow")
    make_slow(folder / "slow.db")
    make_recording(folder / "webpf.db", BUILD)
    with running(request.param, [folder / "slow.db", folder / "webpf.db"]) as site:
        yield site


SLOW = "/-/webpf/timeline/slow/1"
QUICK = "/-/webpf/timeline/webpf/1/window.json"


def seconds(site: Site, path: str) -> float:
    """Returns how many seconds a page takes; its status must be 200."""
    begun = time.monotonic()
    assert site.get(path)[0] == 200
    return time.monotonic() - begun


def test_the_time_limit_is_reported(site: Site) -> None:
    status, text = site.get(f"{SLOW}/choices.json")
    assert status == 503
    assert json.loads(text)["error"] == "it took more than 10 s and was cancelled"


def test_other_pages_answer_during_slow_reads(site: Site) -> None:
    """Datasette's three threads are free, however many reads wait."""
    paths = [f"{SLOW}/window.json?comm=x&page={number}" for number in range(6)]
    threads = [threading.Thread(target=site.get, args=[path]) for path in paths]
    for thread in threads:
        thread.start()
    for path in ("/webpf/processes", "/webpf/lifetimes", "/slow/recordings", "/"):
        assert max(seconds(site, path) for _ in range(3)) < SOON
    assert any(thread.is_alive() for thread in threads)
    for thread in threads:
        thread.join()


@contextmanager
def slow_request(site: Site, path: str) -> Iterator[socket.socket]:
    """Requests a page that takes the server long; disconnects at the end of the block."""
    address = urlsplit(site.address)
    with socket.create_connection((address.hostname or "", address.port or 0)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(SOON)
        yield client


def test_reads_of_disconnected_clients_are_cancelled(site: Site) -> None:
    for _ in range(4):
        with slow_request(site, f"{SLOW}/choices.json"):
            pass
    assert seconds(site, QUICK) < SOON


def test_a_new_request_of_a_page_cancels_the_previous_one(site: Site) -> None:
    me = f"{SLOW}/choices.json?page=me"
    with slow_request(site, me) as first, slow_request(site, me) as second:
        assert first.recv(12) == b"HTTP/1.1 409"
        assert seconds(site, f"{QUICK}?page=me") < SOON
        assert second.recv(12) == b"HTTP/1.1 409"


def test_invalid_page_ids(site: Site) -> None:
    for page in ("x" * 65, "%3Cb%3E", "%00", "a+b"):
        assert site.get(f"{QUICK}?page={page}")[0] == 400
    assert site.get(f"{QUICK}?page=")[0] == 200


def test_a_trace_is_complete_after_cancelled_ones(site: Site) -> None:
    """Several clients request a trace and disconnect; the next client gets a complete one."""
    pytest.importorskip("perfetto", reason="the extra webpf[perfetto] isn't installed")
    for _ in range(3):
        with slow_request(site, "/-/webpf/perfetto/slow/1/trace"):
            pass
    with urllib.request.urlopen(f"{site.address}/-/webpf/perfetto/webpf/1/trace", timeout=20) as answer:
        assert b"/usr/bin/make" in answer.read()


def test_only_the_own_statement_is_interrupted(built: Path) -> None:
    """Another connection reads the same file all the time, like Datasette's own pages."""
    pool = ReadPool(threads=2, seconds=0.3)
    with closing(sqlite3.connect(f"{built.as_uri()}?mode=ro", uri=True, check_same_thread=False)) as other:
        done: list[int] = []
        limited = ENDLESS.replace("FROM c)", "FROM c WHERE n < 5000000)")
        thread = threading.Thread(target=lambda: done.append(other.execute(limited).fetchone()[0]))
        thread.start()

        async def whole() -> None:
            database = Datasette([str(built)]).get_database("webpf")
            for _ in range(3):
                with pytest.raises(ReadFailed):
                    await pool.read(database, read, "a", stays_connected)

        asyncio.run(whole())
        thread.join()
    assert done == [5000000]
