"""Building blocks: each has its smallest example and a broken one, and its section in words."""

from __future__ import annotations

import re
import tomllib
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from gridwitness.dialects import DIALECTS
from gridwitness.dialects.base import parse_json
from gridwitness.dialects.blocks import CONTEXT
from gridwitness.rules import rules
from gridwitness.shape import places_of_blocks, slots_in, validator
from gridwitness.trace import Trace
from gridwitness.views import (
    Bill,
    EnergyContract,
    Envelope,
    Interval,
    MeterReading,
    Offer,
    Part,
    Position,
    Reading,
    RevenueFlow,
    SettlementReport,
)
from tests.conftest import small_market
from tests.stated import START, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.rules import Outcome

BLOCKS = places_of_blocks()
ROOM = files("gridwitness.examples").joinpath("blocks")
WORDS = files("gridwitness.schemas").joinpath("README.md").read_text("utf-8")
LINE = re.compile(r"^\| (\w+) \| .+ \| .+ \| ([A-Z]{3}-\d{3}) \|$", re.MULTILINE)
FOUND_BY = dict(LINE.findall(ROOM.joinpath("README.md").read_text("utf-8")))
ABOUT_CONTENT = {"SHP", "LD", "AMT", "BLK"}
"""The families that judge what stands in one message; the others need more of the flow."""

each_block = pytest.mark.parametrize("block", BLOCKS)
each_dialect = pytest.mark.parametrize("dialect", DIALECTS)


def example(block: str, kind: str) -> Any:
    return parse_json(ROOM.joinpath(block, f"{kind}.json").read_bytes())


def test_every_block_has_both_examples_and_a_line():
    folders = {folder.name for folder in ROOM.iterdir() if folder.is_dir()}
    assert folders == FOUND_BY.keys() == BLOCKS.keys()
    for block in BLOCKS:
        names = {file.name for file in ROOM.joinpath(block).iterdir()}
        assert names == {"minimal.json", "broken.json"}


@each_block
def test_the_smallest_example_is_right_and_the_broken_one_differs_in_one_place(block: str):
    right, wrong = example(block, "minimal"), example(block, "broken")
    assert (right["@context"], right["@type"]) == (CONTEXT, block)
    assert validator(f"energy/{block}.json").errors(right) == ()
    assert right.keys() == wrong.keys()
    assert len([key for key in right if right[key] != wrong[key]]) == 1


# -- in words

SECTION = re.compile(r"^### (\w+)\n(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = dict(SECTION.findall(WORDS))
SHORT = 150
"""So many words are read within a minute, and the example in another."""


def test_every_block_has_its_section():
    assert SECTIONS.keys() == BLOCKS.keys()


@each_block
def test_a_section_is_short_names_its_slots_and_has_an_example_that_is_right(block: str):
    section = SECTIONS[block]
    assert len(section.split()) < SHORT
    named = re.search(r"^Slots?: ([\w, ]+)\b", section, re.MULTILINE)
    slots = named[1].split(", within")[0].split(", ") if named else ["message"]
    assert slots == list(BLOCKS[block])
    examples = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    assert examples
    for one in examples:
        assert validator(f"energy/{block}.json").errors(parse_json(one.encode())) == ()


@each_dialect
@each_block
def test_the_example_of_a_section_has_no_finding_either(block: str, dialect: str):
    (one,) = re.findall(r"```json\n(.*?)```", SECTIONS[block], re.DOTALL)
    held = {"@context": CONTEXT, "@type": block} | parse_json(one.encode())
    for slot in places(block, dialect):
        body = carrying(dialect, slot, held)
        assert {one for one in fired(body) if one[:-4] in ABOUT_CONTENT} == set(), slot


def test_a_rule_that_is_named_in_the_words_exists():
    named = set(re.findall(r"\b[A-Z]{3}-\d{3}\b", WORDS)) - {"NFH-008", "NFH-013"}
    assert named <= rules().keys()


# -- in a message of each dialect

ACTIONS = {"item": "on_discover", "offer": "on_discover", "message": "on_aggregate"}
"""The action whose message carries a slot; of every other, on_status does."""


@cache
def written(dialect: str, action: str) -> dict[str, Any]:
    """Write a message as our own dialects do, with something in every slot they know of."""
    interval = Interval(start="2030-06-03T18:00:00Z", duration_h=Fraction(1))
    flow = RevenueFlow(payer="a", payee="b", kind="ENERGY", amount=Decimal(1), currency="INR")
    envelope = Envelope(
        action=action,
        version="2.0.0",
        transaction_id="00000000-0000-4000-8000-000000000001",
        message_id="00000000-0000-4000-8000-000000000002",
        timestamp=START,
        bap_id="bap.example",
        bap_uri="https://bap.example/",
        bpp_id="bpp.example",
        bpp_uri="https://bpp.example/",
    )
    if action == "on_discover":
        offer = Offer(
            offer_id="offer-1",
            provider_id="bpp.example",
            pricing_model=None,
            clearing_agent_id=None,
            interval=interval,
            charges=None,
        )
        return DIALECTS[dialect].compose(Reading(envelope=envelope, offers=(offer,)))
    if action == "on_aggregate":
        return DIALECTS[dialect].compose(Reading(envelope=envelope))
    contract = EnergyContract(
        contract_id="00000000-0000-4000-8000-000000000003",
        status="ACTIVE",
        offer_id="offer-1",
        participant_id="bap.example",
        clearing_agent_id="bpp.example",
        meter_id="meter-1",
        interval=interval,
        readings=(MeterReading(meter_id="meter-1", energy_kwh=Decimal(1)),),
        settlement=SettlementReport(
            flows=(flow,),
            positions=(
                Position(party="a", value=Decimal(-1), currency="INR"),
                Position(party="b", value=Decimal(1), currency="INR"),
            ),
        ),
        bill=Bill(value=Decimal(1), currency="INR", parts=(Part(kind="UNIT", amount=Decimal(1)),)),
    )
    return DIALECTS[dialect].compose(Reading(envelope=envelope, contract=contract))


@cache
def paths(dialect: str, slot: str) -> list[str]:
    table = tomllib.loads(files("gridwitness.schemas").joinpath("slots.toml").read_text("utf-8"))
    return [path for path, name in table[dialect].items() if name == slot]


def carrying(dialect: str, slot: str, block: Any) -> dict[str, Any]:
    """Give a message that carries a block in a slot, in the place of what stood there."""
    action = "aggregate" if block["@type"] == "AggregationRequest" else ACTIONS.get(slot)
    body = deepcopy(written(dialect, action or "on_status"))
    for path in paths(dialect, slot):
        *way, last = path.split("/")
        if slot == "message" and last.lower() != block["@type"].lower():
            continue
        try:
            inner: Any = body
            for key in way:
                inner = inner[0 if key == "*" else key]
        except (KeyError, IndexError):
            continue  # the message has no such part
        inner[last] = block
        return body
    pytest.fail(f"nothing that is written in the dialect {dialect} has a slot {slot}")


def findings(body: dict[str, Any]) -> list[tuple[str, Outcome]]:
    trace = recorded(body)
    return [(one.id, found) for one in rules().values() for found in one.check(trace)]


def fired(body: dict[str, Any]) -> set[str]:
    return {rule_id for rule_id, found in findings(body) if not found.kept}


def places(block: str, dialect: str) -> list[str]:
    """Tell in which slots a block may sit; the order dialect has none for settlements."""
    return [slot for slot in BLOCKS[block] if paths(dialect, slot)]


@each_dialect
@each_block
def test_the_smallest_example_is_right_wherever_it_may_sit(block: str, dialect: str):
    assert places(block, dialect)
    for slot in places(block, dialect):
        body = carrying(dialect, slot, example(block, "minimal"))
        assert block in {one.block for one in slots_in(dialect, body) if one.name == slot}
        assert {one for one in fired(body) if one[:-4] in ABOUT_CONTENT} == set(), slot


@each_dialect
@each_block
def test_the_broken_example_is_found_by_its_rule_and_by_no_other(block: str, dialect: str):
    found: set[str] = set()
    for slot in places(block, dialect):
        right = fired(carrying(dialect, slot, example(block, "minimal")))
        body = carrying(dialect, slot, example(block, "broken"))
        found |= fired(body) - right
        told = [one for name, one in findings(body) if name == FOUND_BY[block] and not one.kept]
        assert all(inside(body, one.pointer, block) for one in told)
    assert found == {FOUND_BY[block]}


def inside(body: Any, pointer: str, block: str) -> bool:
    """Tell whether a pointer leads into a block of a type, or to it."""
    for key in pointer.split("/")[1:]:
        body = body[int(key)] if isinstance(body, list) else body.get(key)
        if isinstance(body, dict) and body.get("@type") == block:
            return True
    return False


# -- the rules of their own

BLK = {rule_id: one for rule_id, one in rules().items() if one.family == "BLK"}


def test_every_rule_about_blocks_has_its_mistake():
    assert BLK.keys() <= set(FOUND_BY.values())
    assert all(one.when_stated for one in BLK.values())


def broken_in(trace: Trace, rule_id: str) -> list[Outcome]:
    return [one for one in BLK[rule_id].check(trace) if not one.kept]


@each_dialect
def test_a_block_is_judged_inside_the_blocks_that_hold_it(dialect: str):
    offer = {"@context": CONTEXT, "@type": "EnergyOffer", "tariff": example("Tariff", "broken")}
    contract = {"@context": CONTEXT, "@type": "EnergyContract", "roles": [{"role": "SELLER"}]}
    contract["roles"][0]["roleInputs"] = {"tariff": example("Tariff", "broken")}
    for slot, holder in (("offer", offer), ("contract", contract)):
        (found,) = broken_in(recorded(carrying(dialect, slot, holder)), "BLK-003")
        assert found.pointer.endswith("/tariff/elements/0/priceComponents/0/vat")
        assert (found.observed, found.actor) == ("a tax of 0.18 percent", "stranger")


@each_dialect
def test_who_repeats_what_another_said_is_not_at_fault(dialect: str):
    body = carrying(dialect, "contract", example("Approval", "broken"))
    trace = recorded(body, body)
    (first, again) = trace.messages
    assert [one.message.number for one in broken_in(trace, "BLK-002")] == [1, 2]
    echo = Trace(trace.scene, (first, replace(again, sender="another")))
    assert [one.actor for one in broken_in(echo, "BLK-002")] == ["stranger"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_curve_of_a_role_is_judged_once(sandbox, dialect: str):
    trace = small_market(sandbox, dialect)
    assert [one for rule in BLK.values() for one in rule.check(trace)] == []


JUNK = [None, True, -1, 10**40, Decimal("1e-30"), "x", "", [], {}, [[]], [None, {"a": []}]]


@each_dialect
@pytest.mark.parametrize("block", ["OfferCurve", "Approval", "Tariff"])
def test_whatever_stands_in_a_block_no_rule_fails(block: str, dialect: str):
    right = example(block, "minimal")
    for place in set(_places(right)):
        for junk in JUNK:
            spoilt = deepcopy(right)
            inner: Any = spoilt
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = junk
            trace = recorded(carrying(dialect, places(block, dialect)[0], spoilt))
            for rule in BLK.values():
                list(rule.check(trace))


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if way:
        yield way
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(inner, (*way, key))


def test_a_deep_and_a_wide_block_cost_little():
    deep: Any = {}
    for _ in range(400):
        deep = {"tariff": deep}
    wide = [example("Tariff", "minimal")] * 300
    for held in ({"tariff": deep}, {"tariffs": wide}):
        block = {"@context": CONTEXT, "@type": "EnergyOffer", "pricingModel": "x"} | held
        trace = recorded(carrying("order", "offer", block))
        assert all(one.kept for one in BLK["BLK-003"].check(trace))
