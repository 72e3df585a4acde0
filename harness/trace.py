"""The trace: the append-only record of every message of one scenario.

Belongs here: what was said, when, and how it was answered, in memory and as JSON
Lines. Does not belong here: an opinion about any of it (rules).

On disk the first line tells the scenario, every further line one message, in the
order in which they were sent (by us) or received (from the participant).
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from bisect import bisect, bisect_left
from collections.abc import Mapping  # noqa: TC003 (msgspec reads the annotations)
from dataclasses import asdict, dataclass, field
from functools import cached_property, wraps
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import msgspec

from gridwitness.acks import NACK, read_ack
from gridwitness.dialects import DIALECTS, recognise
from gridwitness.dialects.amounts import read_amounts
from gridwitness.dialects.base import BadJson, Cursor, Json, Parsed, parse_json, parse_noting
from gridwitness.dialects.lines import read_stated
from gridwitness.editions import editions
from gridwitness.errors import UserError
from gridwitness.generation import Generation, generation_of
from gridwitness.meaning import read_meaning, reader_beside
from gridwitness.protocol import PUBLISHING, callback_of, request_of
from gridwitness.shape import Shape, shape_of
from gridwitness.signing import SignatureCheck
from gridwitness.views import Envelope, Problem, Reading, moved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gridwitness.acks import Ack
    from gridwitness.meaning import Meaning
    from gridwitness.specification import Specification
    from gridwitness.views import Amounts, Stated

T = TypeVar("T")

MOST_BYTES = 256_000_000
"""No trace is larger; one that is, is not read."""

MOST_SEARCHED = 100
"""How many messages of a kind and transaction are looked through for the one that is meant."""

NO_CALLBACK = (202, 409)
"""The statuses with which an ACK says that no callback follows, in one edition or another."""

Kind = Literal["beckn", "registry", "stray"]
"""A protocol message; a key look-up; or something else that reached our server."""

Recorded = Literal["ours", "whole", "request", "body"]
"""What a record holds: all, with its signatures checked (ours); the request and its answer
(whole); the request alone; or nothing but the body. What was not recorded is not missing."""


@dataclass(frozen=True)
class Answer:
    """A synchronous HTTP answer, with the instant it was complete (see Message)."""

    status: int
    headers: Mapping[str, str]
    raw: bytes
    at_s: float = 0.0

    @cached_property
    def body(self) -> Json:
        """The parsed body; None when it is not JSON."""
        try:
            return parse_json(self.raw)
        except BadJson:
            return None


@dataclass(frozen=True)
class Message:
    """One HTTP request as sent or received.

    number        its place in the trace, from 1
    sender, receiver
                  actor names; None when the message reached no actor
    action        the last part of the path
    raw           the exact bytes of the body (cut at the size limit)
    at            wall-clock instant, RFC 3339
    sent_s        instant on the scenario's monotonic clock, in seconds
    deadline_s    until when its sender waits for the callback, same clock
    answer        None when none came; `failure` then says why
    signature     what the check of its signature found
    answer_signature
                  what the check of the signed acknowledgement found, if it was signed
    deliberate    what is wrong with it on purpose; None for an honest message
    recorded      how much of it was recorded, and by whom
    """

    number: int
    kind: Kind
    sender: str | None
    receiver: str | None
    action: str
    method: str
    url: str
    headers: Mapping[str, str]
    raw: bytes
    at: str
    sent_s: float
    deadline_s: float | None = None
    answer: Answer | None = None
    failure: str | None = None
    signature: SignatureCheck | None = None
    answer_signature: SignatureCheck | None = None
    deliberate: str | None = None
    recorded: Recorded = "ours"

    @cached_property
    def parsed(self) -> Parsed:
        """What the bytes of the body are as JSON."""
        return parse_noting(self.raw)

    @property
    def body(self) -> Json:
        """The parsed body; None when it is not JSON."""
        return self.parsed.body

    @cached_property
    def dialect(self) -> str | None:
        """The dialect the body is written in, by the spelling of its context."""
        dialect = recognise(self.body)
        return dialect.name if dialect else None

    @cached_property
    def meaning(self) -> Meaning:
        """What the body means by the contexts it names, as far as our own documents tell."""
        return read_meaning(self.body)

    @property
    def canonical(self) -> Json:
        """The body as our own contexts spell it; the body itself where it is spelt so."""
        return self.meaning.body

    @cached_property
    def generation(self) -> Generation:
        """The generation of the protocol the body is written in, by its shape."""
        return generation_of(self.body)

    @property
    def is_foreign(self) -> bool:
        """Whether its content is of a generation that its dialect cannot read."""
        return self.generation != (self.dialect or "unknown")

    @cached_property
    def reading(self) -> Reading:
        """The views in the body: of a foreign generation the context, of no dialect nothing."""
        dialect = recognise(self.body)
        if dialect is None:
            problem = Problem("", "the body is in no known dialect")
            return Reading(envelope=Envelope(action=None), problems=(problem,))
        if self.is_foreign:
            return dialect.read({"context": self.body["context"]})
        reading = dialect.read(self.canonical)
        if not self.meaning.pointers:
            return reading
        return moved(reading, self.meaning.raw_pointer)

    @cached_property
    def amounts(self) -> Amounts:
        """What the body states about money and energy; empty when the dialect is not known."""
        amounts = read_amounts(self.dialect, self.canonical)
        return moved(amounts, self.meaning.raw_pointer) if self.meaning.pointers else amounts

    @cached_property
    def shape(self) -> Shape:
        """What the canonical body looks like to the schema of the action it names.

        A body in no known dialect, of another generation, or without an object for its
        content, has no shape. Its pointers lead into the canonical body.
        """
        body = Cursor(self.canonical, "", [])
        content = body / "message" or body / "error"
        if self.dialect is None or self.is_foreign or content.object() is None:
            return Shape()
        action = self.reading.envelope.action or self.action
        return shape_of(self.dialect, action, self.canonical)

    @cached_property
    def stated(self) -> tuple[Stated, ...]:
        """What it states about a deal, to be compared along the flow."""
        place = self.meaning.raw_pointer
        stated = read_stated(self.dialect, self.canonical)
        return tuple(one._replace(pointer=place(one.pointer)) for one in stated)

    @cached_property
    def ack(self) -> Ack | None:
        """The acknowledgement in its answer; None when there is none to be read."""
        return read_ack(self.answer.body) if self.answer else None

    @property
    def ends_here(self) -> bool:
        """Whether its answer says that no callback follows: a NACK, or an ACK that tells so."""
        ack, answer = self.ack, self.answer
        if ack is None or answer is None:
            return False
        return ack.status == NACK or answer.status in NO_CALLBACK

    def context_pointer(self, field: str) -> str:
        """Give the JSON Pointer of an envelope's field, as the message's dialect spells it."""
        return f"/context/{DIALECTS[self.dialect or 'order'].context_key(field)}"

    @property
    def is_callback(self) -> bool:
        return self.action.rpartition("/")[2].startswith("on_")

    @property
    def from_provider(self) -> bool:
        """Whether its sender takes the provider's side: it calls back, or publishes."""
        return self.is_callback != (request_of(self.action) in PUBLISHING)

    @property
    def named_sender(self) -> str | None:
        """The id of its sender, as its context names it."""
        envelope = self.reading.envelope
        return envelope.bpp_id if self.from_provider else envelope.bap_id


@dataclass(frozen=True)
class Step:
    """One row of the expected message sequence of a flow.

    sender and receiver are roles. after names the rows that must come before: of the same
    participant, or of `all` participants. is_optional: it comes for some only.
    """

    name: str
    sender: str
    receiver: str
    actions: tuple[str, ...]
    carries: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    after_all: tuple[str, ...] = ()
    is_optional: bool = False

    @property
    def publishes(self) -> bool:
        """Whether it is a publish, or what is answered to one."""
        return any(request_of(action) in PUBLISHING for action in self.actions)


@dataclass(frozen=True)
class Scene:
    """What a trace is the trace of: the scenario, the cast, the expected sequence.

    seat is the seat that is taken. subject names the actor that is judged, None when all
    are; before a scenario is played it names the role, of which one actor is. roles maps
    an actor's name to its role, ids to its subscriber id, uris to its base address.
    specification tells what was laid beside: its name and digest.
    """

    feature: str
    scenario: str
    seat: str
    dialect: str
    edition: str
    strictness: str
    subject: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict[str, str])
    ids: Mapping[str, str] = field(default_factory=dict[str, str])
    uris: Mapping[str, str] = field(default_factory=dict[str, str])
    sequence: tuple[Step, ...] = ()
    price_tick: str = "0.0001"
    power_step: str = "0.001"
    specification: str | None = None


@dataclass(frozen=True)
class Trace:
    """The ordered messages of one scenario.

    specification is what an operator laid beside; on disk only the scene tells of it.
    """

    scene: Scene
    messages: tuple[Message, ...]
    specification: Specification | None = field(default=None, compare=False, repr=False)

    @cached_property
    def beckn(self) -> tuple[Message, ...]:
        """The protocol messages, without look-ups and strays."""
        return tuple(message for message in self.messages if message.kind == "beckn")

    @cached_property
    def requests(self) -> tuple[Message, ...]:
        """The protocol messages that are no callbacks."""
        return tuple(message for message in self.beckn if not message.is_callback)

    @cached_property
    def memory(self) -> dict[object, Any]:
        """What was computed once from this trace; see `once`."""
        return {}

    @cached_property
    def meanings(self) -> tuple[tuple[Message, Meaning], ...]:
        """What each protocol message means, by the specification laid beside as well."""
        if self.specification is None:
            return tuple((message, message.meaning) for message in self.beckn)
        reader = reader_beside(self.specification)
        return tuple((message, reader.read(message.body)) for message in self.beckn)

    def of(self, action: str) -> Sequence[Message]:
        """Give the messages of an action, in order."""
        return _by_action(self).get(action, ())

    def role(self, actor: str | None) -> str | None:
        return self.scene.roles.get(actor or "")

    def actors(self, role: str) -> Sequence[str]:
        """Give the names of the actors of a role."""
        return _by_role(self).get(role, ())

    def callbacks_of(self, request: Message) -> tuple[Message, ...]:
        """Find the callbacks that answer a request: same transaction, opposite way, later."""
        envelope = request.reading.envelope
        same = _by_transaction(self).get((callback_of(request.action), envelope.transaction_id), [])
        later = islice(same, bisect(same, request.number, key=_number), None)
        found = [
            message
            for message in islice(later, MOST_SEARCHED)
            if message.receiver == request.sender and message.sender == request.receiver
        ]
        # Whoever echoes the message id comes first: a transaction may hold several requests.
        own_id = envelope.message_id
        return tuple(sorted(found, key=lambda m: m.reading.envelope.message_id != own_id))

    def asked_by(self, callback: Message) -> list[Message]:
        """Find the requests that a callback may answer: same transaction, opposite way, earlier."""
        if not callback.is_callback:
            return []
        transaction_id = callback.reading.envelope.transaction_id
        same = _by_transaction(self).get((request_of(callback.action), transaction_id), [])
        end = bisect_left(same, callback.number, key=_number)
        return [
            request
            for request in same[max(0, end - MOST_SEARCHED) : end]
            if request.sender == callback.receiver
        ]


def once(function: Callable[[Trace], T]) -> Callable[[Trace], T]:
    """Compute something once a trace, however many rules ask for it."""

    @wraps(function)
    def remembered(trace: Trace) -> T:
        if function not in trace.memory:
            trace.memory[function] = function(trace)
        return trace.memory[function]

    return remembered


def _number(message: Message) -> int:
    return message.number


@once
def _by_action(trace: Trace) -> dict[str, list[Message]]:
    found: dict[str, list[Message]] = {}
    for message in trace.beckn:
        found.setdefault(message.action, []).append(message)
    return found


@once
def _by_role(trace: Trace) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, role in trace.scene.roles.items():
        found.setdefault(role, []).append(name)
    return found


@once
def _by_transaction(trace: Trace) -> dict[tuple[str, str | None], list[Message]]:
    found: dict[tuple[str, str | None], list[Message]] = {}
    for message in trace.beckn:
        key = message.action, message.reading.envelope.transaction_id
        found.setdefault(key, []).append(message)
    return found


def write_trace(trace: Trace, path: Path) -> str:
    """Write a trace as JSON Lines; returns the SHA-256 of the file."""
    lines = [_line({"scene": asdict(trace.scene)})]
    lines += [_line(_message_record(message)) for message in trace.messages]
    data = "".join(lines).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read_trace(path: Path) -> Trace:
    """Read a trace that was written by `write_trace`.

    Raises UserError when the file is not one, or is larger than any scenario makes it.
    """
    try:
        _fits(path)
        # Not splitlines: a text may hold line separators that JSON does not escape.
        lines = path.read_bytes().decode("utf-8-sig").removesuffix("\n").split("\n")
        records = [json.loads(line, parse_constant=_refuse) for line in lines]
        scene = _scene(records[0]["scene"])
        messages = tuple(map(_message, records[1:]))
        return _in_order(Trace(scene, messages))
    except (
        *(OSError, ValueError, LookupError, TypeError),
        *(AttributeError, RecursionError, ArithmeticError),
    ) as error:
        raise UserError(
            f"is not a trace ({error})",
            where=str(path),
            mend="name a file written by gridwitness under traces/",
        ) from error


def _refuse(token: str) -> None:
    raise ValueError(f"{token} is not a JSON number")


def _fits(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise ValueError("no file")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES // 1_000_000} MB")


def _in_order(trace: Trace) -> Trace:
    if [message.number for message in trace.messages] != list(range(1, len(trace.messages) + 1)):
        raise ValueError("its messages are not numbered in order")
    return trace


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _text_or_base64(raw: bytes) -> str | dict[str, str]:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _raw(value: str | Mapping[str, str]) -> bytes:
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])


def _message_record(message: Message) -> dict[str, Any]:
    record: dict[str, Any] = {
        name: getattr(message, name)
        for name in Message.__dataclass_fields__
        if name not in ("raw", "answer", "signature", "answer_signature")
    }
    record["raw"] = _text_or_base64(message.raw)
    for name in ("signature", "answer_signature"):
        check = cast("SignatureCheck | None", getattr(message, name))
        record[name] = asdict(check) if check else None
    answer = message.answer
    record["answer"] = answer and {
        "status": answer.status,
        "headers": dict(answer.headers),
        "raw": _text_or_base64(answer.raw),
        "at_s": answer.at_s,
    }
    return record


def _scene(record: dict[str, Any]) -> Scene:
    scene = _made(Scene, record | {"sequence": tuple(map(_step, record["sequence"]))})
    if editions()[scene.edition].dialect != scene.dialect:
        raise ValueError(f"{scene.edition} does not speak the dialect {scene.dialect!r}")
    if not all(map(_STEP.fullmatch, (scene.price_tick, scene.power_step))):
        raise ValueError("a step of prices or powers is none")
    if scene.strictness not in STRICTNESSES:
        raise ValueError(f"the strictness {scene.strictness!r} is unknown")
    if scene.subject is not None and scene.subject not in scene.roles:
        raise ValueError(f"the subject {scene.subject!r} is none of its actors")
    if unknown := sorted(scene.roles.keys() - scene.ids.keys()):
        raise ValueError(f"it tells no subscriber id of {', '.join(unknown)}")
    return scene


STRICTNESSES = ("strict", "deployed")


_STEP = re.compile(r"(?=[0.]*[1-9])\d{1,9}(\.\d{1,9})?", re.ASCII)
"""A decimal number above zero."""


def _step(record: dict[str, Any]) -> Step:
    lists = ("actions", "carries", "after", "after_all")
    return _made(Step, record | {name: tuple(record[name]) for name in lists})


def _message(record: dict[str, Any]) -> Message:
    answer = record["answer"]
    values = record | {
        "raw": _raw(record["raw"]),
        "answer": answer and _made(Answer, answer | {"raw": _raw(answer["raw"])}),
    }
    for name in ("signature", "answer_signature"):
        values[name] = record[name] and _made(SignatureCheck, record[name])
    message = _made(Message, values)
    answered = message.answer
    instants = message.sent_s, message.deadline_s, answered and answered.at_s
    if not all(math.isfinite(one) for one in instants if one is not None):
        raise ValueError(f"an instant of message {message.number} is none")
    if answered and not 0 <= answered.status <= _LARGEST_STATUS:
        raise ValueError(f"the answer to message {message.number} has no status of HTTP")
    # The check of a signature is never left out; one of an answer may have been cut short.
    if message.kind == "beckn" and message.recorded == "ours" and message.signature is None:
        raise ValueError(f"the signature of message {message.number} is not checked")
    return message


_LARGEST_STATUS = 999
"""What three digits can tell; participants send statuses that nobody has registered."""


def _made(kind: type[T], values: dict[str, Any]) -> T:
    """Make one of our classes of what was read; raises ValueError for a value of a wrong type."""
    return msgspec.convert(values, kind)


@once
def first_told(trace: Trace) -> list[Message]:
    """Leave out what somebody sent once more to the same, byte by byte: it tells nothing new."""
    told = {(m.sender, m.receiver, m.action, m.raw): m for m in reversed(trace.beckn)}
    return sorted(told.values(), key=lambda message: message.number)
