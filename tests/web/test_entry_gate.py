"""Access to `webpf browse`: one browser, by a URL that works once, with an allowed host name."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sites import PYTHONS
from story import BUILD
from support import NOBODY, make_recording, wait_until
from visits import Browse, Visitor, browsing

PAGES = ("/", "/webpf", "/webpf/lifetimes.json", "/webpf.db", "/-/static/app.css", "/-/settings.json", "/nothing")
TIMELINE = "/-/webpf/timeline/webpf/1"


@pytest.fixture(params=sorted(PYTHONS))
def browse(request: pytest.FixtureRequest, built: Path) -> Iterator[Browse]:
    """A running `webpf browse` in each Datasette."""
    with browsing(built, "--no-open", version=request.param) as browse:
        yield browse


class Entered(NamedTuple):
    """A running `webpf browse`, and the visitor who has used its token."""

    browse: Browse
    visitor: Visitor


@pytest.fixture(scope="module", params=sorted(PYTHONS))
def entered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entered]:
    """One in each Datasette, for tests that only send requests."""
    db = tmp_path_factory.mktemp("entered") / "webpf.db"
    make_recording(db, BUILD)
    with browsing(db, "--no-open", version=request.param) as browse:
        yield Entered(browse, browse.visitor())


def curl(*arguments: str, uid: int = NOBODY) -> str:
    """Runs curl as another user; returns its output."""
    line = ["curl", "--silent", "--max-time", "20", *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=True, user=uid, cwd="/").stdout


def status_line(port: int, head: str) -> str:
    """Sends a raw HTTP request; returns the status line of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"{head}\r\n\r\n".encode())
        return connection.makefile("rb").readline().decode().strip()


def test_requests_without_the_cookie_get_one_sentence(entered: Entered) -> None:
    browse = entered.browse
    for path in PAGES:
        answer = curl("--include", "--request", "GET", browse.site + path)
        assert answer.startswith("HTTP/1.1 403"), path
        text = answer.partition("\n\n")[2]
        assert re.fullmatch(r"[^<>\n]+\.\n", text), text
    for method in ("POST", "HEAD", "PUT", "OPTIONS"):
        assert (
            status_line(browse.port, f"{method} /webpf HTTP/1.1\r\nHost: localhost\r\nConnection: close").split()[1]
            == "403"
        )


def test_the_address_works_once(browse: Browse) -> None:
    visitor = browse.visitor()
    status, text, _ = Visitor().get(browse.address)
    assert (status, text.count("\n"), "once" in text) == (403, 1, True)
    assert visitor.get(f"{browse.site}/webpf")[0] == 200
    # A browser with the cookie can open it again, for example by reloading the page.
    status, _, where = visitor.get(browse.address)
    assert (status, where) == (200, browse.site + TIMELINE)


def test_it_redirects_to_the_url_without_the_token(browse: Browse) -> None:
    """The redirect keeps the rest of the query."""
    path = browse.address.removeprefix(browse.site).replace("?", "?from=1.5&search=a%26b+c%23&", 1)
    with closing(http.client.HTTPConnection("127.0.0.1", browse.port, timeout=20)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
    assert 300 <= answer.status < 400
    assert answer.headers["location"] == f"{TIMELINE}?from=1.5&search=a%26b+c%23"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    parts = [part.strip().lower() for part in answer.headers["set-cookie"].split(";")]
    assert {"httponly", "path=/"} <= set(parts)
    assert {"samesite=lax", "samesite=strict"} & set(parts)
    assert browse.address.partition("token=")[2] not in answer.headers["set-cookie"]


@pytest.mark.parametrize("start", ["//evil.example/", "/\\evil.example/", "///evil.example"])
def test_it_redirects_to_no_other_host(browse: Browse, start: str) -> None:
    token = browse.address.partition("?")[2]
    with socket.create_connection(("127.0.0.1", browse.port), timeout=20) as connection:
        connection.sendall(f"GET {start}?{token} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = connection.makefile("rb").read().decode()
    location = re.search(r"(?im)^location: (.*?)\r?$", answer)
    assert location is None or re.match(r"/[^/\\]", location[1]), answer


def test_a_head_request_does_not_use_up_the_token(browse: Browse) -> None:
    """Programs that show previews of links send HEAD requests."""
    path = browse.address.removeprefix(browse.site)
    assert status_line(browse.port, f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close").split()[1] == "403"
    assert browse.visitor()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[::2]"]
)
def test_foreign_host_names_are_refused(entered: Entered, host: str) -> None:
    """Even with the cookie, because another site's DNS could make its name point to this machine."""
    port = entered.browse.port
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in entered.visitor.jar)
    head = f"GET /webpf HTTP/1.1\r\nHost: {host.format(port=port)}\r\nCookie: {cookies}\r\nConnection: close"
    assert status_line(port, head).split()[1] in ("403", "400")
    assert status_line(port, head.replace("Host: ", "Host: localhost\r\nHost: ", 1)).split()[1] in ("403", "400")
    assert status_line(port, f"GET /webpf HTTP/1.0\r\nCookie: {cookies}").split()[1] in ("403", "400")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1", "127.0.0.1:1", "[::1]:9000"])
def test_names_of_this_machine_are_allowed(entered: Entered, host: str) -> None:
    """With any port, because a tunnel can have another port at its other end."""
    assert entered.visitor.get(f"{entered.browse.site}/webpf", Host=host)[0] == 200


def test_cookies_of_other_programs_are_ignored(entered: Entered) -> None:
    """Browsers send the cookies of all ports of a host."""
    browse = entered.browse
    [cookie] = (each for each in entered.visitor.jar if each.name.startswith("webpf"))
    for others in ("a=b; ", '{"x": [1]}; =; ;; q="; ', "webpf=x; "):
        status, _, _ = Visitor().get(f"{browse.site}/webpf", Cookie=f"{others}{cookie.name}={cookie.value}")
        assert status == 200, others
    for wrong in ("", "x", (cookie.value or "") + "x", (cookie.value or "")[:-1], "ü"):
        assert (
            status_line(browse.port, f"GET / HTTP/1.0\r\nHost: localhost\r\nCookie: {cookie.name}={wrong}").split()[1]
            == "403"
        )


def test_allow_host(built: Path) -> None:
    with browsing(built, "--no-open", "--allow-host", "Box.example", "--allow-host", "other") as browse:
        visitor = browse.visitor()
        for host in ("box.example", "box.example:443", "other", "localhost"):
            assert visitor.get(f"{browse.site}/webpf", Host=host)[0] == 200
        assert visitor.get(f"{browse.site}/webpf", Host="sub.box.example")[0] == 403
        assert Visitor().get(f"{browse.site}/webpf", Host="other")[0] == 403


@pytest.mark.parametrize("name", ["http://box", "box:80", "", "a b", "a/b", "*"])
def test_invalid_host_names(built: Path, name: str) -> None:
    line = [str(PYTHONS["0.65"]), "-m", "webpf", "browse", str(built), "--no-open", "--allow-host", name]
    answer = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (answer.returncode, answer.stderr.count("\n")) == (64, 1)


def test_the_token_is_not_readable_by_other_users(browse: Browse) -> None:
    """It is in no process's arguments, environment or name."""
    secret = browse.address.partition("token=")[2].encode()
    for folder in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ", "comm"):
            try:
                assert secret not in (folder / name).read_bytes(), folder
            except OSError:
                continue


def test_another_user_cannot_use_the_url_in_a_browsers_arguments(built: Path, tmp_path: Path) -> None:
    """All users can read a browser's arguments, so only the browser's user can open the URL."""
    browser = f"sh -c 'printf %%s \"$0\" > {tmp_path}/got; exec sleep 600' %s"
    with browsing(built, environment={"BROWSER": browser, "DISPLAY": ":9"}) as browse:
        wait_until((tmp_path / "got").exists, "no browser was started")
        assert browse.address in browse.line
        assert curl("--output", "/dev/null", "--write-out", "%{http_code}", browse.address) == "403"
        assert browse.visitor().get(f"{browse.site}/webpf")[0] == 200


def test_without_a_browser_the_url_is_enough(browse: Browse) -> None:
    """The URL is then only in webpf's output. Another user may open it, for example through a tunnel."""
    answer = curl("--location", "--cookie", "", "--output", "/dev/null", "--write-out", "%{http_code}", browse.address)
    assert answer == "200"


@pytest.fixture
def context(chromium: Any) -> Iterator[Any]:
    """A browser context without cookies."""
    with closing(chromium.new_context()) as context:
        yield context


def test_in_a_real_browser(browse: Browse, context: Any) -> None:
    """The timeline, tables, a download and Perfetto work. The token is in no Referer; scripts can't read the cookie."""
    page = context.new_page()
    wrong: list[str] = []
    sent: list[dict[str, str]] = []
    page.on("response", lambda it: wrong.append(f"{it.status} {it.url}") if it.status >= 400 else None)
    page.on("request", lambda it: sent.append(it.headers))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.goto(browse.address)
    assert page.url == browse.site + TIMELINE
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')
    for path in ("/", "/webpf/lifetimes", "/webpf/processes/7", "/-/plugins", "/-/databases"):
        page.goto(browse.site + path)
        assert page.title()
    assert page.evaluate("fetch('/webpf/lifetimes.csv').then(answer => answer.text())").startswith("pid,")
    page.goto(browse.site + TIMELINE)
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')  # until then the status beside the link moves it
    page.click("text=Open in Perfetto")
    page.wait_for_selector("#wp-state")
    page.wait_for_function("() => document.getElementById('wp-state')?.textContent.startsWith('a trace of')")
    secret = browse.address.partition("token=")[2]
    assert [headers for headers in sent if secret in str(headers.get("referer"))] == []
    assert page.evaluate("document.cookie").find("webpf") == -1
    assert wrong == []


def test_dns_rebinding(browse: Browse, chromium: Any) -> None:
    """A foreign host name points to this machine, and the browser even has the cookie for it."""
    visitor = browse.visitor()
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    rules = "--host-resolver-rules=MAP *.example 127.0.0.1"
    there = f"http://rebound.example:{browse.port}"
    with closing(chromium.browser_type.launch(executable_path=path, args=["--no-sandbox", rules])) as rebinding:
        context = rebinding.new_context()
        for cookie in visitor.jar:
            for url in (there, browse.site):
                context.add_cookies([{"name": cookie.name, "value": cookie.value, "url": url}])
        page = context.new_page()
        assert page.goto(f"{browse.site}/webpf.json").status == 200
        assert page.goto(f"{there}/webpf.json").status == 403
        assert "processes" not in page.inner_text("body")


def test_the_cookie_is_valid_for_one_server(built: Path) -> None:
    """Two servers have different cookies, and a browser can have both."""
    with browsing(built, "--no-open") as first, browsing(built, "--no-open") as second:
        visitor = first.visitor()
        assert visitor.get(f"{second.site}/webpf")[0] == 403
        assert visitor.get(second.address)[0] == 200
        assert visitor.get(f"{first.site}/webpf")[0] == 200


def test_another_user_cannot_read_a_private_recording(built: Path) -> None:
    """With mode 0600, another user can't read the recording through the port either."""
    built.chmod(0o600)
    os.chown(built, 0, 0)
    with browsing(built, "--no-open") as browse:
        assert curl("--output", "/dev/null", "--write-out", "%{http_code}", f"{browse.site}/webpf.json") == "403"
