"""The rules of a catalogue: what counts as published when, and what is left open."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from gridwitness.judgement import judge
from gridwitness.mocks.catalogue import Fair, play
from gridwitness.mocks.sandbox import Sandbox
from gridwitness.rules import rules
from gridwitness.story import CATALOGUE
from gridwitness.trace import Message, Scene, Trace
from gridwitness.views import Deal, Intent, Interval, Offer, Role, Term
from tests.conftest import SEED
from tests.stated import recorded

HOUR = Interval(start="2031-05-12T10:00:00Z", duration_h=Fraction(1))
CAT = [rule_id for rule_id in rules() if rule_id.startswith("CAT-")]


def offer(name: str, price: str = "5", **changes: Any) -> Offer:
    terms = (
        Term(name="price", value=Decimal(price), unit="INR/kWh"),
        Term(name="offered", value=Decimal(4), unit="kWh"),
    )
    roles = (Role(name="prosumer", terms=terms), Role(name="consumer"))
    return Offer(
        offer_id=name,
        provider_id=None,
        pricing_model=None,
        clearing_agent_id=None,
        interval=None,
        charges=None,
        deal=Deal(status="PENDING", resource_id=f"roof-{name}", interval=HOUR, roles=roles),
        valid_until=HOUR.start,
        **changes,
    )


def scene(dialect: str = "order") -> Scene:
    edition = {"order": "beckn-2.0.0-rc", "contract": "beckn-2.0.0-lts"}[dialect]
    return Scene("x.feature", "x", CATALOGUE, dialect, edition, "strict", subject=CATALOGUE)


def played(*publications: tuple[Offer, ...], dialect: str = "order", **changes: Any) -> Trace:
    """Play a catalogue to which one school publishes, once for each tuple of offers."""
    given = {"publications": {"school": publications}, "intent": Intent(interval=HOUR)}
    speaks = [(scene(dialect).edition, "strict")]
    with Sandbox(SEED, speaks=speaks) as sandbox:
        trace, faults = play(sandbox, scene(dialect), (), Fair(**given | changes))
    assert faults == []
    return trace


def changed(trace: Trace, which: Any, change: Any) -> Trace:
    """Change some messages of a trace; None leaves one out, and all are numbered anew."""
    kept = [change(message) if which(message) else message for message in trace.messages]
    numbered = [replace(m, number=n) for n, m in enumerate((m for m in kept if m), start=1)]
    return Trace(trace.scene, tuple(numbered))


def broken(trace: Trace) -> set[str]:
    return {finding.rule for finding in judge(trace, None).findings if finding.rule in CAT}


def verdict(trace: Trace, rule_id: str) -> str:
    return judge(trace, CATALOGUE).verdicts[rule_id]


def with_body(change: Any) -> Any:
    def changes(message: Message) -> Message:
        body = json.loads(message.raw)
        change(body)
        return replace(message, raw=json.dumps(body).encode())

    return changes


def is_action(*names: str) -> Any:
    return lambda message: message.action in names


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_what_is_published_and_found_breaks_nothing(dialect: str):
    trace = played((offer("a"), offer("b", "4")), dialect=dialect)
    assert broken(trace) == set()
    assert [verdict(trace, r) for r in ("CAT-001", "CAT-004", "CAT-006")] == ["passed"] * 3


def test_a_publish_that_is_not_told_to_be_accepted_is_not_judged():
    trace = changed(played((offer("a"),)), is_action("on_catalog_publish"), lambda _: None)
    nothing = changed(
        trace, is_action("on_discover"), with_body(lambda b: b["message"].update(catalogs=[]))
    )
    assert broken(nothing) == set()
    assert verdict(nothing, "CAT-004") == "not_applicable"


def test_a_rejected_catalogue_is_not_missed_and_is_not_to_be_found():
    def reject(body: dict[str, Any]) -> None:
        body["message"]["results"][0]["status"] = "REJECTED"

    rejected = changed(played((offer("a"),)), is_action("on_catalog_publish"), with_body(reject))
    assert verdict(rejected, "CAT-004") == "not_applicable"


def test_a_publish_under_way_may_be_found_in_either_form():
    trace = played((offer("a", "5"),), (offer("a", "6"),))
    results = [m for m in trace.messages if m.action == "on_catalog_publish"]
    late = changed(trace, lambda m: m is results[-1], lambda _: None)
    assert broken(late) == set()
    old = changed(
        late,
        is_action("on_discover"),
        lambda m: replace(m, raw=m.raw.replace(b'"value":6,', b'"value":5,')),
    )
    assert old.messages != late.messages
    assert broken(old) == set()


def test_an_old_form_of_what_was_published_again_is_told_apart_from_an_invented_one():
    trace = played((offer("a", "5"),), (offer("a", "6"),))
    for value, rule_id in ((b'"value":5,', "CAT-007"), (b'"value":7,', "CAT-001")):
        told = changed(
            trace,
            is_action("on_discover"),
            lambda m, v=value: replace(m, raw=m.raw.replace(b'"value":6,', v)),
        )
        assert broken(told) == {rule_id}


def test_an_offer_of_a_known_provider_that_it_never_published_is_invented():
    def invent(body: dict[str, Any]) -> None:
        (catalogue,) = body["message"]["catalogs"]
        first = catalogue["beckn:offers"][0]
        catalogue["beckn:offers"].append(first | {"beckn:id": "invented"})

    told = changed(played((offer("a"),)), is_action("on_discover"), with_body(invent))
    assert broken(told) == {"CAT-001"}

    def foreign(body: dict[str, Any]) -> None:
        (catalogue,) = body["message"]["catalogs"]
        first = catalogue["beckn:offers"][0]
        catalogue["beckn:offers"].append(
            first | {"beckn:id": "x", "beckn:provider": "who.published.before"}
        )

    told = changed(played((offer("a"),)), is_action("on_discover"), with_body(foreign))
    assert broken(told) == set()


def test_a_search_that_asks_for_more_than_is_understood_is_not_judged_by_what_fits():
    def by_text(body: dict[str, Any]) -> None:
        body["message"]["text_search"] = "green energy"

    trace = changed(played((offer("a"),)), is_action("discover"), with_body(by_text))
    empty = changed(
        trace, is_action("on_discover"), with_body(lambda b: b["message"].update(catalogs=[]))
    )
    assert broken(empty) == set()
    assert verdict(empty, "CAT-004") == "not_applicable"


def test_who_is_turned_away_although_something_fits_has_not_found_it():
    now = datetime.now(UTC) - timedelta(hours=1)
    gone = replace(offer("b"), valid_until=now.isoformat())
    trace = played((gone,), turns_away=True)
    assert not [m for m in trace.messages if m.action == "on_discover"]
    assert broken(trace) == set()
    assert verdict(trace, "CAT-003") == "passed"
    late = (HOUR.start.encode(), now.isoformat().encode())
    valid = changed(
        trace,
        is_action("catalog_publish"),
        lambda m: replace(m, raw=m.raw.replace(late[1], late[0])),
    )
    assert broken(valid) == {"CAT-004"}


@pytest.mark.parametrize("inactive", ["catalogue", "offer"])
def test_what_is_not_active_is_withdrawn(inactive: str):
    def withdraw(body: dict[str, Any]) -> None:
        (catalogue,) = body["message"]["catalogs"]
        holder = catalogue if inactive == "catalogue" else catalogue["beckn:offers"][0]
        holder["beckn:isActive"] = False

    trace = changed(played((offer("a"),)), is_action("catalog_publish"), with_body(withdraw))
    assert broken(trace) == {"CAT-002"}


def test_a_merged_publish_leaves_what_it_does_not_name():
    def merge(body: dict[str, Any]) -> None:
        body["message"]["publishDirectives"] = [
            {"catalogId": "catalogue-of-school", "updateMode": "MERGE"}
        ]

    trace = played((offer("a"), offer("b")), (offer("a"),), dialect="contract")
    assert broken(trace) == set()
    second = [m for m in trace.messages if m.action == "catalog/publish"][1]
    merged = changed(trace, lambda m: m is second, with_body(merge))
    assert broken(merged) == {"CAT-004"}  # offer b is still there, and was not found


HOSTILE: list[Any] = [None, 0, -1, "", "x", [], {}, [[]], [{}], True, 1e308, "9999-99-99", [None]]


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_no_catalogue_brings_a_rule_down(dialect: str):
    trace = played((offer("a"), offer("b", "4")), dialect=dialect)

    def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        found = []
        for key, one in inner:
            found.append((*way, key))
            if isinstance(one, dict | list):
                found += places(one, (*way, key))
        return found

    actions = ("catalog_publish", "catalog/publish", "discover", "on_discover", "select")
    tried = 0
    for original in [m for m in trace.messages if m.action in actions]:
        for n, way in enumerate(places(json.loads(original.raw)["message"])):

            def spoil(body: dict[str, Any], way: Any = way, n: int = n) -> None:
                holder = body["message"]
                for key in way[:-1]:
                    holder = holder[key]
                holder[way[-1]] = HOSTILE[n % len(HOSTILE)]

            spoilt = changed(trace, lambda m, o=original: m is o, with_body(spoil))
            for rule_id in CAT:
                list(rules()[rule_id].check(spoilt))
            tried += 1
    assert tried > 100


UPSTREAM = os.environ.get("GRIDWITNESS_UPSTREAM")
PUBLISHED = [
    # Less is left to sell, and as much is offered as before.
    ("p2p-trading-interdiscom/publish-reduce-catalog-inventory.json", {"CAT-010"}),
    # The address in the catalogue lacks the port.
    ("p2p-trading-wave2/examples/publish-catalog.json", {"CAT-011"}),
    ("p2p-trading/publish-catalog.json", set()),
    # A discovery service tells what others offer.
    ("ev-charging/02_on_discover/ev-charging-discovery-catalog.json", set()),
]


@pytest.mark.skipif(not UPSTREAM, reason="no published messages here")
@pytest.mark.parametrize(("file", "rule_ids"), PUBLISHED)
def test_the_mistakes_of_published_catalogues_are_found(file: str, rule_ids: set[str]):
    body = json.loads((Path(UPSTREAM or "") / "examples" / file).read_text("utf-8"))
    assert broken(recorded(body, roles={"stranger": "BPP"})) == rule_ids
