"""What is unusual but right on the wire is no fault; what is wrong is its sender's."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import pytest

from gridwitness.dialects.base import dump_json
from gridwitness.judgement import judge
from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.market import play
from gridwitness.mocks.sandbox import Sandbox
from gridwitness.signing import parse_header
from gridwitness.story import AGENT, PARTICIPANT
from gridwitness.trace import Answer, Trace
from tests.conftest import SEED, small_cast, small_market, small_scene
from tests.test_seat import by_verdict, heard

DIALECTS = ("order", "contract")


def found(trace: Trace, *rules: str) -> list[tuple[str, str]]:
    return [(f.rule, f.actor) for f in judge(trace, AGENT).findings if f.rule in rules]


def changed(trace: Trace, number: int, **fields) -> Trace:
    messages = [replace(m, **fields) if m.number == number else m for m in trace.messages]
    return replace(trace, messages=tuple(messages))


def nack(text: str, code: str = "30000", status: int = 400) -> Answer:
    error = {"errorCode": code, "errorMessage": text}
    return Answer(status, {}, dump_json({"status": "NACK", "error": error}))


def test_the_name_of_the_signature_scheme_may_be_written_small():
    header = 'keyId="a.example|k|ed25519",algorithm="ed25519",created="1",expires="2"'
    rest = ',headers="(created) (expires) digest",signature="AAAA"'
    assert parse_header(f"signature {header}{rest}") == parse_header(f"Signature {header}{rest}")
    assert parse_header(f"Signature {header}{rest}") is not None


def test_a_refusal_need_not_be_signed():
    scene = small_scene("contract", edition="beckn-2.0.0-nfh")
    with Sandbox(SEED, speaks=[("beckn-2.0.0-nfh", "strict")]) as sandbox:
        trace, _ = play(sandbox, scene, (), small_cast())
    init = next(m for m in trace.of("init") if m.receiver == AGENT)
    body = {"message": {"status": "NACK", "messageId": init.reading.envelope.message_id}}
    refused = Answer(400, {}, dump_json(body))
    without = changed(trace, init.number, answer=refused, answer_signature=None)
    assert found(without, "SIG-005") == []
    accepted = changed(trace, init.number, answer_signature=None)
    assert found(accepted, "SIG-005") == [("SIG-005", AGENT)]


def test_who_else_signs_an_answer_is_told():
    scene = small_scene("contract", edition="beckn-2.0.0-nfh")
    with Sandbox(SEED, speaks=[("beckn-2.0.0-nfh", "strict")]) as sandbox:
        trace, _ = play(sandbox, scene, (), small_cast())
    init = next(m for m in trace.of("init") if m.receiver == AGENT)
    assert init.answer_signature is not None
    other = replace(init.answer_signature, subscriber_id="somebody.example")
    assert found(changed(trace, init.number, answer_signature=other), "SIG-002") == [
        ("SIG-002", AGENT)
    ]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_callback_that_was_refused_may_be_sent_again(sandbox, dialect: str):
    trace = small_market(sandbox, dialect)
    told = next(m for m in trace.of("on_init") if m.receiver == "car")
    at = trace.messages.index(told)
    lost = replace(told, answer=nack("try again"))
    numbered = [*trace.messages[:at], lost, *trace.messages[at:]]
    messages = tuple(replace(m, number=n) for n, m in enumerate(numbered, start=1))
    assert found(replace(trace, messages=messages), "LIF-006") == []
    twice = [*trace.messages[:at], told, *trace.messages[at:]]
    messages = tuple(replace(m, number=n) for n, m in enumerate(twice, start=1))
    assert found(replace(trace, messages=messages), "LIF-006") == [("LIF-006", AGENT)]


def test_an_error_may_quote_what_was_sent_and_nothing_else_of_the_inside(sandbox):
    trace = small_market(sandbox, "contract")
    init = next(m for m in trace.of("init") if m.receiver == AGENT)
    assert b"127.0.0.1" in init.raw
    quoting = changed(trace, init.number, answer=nack("no answer from http://127.0.0.1:1/x"))
    assert found(quoting, "ACK-006") == []
    for inside in ("db at 172.20.0.3", "ledger.svc.cluster.local", "at Foo.bar(Bar.java)"):
        leaking = changed(trace, init.number, answer=nack(inside))
        assert found(leaking, "ACK-006") == [("ACK-006", AGENT)]


def test_a_second_page_of_a_search_may_hold_other_offers(sandbox):
    trace = small_market(sandbox, "contract")
    told = next(m for m in trace.of("on_discover") if m.receiver == "car")
    body = json.loads(told.raw)
    for catalogue in body["message"]["catalogs"]:
        for offer in catalogue["offers"]:
            offer["offerAttributes"]["pricingModel"] = "PER_KWH"
    page = replace(told, raw=dump_json(body))
    at = trace.messages.index(told)
    messages = [*trace.messages[: at + 1], page, *trace.messages[at + 1 :]]
    numbered = tuple(replace(m, number=n) for n, m in enumerate(messages, start=1))
    assert found(replace(trace, messages=numbered), "MKT-008") == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_news_of_a_trade_is_held_to_what_was_agreed(sandbox, dialect: str):
    trace = small_market(sandbox, dialect)
    bound = next(m for m in trace.of("on_confirm") if m.receiver == "car")
    news = replace(
        bound,
        number=len(trace.messages) + 1,
        action="on_update",
        raw=bound.raw.replace(b'"on_confirm"', b'"on_update"').replace(b"0.1000", b"0.2000"),
    )
    assert news.raw.count(b"0.2000") == 1
    later = replace(trace, messages=(*trace.messages, news))
    assert ("MKT-010", AGENT) in found(later, "MKT-010")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_whom_we_refuse_for_a_reason_is_blamed_for_it(sandbox, dialect: str):
    def other(action, reading):
        if action != "confirm" or reading.contract is None:
            return reading
        return replace(reading, contract=replace(reading.contract, contract_id=str(uuid.uuid4())))

    trace = heard(sandbox, PARTICIPANT, dialect, broken=(PARTICIPANT, Conduct(views=other)))
    told = by_verdict(trace)
    assert {actor for actor, _ in told} == {"car"}
    assert "ORD-005" in told["car", "nonconformant"]
