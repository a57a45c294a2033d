"""Access control for `webpf browse`: an ASGI wrapper around Datasette that admits one browser.

All users of this machine can connect to a local port, and so can every page that a browser shows (DNS rebinding). So
each request must name a known host, and carry the cookie that was set when the printed address was opened. That
address contains a token, which works once.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import quote

from ..host import socket_peers

Scope: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Any, Send], Awaitable[None]]

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Names of this machine that an attacker's DNS can't define."""

_PARAMETER = b"token="
_UNKNOWN_HOST = "This host name is not allowed: allow it with webpf browse --allow-host.\n"
_NO_COOKIE = "Open the address that webpf browse has printed: it lets in one browser, once.\n"
_OTHER_USER = "Only the user who runs webpf browse can open this address.\n"


class Gate:
    """Admits requests that have the token or the cookie.

    hosts: host names in lower case that requests may use besides LOCAL_HOSTS. users: ids of the users who may use the
    token; None for all. It is set when the token is readable by everybody, in a browser's arguments.
    """

    def __init__(self, hosts: Collection[str] = ()) -> None:
        self.users: Collection[int] | None = None
        self._hosts = LOCAL_HOSTS | set(hosts)
        self._token = secrets.token_urlsafe(32)
        self._is_token_used = False
        # Browsers send cookies to all ports of a host, so each run uses a name of its own.
        self._cookie_name = f"webpf-{secrets.token_hex(4)}"
        self._cookie_value = secrets.token_urlsafe(32)

    def entry_url(self, page: str) -> str:
        """Returns the URL of a page with the token."""
        return f"{page}?{_PARAMETER.decode()}{self._token}"

    def guard(self, app: App) -> App:
        """Returns an app that passes admitted requests on to `app`, and answers all others itself."""

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
        """Returns status, text and headers of the answer to a request; None if it may pass."""
        if not self._has_known_host(scope):
            return HTTPStatus.FORBIDDEN, _UNKNOWN_HOST, {}
        given, rest = _take_token(scope)
        has_token = given is not None and _is_equal(given, self._token)
        if self._has_cookie(scope):
            return (HTTPStatus.SEE_OTHER, "", {"location": rest}) if has_token else None
        if not has_token or self._is_token_used or scope.get("method") != "GET":
            return HTTPStatus.FORBIDDEN, _NO_COOKIE, {}
        if self.users is not None and socket_peers.find_uid(scope["server"], scope["client"]) not in self.users:
            return HTTPStatus.FORBIDDEN, _OTHER_USER, {}
        self._is_token_used = True
        cookie = f"{self._cookie_name}={self._cookie_value}; Path=/; HttpOnly; SameSite=Lax"
        return HTTPStatus.SEE_OTHER, "", {"location": rest, "set-cookie": cookie}

    def _has_known_host(self, scope: Scope) -> bool:
        names = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        return len(names) == 1 and _without_port(names[0]) in self._hosts

    def _has_cookie(self, scope: Scope) -> bool:
        # http.cookies isn't used: it gives up if another program on this host has set an invalid cookie.
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
    """Returns the token in a request's URL, and the URL without it."""
    parts = scope.get("query_string", b"").split(b"&")
    tokens = [part for part in parts if part.startswith(_PARAMETER)]
    others = b"&".join(part for part in parts if part not in tokens)
    path = scope.get("raw_path") or quote(scope["path"]).encode()
    # A path that begins with two slashes would redirect to another host.
    rest = quote(b"/" + path.lstrip(b"/\\") + (b"?" + others if others else b""), safe="/?%:@!$&'()*+,;=~-._[]")
    return (tokens[0].removeprefix(_PARAMETER).decode("latin-1") if tokens else None), rest


async def _respond(send: Send, status: HTTPStatus, text: str, headers: dict[str, str]) -> None:
    body = text.encode()
    all_headers = {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",  # the requested URL may contain the token
        **headers,
    }
    raw = [(name.encode(), value.encode("latin-1")) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": status.value, "headers": raw})
    await send({"type": "http.response.body", "body": body})
