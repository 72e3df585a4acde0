"""Acknowledgements: the synchronous answer to a message, in every form that is in use.

Belongs here: writing the form an edition asks for, reading all of them. Does not
belong here: deciding what to answer.

Source: the yaml of Beckn 2.0.0 rc and LTS, NFH-013, and what adapters send. The forms:
flat           {"transaction_id", "timestamp", "ack_status": "ACK"}
nested         {"message": {"ack": {"status": "ACK"}}}
signed-body    {"status": "ACK", "signature": "Signature keyId=..."}
signed-header  {"message": {"status": "ACK", "messageId"}} and a Signature header
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridwitness.dialects.base import Cursor
from gridwitness.signing import parse_header

if TYPE_CHECKING:
    from gridwitness.dialects.base import Json
    from gridwitness.editions import AckForm
    from gridwitness.views import Envelope

ACK, NACK = "ACK", "NACK"


@dataclass(frozen=True)
class Ack:
    """An acknowledgement as read: its status, the form it came in, the error it carries.

    lacks names a member that the form asks for and that is not there.
    """

    status: str
    form: AckForm
    error_code: str | None = None
    error_text: str | None = None
    lacks: str = ""


@dataclass(frozen=True)
class Refusal:
    """Why a message is not accepted: HTTP status, error code, sentence.

    acknowledged: it is an ACK all the same, but no callback will follow.
    """

    http_status: int
    code: str
    text: str
    acknowledged: bool = False


def write_ack(
    form: AckForm, envelope: Envelope | None, timestamp: str, refusal: Refusal | None = None
) -> dict[str, Json]:
    """Write an acknowledgement; with a refusal it carries an error, and mostly is a NACK."""
    status = NACK if refusal and not refusal.acknowledged else ACK
    error = {"code": refusal.code, "message": refusal.text} if refusal else None
    transaction_id = envelope.transaction_id if envelope else None
    message_id = envelope.message_id if envelope else None
    match form:
        case "flat":
            body: dict[str, Json] = {
                "transaction_id": transaction_id,
                "timestamp": timestamp,
                "ack_status": status,
                "error": error,
            }
            return _present(body)
        case "nested":
            return _present({"message": {"ack": {"status": status}}, "error": error})
        case "signed-body":
            named = {"errorCode": refusal.code, "errorMessage": refusal.text} if refusal else None
            return _present({"status": status, "error": named})
        case "signed-header":
            inner = _present({"status": status, "messageId": message_id, "error": error})
            return {"message": inner}


def read_ack(body: Json) -> Ack | None:
    """Read an acknowledgement in any form; None when it is none."""
    root = Cursor(body, "", [])
    message = root / "message"
    places: tuple[tuple[AckForm, Cursor], ...] = (
        ("flat", root / "ack_status"),
        ("nested", message / "ack" / "status"),
        ("signed-header", message / "status"),
        ("signed-body", root / "status"),
    )
    for form, place in places:
        if place.value in (ACK, NACK):
            error = root / "error" or message / "error"
            code = (error / "code").value or (error / "errorCode").value
            text = (error / "message").value or (error / "errorMessage").value
            missing = [key for key, where in _required(root, form).items() if not where]
            return Ack(
                str(place.value),
                form,
                code if isinstance(code, str) else None,
                text if isinstance(text, str) else None,
                " and ".join(missing),
            )
    return None


def _required(root: Cursor, form: AckForm) -> dict[str, Cursor | bool]:
    """Give the members that a form asks for beside the status."""
    match form:
        case "flat":
            return {key: root / key for key in ("transaction_id", "timestamp")}
        case "signed-body":
            signature = (root / "signature").value
            signed = isinstance(signature, str) and parse_header(signature) is not None
            return {"signature": signed or (root / "status").value == NACK}
        case "signed-header":
            return {"messageId": root / "message" / "messageId"}
        case "nested":
            return {}


def _present(body: dict[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in body.items() if value is not None}
