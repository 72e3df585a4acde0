"""SET: meter readings, deviations, and money that balances to the last minor unit.

Amounts are recomputed by reference_impl.settlement from what the messages say:
cleared power, price, readings and charges.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.reduction import counted_kwh
from gridwitness.reference_impl import settlement
from gridwitness.reference_impl.terms import Flow, Inputs, Parties, Trade
from gridwitness.rules import outcome, rule
from gridwitness.story import AGENT, UTILITY, story, virtual_meters
from gridwitness.told_market import setpoint_kw
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gridwitness.reference_impl.terms import Discrepancy
    from gridwitness.rules import Outcome
    from gridwitness.story import Chapter, Said
    from gridwitness.trace import Trace
    from gridwitness.views import Charges, SettlementReport

MONEY = "reference_impl/README.md, Settlement"
DEG = "beckn/DEG, building blocks, market-based trading"


@rule("SET-001", "MUST", source=f"{MONEY}, K2", judges=(AGENT,))
def positions_sum_to_zero(trace: Trace) -> Iterator[Outcome]:
    """What is left to the parties of a contract sums to exactly zero, in each currency."""
    for said, report in _reports(trace):
        totals: dict[str, Decimal] = defaultdict(Decimal)
        for position in report.positions:
            totals[position.currency] += position.value
        off = {currency: total for currency, total in totals.items() if total}
        yield outcome(
            not off,
            by=said.message.sender,
            message=said.message,
            observed=", ".join(f"{total:+} {currency}" for currency, total in off.items()),
            expected="0",
            pointer=report.pointer("positions"),
        )


@rule("SET-002", "MUST", source=f"{MONEY}, K2", judges=(AGENT,))
def positions_follow_from_flows(trace: Trace) -> Iterator[Outcome]:
    """What is left to a party is what it receives less what it pays."""
    for said, report in _reports(trace):
        right = settlement.positions(_flows(report))
        stated: dict[str, Decimal] = defaultdict(Decimal)
        for position in report.positions:
            stated[position.party] += position.value
        wrong = [
            party
            for party in sorted(right.keys() | stated.keys())
            if right.get(party, Decimal(0)) != stated.get(party, Decimal(0))
        ]
        party = wrong[0] if wrong else ""
        yield outcome(
            not wrong,
            by=said.message.sender,
            message=said.message,
            observed=f"{stated.get(party, Decimal(0))} for {party}",
            expected=f"{right.get(party, Decimal(0))}, from its flows",
            pointer=report.pointer("positions"),
        )


@rule("SET-003", "MUST", source=f"{MONEY}, K1, K4 and K5", judges=(AGENT,))
def amounts_follow_from_the_contract(trace: Trace) -> Iterator[Outcome]:
    """Every amount follows from power, hours, price and charges, to the minor unit."""
    yield from _settled(trace, ("K1_FLOW", "K4_AMOUNT", "K5_DIRECTION"))


@rule("SET-004", "MUST", source=f"{MONEY}, K3, K6 and K8", judges=(AGENT,))
def clearing_agent_keeps_its_fee_only(trace: Trace) -> Iterator[Outcome]:
    """Money passes through the clearing agent whole: it keeps its fee and nothing else."""
    yield from _settled(
        trace,
        (
            "K3_MCA_CONDUIT",
            "K3_FEE_PAID_TO_PARTICIPANT",
            "K6_ENERGY_LEG_UNBALANCED",
            "K8_WHEELING_UNFUNDED",
        ),
    )


@rule(
    "SET-005",
    "MUST",
    source=f"{DEG}: status and settlement",
    judges=(AGENT,),
)
def settlement_rests_on_the_readings(trace: Trace) -> Iterator[Outcome]:
    """A settlement states the meter reading that the utility gave."""
    for chapter in story(trace).values():
        given = {
            reading.meter_id: reading.energy_kwh
            for said in chapter.metered
            for reading in said.contract.readings
        }
        for said in _last(chapter.settled):
            stated = {r.meter_id: r.energy_kwh for r in said.contract.readings}
            if said.contract.settlement is None or not given:
                continue
            yield outcome(
                stated == given,
                by=said.message.sender,
                message=said.message,
                observed=_readings(stated),
                expected=f"{_readings(given)}, as the utility read",
                pointer=said.contract.readings[0].pointer("energy_kwh")
                if said.contract.readings
                else said.contract.pointer(),
            )


@rule("SET-006", "MUST", source=f"{MONEY}: every parameter is declared", judges=(AGENT,))
def charges_are_those_agreed(trace: Trace) -> Iterator[Outcome]:
    """The charges of a result and of its settlement are those that were agreed before."""
    for chapter in story(trace).values():
        agreed = [said.contract.charges for said in chapter.agreed if said.contract.charges]
        for said in (*chapter.bound, *chapter.news, *chapter.settled):
            charges = said.contract.charges
            if charges is None or not agreed:
                continue
            yield outcome(
                charges == agreed[0],
                by=said.message.sender,
                message=said.message,
                observed=_changed(charges, agreed[0]),
                expected=_changed(agreed[0], charges),
                pointer=charges.pointer(),
            )


@rule("SET-008", "MUST", source=f"{MONEY}: currency is declared", judges=(AGENT,))
def money_is_in_the_agreed_currency(trace: Trace) -> Iterator[Outcome]:
    """Every amount of a settlement is in the currency of the charges that were agreed."""
    for chapter in story(trace).values():
        agreed = [said.contract.charges for said in chapter.agreed if said.contract.charges]
        for said in _last(chapter.settled):
            report = said.contract.settlement
            if report is None or not agreed:
                continue
            used = {item.currency for item in (*report.flows, *report.positions)}
            yield outcome(
                used <= {agreed[0].currency},
                by=said.message.sender,
                message=said.message,
                observed=", ".join(sorted(used)),
                expected=agreed[0].currency,
                pointer=report.pointer("flows"),
            )


@rule(
    "SET-007",
    "MUST",
    source=f"{DEG}: meter readings",
    judges=(UTILITY,),
)
def readings_are_of_the_meter_asked(trace: Trace) -> Iterator[Outcome]:
    """A utility gives the readings of the meter it was asked about."""
    for chapter in story(trace).values():
        for said in chapter.metered:
            for reading in said.contract.readings:
                yield outcome(
                    reading.meter_id == said.contract.meter_id,
                    by=said.message.sender,
                    message=said.message,
                    observed=f"a reading of meter {reading.meter_id}",
                    expected=f"of meter {said.contract.meter_id}",
                    pointer=reading.pointer(),
                )


@rule(
    "SET-009",
    "MUST",
    source=f"{MONEY}: VIRTUAL_METER; beckn/DEG, building blocks: the clearing agent's net is zero",
    judges=(AGENT,),
    when_stated=True,
)
def virtual_meter_sums_the_meters(trace: Trace) -> Iterator[Outcome]:
    """A clearing agent's virtual meter rests on the readings of all meters that traded."""
    given = {
        reading.meter_id: reading.energy_kwh
        for chapter in story(trace).values()
        if chapter.bound
        for said in _last(chapter.metered)
        for reading in said.contract.readings
    }
    for said in virtual_meters(trace):
        stated = {r.meter_id: r.energy_kwh for r in said.contract.readings}
        yield outcome(
            stated == given,
            by=said.message.sender,
            message=said.message,
            observed=_readings(stated),
            expected=f"{_readings(given)}, as the utility read",
            pointer=said.contract.pointer(),
        )


def _readings(readings: dict[str, Decimal]) -> str:
    return ", ".join(f"{kwh} kWh at {meter}" for meter, kwh in readings.items()) or "no reading"


def _changed(charges: Charges, other: Charges) -> str:
    return ", ".join(
        f"{name} {value}"
        for name, value in charges.__dict__.items()
        if name != "at" and value != getattr(other, name)
    )


def _last(said: list[Said]) -> list[Said]:
    return said[-1:]


def _reports(trace: Trace) -> Iterator[tuple[Said, SettlementReport]]:
    last = [said for chapter in story(trace).values() for said in _last(chapter.settled)]
    for said in (*last, *_last(virtual_meters(trace))):
        if said.contract.settlement is not None:
            yield said, said.contract.settlement


def _flows(report: SettlementReport) -> list[Flow]:
    return [Flow(flow.payer, flow.payee, flow.kind, flow.amount) for flow in report.flows]


def _settled(trace: Trace, codes: tuple[str, ...]) -> Iterator[Outcome]:
    """Judge the money of each agent's market by some of the conditions of a settlement."""
    virtual = _last(virtual_meters(trace))
    for inputs, chapters in inputs_of(trace):
        own = [said for said in virtual if said.message.sender == _agent(chapters[0])]
        yield from _settled_by(inputs, chapters, own, codes)


@once
def inputs_of(trace: Trace) -> list[tuple[Inputs, list[Chapter]]]:
    """Give what each agent's market is to be settled by, and whose trades these are."""
    markets: dict[str, list[Chapter]] = defaultdict(list)
    for chapter in story(trace).values():
        if chapter.bound and chapter.settled and (chapter.metered or not chapter.is_metered):
            markets[_agent(chapter)].append(chapter)
    found = [(_inputs(trace, agent, own), own) for agent, own in markets.items()]
    return [(inputs, own) for inputs, own in found if inputs is not None]


def _agent(chapter: Chapter) -> str:
    """Name who bound the trade of a chapter."""
    return chapter.bound[-1].message.sender or ""


def _inputs(trace: Trace, agent: str, chapters: list[Chapter]) -> Inputs | None:
    trades = [trade for c in chapters if (trade := _trade(trace, c)) is not None]
    clearing, offered = chapters[0].bound[-1].contract.clearing, chapters[0].offered
    agreed = [s.contract.charges for c in chapters for s in c.agreed if s.contract.charges]
    interval = offered[-1].contract.interval if offered else None
    utilities = trace.actors(UTILITY)
    if len(trades) != len(chapters) or clearing is None or not agreed or interval is None:
        return None
    if not utilities:
        return None
    return Inputs(
        agreed[0].terms(),
        interval.duration_h,
        clearing.clearing_price_per_kwh or Decimal(0),
        trades,
        Parties(trace.scene.ids.get(agent, ""), trace.scene.ids[utilities[0]]),
    )


def _settled_by(
    inputs: Inputs, chapters: list[Chapter], virtual: list[Said], codes: tuple[str, ...]
) -> Iterator[Outcome]:
    told, trades = [*(chapter.settled[-1] for chapter in chapters), *virtual], inputs.trades
    claimed = _together(
        flow
        for said in told
        if said.contract.settlement
        for flow in _flows(said.contract.settlement)
    )
    found = settlement.audit_flows(claimed, inputs)
    broken: dict[int, Discrepancy] = {}
    for item in found:
        if item.code in codes:
            named = [n for n, trade in enumerate(trades) if trade.participant in item[1:3]]
            if item.kind == "VIRTUAL_METER_DEVIATION" and virtual:
                named = [len(trades)]
            broken.setdefault(named[0] if named else 0, item)
    for n, said in enumerate(told):
        item, report = broken.get(n), said.contract.settlement
        yield outcome(
            item is None,
            by=said.message.sender,
            message=said.message,
            observed=_tell(item, item.observed) if item else "",
            expected=item.expected if item else "",
            pointer=report.pointer("flows") if report else "/message",
        )


def _together(flows: Iterable[Flow]) -> list[Flow]:
    """Give the flows of a whole market: a rent that runs both ways by what is left of it.

    What the grid operator owes whom it commanded is no flow of the market (GRD-015).
    """
    claimed = [flow for flow in flows if flow.kind != "UPLIFT"]
    rents: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for flow in claimed:
        if flow.kind == "CONGESTION_RENT":
            low, high = sorted((flow.payer, flow.payee))
            rents[low, high] += flow.amount if flow.payer == low else -flow.amount
    netted = [
        Flow(*(pair if left > 0 else pair[::-1]), "CONGESTION_RENT", abs(left))
        for pair, left in rents.items()
        if left
    ]
    return [flow for flow in claimed if flow.kind != "CONGESTION_RENT"] + netted


def _tell(item: Discrepancy, amount: str) -> str:
    if item.payer == item.payee:
        return f"{item.code}: {item.kind} {amount} too much through {item.payer}"
    return f"{item.code}: {item.kind} {amount} from {item.payer} to {item.payee}"


def _trade(trace: Trace, chapter: Chapter) -> Trade | None:
    clearing, participant = chapter.bound[-1].contract.clearing, trace.scene.ids[chapter.name]
    if clearing is None:
        return None
    power_kw, price = setpoint_kw(chapter), clearing.local_price_per_kwh
    power_kw = clearing.cleared_power_kw if power_kw is None else power_kw
    if not chapter.is_metered:
        return Trade(participant, power_kw, None, price)
    metered_kwh = counted_kwh(chapter.metered[-1].contract)
    return None if metered_kwh is None else Trade(participant, power_kw, metered_kwh, price)
