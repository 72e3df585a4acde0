"""The wire: one HTTP server, one HTTP client, and the recording of both.

Belongs here: bytes in and out, limits, instants, signature checks. Does not belong
here: what a message means, or how an actor answers it (mocks).

Everything asynchronous runs in one background loop; synchronous callers (Gherkin
steps) reach it through `Wire.call`. A message between two actors of this process
is recorded once, although it passes both the client and the server.
"""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import anyio
import httpx
import uvicorn
from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from gridwitness import signing
from gridwitness.acks import Refusal, write_ack
from gridwitness.clock import Clock
from gridwitness.dialects.base import dump_json
from gridwitness.errors import UserError
from gridwitness.signing import SignatureCheck
from gridwitness.trace import Answer, Kind, Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from starlette.requests import Request

T = TypeVar("T")

BODY_LIMIT_BYTES = 1024 * 1024
KEPT_BYTES_OF_OVERSIZED = 4096
CONNECT_TIMEOUT_S = 5.0
BODY_TIMEOUT_S = 10.0
CLIENT_KEEPS_S = 1.0
"""How long we keep an idle connection. Common servers close theirs after 2 s or 5 s; a message
sent over one that is just being closed is lost, and its loss would be held against its receiver."""

SERVER_KEEPS_S = 120
"""How long our server does: longer than clients that keep theirs for a minute or more."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Keys(Protocol):
    """Where public keys are found."""

    async def find(self, subscriber_id: str, key_id: str) -> Ed25519PublicKey | None:
        """Find a subscriber's key; None when it has none by that id."""
        ...


@dataclass
class Inbound:
    """A request that reached an actor: what it must answer."""

    method: str
    action: str
    headers: Mapping[str, str]
    raw: bytes
    draft: Draft

    @property
    def signature(self) -> SignatureCheck:
        return self.draft.signature or SignatureCheck("missing")

    @property
    def message(self) -> Message:
        """The message as it stands, without an answer yet."""
        return self.draft.message()


class Listener(Protocol):
    """What the server delivers requests to, under /<slug>/."""

    slug: str
    name: str
    kind: Kind
    methods: tuple[str, ...]

    async def receive(self, inbound: Inbound) -> Answer:
        """Answer a request."""
        ...


@dataclass
class Draft:
    """A message being recorded; becomes a `Message` once the scenario is over."""

    kind: Kind
    sender: str | None
    receiver: str | None
    action: str
    method: str
    url: str
    headers: Mapping[str, str]
    raw: bytes
    sent_s: float
    at: str
    deadline_s: float | None = None
    answer: Answer | None = None
    failure: str | None = None
    signature: SignatureCheck | None = None
    answer_signature: SignatureCheck | None = None
    deliberate: str | None = None

    def message(self, number: int = 0) -> Message:
        return Message(number=number, **self.__dict__)


class Recorder:
    """The messages of one scenario while it runs, on its own monotonic clock."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self.drafts: list[Draft] = []
        self._under_way: dict[tuple[str, str, bytes], Draft] = {}

    def now_s(self) -> float:
        return time.monotonic() - self._start

    def sending(self, draft: Draft) -> None:
        self.drafts.append(draft)
        self._under_way[self._key(draft)] = draft

    def receiving(self, draft: Draft) -> Draft:
        """Record a received message; gives the sender's own draft when it is one of us."""
        ours = self._under_way.pop(self._key(draft), None)
        if ours is not None:
            # Where it arrived counts, not where its sender thought it would.
            ours.kind, ours.receiver, ours.action = draft.kind, draft.receiver, draft.action
            return ours
        self.drafts.append(draft)
        return draft

    def done(self, draft: Draft) -> None:
        self._under_way.pop(self._key(draft), None)

    def messages(self) -> tuple[Message, ...]:
        return tuple(draft.message(n) for n, draft in enumerate(self.drafts, start=1))

    @staticmethod
    def _key(draft: Draft) -> tuple[str, str, bytes]:
        # The path alone: what a client was told is another host name than a server sees.
        path = draft.url.partition("://")[2].partition("/")[2]
        return path, draft.headers.get("authorization", ""), draft.raw


class _Server(uvicorn.Server):
    """A uvicorn server that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class Wire:
    """One server on one port, one client, one loop. Use as a context manager.

    port: 0 lets the system choose. callback_host: the name under which others reach
    this server; any but a loopback name makes it listen on every interface.

    Raises UserError on entry when the port is taken.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        port: int = 0,
        callback_host: str = "127.0.0.1",
        body_limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> None:
        self.keys = keys
        self.callback_host = callback_host
        self.port = port
        self.recorder = Recorder()
        self.clock = Clock()
        self.outsider: str | None = None
        """The actor that a message from outside this process is attributed to."""
        self.outsider_id: str | None = None
        self._past: set[str] = set()
        """The transactions of earlier recordings: what comes in them is late."""
        self._limit = body_limit_bytes
        self._listeners: dict[str, Listener] = {}
        self._signatures: dict[str, list[str]] = {}
        """The signatures seen in a transaction: what a callback may be the answer to."""
        self._stack = ExitStack()

    @property
    def base_url(self) -> str:
        return f"http://{self.callback_host}:{self.port}"

    def url_of(self, slug: str) -> str:
        return f"{self.base_url}/{slug}"

    def __enter__(self) -> Self:
        listening = bind(self.callback_host, self.port)
        self.port = listening.getsockname()[1]
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._portal.call(self._start, listening)
        return self

    def __exit__(self, *_: object) -> None:
        self._portal.call(self._stop)
        self._stack.close()

    def call(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        """Run a coroutine function in the loop and wait for its result."""
        return self._portal.call(function, *args)

    def listen(self, listener: Listener) -> None:
        self._listeners[listener.slug] = listener

    def leave(self, listener: Listener) -> None:
        self._listeners.pop(listener.slug, None)

    def record(self) -> Recorder:
        """Begin a new recording; what comes from now on belongs to it."""
        self.recorder = Recorder()
        self._past |= self._signatures.keys()
        self._signatures.clear()
        return self.recorder

    async def _start(self, listening: socket.socket) -> None:
        app = Starlette(routes=[Route("/{path:path}", self._serve, methods=list(METHODS))])
        config = uvicorn.Config(app, log_config=None, lifespan="off", access_log=False)
        config.timeout_keep_alive = SERVER_KEEPS_S
        self._server = _Server(config)
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(keepalive_expiry=CLIENT_KEEPS_S),
        )
        self._serving = asyncio.create_task(self._server.serve([listening]))
        with anyio.fail_after(10):
            await self._server.listening.wait()

    async def _stop(self) -> None:
        self._server.should_exit = True
        await self._client.aclose()
        await self._serving

    async def post(  # noqa: PLR0913 (the parts of a request and of its record)
        self,
        url: str,
        raw: bytes,
        headers: Mapping[str, str],
        *,
        sender: str,
        receiver: str | None,
        action: str,
        deadline_s: float | None = None,
        answer_within_s: float = 10.0,
        deliberate: str | None = None,
    ) -> Message:
        """Send a message and record it with its answer. Does not raise for the other side's faults.

        deadline_s counts from the start of the recording; answer_within_s from now.
        """
        recorder = self.recorder
        sent = {name.lower(): value for name, value in headers.items()}
        draft = Draft(
            kind="beckn",
            sender=sender,
            receiver=receiver,
            action=action,
            method="POST",
            url=url,
            headers=sent,
            raw=raw,
            sent_s=recorder.now_s(),
            at=self._at(),
            deadline_s=deadline_s,
            deliberate=deliberate,
        )
        await self._check(draft)
        recorder.sending(draft)
        try:
            with anyio.fail_after(answer_within_s):
                draft.answer = await self._exchange(url, raw, headers, recorder)
        except TimeoutError:
            draft.failure = f"no answer within {answer_within_s:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            draft.failure = f"{type(error).__name__}: {error}"
        except _Oversized:
            draft.failure = f"the answer is larger than {self._limit} bytes"
        finally:
            recorder.done(draft)
        await self._check_answer(draft)
        return draft.message()

    async def _exchange(
        self, url: str, raw: bytes, headers: Mapping[str, str], recorder: Recorder
    ) -> Answer:
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
        async with self._client.stream(
            "POST", url, content=raw, headers=dict(headers), timeout=timeout
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._limit:
                    raise _Oversized
            return Answer(
                response.status_code, dict(response.headers), bytes(body), recorder.now_s()
            )

    async def _serve(self, request: Request) -> Response:
        recorder = self.recorder
        received_s = recorder.now_s()
        raw, refusal = await self._read_body(request)
        slug, _, action = request.path_params["path"].partition("/")
        listener = self._listeners.get(slug)
        draft = Draft(
            kind=listener.kind if listener else "stray",
            sender=self.outsider,
            receiver=listener.name if listener else None,
            action=action,
            method=request.method,
            url=str(request.url),
            headers=dict(request.headers),
            raw=raw,
            sent_s=received_s,
            at=self._at(),
        )
        wrong_method = listener is not None and request.method not in listener.methods
        if draft.kind == "beckn" and (wrong_method or refusal is not None):
            draft.kind = "stray"  # it never was a whole message
        if draft.kind == "beckn":
            await self._check(draft)
        draft = recorder.receiving(draft)
        if draft.kind == "beckn" and draft.sender == self.outsider:
            refusal = self._foreign(draft)
        if refusal is None and listener is None:
            known = ", ".join(f"/{name}" for name in sorted(self._listeners))
            refusal = Refusal(404, "NET_NOT_FOUND", f"nobody listens at /{slug}; there are {known}")
        headers: dict[str, str] = {}
        if refusal is None and listener is not None and wrong_method:
            headers["allow"] = ", ".join(listener.methods)
            text = f"allowed here: {headers['allow']}"
            refusal = Refusal(405, "NET_METHOD_NOT_ALLOWED", text)
        if refusal is not None or listener is None:
            nowhere = Refusal(404, "NET_NOT_FOUND", "nobody listens here")
            answer = refused(refusal or nowhere, headers)
        else:
            inbound = Inbound(request.method, action, request.headers, raw, draft)
            answer = await listener.receive(inbound)
        if draft.sender is None or draft.sender == self.outsider:
            draft.answer = replace(answer, at_s=recorder.now_s())
            await self._check_answer(draft)
        return Response(answer.raw, answer.status, dict(answer.headers))

    def _foreign(self, draft: Draft) -> Refusal | None:
        """Refuse what is no part of this scenario, and record it as a stray.

        That is a message in a transaction of an earlier scenario, or one that neither
        is signed by nor names the participant under test.
        """
        envelope = draft.message().reading.envelope
        if envelope.transaction_id in self._past:
            draft.kind = "stray"
            return Refusal(400, "CTX_TRANSACTION_ID_UNKNOWN", "its scenario is over")
        named = (envelope.bap_id, envelope.bpp_id)
        signed = draft.signature is not None and draft.signature.subscriber_id is not None
        if self.outsider_id is not None and self.outsider_id not in named and not signed:
            draft.kind, draft.sender = "stray", None
            return Refusal(401, "AUT_SIGNATURE_MISSING", "nobody known has signed it")
        return None

    async def _read_body(self, request: Request) -> tuple[bytes, Refusal | None]:
        body = bytearray()
        try:
            with anyio.fail_after(BODY_TIMEOUT_S):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self._limit:
                        text = f"the body is larger than {self._limit} bytes"
                        kept = bytes(body[:KEPT_BYTES_OF_OVERSIZED])
                        return kept, Refusal(413, "SCH_BODY_TOO_LARGE", text)
        except TimeoutError:
            text = f"the body did not arrive within {BODY_TIMEOUT_S:g} s"
            return bytes(body), Refusal(408, "NET_TIMEOUT", text)
        return bytes(body), None

    async def _check(self, draft: Draft) -> None:
        value = draft.headers.get("authorization")
        if value is None:
            draft.signature = SignatureCheck("missing", detail="no Authorization header")
            return
        transaction_id = draft.message().reading.envelope.transaction_id or ""
        seen = self._signatures.setdefault(transaction_id, [])
        draft.signature = await self._verify(value, draft.raw, seen)
        header = signing.parse_header(value)
        if header is not None:
            seen.append(header.signature)

    async def _check_answer(self, draft: Draft) -> None:
        """Check the signature of an acknowledgement, which chains to that of its request."""
        signed = draft.answer and draft.answer.headers.get("signature")
        own = signing.parse_header(draft.headers.get("authorization", ""))
        if draft.answer is not None and signed is not None and own is not None:
            draft.answer_signature = await self._verify(signed, draft.answer.raw, [own.signature])

    async def _verify(self, value: str, raw: bytes, answered: list[str]) -> SignatureCheck:
        header = signing.parse_header(value)
        key = await self.keys.find(header.subscriber_id, header.key_id) if header else None
        now_s = self.clock.now().timestamp()
        return signing.check(header, raw, key, now_s=now_s, answered=answered)

    def _at(self) -> str:
        return self.clock.now().isoformat(timespec="microseconds")


def bind(callback_host: str, port: int) -> socket.socket:
    """Take a port: on loopback, or on every interface when others are to reach us.

    Raises UserError when it is taken.
    """
    host = "127.0.0.1" if callback_host in LOOPBACK else "0.0.0.0"  # noqa: S104 (asked for)
    # The protocol is named, because asyncio switches Nagle's delay off only where it is.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise UserError(
            f"cannot listen there ({error})",
            where=f"port {port}",
            mend="stop what uses the port, or choose another (0 lets the system choose)",
        ) from error
    return listening


class _Oversized(Exception):
    pass


def refused(refusal: Refusal, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer a request that reaches no actor, in the form most stacks read."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    body: dict[str, Any] = write_ack("nested", None, now, refusal)
    return json_answer(refusal.http_status, body, headers)


def json_answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with JSON."""
    return Answer(status, {"content-type": "application/json", **(headers or {})}, dump_json(body))
