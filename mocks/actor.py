"""An actor: an identity on the network that signs, sends, answers and calls back.

Belongs here: what every participant does alike. Does not belong here: what one of
them knows about energy (its own module).

An actor speaks the dialect it is spoken to. It answers before it acts: the
acknowledgement is sent, then the handler of the action runs as a task.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from gridwitness import signing
from gridwitness.acks import Refusal, write_ack
from gridwitness.dialects import DIALECTS
from gridwitness.dialects.base import dump_json
from gridwitness.dialects.blocks import duration_s
from gridwitness.mocks.conduct import RIGHT, Conduct
from gridwitness.mocks.draws import AT_RANDOM, Draws
from gridwitness.mocks.spoilt import Fault, Signing
from gridwitness.protocol import (
    PUBLISHING,
    VERSION,
    callback_of,
    is_known,
    open_context,
    write_code,
)
from gridwitness.registry import Directory, Record
from gridwitness.views import (
    AggregationRequest,
    AggregationResult,
    Catalogue,
    Deal,
    EnergyContract,
    Envelope,
    Intent,
    Offer,
    ProtocolError,
    PublishResult,
    Reading,
)
from gridwitness.wire import json_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

    from gridwitness.editions import Edition
    from gridwitness.signing import Signer
    from gridwitness.trace import Answer, Kind, Message
    from gridwitness.wire import Inbound, Wire

AS_EVER = Signing()
TTL = "PT10S"
CLEARING_TTL = "PT30S"
"""A confirm is answered only when the market has cleared, so it may take longer."""

SECOND_CHANCE_S = 0.5
"""How long one waits for a right callback after a wrong one was refused."""

CLOCKS_DIFFER_S = 5
"""How far the clocks of two parties may be apart."""

REST_S = 1.0
"""How long actors may still be busy after the last answer; only a stuck one needs it."""

UNVERIFIED = frozenset(
    (
        "missing",
        "malformed",
        "covers too little",
        "wrong algorithm",
        "unknown key",
        "from the future",
        "expired",
        "wrong signature",
        "foreign signer",
    )
)
"""The complaints about a signature; see `Actor.complaints`."""


@dataclass(frozen=True)
class Tongue:
    """How an actor speaks one dialect: the edition, and how strictly."""

    edition: Edition
    strictness: str = "strict"


@dataclass(frozen=True)
class Setting:
    """What all actors of a run share.

    stranger is registered but takes no part: its key signs what it must not. patience
    scales every deadline that is read from a message's ttl; draws gives what no scenario
    states; names maps a subscriber id to the name its actor has in the scenario.
    """

    wire: Wire
    directory: Directory
    tongues: Mapping[str, Tongue]
    stranger: Signer
    patience: float = 1.0
    draws: Draws = AT_RANDOM
    names: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Say:
    """The content of a message: one of the views, or an error, or nothing."""

    intent: Intent | None = None
    offers: tuple[Offer, ...] = ()
    catalogues: tuple[Catalogue, ...] | None = None
    results: tuple[PublishResult, ...] = ()
    contract: EnergyContract | None = None
    deal: Deal | None = None
    request: AggregationRequest | None = None
    result: AggregationResult | None = None
    error: ProtocolError | None = None


class Actor:
    """See the module's head. Subclasses name their role and the actions they handle."""

    role: str
    side: str
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
        self._last_message_id = ""
        self._opened: set[str] = set()
        """The transactions in which something was asked."""
        self._asked: set[str | None] = set()
        """The message ids of what was asked."""
        self._accepted: Counter[tuple[str | None, str]] = Counter()
        """How often each request was accepted, by message id and signature."""
        self.spoils: dict[str, Fault] = {}
        """By subscriber id: what is wrong, once and on purpose, with a message to it."""

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
        refusal = self._refusal(inbound, message) or self._turns_away(message)
        if refusal is None:
            self._accepted[_identity(message)] += 1
        if refusal is None or self.conduct.calls_back_after_refusal:
            self._spawn(self._act(message))
        elif message.is_callback:
            self._deliver(message, None)
        return self.conduct.answers(self._acknowledge(message, refusal))

    def _refusal(self, inbound: Inbound, message: Message) -> Refusal | None:
        for name, refusal in self.complaints(inbound, message):
            if name not in self.conduct.overlooks:
                return refusal
        return None

    def complaints(self, inbound: Inbound, message: Message) -> Iterator[tuple[str, Refusal]]:
        """Yield what is wrong with a message, each by its name, the gravest first."""
        yield from self._complaints_about_signature(inbound, message)
        yield from (whim for whim in self._whims(message) if whim[0] in self.conduct.minds)
        if message.body is None or message.dialect not in self.setting.tongues:
            code = "SCH_INVALID_JSON" if message.body is None else "CTX_MISSING_FIELD"
            yield "unreadable", Refusal(400, code, "the body is no JSON in a dialect spoken here")
            return
        yield from self._complaints_about_context(inbound, message)
        if inbound.action in self.conduct.refuses_actions:
            yield "unwanted", Refusal(400, "POL_ENGAGEMENT_REFUSED", "not today")
        if message.is_callback:
            if message.reading.envelope.transaction_id not in self._opened:
                text = "nothing was asked in this transaction"
                yield "unknown transaction", Refusal(400, "CTX_TRANSACTION_ID_UNKNOWN", text)
            return
        if inbound.action not in self.handlers():
            text = f"{self.role}: no {inbound.action} here"
            yield "unhandled", Refusal(404, "NET_NOT_IMPLEMENTED", text)
        if _identity(message) in self._accepted:
            text = "this message was accepted before"
            yield "repeated", Refusal(400, "CTX_MESSAGE_ID_DUPLICATE", text)
        yield from self.objections(message)

    def _complaints_about_signature(
        self, inbound: Inbound, message: Message
    ) -> Iterator[tuple[str, Refusal]]:
        check = inbound.signature
        if not check.is_valid:
            header = signing.parse_header(message.headers.get("authorization", ""))
            too_little = header is not None and not header.covers_enough
            name = "covers too little" if too_little else check.status
            yield (
                name,
                Refusal(
                    401, _SIGNATURE_CODES.get(check.status, _INVALID), f"signature: {check.status}"
                ),
            )
            return
        caller = message.named_sender
        if caller not in (None, check.subscriber_id):
            text = f"signed by {check.subscriber_id}, sent as {caller}"
            yield "foreign signer", Refusal(401, "AUT_UNAUTHORIZED_ACTION", text)

    def _complaints_about_context(
        self, inbound: Inbound, message: Message
    ) -> Iterator[tuple[str, Refusal]]:
        envelope, dialect = message.reading.envelope, DIALECTS[message.dialect or ""]
        for name in dialect.mandatory_context:
            if getattr(envelope, name) is None and name not in open_context(inbound.action):
                text = f"context.{dialect.context_key(name)} is missing"
                yield "incomplete", Refusal(400, "CTX_MISSING_FIELD", text)
        if envelope.version not in (None, VERSION):
            text = f"version {VERSION} is spoken here"
            yield "other version", Refusal(400, "CTX_VERSION_UNSUPPORTED", text)
        if envelope.action not in (None, inbound.action):
            text = f"context.action is {envelope.action}, the endpoint is {inbound.action}"
            yield "other action", Refusal(400, "CTX_ACTION_MISMATCH", text)
        if not is_known(inbound.action):
            text = f"there is no action {inbound.action}"
            yield "unknown action", Refusal(404, "NET_NOT_IMPLEMENTED", text)
        if not message.is_callback and self._is_over(envelope):
            yield "too late", Refusal(400, "CTX_TTL_EXPIRED", "its time to live is over")

    def _whims(self, message: Message) -> Iterator[tuple[str, Refusal]]:
        """Yield what is no reason to refuse a message, and is one to some."""
        header = message.headers.get("authorization", "")
        if message.body is not None and dump_json(message.body) != message.raw:
            yield "unusual white space", Refusal(401, _INVALID, "the digest differs")
        if '", ' in header:
            yield "spaced header", Refusal(401, _INVALID, "the header cannot be read")
        if message.is_callback and message.reading.envelope.message_id not in self._asked:
            text = "nothing was asked under this message id"
            yield "unasked", Refusal(400, "CTX_INVALID_FIELD", text)

    def objections(self, message: Message) -> Iterator[tuple[str, Refusal]]:
        """Yield why a well-formed request is refused for what it says, each by its name."""
        del message
        return iter(())

    def _turns_away(self, message: Message) -> Refusal | None:
        """Tell, on purpose, that no callback will come: as the edition says it, or by a NACK."""
        fault = self.spoils.get(message.reading.envelope.bap_id or "")
        if fault is None or fault.place != "answer" or fault.at != message.action:
            return None
        return self.offers_nothing(message)

    def offers_nothing(self, message: Message) -> Refusal:
        """Tell that nothing is found, and no callback will come, as the edition has it told."""
        status = self.setting.tongues[message.dialect or ""].edition.no_callback_status
        text = "nothing is offered today"
        return Refusal(status or 400, "BIZ_NO_RESULTS_FOUND", text, acknowledged=status > 0)

    def _acknowledge(self, message: Message, refusal: Refusal | None) -> Answer:
        tongue = self.setting.tongues.get(message.dialect or "")
        envelope = message.reading.envelope
        form = tongue.edition.ack_form_for(tongue.strictness) if tongue else "nested"
        if refusal and tongue:
            refusal = replace(refusal, code=write_code(refusal.code, tongue.edition.error_codes))
        body = write_ack(form, envelope, self.now(), refusal)
        status = refusal.http_status if refusal else 200
        told = {"www-authenticate": self._challenge()} if status == HTTPStatus.UNAUTHORIZED else {}
        request = signing.parse_header(message.headers.get("authorization", ""))
        if tongue is None or form not in ("signed-body", "signed-header"):
            return json_answer(status, body, told)
        signed = request.signature if request else None
        signature = self._sign(dump_json(body), tongue.edition, signed)
        if form == "signed-body":
            return json_answer(status, body | {"signature": signature}, told)
        return json_answer(status, body, told | {"signature": signature})

    def _challenge(self) -> str:
        return f'Signature realm="{self.id}",headers="(created) (expires) digest"'

    async def _act(self, message: Message) -> None:
        if message.is_callback:
            self._deliver(message, message)
            await self.heard(message)
            return
        handler = self.handlers().get(message.action)
        if handler is not None and message.dialect in self.setting.tongues:
            await handler(message)

    async def heard(self, callback: Message) -> None:
        """Act on a callback that was accepted, whoever waits for it."""
        del callback

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
        spoilt = self._spoilt(action, whom.subscriber_id) if fault is None else None
        if spoilt is not None and spoilt.place == "before":
            await self._ask_wrongly(action, whom, say, dialect, ttl, spoilt)
        if spoilt is not None and spoilt.place == "instead":
            fault = spoilt
        wait_s = float(duration_s(ttl) or 0) * self.setting.patience
        waiting = self._waiting[transaction_id] = asyncio.Queue()
        actions = (callback_of(action), "on_update") if until else (callback_of(action),)
        envelope = self._context(action, whom, transaction_id, ttl)
        try:
            sent = await self._send(envelope, say, dialect, whom, wait_s=wait_s, fault=fault)
            if spoilt is not None and spoilt.place == "after":
                await self._repeat(sent, spoilt)
            for _ in range(self.conduct.retries if sent.ends_here else 0):
                again = replace(envelope, message_id=self._message_id())
                await self._send(again, say, dialect, whom, wait_s=wait_s)
            if sent.ack is None or sent.ends_here:
                return None
            return await self._callback(waiting, actions, wait_s, until)
        finally:
            self._waiting.pop(transaction_id, None)

    async def _callback(
        self,
        waiting: asyncio.Queue[tuple[str, Message | None]],
        actions: tuple[str, ...],
        wait_s: float,
        until: Callable[[Message], bool] | None,
    ) -> Message | None:
        """Wait for a callback that was not refused; after one that was, not much longer."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(wait_s) as limit:
                while True:
                    came, usable = await waiting.get()
                    if came in actions and usable is None:
                        chance_s = loop.time() + SECOND_CHANCE_S
                        limit.reschedule(min(chance_s, limit.when() or chance_s))
                    elif came in actions and (until is None or (usable and until(usable))):
                        return usable
        except TimeoutError:
            return None

    def _context(self, action: str, whom: Record, transaction_id: str, ttl: str) -> Envelope:
        """Write the context of a request, and remember its ids."""
        message_id = self._message_id()
        self._opened.add(transaction_id)
        self._asked.add(message_id)
        asking, asked = (self.id, self.uri), (whom.subscriber_id, whom.url)
        if action in PUBLISHING:
            asking, asked = asked, asking
        return Envelope(
            action=action,
            version=VERSION,
            bap_id=asking[0],
            bap_uri=asking[1],
            bpp_id=asked[0],
            bpp_uri=asked[1],
            transaction_id=transaction_id,
            message_id=message_id,
            timestamp=self.now(),
            ttl=ttl,
        )

    def _spoilt(self, action: str, subscriber_id: str) -> Fault | None:
        """Give what is to be wrong, this once, with a message to someone or its callback."""
        fault = self.spoils.get(subscriber_id)
        if fault is None or fault.at != action or fault.place == "answer":
            return None
        return self.spoils.pop(subscriber_id)

    async def _ask_wrongly(  # noqa: PLR0913 (a request, and what is wrong with it)
        self, action: str, whom: Record, say: Say, dialect: str, ttl: str, fault: Fault
    ) -> None:
        """Send a spoilt request, in a transaction of its own, before the right one."""
        transaction_id = self.new_id()
        if fault.waits:
            await self.ask(
                action,
                whom,
                say,
                dialect=dialect,
                transaction_id=transaction_id,
                ttl=ttl,
                fault=fault,
            )
            return
        envelope = self._context(action, whom, transaction_id, ttl)
        await self._send(envelope, say, dialect, whom, wait_s=None, fault=fault)

    async def _repeat(self, sent: Message, fault: Fault) -> None:
        """Send the same bytes under the same signature once more."""
        await self.setting.wire.post(
            sent.url,
            sent.raw,
            sent.headers,
            sender=self.name,
            receiver=sent.receiver,
            action=sent.action,
            deliberate=fault.words,
        )

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
        envelope = self._context(action, whom, transaction_id, ttl)
        sent = await self._send(envelope, say, dialect, whom, wait_s=wait_s)
        return sent.ack is not None and not sent.ends_here

    async def announce(self, action: str, request: Message, say: Say) -> bool:
        """Send news that nobody asked for, in the transaction of an earlier request.

        Tells whether they were accepted.
        """
        if action in self.conduct.silent_on:
            return False
        envelope = request.reading.envelope
        caller = Record(envelope.bap_id or "", envelope.bap_uri or "", "BAP", "", "")
        news = replace(
            envelope,
            action=action,
            version=VERSION,
            bpp_id=self.id,
            bpp_uri=self.uri,
            message_id=self._message_id(),
            timestamp=self.now(),
            ttl=TTL,
            at={},
        )
        sent = await self._send(news, say, request.dialect or "", caller, wait_s=None)
        return sent.ack is not None and not sent.ends_here

    async def reply(
        self, request: Message, say: Say, *, fault: Fault | None = None
    ) -> Message | None:
        """Send the callback that answers a request; None when this actor's conduct is silence."""
        envelope = request.reading.envelope
        action = callback_of(request.action)
        if action in self.conduct.silent_on:
            return None
        caller = Record(envelope.bap_id or "", envelope.bap_uri or "", "BAP", "", "")
        own = {"bpp_id": self.id, "bpp_uri": self.uri}
        if request.action in PUBLISHING:
            caller = Record(envelope.bpp_id or "", envelope.bpp_uri or "", "BPP", "", "")
            own = {"bap_id": self.id, "bap_uri": self.uri}
        answer = replace(
            envelope,
            **own,
            action=action,
            version=VERSION,
            timestamp=self.now(),
            ttl=TTL,
            at={},
        )
        dialect = request.dialect or ""
        if say.error is not None and say.error.code is not None:
            listed = self.setting.tongues[dialect].edition.error_codes
            say = error(write_code(say.error.code, listed), say.error.text or "")
        fault = fault or self._spoilt(request.action, caller.subscriber_id)
        if fault is not None and fault.place == "before":
            await self._send(
                answer, say, dialect, caller, chained_to=request, wait_s=None, fault=fault
            )
            fault = None
        sent = await self._send(
            answer, say, dialect, caller, chained_to=request, wait_s=None, fault=fault
        )
        # Who does not notice that a request was repeated answers it as often as it came.
        answers = self._accepted[_identity(request)]
        if request.action in self.conduct.answers_twice:
            answers += 1
        for _ in range(1, answers):
            await self._send(answer, say, dialect, caller, chained_to=request, wait_s=None)
        return sent

    async def push(
        self,
        action: str,
        whom: Record,
        say: Say,
        *,
        dialect: str,
        transaction_id: str,
    ) -> bool:
        """Tell, by a callback that nobody asked for, what is new; whether it was accepted."""
        if action in self.conduct.silent_on:
            return False
        envelope = Envelope(
            action=action,
            version=VERSION,
            bap_id=whom.subscriber_id,
            bap_uri=whom.url,
            bpp_id=self.id,
            bpp_uri=self.uri,
            transaction_id=transaction_id,
            message_id=self._message_id(),
            timestamp=self.now(),
            ttl=TTL,
        )
        sent = await self._send(envelope, say, dialect, whom, wait_s=None)
        return sent.ack is not None and not sent.ends_here

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
        wire, conduct, fault = self.setting.wire, self.conduct, fault or _HONEST
        edition = self.setting.tongues[dialect].edition
        action = envelope.action or ""
        if fault.envelope is not None:
            envelope = fault.envelope(envelope)
        if fault.contract is not None and say.contract is not None:
            say = replace(say, contract=fault.contract(say.contract))
        reading = conduct.views(action, Reading(envelope=envelope, **say.__dict__))
        body = conduct.bodies(action, DIALECTS[dialect].compose(reading))
        raw = dump_json(body)
        if fault.rewrite is not None:
            raw = fault.rewrite(raw)
        request = chained_to and signing.parse_header(chained_to.headers.get("authorization", ""))
        chained = edition.callback_lines > 3  # noqa: PLR2004 (the lines of a request)
        if not conduct.chains:
            chained = not chained
        chain = request.signature if request and chained else None
        signature = self._sign(raw, edition, chain, fault.signing)
        if fault.header is not None:
            signature = fault.header(signature)
        headers = {"content-type": "application/json"}
        if signature is not None:
            headers["authorization"] = signature
        headers = conduct.headers(action, headers)
        raw = conduct.bytes_(action, raw)
        if fault.bytes_ is not None:
            raw = fault.bytes_(raw)
        endpoint = fault.endpoint(action) if fault.endpoint else action
        return await wire.post(
            conduct.urls(action, f"{whom.url.rstrip('/')}/{endpoint}"),
            raw,
            headers,
            sender=self.name,
            receiver=self.setting.names.get(whom.subscriber_id),
            action=endpoint,
            deadline_s=None if wait_s is None else wire.recorder.now_s() + wait_s,
            answer_within_s=max(1.0, 10.0 * self.setting.patience),
            deliberate=None if fault.honest else fault.words,
        )

    def _sign(self, raw: bytes, edition: Edition, chain: str | None, how: Signing = AS_EVER) -> str:
        created_s = int(self.setting.wire.clock.now().timestamp()) + how.created_in_s
        life_s = self.conduct.signature_life_s if how.life_s is None else how.life_s
        signer, stranger = self._signer, self.setting.stranger
        if self.conduct.signs_as is not None:
            signer = replace(signer, subscriber_id=self.conduct.signs_as)
        if how.key == "stranger's":
            signer = replace(signer, key=stranger.key)
        if how.name == "stranger's":
            signer = replace(signer, subscriber_id=stranger.subscriber_id, key_id=stranger.key_id)
        prefix = edition.digest_prefix
        if how.other_prefix:
            first, second = signing.DIGEST_PREFIXES
            prefix = second if prefix == first else first
        return signing.sign(
            signer,
            raw,
            created_s=created_s,
            expires_s=created_s + life_s,
            prefix=prefix,
            request_signature=how.chain or (None if how.unchained else chain),
        )

    def _message_id(self) -> str:
        if not (self.conduct.reuses_message_ids and self._last_message_id):
            self._last_message_id = self.new_id()
        return self._last_message_id

    def new_id(self) -> str:
        """Draw an id of its own."""
        return self.setting.draws.new_id(self.name)

    # -- the time of day ------------------------------------------------------------

    def now(self) -> str:
        """Tell the time of day, to the millisecond."""
        now = self.setting.wire.clock.now()
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _is_over(self, envelope: Envelope) -> bool:
        """Tell whether the time to live of a message is over; False when that cannot be told."""
        lives_s = duration_s(envelope.ttl) if envelope.ttl else None
        try:
            written = datetime.fromisoformat(envelope.timestamp or "")
            late = self.setting.wire.clock.now() - written
        except (ValueError, TypeError, OverflowError):
            return False
        return lives_s is not None and late.total_seconds() > float(lives_s) + CLOCKS_DIFFER_S


_HONEST = Fault("", honest=True)
_SIGNATURE_CODES = {
    "missing": "AUT_SIGNATURE_MISSING",
    "unknown key": "AUT_KEY_NOT_FOUND",
}
_INVALID = "AUT_SIGNATURE_INVALID"
"""The code of every other status of a signature."""


def _identity(message: Message) -> tuple[str | None, str]:
    """Give what two deliveries of the same message have in common."""
    signed = message.headers.get("authorization", "")
    return message.reading.envelope.message_id, signed


def error(code: str, text: str) -> Say:
    """Say that something went wrong."""
    return Say(error=ProtocolError(code=code, text=text))


async def rest(actors: Sequence[Actor]) -> None:
    """Let every actor finish what it is doing: a callback is answered after it is acted on."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + REST_S
    while any(actor.is_busy for actor in actors) and loop.time() < end_s:
        await asyncio.gather(*(actor.rest(end_s - loop.time()) for actor in actors))
