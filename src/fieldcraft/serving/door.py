"""The way in: requests go to models by the shortest way, everything else to the pages."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from fieldcraft.serving.counters import Counters
from fieldcraft.serving.limits import Limits
from fieldcraft.serving.line import Waiting
from fieldcraft.serving.protocols import PROTOCOLS
from fieldcraft.serving.reading import Gone, Receive, body_of
from fieldcraft.serving.served import Served
from fieldcraft.serving.trouble import STATUS, Trouble

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]
Pages = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = (b"content-type", b"application/json")
ID = b"x-request-id"
LONGEST_ID = 128
PATIENCE = 0.05  # seconds after which it is watched whether a caller hangs up
LINGER = 1.0  # seconds in which the rest of a refused body may run out
LINGERING = 64 << 20  # bytes of it at most


class Door:
    """The server as an ASGI application.

    Args:
        routes: of prediction requests: path to protocol and model.
        pages: answers all other requests.
        counters: of the server.
        limits: of the server.
        token: that callers must bring, if any.
        invalid: status of an answer to rows that do not fit the model.
    """

    def __init__(
        self, routes: Mapping[str, tuple[str, Served]], pages: Pages, counters: Counters,
        limits: Limits, token: str | None = None, invalid: int = 422,
    ) -> None:  # fmt: skip
        self.routes = dict(routes)
        self.pages = pages
        self.counters = counters
        self.limits = limits
        self.token = None if token is None else f"Bearer {token}".encode()
        self.status = {**STATUS, "": 200, "bad_rows": invalid}
        self.open = True
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        route = self.routes.get(scope["path"]) if scope["type"] == "http" else None
        if route is None:
            await self.pages(scope, receive, send)
            return
        protocol, model = route
        start = time.perf_counter()
        headers = dict(scope["headers"])
        request = request_id(headers)
        self.running += 1
        try:
            code, body = await self.answered(
                scope["method"], headers, receive, (protocol, request), model
            )
        except Trouble as trouble:
            code = trouble.code
            body = PROTOCOLS[protocol].refuse(trouble, model.manners.private, request)
            await self.refuse(receive, send, trouble, body, request)
        except Gone:
            code = "gone"
        else:
            await respond(send, self.status[code], body, request)
        finally:
            self.running -= 1
        self.counters.requests.labels(model.name, code or "ok").inc()
        self.counters.seconds.labels(model.name).observe(time.perf_counter() - start)

    async def answered(
        self, method: str, headers: Mapping[bytes, bytes], receive: Receive,
        how: tuple[str, str], model: Served,
    ) -> tuple[str, bytes]:  # fmt: skip
        """The code of what is wrong, empty if nothing is, and the body of the answer.

        Raises:
            Trouble: the request is refused.
            Gone: the caller hung up.
        """
        if method != "POST":
            raise Trouble("wrong_method", "send rows with POST")
        self.check(headers, PROTOCOLS[how[0]].TYPES)
        body = await body_of(headers, receive, self.limits)
        waiting = Waiting(*how, body)
        model.line.put(waiting)
        late = asyncio.get_running_loop().call_later(self.limits.seconds, expire, waiting)
        try:
            done, _ = await asyncio.wait([waiting.reply], timeout=PATIENCE)
            if not done:
                await self.watched(waiting, receive)
            return waiting.reply.result()
        finally:
            late.cancel()
            waiting.reply.cancel()  # so that it is not computed if it has not been

    async def watched(self, waiting: Waiting, receive: Receive) -> None:
        """Wait for a reply while watching whether the caller hangs up.

        Raises:
            Gone: the caller hung up.
        """
        leaving: asyncio.Future[Any] = asyncio.ensure_future(receive())
        try:
            await asyncio.wait([waiting.reply, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not waiting.reply.done():
                raise Gone
        finally:
            leaving.cancel()

    def check(self, headers: Mapping[bytes, bytes], types: Sequence[bytes]) -> None:
        """Make sure that a request may come in.

        Raises:
            Trouble: the server is closing, the token is missing, or the body is no JSON.
        """
        if not self.open:
            raise Trouble("not_ready", "the server is closing")
        if self.token is not None:
            given = headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, self.token):
                raise Trouble("unauthorized", "send the header Authorization: Bearer <token>")
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind not in types:
            raise Trouble("wrong_type", "send the header Content-Type: application/json")

    async def refuse(
        self, receive: Receive, send: Send, trouble: Trouble, body: bytes, request: str
    ) -> None:
        """Tell a caller what is wrong; close where the rest of the body is still to come."""
        more = []
        if trouble.retry_after is not None:
            more.append((b"retry-after", str(trouble.retry_after).encode()))
        if trouble.code == "wrong_method":
            more.append((b"allow", b"POST"))
        if trouble.code == "unauthorized":
            more.append((b"www-authenticate", b"Bearer"))
        unread = trouble.code in ("too_large", "too_slow")
        if unread:
            more.append((b"connection", b"close"))
        await respond(send, self.status[trouble.code], body, request, more, open_=unread)
        if unread:
            await linger(receive)
            await send({"type": "http.response.body", "body": b""})


def expire(waiting: Waiting) -> None:
    """Give up a request whose time is up."""
    waiting.fail(Trouble("deadline", "the answer was not ready in time"))


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """The id that the caller gave, if it is a plain one, or a fresh one."""
    given = headers.get(ID, b"").decode("latin-1")
    if given and len(given) <= LONGEST_ID and given.isascii() and given.isprintable():
        return given
    return secrets.token_hex(8)


async def respond(
    send: Send,
    status: int,
    body: bytes,
    request: str,
    more: list[tuple[bytes, bytes]] | None = None,
    open_: bool = False,
) -> None:
    """Send an answer of JSON; an open one is ended by an empty piece of it."""
    headers = [JSON, (b"content-length", str(len(body)).encode()), (ID, request.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers + (more or [])})
    await send({"type": "http.response.body", "body": body, "more_body": open_})


async def linger(receive: Receive) -> None:
    """Let the rest of a refused body run out for a moment.

    A connection that is closed while bytes are still unread is reset, and the caller would never
    see the answer (RFC 9112, section 9.6).
    """
    left = LINGERING
    try:
        async with asyncio.timeout(LINGER):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    break
                left -= len(message["body"])
    except TimeoutError:
        pass
