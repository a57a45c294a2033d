"""What stands before Datasette when `webpf browse` runs it: one browser gets in, by an address that works once.

A port of this machine is open to all its users, and to every page that a browser shows (DNS rebinding). So each request
must name a host that is served, and carry the cookie that the first use of the printed address has set.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import quote

from ..host import peers

Scope: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Any, Send], Awaitable[None]]

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Names of this machine that no other machine's DNS can point here."""

_PARAMETER = b"token="
_UNKNOWN_HOST = "This name is not served here: start webpf browse with --allow-host to allow it.\n"
_NO_COOKIE = "Open the address that webpf browse has printed: it lets in one browser, once.\n"
_OTHER_USER = "Only the user who runs webpf browse can open this address.\n"


class Gate:
    """Lets in who has the token or the cookie. hosts: names besides LOCAL_HOSTS that requests may give, lower case.

    users: ids of those who may use the token, once it is where all can read it (a browser's arguments); None: anybody.
    """

    def __init__(self, hosts: Collection[str] = ()) -> None:
        self.users: Collection[int] | None = None
        self._hosts = LOCAL_HOSTS | set(hosts)
        self._token = secrets.token_urlsafe(32)
        self._is_token_used = False
        # Ports share cookies: each run has a name of its own.
        self._cookie_name = f"webpf-{secrets.token_hex(4)}"
        self._cookie_value = secrets.token_urlsafe(32)

    def entry_url(self, page: str) -> str:
        """The page's address that works once."""
        return f"{page}?{_PARAMETER.decode()}{self._token}"

    def guard(self, app: App) -> App:
        """The app, for those who are let in."""

        async def guarded(scope: Scope, receive: Any, send: Send) -> None:
            answer = self._answer(scope) if scope["type"] in ("http", "websocket") else None
            if answer is None:
                await app(scope, receive, send)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close"})
            else:
                await _respond(send, *answer)

        return guarded

    def _answer(self, scope: Scope) -> tuple[HTTPStatus, str, dict[str, str]] | None:
        """Status, text and headers for who isn't let in, or has just been; None for who is in."""
        if not self._has_known_host(scope):
            return HTTPStatus.FORBIDDEN, _UNKNOWN_HOST, {}
        given, rest = _take_token(scope)
        has_token = given is not None and _is_equal(given, self._token)
        if self._has_cookie(scope):
            return (HTTPStatus.SEE_OTHER, "", {"location": rest}) if has_token else None
        if not has_token or self._is_token_used or scope.get("method") != "GET":
            return HTTPStatus.FORBIDDEN, _NO_COOKIE, {}
        if self.users is not None and peers.uid(scope["server"], scope["client"]) not in self.users:
            return HTTPStatus.FORBIDDEN, _OTHER_USER, {}
        self._is_token_used = True
        cookie = f"{self._cookie_name}={self._cookie_value}; Path=/; HttpOnly; SameSite=Lax"
        return HTTPStatus.SEE_OTHER, "", {"location": rest, "set-cookie": cookie}

    def _has_known_host(self, scope: Scope) -> bool:
        names = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        return len(names) == 1 and _without_port(names[0]) in self._hosts

    def _has_cookie(self, scope: Scope) -> bool:
        # Not by http.cookies, which gives up at what other programs on this host may have set.
        pairs = [
            each.strip().partition("=")
            for name, value in scope["headers"]
            if name == b"cookie"
            for each in value.decode("latin-1").split(";")
        ]
        return any(name == self._cookie_name and _is_equal(value, self._cookie_value) for name, _, value in pairs)


def _is_equal(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode(), secret.encode())


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _take_token(scope: Scope) -> tuple[str | None, str]:
    """The token in a request's address, and the address without it."""
    parts = scope.get("query_string", b"").split(b"&")
    tokens = [part for part in parts if part.startswith(_PARAMETER)]
    others = b"&".join(part for part in parts if part not in tokens)
    path = scope.get("raw_path") or quote(scope["path"]).encode()
    # Two slashes at the beginning would be another host.
    rest = quote(b"/" + path.lstrip(b"/\\") + (b"?" + others if others else b""), safe="/?%:@!$&'()*+,;=~-._[]")
    return (tokens[0].removeprefix(_PARAMETER).decode("latin-1") if tokens else None), rest


async def _respond(send: Send, status: HTTPStatus, text: str, headers: dict[str, str]) -> None:
    body = text.encode()
    all_headers = {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",  # the address that was asked for may hold the token
        **headers,
    }
    raw = [(name.encode(), value.encode("latin-1")) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": status.value, "headers": raw})
    await send({"type": "http.response.body", "body": body})
