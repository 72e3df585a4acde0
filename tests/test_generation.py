"""A generation is told by shape; a message of a foreign one is told once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gridwitness.dialects.base import dump_json, parse_noting
from gridwitness.generation import generation_of
from gridwitness.judgement import judge
from gridwitness.trace import Trace
from tests.conftest import small_market

SNAKE = {"version": "2.0.0", "message_id": "m", "bap_id": "a"}
CAMEL = {"version": "2.0.0", "messageId": "m", "bapId": "a"}


def said(message: Any, context: dict[str, str] = SNAKE) -> dict[str, Any]:
    return {"context": context, "message": message}


@pytest.mark.parametrize(
    ("body", "generation"),
    [
        (said({"order": {"beckn:orderItems": []}}), "order"),
        (said({"order": {"beckn:id": "o"}}), "order"),
        (said({"order": {"beckn:items": []}}), "pre-rc"),
        (said({"order": {"beckn:orderItems": [], "beckn:fulfillments": []}}), "pre-rc"),
        (said({"order": {"items": [], "provider": {}}}), "1.x"),
        (said({"order_id": "o"}), "1.x"),
        (said({"catalog": {}}), "1.x"),
        (said({"catalogs": []}, SNAKE | {"version": "1.1.0"}), "order"),
        (said({"support": {}}), "order"),
        (said({"support": {}}, SNAKE | {"version": "1.1.0"}), "1.x"),
        (said({"contract": {}}, CAMEL), "contract"),
        (said({"contract": {}}), "contract"),
        (said({"order": {"beckn:id": "o"}}, CAMEL), "order"),
        (said({"intent": {}}, CAMEL), "contract"),
        (said({"order": {}}, {}), "unknown"),
        (said(None), "order"),
        (said({"order": [1]}), "order"),
        ([], "unknown"),
        (None, "unknown"),
    ],
)
def test_a_generation_is_told_by_shape(body: Any, generation: str):
    assert generation_of(body) == generation


def test_a_message_of_an_old_generation_is_told_once(sandbox):
    trace = small_market(sandbox)
    init = trace.of("init")[0]
    old = replace(
        init,
        number=1,
        deadline_s=None,
        raw=dump_json(
            {
                "context": {
                    "version": "1.1.0",
                    "action": "init",
                    "message_id": "00000000-0000-4000-8000-000000000001",
                    "transaction_id": init.reading.envelope.transaction_id,
                },
                "message": {"order": {"items": [{"id": 7}], "payments": "soon"}},
            }
        ),
    )
    findings = judge(Trace(replace(trace.scene, sequence=()), (old,)), None).findings
    told = [(finding.rule, finding.observed) for finding in findings if finding.actor == old.sender]
    assert told == [("ENV-012", "a message of generation 1.x")]
    # Who accepts such a message is another's fault.
    accepted = {finding.rule for finding in findings if finding.actor == old.receiver}
    assert accepted == {"ENV-020", "ENV-021"}


def test_repeated_keys_are_found_where_they_stand():
    raw = (
        b'{"a": [{"b": 1, "b": 2, "c/d": {}}, {"c/d": {"e": 1, "f": 0, "e": 2, "e": 3}}], "a~": 0}'
    )
    parsed = parse_noting(raw)
    assert parsed.repeated == ("/a/0/b", "/a/1/c~1d/e", "/a/1/c~1d/e")
    assert parsed.body["a"][0]["b"] == 2
    assert parse_noting(b'{"a": {"b": 1}, "b": {"a": 1}}').repeated == ()


def test_a_flood_of_repeated_keys_is_told_in_short():
    raw = b"[" + b",".join([b'{"a":1,"a":2}'] * 50_000) + b"]"
    assert len(parse_noting(raw).repeated) == 20


def test_an_object_that_is_repeated_away_is_not_looked_for():
    assert parse_noting(b'{"a": {"b": 1, "b": 2}, "a": 1}').repeated == ("/a",)
