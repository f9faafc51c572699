"""The server as an ASGI application: a short path for predictions, FastAPI for all other routes.

Prediction requests bypass FastAPI. The raw body goes to a worker process, which parses it, so the
event loop of the server only moves bytes.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from fieldcraft.serving.deployed_model import DeployedModel
from fieldcraft.serving.errors import (
    CLIENT_DISCONNECTED_CODE,
    CLIENT_DISCONNECTED_STATUS,
    STATUS_BY_CODE,
    RequestError,
)
from fieldcraft.serving.metrics import ServerMetrics
from fieldcraft.serving.protocols import PROTOCOLS
from fieldcraft.serving.queue import PendingRequest, ServerLimits
from fieldcraft.serving.request_body import ClientDisconnect, ReceiveFunction, read_request_body

SendFunction = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiScope = MutableMapping[str, Any]
AsgiApp = Callable[[AsgiScope, ReceiveFunction, SendFunction], Awaitable[None]]

JSON_CONTENT_TYPE = (b"content-type", b"application/json")
REQUEST_ID_HEADER = b"x-request-id"
MAX_REQUEST_ID_LENGTH = 128  # characters
# Most answers come sooner; only for slower ones does a second task listen for a disconnect.
DISCONNECT_POLL_SECONDS = 0.05
DRAIN_BODY_SECONDS = 1.0  # time to read the rest of a refused body
MAX_DRAINED_BYTES = 64 << 20  # of the rest of a refused body


class PredictionApp:
    """The server as an ASGI application.

    Args:
        routes: prediction routes, path to protocol and model.
        management_app: application for all other requests.
        metrics: metrics of the server.
        limits: limits of the server.
        token: bearer token that clients must send, if any.
        invalid_status: HTTP status for rows that do not fit the model.
    """

    def __init__(
        self,
        routes: Mapping[str, tuple[str, DeployedModel]],
        management_app: AsgiApp,
        metrics: ServerMetrics,
        limits: ServerLimits,
        token: str | None = None,
        invalid_status: int = 422,
    ) -> None:
        self.routes = dict(routes)
        self.management_app = management_app
        self.metrics = metrics
        self.limits = limits
        self.authorization = None if token is None else f"Bearer {token}".encode()
        self.status_by_code = {**STATUS_BY_CODE, "": 200, "invalid_input": invalid_status}
        self.is_accepting = True
        self.active_requests = 0

    async def __call__(
        self, scope: AsgiScope, receive: ReceiveFunction, send: SendFunction
    ) -> None:
        """Answer a request, and count it in the metrics."""
        route = self.routes.get(scope["path"]) if scope["type"] == "http" else None
        if route is None:
            await self.management_app(scope, receive, send)
            return
        protocol, model = route
        start_time = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = get_request_id(headers)
        self.active_requests += 1
        try:
            code, response_body = await self.handle_request(
                scope["method"], headers, receive, (protocol, request_id), model
            )
        except RequestError as error:
            code, status = error.code, self.status_by_code[error.code]
            response_body = PROTOCOLS[protocol].format_error(
                error, model.policy.redact_errors, request_id
            )
            await self.send_error(receive, send, error, response_body, request_id)
        except ClientDisconnect:
            code, status = CLIENT_DISCONNECTED_CODE, CLIENT_DISCONNECTED_STATUS
        else:
            status = self.status_by_code[code]
            await send_response(send, status, response_body, request_id)
        finally:
            self.active_requests -= 1
        self.metrics.requests.labels(model.name, code or "ok", str(status)).inc()
        self.metrics.request_duration_seconds.labels(model.name).observe(
            time.perf_counter() - start_time
        )

    async def handle_request(
        self, method: str, headers: Mapping[bytes, bytes], receive: ReceiveFunction,
        protocol_and_id: tuple[str, str], model: DeployedModel,
    ) -> tuple[str, bytes]:  # fmt: skip
        """Return the error code, empty for success, and the response body.

        Raises:
            RequestError: the request is refused.
            ClientDisconnect: the client left.
        """
        if method != "POST":
            raise RequestError("method_not_allowed", "send rows with POST")
        self.check_request(headers, PROTOCOLS[protocol_and_id[0]].CONTENT_TYPES)
        body = await read_request_body(headers, receive, self.limits)
        pending = PendingRequest(*protocol_and_id, body)
        model.queue.enqueue(pending)
        deadline = asyncio.get_running_loop().call_later(
            self.limits.request_timeout_seconds, fail_with_timeout, pending
        )
        try:
            done, _ = await asyncio.wait([pending.reply], timeout=DISCONNECT_POLL_SECONDS)
            if not done:
                await self.wait_or_disconnect(pending, receive)
            return pending.reply.result()
        finally:
            deadline.cancel()
            # The queue drops requests that are done, so nothing is computed for a client that left.
            pending.reply.cancel()

    async def wait_or_disconnect(self, pending: PendingRequest, receive: ReceiveFunction) -> None:
        """Wait for a reply, and stop waiting if the client disconnects.

        Raises:
            ClientDisconnect: the client left.
        """
        # After the body, the only message that ASGI still delivers is the disconnect.
        disconnect: asyncio.Future[Any] = asyncio.ensure_future(receive())
        try:
            await asyncio.wait([pending.reply, disconnect], return_when=asyncio.FIRST_COMPLETED)
            if not pending.reply.done():
                raise ClientDisconnect
        finally:
            disconnect.cancel()

    def check_request(self, headers: Mapping[bytes, bytes], content_types: Sequence[bytes]) -> None:
        """Check the headers of a request.

        Raises:
            RequestError: the server is closing, the token is missing, or the body is not JSON.
        """
        if not self.is_accepting:
            raise RequestError("not_ready", "the server is closing")
        if self.authorization is not None:
            authorization = headers.get(b"authorization", b"")
            # Constant time: a plain comparison would reveal the token byte by byte.
            if not hmac.compare_digest(authorization, self.authorization):
                raise RequestError("unauthorized", "send the header Authorization: Bearer <token>")
        content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if content_type not in content_types:
            raise RequestError(
                "unsupported_media_type", "send the header Content-Type: application/json"
            )

    async def send_error(
        self,
        receive: ReceiveFunction,
        send: SendFunction,
        error: RequestError,
        body: bytes,
        request_id: str,
    ) -> None:
        """Send an error response; if the body was not read to its end, close the connection."""
        extra_headers = []
        if error.retry_after is not None:
            extra_headers.append((b"retry-after", str(error.retry_after).encode()))
        if error.code == "method_not_allowed":
            extra_headers.append((b"allow", b"POST"))
        if error.code == "unauthorized":
            extra_headers.append((b"www-authenticate", b"Bearer"))
        has_unread_body = error.code in ("payload_too_large", "request_timeout")
        if has_unread_body:
            extra_headers.append((b"connection", b"close"))
        await send_response(
            send,
            self.status_by_code[error.code],
            body,
            request_id,
            extra_headers,
            more_body=has_unread_body,
        )
        if has_unread_body:
            await drain_request_body(receive)
            await send({"type": "http.response.body", "body": b""})


def fail_with_timeout(pending: PendingRequest) -> None:
    """Fail a request that has timed out."""
    pending.fail(RequestError("timeout", "the answer was not ready in time"))


def get_request_id(headers: Mapping[bytes, bytes]) -> str:
    """Return the client's request id if it is short printable ASCII, else a random one."""
    request_id = headers.get(REQUEST_ID_HEADER, b"").decode("latin-1")
    # It is echoed in a header and written to the prediction log, so clients must not choose freely.
    if (
        request_id
        and len(request_id) <= MAX_REQUEST_ID_LENGTH
        and request_id.isascii()
        and request_id.isprintable()
    ):
        return request_id
    return secrets.token_hex(8)


async def send_response(
    send: SendFunction,
    status: int,
    body: bytes,
    request_id: str,
    extra_headers: list[tuple[bytes, bytes]] | None = None,
    more_body: bool = False,
) -> None:
    """Send a JSON response; with `more_body` the caller sends an empty chunk to end it."""
    headers = [
        JSON_CONTENT_TYPE,
        (b"content-length", str(len(body)).encode()),
        (REQUEST_ID_HEADER, request_id.encode()),
    ]
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": headers + (extra_headers or []),
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": more_body})


async def drain_request_body(receive: ReceiveFunction) -> None:
    """Read and discard the rest of a refused body, for a moment.

    Closing a connection with unread bytes resets it, and the client may never see the answer
    (RFC 9112, section 9.6).
    """
    bytes_left = MAX_DRAINED_BYTES
    try:
        async with asyncio.timeout(DRAIN_BODY_SECONDS):
            while bytes_left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    break
                bytes_left -= len(message["body"])
    except TimeoutError:
        pass
