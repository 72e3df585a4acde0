"""Who writes otherwise what is the same, or says it in another order, is found no fault with."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from gridwitness.judgement import judge
from gridwitness.sameness import plain
from tests.example_traces import rewritten, traces

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.trace import Message, Trace

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d\S*(Z|[+-]\d\d:\d\d)", re.ASCII)
ELSEWHERE = timezone(timedelta(hours=-3, minutes=-30))
WITHOUT_ORDER = {
    "adjustments",
    "dimensions",
    "externalSignals",
    "flows",
    "inputs",
    "meterReadings",
    "meters",
    "participants",
    "payloadDescriptors",
    "payloads",
    "positions",
    "revenueFlows",
    "roles",
    "setpoints",
    "telemetrySources",
    "terms",
}
"""Lists whose order says nothing."""


def everywhere(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        value = {key: everywhere(item, change) for key, item in value.items()}
    elif isinstance(value, list):
        value = [everywhere(item, change) for item in value]
    return change(value)


def in_another_zone(value: Any) -> Any:
    if not isinstance(value, str) or not INSTANT.fullmatch(value):
        return value
    return datetime.fromisoformat(value).astimezone(ELSEWHERE).isoformat(timespec="milliseconds")


def with_more_zeros(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return value
    return Decimal(f"{value}00") if "." in str(value) else value


def as_short_as_can_be(value: Any) -> Any:
    return value.normalize() if isinstance(value, Decimal) else value


def whole_with_decimals(value: Any) -> Any:
    return Decimal(f"{value}.00") if type(value) is int else value


def members_turned_round(value: Any) -> Any:
    return dict(reversed(value.items())) if isinstance(value, dict) else value


def lists_turned_round(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: item[::-1] if key in WITHOUT_ORDER and isinstance(item, list) else item
        for key, item in value.items()
    }


STYLES = (
    in_another_zone,
    with_more_zeros,
    as_short_as_can_be,
    whole_with_decimals,
    members_turned_round,
    lists_turned_round,
)


def written_by(sender: str | None, style: Callable[[Any], Any]) -> Callable[[Message, Any], Any]:
    def change(message: Message, body: Any) -> Any:
        if message.sender != sender:
            return body
        said = {key: everywhere(item, style) for key, item in body.items() if key != "context"}
        return {"context": body["context"], **said}

    return change


def blamed(trace: Trace) -> Counter[tuple[str, str]]:
    """Count what is found; that a rewritten body has another digest is no matter here."""
    findings = judge(trace, None).findings
    return Counter((f.rule, f.actor) for f in findings if not f.rule.startswith("SIG"))


@pytest.mark.parametrize("style", STYLES)
def test_what_means_the_same_is_the_same(style: Callable[[Any], Any]):
    for number, trace in enumerate(traces()):
        senders = sorted({message.sender or "" for message in trace.beckn})
        sender = senders[number % len(senders)]
        found = blamed(rewritten(trace, written_by(sender, style)))
        assert not found, (trace.scene.feature, trace.scene.dialect, sender)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (10, Decimal("1E+1")),
        (Decimal("10.00"), 10),
        (Decimal("-0.50"), Decimal("-0.5")),
        (0, Decimal("-0.00")),
        ("2031-05-12T17:30:00+05:30", "2031-05-12T12:00:00.000Z"),
        ({"b": [1], "a": None}, {"a": None, "b": [Decimal("1.0")]}),
    ],
)
def test_one_meaning_is_one_value(one: Any, other: Any):
    assert plain(one) == plain(other)
    assert repr(plain(one)) == repr(plain(other))


@pytest.mark.parametrize(
    ("one", "other"), [("10", 10), (True, 1), (Decimal("1." + "0" * 30 + "1"), 1), ("a", "A")]
)
def test_what_differs_stays_apart(one: Any, other: Any):
    assert repr(plain(one)) != repr(plain(other))


def flow(feature: str, dialect: str = "contract") -> Trace:
    [found] = [t for t in traces() if (t.scene.feature, t.scene.dialect) == (feature, dialect)]
    return found


def test_who_was_told_two_things_may_pass_on_either():
    """The reading of a meter is told by two; the later word is no reason to doubt the first."""
    trace = flow("p2p_trading/tariff.feature")
    told = [m for m in trace.beckn if m.reading.deal and m.reading.deal.readings]
    first = told[0]

    def wrong(message: Message, body: Any) -> Any:
        return everywhere(body, _one_more) if message.number == first.number else body

    before = next(m for m in rewritten(trace, wrong).beckn if m.number == first.number)
    stranger = replace(before, sender="a stranger", receiver=first.receiver)
    assert before.reading.deal != first.reading.deal
    place = trace.messages.index(first) + 1
    messages = [*trace.messages[:place], stranger, *trace.messages[place:]]
    numbered = tuple(replace(m, number=n) for n, m in enumerate(messages, 1))
    found = blamed(replace(trace, messages=numbered))
    assert {actor for rule, actor in found if rule == "BIL-007"} == set()


def _one_more(value: Any) -> Any:
    if not isinstance(value, dict) or "allocatedEnergy" not in value:
        return value
    return value | {"allocatedEnergy": value["allocatedEnergy"] + 1}


@pytest.mark.parametrize("feature", ["ev_charging/interruption.feature", "vpp/region.feature"])
def test_what_is_sent_once_more_tells_nothing_new(feature: str):
    """That it is sent again may be a fault of its sender (COR, LIF); what it says is none."""
    trace = flow(feature)
    for message in trace.beckn[6::3]:
        messages = [*trace.messages, message]
        numbered = tuple(replace(m, number=n) for n, m in enumerate(messages, 1))
        found = judge(replace(trace, messages=numbered), None).findings
        assert [f for f in found if f.rule.startswith(("EVC", "AGG"))] == []
