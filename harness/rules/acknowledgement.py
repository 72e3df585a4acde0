"""ACK: the synchronous answer to a message."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from gridwitness.acks import ACK
from gridwitness.editions import editions
from gridwitness.rules import outcome, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.rules import Outcome
    from gridwitness.trace import Answer, Message, Trace


@rule("ACK-001", "MUST", source="Beckn v2.0.0, api, responses; certification draft, C-ALL-06")
def every_message_is_acknowledged(trace: Trace) -> Iterator[Outcome]:
    """Every message is answered at once, with an ACK or a NACK."""
    for message in trace.beckn:
        if message.receiver is None or message.recorded in ("request", "body"):
            continue
        answer = message.answer
        yield outcome(
            message.ack is not None,
            by=message.receiver,
            message=message,
            observed=message.failure or _seen(answer),
            expected="JSON with the status ACK or NACK",
            in_answer=answer is not None,
        )


def _seen(answer: Answer | None) -> str:
    if answer is None:
        return "no answer"
    kind = answer.headers.get("content-type", "no content type")
    text = answer.raw[:60].decode("utf-8", "replace").strip()
    return f"HTTP {answer.status}, {kind}: {text}"


@rule("ACK-002", "MUST", source="Beckn v2.0.0, api, Ack and AckResponse; NFH-007, section 5")
def acknowledgement_has_the_form_of_the_edition(trace: Trace) -> Iterator[Outcome]:
    """An acknowledgement is written in the form of the edition."""
    edition = editions()[trace.scene.edition]
    right = edition.ack_form_for(trace.scene.strictness)
    for message in trace.beckn:
        ack = message.ack
        if ack is not None and message.dialect == trace.scene.dialect:
            lacks = "" if _asks_too_much(message, ack.lacks) else ack.lacks
            yield outcome(
                ack.form == right and not lacks,
                by=message.receiver,
                message=message,
                observed=f"the form {ack.form}" + (f" without {lacks}" if lacks else ""),
                expected=f"the form {right} of {edition.id}",
                in_answer=True,
            )


def _asks_too_much(message: Message, lacks: str) -> bool:
    """Tell whether an acknowledgement only lacks an id that its message did not give."""
    envelope = message.reading.envelope
    given = {"transaction_id": envelope.transaction_id, "messageId": envelope.message_id}
    return lacks in given and given[lacks] is None


@rule("ACK-003", "MUST", source="Beckn v2.0.0, api, responses 200, 400 and 401")
def status_codes_agree_with_the_answer(trace: Trace) -> Iterator[Outcome]:
    """An ACK comes with HTTP 200, a NACK with a 4xx or 5xx status.

    An ACK that no callback follows has the status that the edition gives it, and an error.
    """
    no_callback = editions()[trace.scene.edition].no_callback_status
    for message in trace.beckn:
        ack = message.ack
        if ack is not None and message.answer is not None:
            status = message.answer.status
            good = status == HTTPStatus.OK or (status == no_callback and ack.error_code is not None)
            refused = status >= HTTPStatus.BAD_REQUEST
            yield outcome(
                good if ack.status == ACK else refused,
                by=message.receiver,
                message=message,
                observed=f"HTTP {status} with {ack.status}",
                expected="200 with ACK, 4xx or 5xx with NACK",
                in_answer=True,
            )


@rule(
    "ACK-004",
    "MUST",
    source="NFH-008, CON-021-02; certification draft, C-BPP-05",
    on_refusal=True,
)
def refusal_says_why(trace: Trace) -> Iterator[Outcome]:
    """A NACK carries an error with a code."""
    for message in trace.beckn:
        ack = message.ack
        if ack is not None and ack.status != ACK:
            yield outcome(
                bool(ack.error_code),
                by=message.receiver,
                message=message,
                observed="a NACK without an error code",
                expected="an error with a code",
                in_answer=True,
            )
