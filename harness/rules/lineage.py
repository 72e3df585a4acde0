"""LIN: what was offered and agreed is carried from the catalogue to the settlement.

Belongs here: comparing what messages of one transaction state of a deal, in both dialects,
by the table of lifecycle.toml that says who may change what. Does not belong here: what a
pay-as-clear market compares as a market: approval and charges (MKT-003, SET-006), result
(MKT-010), interval (MKT-011), currency of the settlement (SET-008), readings (SET-005,
SET-007); ids of a callback against its own request (COR-001, COR-006).

A value that breaks the table is held against whoever brought it in, each time; whoever else
repeats it is not to blame.
"""

from __future__ import annotations

from collections.abc import Hashable  # noqa: TC003 (dataclass fields)
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, cast

from gridwitness.acks import ACK
from gridwitness.dialects.blocks import duration_s
from gridwitness.lifecycle import tables
from gridwitness.protocol import request_of
from gridwitness.rules import outcome, rule
from gridwitness.rules.envelope import is_dated_ahead
from gridwitness.story import ASKED, CATALOGUE, GRID_NODE, MARKET, PARTICIPANT, story
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace
    from gridwitness.views import Stated

TABLE = "docs/lifecycle.md, what is carried"
CORE = "Beckn v2.0.0, api and schema/core"
SKEW = timedelta(seconds=5)
"""How far two clocks may differ (NFH-007, CON-004-13)."""

MOST_NAMED = 3
MOST_TOLD, MOST_LETTERS = 8, 100
"""How much of what was sent is told: of a table, and of a text."""


def _transaction(message: Message) -> str | None:
    return message.reading.envelope.transaction_id


def _counts(message: Message) -> bool:
    """Tell whether a message takes part in the flow: it is honest, and was not refused."""
    refused = message.ack is not None and message.ack.status != ACK
    return message.deliberate is None and (message.is_callback or not refused)


@dataclass
class Known:
    """What was stated of one thing before.

    lawful: in a catalogue, first, or by who may; brought: by whom against the table.
    """

    lawful: set[Hashable] = field(default_factory=set["Hashable"])
    brought: dict[Hashable, str | None] = field(default_factory=dict["Hashable", "str | None"])

    def holds(self, value: Hashable, sender: str | None) -> bool:
        """Tell whether a value was stated before: lawfully, or by somebody else."""
        return value in self.lawful or self.brought.get(value, sender) != sender

    def words(self) -> str:
        return " or ".join(_words(value) for value in islice(self.lawful, MOST_NAMED))


def _carried(
    trace: Trace, *kinds: str, elsewhere: frozenset[int] = frozenset()
) -> Iterator[Outcome]:
    """Compare what is stated of some kinds with what was stated before.

    elsewhere numbers the messages that another rule judges for it.
    """
    for kind in kinds:
        for found in _compared(trace).get(kind, ()):
            if found.message.number not in elsewhere:
                yield found


@once
def _compared(trace: Trace) -> dict[str, list[Outcome]]:
    """Compare everything that is carried, in one pass; by kind."""
    found: dict[str, list[Outcome]] = {}
    book, markets_own = _Book(), _markets_own(trace)
    for message in trace.beckn:
        if _transaction(message) is None or not _counts(message):
            continue
        is_catalogue = message.reading.contract is None
        for said in message.stated:
            row = tables().carried.get(said.kind)
            if row is None or (said.kind == "delivery" and message.number in markets_own):
                continue
            if is_catalogue:
                book.show(said)
            elif one := book.agree(message, said, may_change=message.action in row.by):
                found.setdefault(said.kind, []).append(one)
    return found


def _markets_own(trace: Trace) -> set[int]:
    """Number the messages of a market, whose interval MKT-011 judges."""
    chapters = story(trace).values()
    return {said.message.number for chapter in chapters for said in chapter.everything()}


class _Book:
    """What is known of everything that is carried, by kind and by what it is of."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, str], Known] = {}
        self._agreed: dict[tuple[str | None, str, str], Known] = {}

    def show(self, said: Stated) -> None:
        """Note what a catalogue offers."""
        self._shown.setdefault((said.kind, said.of), Known()).lawful.add(_comparable(said))

    def agree(self, message: Message, said: Stated, *, may_change: bool) -> Outcome | None:
        """Compare with what was stated before, and note it; None for the first word."""
        value, key = _comparable(said), (_transaction(message), said.kind, said.of)
        known = self._agreed.get(key)
        if known is None:
            shown = self._shown.get((said.kind, said.of))
            known = self._agreed[key] = Known(set(shown.lawful) if shown else {value})
            if shown is None:
                return None
        kept = may_change or known.holds(value, message.sender)
        one = _outcome(message, said, known, kept=kept)
        if may_change and value not in known.lawful:
            self._agreed[key] = Known({value})
        elif value not in known.lawful:
            known.brought.setdefault(value, message.sender)
        return one


def _outcome(message: Message, said: Stated, known: Known, *, kept: bool) -> Outcome:
    of = f" of {said.of}" if said.of else ""
    return outcome(
        kept,
        by=message.sender,
        message=message,
        observed="" if kept else f"{message.action}: the {said.kind}{of} is {_words(said.value)}",
        expected="" if kept else f"{known.words()}, as stated before",
        pointer=said.pointer,
    )


def _words(value: Hashable) -> str:
    if isinstance(value, tuple):
        items = cast("tuple[Hashable, ...]", value)
        return f"({', '.join(_words(item) for item in islice(items, MOST_TOLD))})"
    return str(value)[:MOST_LETTERS]


def _comparable(said: Stated) -> Hashable:
    """Give a value such that equal ones are equal however they were written."""
    value = said.value
    if said.kind == "validity" and isinstance(value, tuple):
        return tuple(map(_instant_or_text, cast("tuple[str, ...]", value)))
    if said.kind == "delivery" and isinstance(value, tuple):
        start, end = cast("tuple[str, str]", value)
        length = duration_s(end)
        return (_instant_or_text(start), _instant_or_text(end) if length is None else length)
    if said.kind in ("unit", "currency") and isinstance(value, str):
        return value.upper().removesuffix("_PER_KWH")
    return value


def _instant(text: str | None) -> datetime | None:
    """Read an instant with a zone; None when it is none (ENV-005 tells)."""
    try:
        instant = datetime.fromisoformat(text or "")
        return instant.astimezone(UTC) if instant.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _instant_or_text(text: str) -> datetime | str:
    return _instant(text) or text


@rule("LIN-001", "MUST", source=f"{CORE}, Context; NFH-013, section 6")
def parties_to_a_transaction_stay(trace: Trace) -> Iterator[Outcome]:
    """A transaction stays between the two that began it, each under one address.

    Where the scenario knows whose id and address these are, ENV-009 judges them instead. A
    callback in a transaction that nobody opened is COR-002's.
    """
    book, opened = _Parties(), set[str]()
    for message in trace.beckn:
        transaction = _transaction(message)
        if transaction is None or not _counts(message):
            continue
        if not message.is_callback:
            opened.add(transaction)
        elif transaction not in opened:
            continue
        changed = list(book.changes(message, _judged_elsewhere(trace, message)))
        name, value, known = changed[0] if changed else ("bap_id", "", Known())
        yield outcome(
            not changed,
            by=message.sender,
            message=message,
            observed=f"{name} is {value}",
            expected=f"{known.words()}, as before in this transaction",
            pointer=message.context_pointer(name),
        )


class _Parties:
    """Who takes part in each transaction, with whom, and under which address.

    A transaction has one BAP, which deals with one BPP once it has found it. Others come in
    by a cascade: they were asked before, or the contract names them.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Known] = {}
        self._parties: dict[str, set[str]] = {}

    def changes(self, message: Message, elsewhere: set[str]) -> Iterator[tuple[str, str, Known]]:
        """Yield each field that is not as before: its name, its value, what was known.

        elsewhere names the fields that another rule judges.
        """
        said, transaction = message.reading.envelope, _transaction(message) or ""
        bap, bpp = said.bap_id, said.bpp_id
        parties = self._parties.setdefault(transaction, set())
        parties |= {str(one.value) for one in message.stated if one.kind == "named"}
        stated: list[tuple[str, str | None, str | None]] = [
            ("bap_uri", bap, said.bap_uri),
            ("bpp_uri", bpp, said.bpp_uri),
        ]
        if bap not in parties:
            stated.append(("bap_id", "", bap))
        # A search is asked of many, and answered by many.
        if message.action not in ("discover", "on_discover") and bpp is not None:
            if bpp not in parties:
                stated.append(("bpp_id", bap, bpp))
            parties.add(bpp)
        for name, of, value in stated:
            if of is not None and value is not None and name not in elsewhere:
                yield from self._compare(message, name, of, value.rstrip("/"))

    def _compare(
        self, message: Message, name: str, of: str, value: str
    ) -> Iterator[tuple[str, str, Known]]:
        key = (_transaction(message) or "", name, of)
        known = self._known.setdefault(key, Known({value}))
        if not known.holds(value, message.sender):
            yield name, value, known
        if value not in known.lawful:
            known.brought.setdefault(value, message.sender)


def _judged_elsewhere(trace: Trace, message: Message) -> set[str]:
    """Name the fields that ENV-009 judges: it knows the actor, and asks for its very address.

    Only a provider that asks may be called back anywhere.
    """
    caller, called = message.sender or "", message.receiver or ""
    if message.is_callback:
        caller, called = called, caller
    names: set[str] = set()
    for side, actor in (("bap", caller), ("bpp", called)):
        if actor in trace.scene.ids:
            names.add(f"{side}_id")
        if actor in trace.scene.uris and (side == "bpp" or trace.role(actor) == PARTICIPANT):
            names.add(f"{side}_uri")
    return names


@rule(
    "LIN-002",
    "MUST",
    source=f"{CORE}: order, contract and payment are known by their id",
    spares=(CATALOGUE, GRID_NODE),
)
def ids_stay(trace: Trace) -> Iterator[Outcome]:
    """The id of an order, a contract or its payment stays the same in a transaction.

    A callback that echoes its request's message id is compared with it by COR-006.
    """
    yield from _carried(trace, "contract id", elsewhere=_echoing(trace))
    yield from _carried(trace, "payment id")


def _echoing(trace: Trace) -> frozenset[int]:
    """Number the callbacks that COR-006 compares with the request whose message id they echo."""
    asked: set[tuple[str | None, ...]] = set()
    found: set[int] = set()
    for message in trace.beckn:
        contract, envelope = message.reading.contract, message.reading.envelope
        if contract is None or contract.contract_id is None or envelope.message_id is None:
            continue
        key = (envelope.transaction_id, envelope.message_id)
        if not message.is_callback:
            asked.add((*key, message.action))
        elif (*key, request_of(message.action)) in asked:
            found.add(message.number)
    return frozenset(found)


@rule(
    "LIN-003",
    "MUST",
    source=f"{CORE}: Item, Offer, Provider are published in a catalogue",
    spares=(CATALOGUE,),
)
def what_is_ordered_was_offered(trace: Trace) -> Iterator[Outcome]:
    """What is ordered, by which offer and of whom, is in a catalogue of the flow."""
    shown: dict[str, set[Hashable]] = {"item": set(), "offer": set(), "provider": set()}
    ordered = {"ordered item": "item", "accepted offer": "offer", "seller": "provider"}
    for message in trace.beckn:
        if not _counts(message):
            continue
        unknown: list[Stated] = []
        compared = False
        for said in message.stated:
            if said.kind in shown:
                shown[said.kind].add(said.value)
            elif (kind := ordered.get(said.kind)) and shown[kind]:
                compared = True
                if said.value not in shown[kind]:
                    unknown.append(said)
        if compared:
            names = ", ".join(f"{said.kind} {said.value}" for said in unknown[:MOST_NAMED])
            yield outcome(
                not unknown,
                by=message.sender,
                message=message,
                observed=f"{names} in no catalogue",
                expected="what was offered",
                pointer=unknown[0].pointer if unknown else "",
            )


@rule("LIN-004", "MUST", source=f"{CORE}, Quantity; {TABLE}", spares=(CATALOGUE,))
def quantity_is_carried(trace: Trace) -> Iterator[Outcome]:
    """A quantity and its unit stay, unless a message that may change them does."""
    yield from _carried(trace, "quantity", "unit", "unit text")


@rule("LIN-005", "MUST", source=f"{CORE}, PriceSpecification; {TABLE}", when_stated=True)
def price_is_carried(trace: Trace) -> Iterator[Outcome]:
    """A price and its currency stay as offered, unless the provider quotes anew."""
    yield from _carried(trace, "price", "currency")


@rule(
    "LIN-006",
    "MUST",
    source=f"{CORE}, TimePeriod; beckn/DEG, EnergyTradeOffer; {TABLE}",
    when_stated=True,
)
def windows_are_carried(trace: Trace) -> Iterator[Outcome]:
    """The window of delivery and that of an offer's validity stay as offered and chosen.

    The interval of a market's own messages is MKT-011's.
    """
    yield from _carried(trace, "delivery", "validity")


@rule(
    "LIN-007",
    "MUST",
    source=f"beckn/DEG, EnergyCustomer, EnergyOrderItem; {TABLE}",
    spares=(CATALOGUE, GRID_NODE),
)
def meter_is_carried(trace: Trace) -> Iterator[Outcome]:
    """A party, an offer and a line of an order keep their meter."""
    yield from _carried(trace, "meter")


@rule(
    "LIN-008",
    "MUST",
    source=f"{CORE}, Context.timestamp; NFH-007, CON-004-13 (5 s of skew)",
    judges=ASKED,
)
def callback_is_not_older_than_its_request(trace: Trace) -> Iterator[Outcome]:
    """A callback is dated no earlier than the request it answers, but for 5 s of clock skew."""
    for message, request in _answers(trace):
        asked, told = _dated(request), _dated(message)
        if asked is None or told is None or message.deliberate is not None:
            continue
        if is_dated_ahead(request):
            continue
        yield outcome(
            asked - told <= SKEW,
            by=message.sender,
            message=message,
            observed=f"{message.action} is dated {message.reading.envelope.timestamp}",
            expected=f"not before {request.reading.envelope.timestamp} of {request.action}",
            pointer="/context/timestamp",
        )


def _dated(message: Message) -> datetime | None:
    return _instant(message.reading.envelope.timestamp)


@once
def _answers(trace: Trace) -> list[tuple[Message, Message]]:
    """Give each callback with its request: whose id it echoes, or the last of its action.

    A callback that may come unasked answers only the request whose id it echoes.
    """
    found: list[tuple[Message, Message]] = []
    actions = tables().actions
    echoed: dict[tuple[str | None, ...], Message] = {}
    last: dict[tuple[str | None, ...], Message] = {}
    for message in trace.beckn:
        envelope, name = message.reading.envelope, request_of(message.action)
        if not message.is_callback:
            echoed.setdefault((envelope.transaction_id, name, envelope.message_id), message)
            last[envelope.transaction_id, name] = message
            continue
        request = echoed.get((envelope.transaction_id, name, envelope.message_id))
        if request is None and not (name in actions and actions[name].is_pushed):
            request = last.get((envelope.transaction_id, name))
        if request is not None:
            found.append((message, request))
    return found


@rule("LIN-009", "MUST", source="NFH-013, CON-013-04 and 16; Beckn v2.0.0, api, messageId")
def message_id_is_of_one_exchange(trace: Trace) -> Iterator[Outcome]:
    """A message id belongs to one request and the callbacks that answer it.

    A request with the id of an earlier request of its sender is COR-003's.
    """
    used: dict[str, str] = {}
    asked: set[tuple[str | None, str]] = set()
    for message in trace.beckn:
        envelope, name = message.reading.envelope, request_of(message.action)
        message_id = envelope.message_id
        if message_id is None or message.deliberate or envelope.action != message.action:
            continue  # where it was posted to another action, ENV-003 tells
        first = used.setdefault(message_id, name)
        is_answer = message.is_callback and (name, message_id) in asked
        if message.is_callback or (message.sender, message_id) not in asked:
            yield outcome(
                first == name or is_answer,
                by=message.sender,
                message=message,
                observed=f"{message.action} with the message id of {first}",
                expected="an id of its own, or that of its request",
                pointer=message.context_pointer("message_id"),
            )
        if not message.is_callback:
            asked |= {(message.sender, message_id), (name, message_id)}


@rule(
    "LIN-010",
    "MUST",
    source=f"beckn/DEG, OfferCurve: insertedBy its owner; {TABLE}",
    judges=MARKET,
)
def curve_is_carried(trace: Trace) -> Iterator[Outcome]:
    """The curve that a participant offered is the one that it, and the agent, repeat.

    What is no curve at all is MKT-001's.
    """
    for found in _carried(trace, "curve"):
        contract = found.message.reading.contract
        curve = contract.curve if contract else None
        if found.kept or curve is None or not any(curve.problems()):
            yield found


@rule(
    "LIN-011",
    "MUST",
    source=f"{CORE}, Buyer, seller; beckn/DEG, DEGContract.roles; {TABLE}",
    spares=(CATALOGUE,),
)
def roles_stay_filled(trace: Trace) -> Iterator[Outcome]:
    """Who buys, who sells and who fills each role of a contract stays the same."""
    yield from _carried(trace, "party", "buyer")


@rule("LIN-012", "SHOULD", source=f"{CORE}, Context.timestamp: the instant of sending")
def time_goes_forward(trace: Trace) -> Iterator[Outcome]:
    """Along a transaction timestamps do not go back, but for 5 s of clock skew.

    A callback that is older than its own request is LIN-008's.
    """
    early = {
        message.number
        for message, request in _answers(trace)
        if (told := _dated(message)) and (asked := _dated(request)) and asked - told > SKEW
    }
    before: dict[str, datetime] = {}
    for message in trace.beckn:
        transaction, told = _transaction(message), _dated(message)
        if transaction is None or told is None or message.deliberate is not None:
            continue
        if is_dated_ahead(message):
            continue
        last = before.get(transaction)
        if last is not None and message.number not in early:
            yield outcome(
                last - told <= SKEW,
                by=message.sender,
                message=message,
                observed=f"{message.action} is dated {message.reading.envelope.timestamp}",
                expected=f"not before {last.isoformat()} of the message before it",
                pointer="/context/timestamp",
            )
        before[transaction] = told


@rule(
    "LIN-013",
    "MUST",
    source=f"beckn/DEG, building blocks, market-based trading; {TABLE}",
    judges=(PARTICIPANT,),
)
def terms_are_repeated_as_told(trace: Trace) -> Iterator[Outcome]:
    """Who confirms, or asks how it went, repeats limits and charges as on_init told them."""
    for chapter in story(trace).values():
        told = chapter.agreed[-1].contract if chapter.agreed else None
        for said in chapter.repeated if told else ():
            if told is None or said.message.number < chapter.agreed[-1].message.number:
                continue
            pairs = {
                "charges": (said.contract.charges, told.charges),
                "approval": (said.contract.approval, told.approval),
            }
            for name, (again, first) in pairs.items():
                if again is None or first is None:
                    continue
                yield outcome(
                    again == first,
                    by=said.message.sender,
                    message=said.message,
                    observed=f"other {name} than on_init told",
                    expected=f"the {name} of on_init",
                    pointer=again.pointer(),
                )


@rule("LIN-014", "MUST", source=f"beckn/DEG, EnergyContract v1; {TABLE}", when_stated=True)
def terms_of_a_deal_are_carried(trace: Trace) -> Iterator[Outcome]:
    """The terms, the payment formulas and the tariff of a deal stay as agreed."""
    yield from _carried(trace, "term", "formula", "tariff")
