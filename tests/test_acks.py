"""Acknowledgements: every form is read as it was written, and nothing else is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from gridwitness.acks import Ack, Refusal, read_ack, write_ack
from gridwitness.dialects.base import dump_json, parse_json
from gridwitness.editions import AckForm
from gridwitness.views import Envelope

if TYPE_CHECKING:
    from gridwitness.dialects.base import Json

FORMS = get_args(AckForm)
NOW = "2026-01-01T00:00:00Z"
ENVELOPE = Envelope(action="select", transaction_id="t-1", message_id="m-1")
REFUSAL = Refusal(401, "30001", "the signature does not verify")


def sent(body: Json) -> Json:
    return parse_json(dump_json(body))


@pytest.mark.parametrize("form", FORMS)
def test_an_ack_is_read_as_written(form: AckForm):
    body = sent(write_ack(form, ENVELOPE, NOW))
    unsigned = "signature" if form == "signed-body" else ""
    assert read_ack(body) == Ack("ACK", form, lacks=unsigned)


def test_what_a_form_asks_for_and_is_not_there_is_told():
    assert read_ack({"ack_status": "ACK"}).lacks == "transaction_id and timestamp"
    assert read_ack({"message": {"status": "ACK"}}).lacks == "messageId"
    assert read_ack({"status": "ACK", "signature": "nonsense"}).lacks == "signature"


@pytest.mark.parametrize("form", FORMS)
def test_a_nack_is_read_as_written_with_its_error(form: AckForm):
    body = sent(write_ack(form, ENVELOPE, NOW, REFUSAL))
    assert read_ack(body) == Ack("NACK", form, "30001", "the signature does not verify")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("refusal", [None, REFUSAL])
def test_a_message_without_an_envelope_is_answered_in_the_same_form(
    form: AckForm, refusal: Refusal | None
):
    read = read_ack(sent(write_ack(form, None, NOW, refusal)))
    assert read is not None
    assert (read.status, read.form) == ("NACK" if refusal else "ACK", form)


def test_each_form_has_its_own_shape():
    assert {form: write_ack(form, ENVELOPE, NOW) for form in FORMS} == {
        "flat": {"transaction_id": "t-1", "timestamp": NOW, "ack_status": "ACK"},
        "nested": {"message": {"ack": {"status": "ACK"}}},
        "signed-body": {"status": "ACK"},
        "signed-header": {"message": {"status": "ACK", "messageId": "m-1"}},
    }


def test_each_form_carries_an_error_in_its_own_place():
    error = {"code": "30001", "message": "the signature does not verify"}
    assert {form: write_ack(form, None, NOW, REFUSAL) for form in FORMS} == {
        "flat": {"timestamp": NOW, "ack_status": "NACK", "error": error},
        "nested": {"message": {"ack": {"status": "NACK"}}, "error": error},
        "signed-body": {
            "status": "NACK",
            "error": {"errorCode": "30001", "errorMessage": "the signature does not verify"},
        },
        "signed-header": {"message": {"status": "NACK", "error": error}},
    }


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        "ACK",
        True,
        1,
        {"status": None},
        {"status": "ack"},
        {"status": ["ACK"]},
        {"status": {"ACK": "ACK"}},
        {"message": "ACK"},
        {"message": []},
        {"message": {"ack": "ACK"}},
        {"message": {"ack": ["ACK"]}},
        {"message": {"ack": {"status": "OK"}}},
        {"ack_status": "RECEIVED"},
        {"context": {"action": "on_select"}, "message": {"order": {}}},
    ],
)
def test_what_is_no_acknowledgement_is_read_as_none(body: Json):
    assert read_ack(body) is None


@pytest.mark.parametrize(
    "error", ["refused", [], {}, {"code": 30001, "message": None}, {"code": [], "message": {}}]
)
def test_an_error_in_no_known_shape_is_left_out(error: Json):
    assert read_ack({"status": "NACK", "error": error}) == Ack("NACK", "signed-body")


def test_an_error_beside_a_nested_status_is_read_from_either_place():
    error = {"code": "1", "message": "no"}
    nested = {"ack": {"status": "NACK"}}
    assert read_ack({"message": nested, "error": error}) == Ack("NACK", "nested", "1", "no")
    assert read_ack({"message": nested | {"error": error}}) == Ack("NACK", "nested", "1", "no")
