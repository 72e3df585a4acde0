"""LIF: the life cycle of an order or a contract, judged by the tables of lifecycle.toml.

Belongs here: which state a message may carry, which may follow which, what an action
needs, how often it is answered, what may come after the end. Does not belong here: the
sequence that a feature states (sequence), a callback after a NACK (COR-005), a callback
in a transaction that nobody opened (COR-002).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gridwitness.acks import ACK
from gridwitness.lifecycle import tables
from gridwitness.protocol import callback_of, request_of
from gridwitness.rules import outcome, rule
from gridwitness.story import (
    AGENT,
    ASKED,
    BUYER_UTILITY,
    CATALOGUE,
    PARTICIPANT,
    SELLER_UTILITY,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.dialects.base import Json
    from gridwitness.lifecycle import Machine
    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace
    from gridwitness.views import Stated

STATES = "Beckn v2.0.0, api and schema/core: Contract, Commitment, Settlement, Order"
PATHS = "Beckn v2.0.0 LTS, api, the text of each path; docs/lifecycle.md"

State = tuple["Machine", "Stated"]
PAYMENT_LINKS = frozenset({"beckn:paymentURL", "paymentURL", "paymentUrl"})


def _honest(trace: Trace) -> Iterator[Message]:
    return (message for message in trace.beckn if message.deliberate is None)


def _states(message: Message) -> Iterator[State]:
    """Yield what the states of a message are states of."""
    machines = tables().machines
    for said in message.stated:
        if said.kind.endswith(" state"):
            yield machines[said.kind.removesuffix(" state")], said


def _transaction(message: Message) -> str | None:
    return message.reading.envelope.transaction_id


def _was_refused(message: Message) -> bool:
    return message.ack is not None and message.ack.status != ACK


@rule(
    "LIF-001",
    "MUST",
    source=f"{STATES}; beckn/DEG, EnergyContract: enumerations",
    spares=(CATALOGUE,),
)
def state_exists(trace: Trace) -> Iterator[Outcome]:
    """A state of an order, contract, commitment or settlement is one that the protocol knows."""
    for message in _honest(trace):
        for machine, said in _states(message):
            yield outcome(
                said.value in machine.carried,
                by=message.sender,
                message=message,
                observed=f"the {machine.name} is {said.value}",
                expected=" or ".join(machine.carried),
                pointer=said.pointer,
            )


@rule(
    "LIF-002",
    "MUST",
    source=f"{PATHS}; beckn/DEG, EnergyContract: PENDING to ACTIVE",
    spares=(CATALOGUE,),
)
def state_fits_the_action(trace: Trace) -> Iterator[Outcome]:
    """A message carries a state that its action can carry; what on_confirm binds is active.

    That a participant's result is active is LCK-005's.
    """
    for message in _honest(trace):
        if message.reading.error is not None or _is_idle_result(trace, message):
            continue
        for machine, said in _states(message):
            if machine.binding and said.value in machine.carried:
                yield _fits(message, machine, said)


def _is_idle_result(trace: Trace, message: Message) -> bool:
    """Tell whether a message tells a participant what it cleared by a contract not active."""
    contract = message.reading.contract
    if message.action != "on_confirm" or contract is None or contract.clearing is None:
        return False
    roles = trace.role(message.sender), trace.role(message.receiver)
    return roles == (AGENT, PARTICIPANT) and contract.status != "ACTIVE"


def _is_fitting(message: Message, machine: Machine, said: Stated) -> bool:
    carried_by = machine.carried.get(cast("str", said.value), frozenset())
    return message.action in carried_by or message.action not in _KNOWN_ACTIONS


def _fits(message: Message, machine: Machine, said: Stated) -> Outcome:
    fitting = [state for state, actions in machine.carried.items() if message.action in actions]
    return outcome(
        _is_fitting(message, machine, said),
        by=message.sender,
        message=message,
        observed=f"{message.action} with the {machine.name} {said.value}",
        expected=" or ".join(fitting) or "no state",
        pointer=said.pointer,
    )


_KNOWN_ACTIONS = frozenset(
    name for action in tables().actions for name in (action, callback_of(action))
)


@rule(
    "LIF-003",
    "MUST",
    source=f"{STATES}; docs/lifecycle.md, transitions",
    judges=ASKED,
    spares=(CATALOGUE,),
)
def state_follows_from_the_one_before(trace: Trace) -> Iterator[Outcome]:
    """A provider tells a state that may follow the one it told before.

    What comes after the end of a contract is LIF-007's.
    """
    for message, machine, said, before in _told(trace):
        if machine.binding:
            yield _follows(message, machine, said, before)


def _told(trace: Trace) -> Iterator[tuple[Message, Machine, Stated, str | None]]:
    """Yield each state that a provider tells, with the one it told before."""
    last: dict[tuple[str | None, ...], str] = {}
    over = _Ends()
    for message in _honest(trace):
        if not message.is_callback or message.reading.error is not None:
            continue
        too_late = not over.allow(message)
        for machine, said in _states(message):
            value = cast("str", said.value)
            key = (_transaction(message), message.sender, message.receiver, machine.name, said.of)
            if value not in machine.carried or not _is_fitting(message, machine, said):
                last.pop(key, None)  # told already: what follows it is not judged
                continue
            if not too_late:
                yield message, machine, said, last.get(key)
            last[key] = value
        over.note(message)


def _follows(message: Message, machine: Machine, said: Stated, before: str | None) -> Outcome:
    value = cast("str", said.value)
    after = [edge.end for edge in machine.edges if edge.start == before]
    return outcome(
        before is None or machine.may_follow(before, value),
        by=message.sender,
        message=message,
        observed=f"the {machine.name} went from {before} to {value}",
        expected=" or ".join([before or "", *after]),
        pointer=said.pointer,
    )


@rule(
    "LIF-004",
    "SHOULD",
    source="docs/lifecycle.md, the order: no table is published; ours",
    spares=(CATALOGUE,),
)
def order_state_fits(trace: Trace) -> Iterator[Outcome]:
    """The state of an order fits the action that carries it and follows from the one before."""
    for message in _honest(trace):
        if message.reading.error is None and not _is_idle_result(trace, message):
            for machine, said in _states(message):
                if not machine.binding and said.value in machine.carried:
                    yield _fits(message, machine, said)
    for message, machine, said, before in _told(trace):
        if not machine.binding:
            yield _follows(message, machine, said, before)


@rule("LIF-005", "MUST", source=PATHS, when_stated=True)
def nothing_comes_before_what_it_needs(trace: Trace) -> Iterator[Outcome]:
    """An action comes only after what it needs: another action, or the end of the contract.

    Where a feature states the sequence, ORD-001 judges that instead. A transaction that begins
    with what needs something continues an older one; of that nothing is known.
    """
    if trace.scene.sequence:
        return
    asked: dict[str, set[str]] = {}
    told: set[str] = set()
    over, actions = _Ends(), tables().actions
    for message in trace.beckn:
        transaction, action = _transaction(message), message.action
        if transaction is None:
            continue
        came = asked.setdefault(transaction, set())
        needs = _needs(message)
        if action in actions and actions[action].is_last and transaction in told:
            yield outcome(
                over.how(message) is not None,
                by=message.sender,
                message=message,
                observed=f"{action} while the contract goes on",
                expected=f"{action} after it was completed or cancelled",
            )
        if needs and came and message.deliberate is None:
            yield outcome(
                not came.isdisjoint(needs),
                by=message.sender,
                message=message,
                observed=f"{action} in a transaction that has had {', '.join(sorted(came))}",
                expected=f"{action} after {' or '.join(needs)}",
            )
        if not message.is_callback and action in actions:
            came.add(action)
        if message.is_callback and any(_states(message)):
            told.add(transaction)
        over.note(message)


def _needs(message: Message) -> tuple[str, ...]:
    """Name the requests one of which a message needs; none when it may come at any time."""
    name = request_of(message.action)
    action = tables().actions.get(name)
    if action is None:
        return ()
    if message.is_callback:
        return () if action.is_pushed else (name,)
    return action.needs


@rule(
    "LIF-006", "MUST", source=f"{PATHS}; NFH-013, CON-013-03: a callback to a request", judges=ASKED
)
def request_is_answered_once(trace: Trace) -> Iterator[Outcome]:
    """A request gets no more callbacks than its action allows.

    A search and a question about the status may be answered again and again.
    """
    asked: dict[tuple[str | None, ...], int] = {}
    answered: dict[tuple[str | None, ...], int] = {}
    actions = tables().actions
    for message in trace.beckn:
        name = request_of(message.action)
        action, transaction = actions.get(name), _transaction(message)
        if action is None or transaction is None or not action.is_answered_once:
            continue
        # An unasked callback has a message id of its own; other answers are counted without it.
        own = message.reading.envelope.message_id if action.is_pushed else None
        if not message.is_callback:
            key = (transaction, message.sender, message.receiver, name, own)
            asked[key] = asked.get(key, 0) + 1
            continue
        key = (transaction, message.receiver, message.sender, name, own)
        if key not in asked or message.deliberate is not None or _is_lost(message):
            continue
        answered[key] = answered.get(key, 0) + 1
        yield outcome(
            answered[key] <= asked[key],
            by=message.sender,
            message=message,
            observed=f"{message.action} number {answered[key]}",
            expected=f"one {message.action} a {name}, of which there were {asked[key]}",
        )


def _is_lost(callback: Message) -> bool:
    """Tell whether a callback was refused or not answered: its sender may send it again."""
    if callback.ack is None:
        return callback.recorded == "ours"
    return callback.ack.status != ACK


class _Ends:
    """How the contract of each transaction has ended, as its provider told."""

    def __init__(self) -> None:
        self._ended: dict[str, str] = {}

    def how(self, message: Message) -> str | None:
        return self._ended.get(_transaction(message) or "")

    def allow(self, message: Message) -> bool:
        """Tell whether a callback may come now."""
        ended = self.how(message)
        action = tables().actions.get(request_of(message.action))
        return ended is None or action is None or ended in action.after

    def note(self, message: Message) -> None:
        """Note the end of a contract, if a callback tells it."""
        transaction = _transaction(message)
        if transaction is None or not message.is_callback or _was_refused(message):
            return
        for machine, said in _states(message):
            # A commitment is a part: the contract says whether all is over.
            if machine.name != "commitment" and said.value in machine.ends:
                self._ended.setdefault(transaction, machine.ends[cast("str", said.value)])


@rule(
    "LIF-007",
    "MUST",
    source=f"{PATHS}: CANCELLED and COMPLETE are ends",
    judges=ASKED,
    when_stated=True,
)
def nothing_moves_what_has_ended(trace: Trace) -> Iterator[Outcome]:
    """After a contract was cancelled or completed nothing comes that would move it again."""
    over = _Ends()
    for message in _honest(trace):
        if not message.is_callback or message.reading.error is not None:
            continue
        ended = over.how(message)
        if ended is not None:
            yield outcome(
                over.allow(message),
                by=message.sender,
                message=message,
                observed=f"{message.action} after the contract was {ended}",
                expected="its status, and nothing that moves it",
            )
        over.note(message)


@rule(
    "LIF-008",
    "MUST",
    source="Beckn v2.0.0 LTS, api, on_confirm; 2.0.0 rc, on_confirm: id",
    judges=ASKED,
    spares=(CATALOGUE,),
)
def confirmed_contract_has_an_id(trace: Trace) -> Iterator[Outcome]:
    """What on_confirm binds is named by an id."""
    for message in trace.of("on_confirm"):
        if message.reading.contract is None or message.reading.error is not None:
            continue
        yield outcome(
            any(said.kind == "contract id" for said in message.stated),
            by=message.sender,
            message=message,
            observed="no id",
            expected="the id by which it is known from now on",
            pointer=message.reading.contract.pointer(),
        )


@rule(
    "LIF-009",
    "MUST",
    source="Beckn v2.0.0 LTS, api, on_init: no payment is asked before it",
    judges=ASKED,
    spares=(BUYER_UTILITY, SELLER_UTILITY),
)
def payment_is_not_asked_too_early(trace: Trace) -> Iterator[Outcome]:
    """A provider asks for no payment before it has stated its terms in on_init."""
    begun: set[tuple[str | None, str | None]] = set()
    for message in _honest(trace):
        key = (_transaction(message), message.sender)
        if not message.is_callback or key in begun:
            continue
        if message.action not in ("on_discover", "on_select"):
            begun.add(key)
            continue
        link = _payment_link(message.body)
        yield outcome(
            link is None,
            by=message.sender,
            message=message,
            observed=f"a link to pay at {link}",
            expected="no demand before on_init",
            pointer=link or "",
        )


def _payment_link(body: Json) -> str | None:
    """Find where a body asks to be paid; gives the JSON Pointer of the first place."""
    stack: list[tuple[str, Json]] = [("", body)]
    while stack:
        pointer, value = stack.pop()
        inside: list[tuple[str, Json]] = []
        if isinstance(value, dict):
            inside = list(cast("dict[str, Json]", value).items())
        elif isinstance(value, list):
            inside = [(str(n), one) for n, one in enumerate(cast("list[Json]", value))]
        for key, one in inside:
            if key in PAYMENT_LINKS:
                return f"{pointer}/{key}"
            if isinstance(one, dict | list):
                stack.append((f"{pointer}/{key}", cast("Json", one)))
    return None
