"""A participant that is right in its own way passes, and its faults are never blamed on us."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import httpx
import pytest

from gridwitness.judgement import judge
from gridwitness.mocks import market
from gridwitness.mocks.actor import Say
from gridwitness.mocks.clearing_agent import ClearingAgent
from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.participant import Wish
from gridwitness.mocks.utility import Meter, Utility
from gridwitness.reference_impl.settlement import audit_flows, settle
from gridwitness.reference_impl.terms import Inputs, Parties, Terms, Trade
from gridwitness.rules import rules
from gridwitness.signing import sign
from gridwitness.trace import Step
from gridwitness.views import ClearingResult, Offer
from tests.conftest import curve, small_cast, small_scene

AGENT, UTILITY, PARTICIPANT = "clearing agent", "utility", "market participant"
SEQUENCE = (
    Step("1", PARTICIPANT, AGENT, ("discover",), ("interval",)),
    Step("2", AGENT, PARTICIPANT, ("on_discover",), ("offer",), ("1",)),
    Step("3", PARTICIPANT, AGENT, ("init",), ("offer curve",), ("2",)),
    Step("4", AGENT, UTILITY, ("init",), ("requested power",), ("3",)),
    Step("5", UTILITY, AGENT, ("on_init",), ("approval", "charges"), ("4",)),
    Step("6", AGENT, PARTICIPANT, ("on_init",), ("approval", "charges"), ("5",)),
    Step("7", PARTICIPANT, AGENT, ("confirm",), ("offer curve",), ("6",)),
    Step("8", AGENT, UTILITY, ("confirm",), ("cleared power",), (), ("7",)),
    Step("9", UTILITY, AGENT, ("on_confirm",), ("lock",), ("8",)),
    Step("10", AGENT, PARTICIPANT, ("on_confirm",), ("cleared power",), ("7", "9")),
    Step("11", PARTICIPANT, AGENT, ("status",), (), ("10",)),
    Step("12", AGENT, UTILITY, ("status",), (), ("9", "10")),
    Step("13", UTILITY, AGENT, ("on_status",), ("meter reading",), ("12",)),
    Step("14", AGENT, PARTICIPANT, ("on_status", "on_update"), ("settlement",), ("13",)),
)
ONLY_ON_REFUSAL = {id_ for id_, one in rules().items() if one.on_refusal and one.can_judge(AGENT)}
ONLY_ON_CANCELLATION = {"LIF-005", "LIF-007"}


def judged(sandbox, dialect: str = "contract", **changes):
    cast = small_cast(**{"patience": 0.2} | changes)
    trace, faults = market.play(sandbox, small_scene(dialect), SEQUENCE, cast)
    assert faults == []
    return judge(trace, AGENT)


def blamed(judgement) -> dict[str, set[str]]:
    return {
        f.actor: {g.rule for g in judgement.findings if g.actor == f.actor}
        for f in judgement.findings
    }


def assert_passes(judgement):
    assert blamed(judgement) == {}
    silent = {rule for rule, verdict in judgement.verdicts.items() if verdict == "untestable"}
    assert silent - ONLY_ON_CANCELLATION == ONLY_ON_REFUSAL & judgement.verdicts.keys()


@pytest.fixture
def agent_is(monkeypatch):
    """Put another clearing agent into the seat."""
    return lambda kind: monkeypatch.setattr(market, "ClearingAgent", kind)


class ReportsProgress(ClearingAgent):
    """Tells how the trade goes on before it settles, as on_status may come more than once."""

    async def reply(self, request, say):
        if request.action == "status":
            news = replace(say.contract, settlement=None, readings=(), status="ACTIVE")
            await super().reply(request, Say(contract=news))
        return await super().reply(request, say)


class SettlesByUpdate(ClearingAgent):
    """Answers status at once, and settles by an on_update."""

    async def reply(self, request, say):
        if request.action != "status":
            return await super().reply(request, say)
        news = replace(say.contract, settlement=None, readings=(), status="ACTIVE")
        await super().reply(request, Say(contract=news))
        # What nobody asked for has a message id of its own.
        asked = request.reading.envelope.message_id.encode()
        raw = request.raw.replace(asked, str(uuid.uuid4()).encode())
        return await super().reply(replace(request, action="update", raw=raw), say)


@pytest.mark.parametrize("kind", [ReportsProgress, SettlesByUpdate])
@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_news_of_a_trade_under_way_is_no_fault(sandbox, agent_is, kind, dialect: str):
    agent_is(kind)
    assert_passes(judged(sandbox, dialect))


def apart(**changes):
    """Two who do not agree on a price: every price from 4 to 6 is right."""
    wishes = {
        "car": Wish("m-car", curve(("2", "-10"), ("4", "0"))),
        "roof": Wish("m-roof", curve(("6", "0"), ("8", "10"))),
    }
    meters = {name: Meter(name, Decimal(30)) for name in ("m-car", "m-roof")}
    return {"wishes": wishes, "meters": meters, **changes}


def with_price(price: str | None) -> Conduct:
    def views(_action, reading):
        contract = reading.contract
        if contract is None or contract.clearing is None:
            return reading
        if contract.clearing.clearing_price_per_kwh is None and _action == "confirm":
            return reading
        clearing = replace(
            contract.clearing, clearing_price_per_kwh=Decimal(price) if price else None
        )
        return replace(reading, contract=replace(contract, clearing=clearing))

    return Conduct(views=views)


@pytest.mark.parametrize(("price", "right"), [("4", True), ("6", True), (None, True), ("7", False)])
def test_any_price_at_which_nobody_trades_is_right(sandbox, price, right: bool):
    judgement = judged(sandbox, **apart(broken=(AGENT, with_price(price))))
    assert blamed(judgement) == ({} if right else {AGENT: {"MKT-006"}})


def test_no_trade_is_wrong_where_there_is_one_to_make(sandbox):
    def nothing(_action, reading):
        contract = reading.contract
        if contract is None or contract.clearing is None:
            return reading
        clearing = replace(
            contract.clearing, cleared_power_kw=Decimal(0), clearing_price_per_kwh=None
        )
        return replace(reading, contract=replace(contract, clearing=clearing))

    assert "MKT-006" in blamed(judged(sandbox, broken=(AGENT, Conduct(views=nothing))))[AGENT]


def three(**changes):
    wishes = {
        "home": Wish("m-home", curve(("5", "-10"), ("9", "-10"), ("9", "0"))),
        **{f"roof-{n}": Wish(f"m-{n}", curve(("4", "0"), ("4", "7"))) for n in range(3)},
    }
    meters = {wish.meter_id: Meter(wish.meter_id, Decimal(30)) for wish in wishes.values()}
    return {"wishes": wishes, "meters": meters, **changes}


class SplitsOtherwise(ClearingAgent):
    """Gives all to one of those who offer the same at the price of a step."""

    async def _clear(self, shared, committed):
        powers = {"home": "-10", "roof-0": "7", "roof-1": "3", "roof-2": "0"}
        for entry in committed:
            power = Decimal(powers[entry.participant.partition(".")[0]])
            result = ClearingResult(cleared_power_kw=power, clearing_price_per_kwh=Decimal(4))
            entry.contract = replace(entry.contract, clearing=result)
        await asyncio.gather(*(self._lock(entry, shared) for entry in committed))
        await self._bind(committed)


def test_another_split_at_the_price_of_a_step_is_right(sandbox, agent_is):
    agent_is(SplitsOtherwise)
    assert_passes(judged(sandbox, **three()))


def test_who_gets_the_odd_paisa_among_equals_is_nobodys_right():
    trades = [Trade("b", Decimal(-10), Decimal(-10))]
    trades += [Trade(name, Decimal(5), Decimal(5)) for name in ("s0", "s1")]
    inputs = Inputs(Terms("INR"), Fraction(1), Decimal("1.001"), trades, Parties("a", "g"))
    flows = settle(inputs)
    assert {f.payee: str(f.amount) for f in flows if f.payer == "a"} == {"s0": "5.01", "s1": "5.00"}
    other = {"s0": Decimal("5.00"), "s1": Decimal("5.01")}
    swapped = [flow._replace(amount=other.get(flow.payee, flow.amount)) for flow in flows]
    assert audit_flows(swapped, inputs) == []
    skewed = {"s0": Decimal("5.02"), "s1": Decimal("4.99")}
    unfair = [flow._replace(amount=skewed.get(flow.payee, flow.amount)) for flow in flows]
    assert {item.code for item in audit_flows(unfair, inputs)} == {"K4_AMOUNT"}


def test_another_offer_in_the_catalogue_is_no_fault(sandbox):
    def views(action, reading):
        if action != "on_discover":
            return reading
        other = Offer(
            offer_id="bid",
            provider_id="x",
            pricing_model="PAY_AS_BID",
            clearing_agent_id=None,
            interval=None,
            charges=None,
        )
        return replace(reading, offers=(other, *reading.offers))

    assert_passes(judged(sandbox, broken=(AGENT, Conduct(views=views))))


def test_an_agent_may_be_called_back_at_another_address_of_its_own(sandbox):
    def views(action, reading):
        if action not in ("init", "confirm", "status"):
            return reading
        elsewhere = (reading.envelope.bap_uri or "").replace("127.0.0.1", "localhost")
        return replace(reading, envelope=replace(reading.envelope, bap_uri=elsewhere))

    assert_passes(judged(sandbox, broken=(AGENT, Conduct(views=views))))


def test_numbers_of_many_digits_are_read_and_repeated(sandbox):
    def bodies(action, body):
        if action == "confirm":
            series = body["message"]["contract"]["commitments"][0]["commitmentAttributes"]
            for payload in series["intervals"][0]["payloads"]:
                payload["values"] = [value + Decimal("1E-20") for value in payload["values"]]
        return body

    judgement = judged(sandbox, broken=(AGENT, Conduct(bodies=bodies)))
    assert set(blamed(judgement)) <= {AGENT}


def test_an_interval_of_twenty_minutes_is_exact(sandbox):
    assert_passes(judged(sandbox, duration_h=Fraction(1, 3)))


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("version", "1.1.0", "ENV-004"),
        ("ttl", "30 seconds", "ENV-006"),
        ("timestamp", "yesterday", "ENV-005"),
        ("bap_uri", "http://[bad", "ENV-009"),
    ],
)
def test_what_the_agent_writes_into_a_context_is_blamed_on_the_agent(
    sandbox, field: str, value: str, rule: str
):
    def views(action, reading):
        if action in ("init", "confirm", "status"):
            return replace(reading, envelope=replace(reading.envelope, **{field: value}))
        return reading

    found = blamed(judged(sandbox, broken=(AGENT, Conduct(views=views))))
    assert set(found) == {AGENT}
    assert rule in found[AGENT]


@pytest.mark.parametrize(
    ("action", "changes"),
    [
        ("init", {"requested_kw": None}),
        ("init", {"requested_kw": Decimal(-5)}),
        ("init", {"meter_id": "unknown"}),
        ("confirm", {"clearing": None}),
        ("status", {"meter_id": "unknown"}),
        ("status", {"meter_id": None}),
    ],
)
def test_an_error_that_the_agent_asked_for_is_blamed_on_the_agent(sandbox, action: str, changes):
    def views(sent, reading):
        if sent != action or reading.contract is None:
            return reading
        return replace(reading, contract=replace(reading.contract, **changes))

    found = blamed(judged(sandbox, broken=(AGENT, Conduct(views=views))))
    assert set(found) == {AGENT}


def test_a_flood_of_unreadable_values_is_one_finding(sandbox):
    def bodies(action, body):
        if action == "on_status":
            body["message"]["contract"]["settlements"][0]["settlementAttributes"]["flows"] = [
                {} for _ in range(2000)
            ]
        return body

    judgement = judged(sandbox, broken=(AGENT, Conduct(bodies=bodies)))
    unreadable = [finding for finding in judgement.findings if finding.rule == "ENV-010"]
    assert len(unreadable) == 2
    assert "further places" in unreadable[0].expected


def test_a_value_of_endless_length_is_cut_in_a_finding(sandbox):
    def views(_action, reading):
        return replace(reading, envelope=replace(reading.envelope, version="9" * 100_000))

    judgement = judged(sandbox, broken=(AGENT, Conduct(views=views)))
    assert max(len(finding.observed) for finding in judgement.findings) < 400


def test_what_comes_after_its_scenario_is_a_stray(sandbox):
    first, _ = market.play(sandbox, small_scene(), (), small_cast())
    late = next(m for m in first.messages if m.action == "on_status" and m.receiver == "car")
    sandbox.wire.outsider, sandbox.wire.outsider_id = AGENT, first.scene.ids[AGENT]
    cast = small_cast()
    actor = Utility(sandbox.setting, "car", sandbox.signer("car"), cast.meters, cast.charges)
    actor.join()
    recorder = sandbox.wire.record()
    now = int(time.time())
    signed = sign(sandbox.signer(AGENT), late.raw, created_s=now, expires_s=now + 60)
    headers = {"authorization": signed}
    try:
        answer = httpx.post(f"{actor.uri}/on_status", content=late.raw, headers=headers)
        stranger = httpx.post(f"{actor.uri}/on_status", content=b"{}")
    finally:
        sandbox.wire.call(actor.leave)
        sandbox.wire.outsider = sandbox.wire.outsider_id = None
    assert (answer.status_code, stranger.status_code) == (400, 401)
    assert [(m.kind, m.sender) for m in recorder.messages()] == [("stray", AGENT), ("stray", None)]
