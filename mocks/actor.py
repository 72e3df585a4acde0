"""An actor: an identity on the network that signs, sends, answers and calls back.

Belongs here: what every participant does alike. Does not belong here: what one of
them knows about energy (its own module).

An actor speaks the dialect it is spoken to. It answers before it acts: the
acknowledgement is sent, then the handler of the action runs as a task.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from gridwitness import signing
from gridwitness.acks import ACK, Refusal, write_ack
from gridwitness.dialects import DIALECTS
from gridwitness.dialects.base import dump_json
from gridwitness.dialects.blocks import duration_s
from gridwitness.mocks.conduct import RIGHT, Conduct
from gridwitness.registry import Directory, Record
from gridwitness.views import EnergyContract, Envelope, Intent, Offer, ProtocolError, Reading
from gridwitness.wire import json_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from gridwitness.editions import Edition
    from gridwitness.signing import Signer
    from gridwitness.trace import Answer, Kind, Message
    from gridwitness.wire import Inbound, Wire

VERSION = "2.0.0"
TTL = "PT10S"
CLEARING_TTL = "PT30S"
"""A confirm is answered only when the market has cleared, so it may take longer."""


@dataclass(frozen=True)
class Tongue:
    """How an actor speaks one dialect: the edition, and how strictly."""

    edition: Edition
    strictness: str = "strict"


@dataclass(frozen=True)
class Setting:
    """What all actors of a run share.

    patience scales every deadline that is read from a message's ttl; names maps a
    subscriber id to the name its actor has in the scenario.
    """

    wire: Wire
    directory: Directory
    tongues: Mapping[str, Tongue]
    patience: float = 1.0
    names: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Say:
    """The content of a message: one of the views, or an error, or nothing."""

    intent: Intent | None = None
    offers: tuple[Offer, ...] = ()
    contract: EnergyContract | None = None
    error: ProtocolError | None = None


@dataclass(frozen=True)
class Fault:
    """A message spoilt on purpose: in words, and how its bytes or its signer are changed."""

    words: str
    bytes_: Callable[[bytes], bytes] | None = None


class Actor:
    """See the module's head. Subclasses name their role and the actions they handle."""

    role: ClassVar[str]
    side: ClassVar[str]
    kind: Kind = "beckn"
    methods: tuple[str, ...] = ("POST",)

    def __init__(
        self, setting: Setting, name: str, signer: Signer, conduct: Conduct = RIGHT
    ) -> None:
        self.name = name
        self.slug = name.replace(" ", "-")
        self.id = signer.subscriber_id
        self.conduct = conduct
        self.setting = setting
        self.defects: list[BaseException] = []
        """What went wrong in our own code while the actor acted."""
        self._signer = signer
        self._waiting: dict[str, asyncio.Queue[tuple[str, Message | None]]] = {}
        """By transaction: the callbacks that came, each with what of it is usable."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_message_id = str(uuid.uuid4())

    @property
    def uri(self) -> str:
        return self.setting.wire.url_of(self.slug)

    def join(self) -> None:
        """Listen, and be found in the registry."""
        self.setting.wire.listen(self)
        self.setting.names[self.id] = self.name
        signer = self._signer
        self.setting.directory.add(
            Record(self.id, self.uri, self.side, signer.key_id, signer.public_key)
        )

    @property
    def is_busy(self) -> bool:
        return bool(self._tasks)

    async def rest(self, within_s: float) -> None:
        """Wait until what is going on has ended, or the time is over."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)

    async def leave(self) -> None:
        """Stop listening and end what is still going on."""
        self.setting.wire.leave(self)
        self.setting.directory.remove(self.id)
        self.setting.names.pop(self.id, None)
        for task in self._tasks:
            task.cancel()

    # -- receiving ------------------------------------------------------------------

    def handlers(self) -> Mapping[str, Callable[[Message], Coroutine[None, None, None]]]:
        """Name the requests this actor handles."""
        return {}

    def refuses(self, message: Message) -> Refusal | None:
        """Refuse a well-formed request for what it says; None accepts it."""
        del message
        return None

    async def receive(self, inbound: Inbound) -> Answer:
        message = inbound.message
        refusal = self._refusal(inbound, message)
        if refusal is None or self.conduct.calls_back_after_refusal:
            self._spawn(self._act(message))
        elif message.is_callback:
            self._deliver(message, None)
        return self.conduct.answers(self._acknowledge(message, refusal))

    def _refusal(  # noqa: C901, PLR0911 (one return a reason, in the order of the checks)
        self, inbound: Inbound, message: Message
    ) -> Refusal | None:
        if self.conduct.verifies_signatures and not inbound.signature.is_valid:
            status = inbound.signature.status
            code = "AUT_SIGNATURE_MISSING" if status == "missing" else "AUT_SIGNATURE_INVALID"
            return Refusal(401, code, f"signature: {status}")
        if message.body is None:
            return Refusal(400, "SCH_INVALID_JSON", "the body is not JSON")
        if message.dialect is None or message.dialect not in self.setting.tongues:
            return Refusal(400, "CTX_MISSING_FIELD", "the context is in no dialect spoken here")
        envelope = message.reading.envelope
        for name in DIALECTS[message.dialect].mandatory_context:
            if getattr(envelope, name) is None:
                key = DIALECTS[message.dialect].context_key(name)
                return Refusal(400, "CTX_MISSING_FIELD", f"context.{key} is missing")
        if envelope.action != inbound.action:
            text = f"context.action is {envelope.action}, the endpoint is {inbound.action}"
            return Refusal(400, "CTX_ACTION_MISMATCH", text)
        caller = envelope.bpp_id if message.is_callback else envelope.bap_id
        if self.conduct.verifies_signatures and inbound.signature.subscriber_id != caller:
            text = f"signed by {inbound.signature.subscriber_id}, sent as {caller}"
            return Refusal(401, "AUT_UNAUTHORIZED_ACTION", text)
        if inbound.action in self.conduct.refuses_actions:
            return Refusal(400, "POL_ENGAGEMENT_REFUSED", "not today")
        if message.is_callback:
            return None
        if inbound.action not in self.handlers():
            return Refusal(404, "NET_NOT_IMPLEMENTED", f"{self.role}: no {inbound.action} here")
        return self.refuses(message)

    def _acknowledge(self, message: Message, refusal: Refusal | None) -> Answer:
        tongue = self.setting.tongues.get(message.dialect or "")
        envelope = message.reading.envelope
        form = tongue.edition.ack_form_for(tongue.strictness) if tongue else "nested"
        body = write_ack(form, envelope, _now(), refusal)
        status = refusal.http_status if refusal else 200
        request = signing.parse_header(message.headers.get("authorization", ""))
        if tongue is None or request is None or form not in ("signed-body", "signed-header"):
            return json_answer(status, body)
        signature = self._sign(dump_json(body), tongue.edition, request.signature)
        if form == "signed-body":
            return json_answer(status, body | {"signature": signature})
        return json_answer(status, body, {"signature": signature})

    async def _act(self, message: Message) -> None:
        if message.is_callback:
            self._deliver(message, message)
            return
        handler = self.handlers().get(message.action)
        if handler is not None:
            await handler(message)

    def _deliver(self, callback: Message, usable: Message | None) -> None:
        """Hand a callback to whoever waits in its transaction; None tells that it was refused."""
        waiting = self._waiting.get(callback.reading.envelope.transaction_id or "")
        if waiting is not None:
            waiting.put_nowait((callback.action, usable))

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self.defects.append(error)

        task.add_done_callback(ended)

    # -- sending --------------------------------------------------------------------

    async def ask(  # noqa: PLR0913 (what is asked, of whom, in which transaction)
        self,
        action: str,
        whom: Record,
        say: Say,
        *,
        dialect: str,
        transaction_id: str,
        ttl: str = TTL,
        fault: Fault | None = None,
        until: Callable[[Message], bool] | None = None,
    ) -> Message | None:
        """Send a request and wait for its callback.

        until: what to wait for when a first callback, or an on_update, may be news only.

        None when it is refused or no callback comes before its ttl, scaled by the
        run's patience, has passed. The callback is recognised by its transaction
        and action, because deployed networks do not echo the message id.
        """
        wait_s = float(duration_s(ttl) or 0) * self.setting.patience
        waiting = self._waiting[transaction_id] = asyncio.Queue()
        actions = (f"on_{action}", "on_update") if until else (f"on_{action}",)
        envelope = self._request(action, whom, transaction_id, ttl)
        try:
            sent = await self._send(envelope, say, dialect, whom, wait_s=wait_s, fault=fault)
            if sent.ack is None or sent.ack.status != ACK:
                return None
            async with asyncio.timeout(wait_s):
                while True:
                    came, usable = await waiting.get()
                    if came in actions and (usable is None or until is None or until(usable)):
                        return usable
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(transaction_id, None)

    async def tell(  # noqa: PLR0913 (what is asked, of whom, in which transaction)
        self,
        action: str,
        whom: Record,
        say: Say,
        *,
        dialect: str,
        transaction_id: str,
        ttl: str,
    ) -> bool:
        """Send a request and wait for no callback; tells whether it was accepted."""
        wait_s = float(duration_s(ttl) or 0) * self.setting.patience
        envelope = self._request(action, whom, transaction_id, ttl)
        sent = await self._send(envelope, say, dialect, whom, wait_s=wait_s)
        return sent.ack is not None and sent.ack.status == ACK

    def _request(self, action: str, whom: Record, transaction_id: str, ttl: str) -> Envelope:
        return Envelope(
            action=action,
            version=VERSION,
            bap_id=self.id,
            bap_uri=self.uri,
            bpp_id=whom.subscriber_id,
            bpp_uri=whom.url,
            transaction_id=transaction_id,
            message_id=self._message_id(),
            timestamp=_now(),
            ttl=ttl,
        )

    async def reply(self, request: Message, say: Say) -> Message | None:
        """Send the callback that answers a request; None when this actor's conduct is silence."""
        envelope = request.reading.envelope
        action = f"on_{request.action}"
        if action in self.conduct.silent_on:
            return None
        caller = Record(envelope.bap_id or "", envelope.bap_uri or "", "BAP", "", "")
        answer = replace(
            envelope,
            action=action,
            version=VERSION,
            bpp_id=self.id,
            bpp_uri=self.uri,
            timestamp=_now(),
            ttl=TTL,
            at={},
        )
        if request.action in self.conduct.answers_twice:
            await self._send(
                answer, say, request.dialect or "", caller, chained_to=request, wait_s=None
            )
        return await self._send(
            answer, say, request.dialect or "", caller, chained_to=request, wait_s=None
        )

    async def _send(  # noqa: PLR0913 (the parts of one message)
        self,
        envelope: Envelope,
        say: Say,
        dialect: str,
        whom: Record,
        *,
        wait_s: float | None,
        chained_to: Message | None = None,
        fault: Fault | None = None,
    ) -> Message:
        wire, conduct = self.setting.wire, self.conduct
        edition = self.setting.tongues[dialect].edition
        action = envelope.action or ""
        reading = conduct.views(action, Reading(envelope=envelope, **say.__dict__))
        body = conduct.bodies(action, DIALECTS[dialect].compose(reading))
        raw = dump_json(body)
        request = chained_to and signing.parse_header(chained_to.headers.get("authorization", ""))
        chained = edition.callback_lines > 3  # noqa: PLR2004 (the lines of a request)
        if not conduct.chains:
            chained = not chained
        chain = request.signature if request and chained else None
        headers = conduct.headers(
            action,
            {
                "content-type": "application/json",
                "authorization": self._sign(raw, edition, chain),
            },
        )
        raw = conduct.bytes_(action, raw)
        if fault is not None and fault.bytes_ is not None:
            raw = fault.bytes_(raw)
        return await wire.post(
            conduct.urls(action, f"{whom.url.rstrip('/')}/{action}"),
            raw,
            headers,
            sender=self.name,
            receiver=self.setting.names.get(whom.subscriber_id),
            action=action,
            deadline_s=None if wait_s is None else wire.recorder.now_s() + wait_s,
            answer_within_s=max(1.0, 10.0 * self.setting.patience),
            deliberate=fault.words if fault else None,
        )

    def _sign(self, raw: bytes, edition: Edition, chain: str | None) -> str:
        created_s = int(time.time())
        signer = self._signer
        if self.conduct.signs_as is not None:
            signer = replace(signer, subscriber_id=self.conduct.signs_as)
        return signing.sign(
            signer,
            raw,
            created_s=created_s,
            expires_s=created_s + self.conduct.signature_life_s,
            prefix=edition.digest_prefix,
            request_signature=chain,
        )

    def _message_id(self) -> str:
        if not self.conduct.reuses_message_ids:
            self._last_message_id = str(uuid.uuid4())
        return self._last_message_id


def error(code: str, text: str) -> Say:
    """Say that something went wrong."""
    return Say(error=ProtocolError(code=code, text=text))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
