"""Settlement: who pays whom, for what, to the last minor unit.

Belongs here: the money of one cleared interval, and the conditions a claimed
settlement must meet. Does not belong here: how flows are written in a message; many
intervals at once (settlement_many).

Every amount is a Decimal in the currency's minor unit, never negative: a flow
that would be negative runs the other way.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.reference_impl.rounding import (
    EXACT,
    beyond_unit,
    exact_sum,
    money,
    rounded,
    shared,
    whole,
)
from gridwitness.reference_impl.terms import SHARED, Discrepancy, Due, Flow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from gridwitness.reference_impl.terms import Inputs, Terms

WH_PER_KWH = 1000
FINER = {
    "DEVIATION_PENALTY": "K9_PENALTY",
    "VIRTUAL_METER_DEVIATION": "K9_PENALTY",
    "TAX": "K10_TAX",
}
"""The code that stands beside K4 where an amount of this kind is wrong."""

Key = tuple[str, str, str]
"""Payer, payee and kind."""


def settled_kwh(inputs: Inputs) -> dict[str, Fraction]:
    """Give the energy for which each participant pays or is paid, signed.

    It is the cleared energy, but for ACTUALS_CAPPED: there a seller's is what was delivered,
    at most what was cleared. Where the sum of that is less than what the buyers cleared, they
    share it in proportion, in whole Wh (finer only if the sum is), the odd ones by largest
    remainder, ties by name. So as much is bought as is sold, if as much was cleared.

    Raises ValueError for a seller whose delivery counts and was not metered.
    """
    settled = {one.participant: Fraction(one.cleared_kw) * inputs.hours for one in inputs.trades}
    if inputs.terms.mode != "ACTUALS_CAPPED":
        return settled
    wanted = {name: -energy for name, energy in settled.items() if energy < 0}
    for trade in inputs.trades:
        if trade.cleared_kw > 0:
            if trade.metered_kwh is None:
                raise ValueError(f"{trade.participant} is paid for what it delivered: meter it")
            delivered = max(Fraction(), Fraction(trade.metered_kwh))
            settled[trade.participant] = min(delivered, settled[trade.participant])
    sold = sum((energy for energy in settled.values() if energy > 0), Fraction())
    bought = sum(wanted.values(), Fraction())
    if sold >= bought:
        return settled
    steps = math.lcm(WH_PER_KWH, sold.denominator)  # in a kWh
    part = sold * steps / bought
    shares = shared({name: energy * part for name, energy in wanted.items()}, int(sold * steps))
    return settled | {name: -Fraction(share, steps) for name, share in shares.items()}


def settle(inputs: Inputs) -> list[Flow]:
    """Settle one interval that was cleared at one price, or at a price for each node.

    Energy, fees and wheeling are owed on the settled energy, so both legs balance; the
    wheeling is passed on whole, and what different node prices leave is the congestion rent.

    Amounts of a kind are rounded so that each side's total is the rounded exact
    total: everyone is rounded down, and the units then missing go to the largest
    remainders, ties by name. Hence the clearing agent keeps its fee and nothing else.

    Source: reference_impl/README.md, Settlement and Rounding.
    """
    flows = _flows(inputs, settled_kwh(inputs))
    payers = {trade.participant for trade in inputs.trades}
    return flows + _taxes(flows, inputs.terms, payers, inputs.parties.government)


def settle_fixed(terms: Terms, dues: Sequence[Due], government: str = "GOVERNMENT") -> list[Flow]:
    """Settle what two parties owe each other outright: a fixed price times energy, a tariff.

    No clearing agent stands between them; each amount is rounded once, and taxed as declared.
    """
    flows = [flow for due in dues if (flow := _paid(due, terms)).amount]
    return flows + _taxes(flows, terms, {flow.payer for flow in flows}, government)


def positions(flows: Iterable[Flow]) -> dict[str, Decimal]:
    """Sum what each party receives less what it pays; the values sum to zero exactly."""
    left: defaultdict[str, Decimal] = defaultdict(Decimal)
    for flow in flows:
        left[flow.payer] = EXACT.subtract(left[flow.payer], flow.amount)
        left[flow.payee] = EXACT.add(left[flow.payee], flow.amount)
    return dict(left)


def audit_flows(claimed: Sequence[Flow], inputs: Inputs) -> list[Discrepancy]:
    """Give every condition that the claimed flows of a whole market violate.

    Known parties and whole minor units (K1), the clearing agent keeps its fees only (K3),
    every amount follows from price, energy and terms (K4), in the right direction (K5),
    energy paid is energy received and the rent (K6), wheeling collected is wheeling passed
    on (K8), one currency (K12). Beside a wrong amount stands what explains it: another
    quantity (K7), a penalty (K9), a tax (K10), power taken for energy (K11), decimals of
    another currency (K12). WHEELING_REMIT may be one flow or several.

    Raises ValueError for an amount that is not finite.

    Source: reference_impl/README.md, Settlement, K1 to K12.
    """
    terms, parties = inputs.terms, inputs.parties
    known = {trade.participant for trade in inputs.trades} | {*parties, terms.penalty_payee} - {""}
    currency = terms.currency or next((one.currency for one in claimed if one.currency), "")
    found: list[Discrepancy] = []
    for flow in claimed:
        found += _flow_problems(flow, known, currency, terms.minor_unit)
    said = _totals(flow for flow in claimed if flow.currency in ("", currency))
    right = _totals(_flows(inputs, settled_kwh(inputs)))
    _excuse_ties(right, said, inputs)
    untaxed = [Flow(*key, amount) for key, amount in right.items()]
    payers = {trade.participant for trade in inputs.trades}
    right.update(_totals(_taxes(untaxed, terms, payers, parties.government)))
    wrong = {key for key in right.keys() | said.keys() if said[key] != right[key]}
    mistakes = _mistakes(inputs) if wrong else []
    for key in sorted(wrong):
        payer, payee, kind = key
        # a fee that runs the other way has a code of its own (K3)
        turned = right[key] == 0 and right[payee, payer, kind] > 0 and kind != "FEE"
        codes = ["K5_DIRECTION" if turned else "K4_AMOUNT"]
        codes += [FINER[kind]] if kind in FINER else []
        codes += sorted({code for code, other in mistakes if said[key] == other.get(key, 0) != 0})
        found += [_off(code, key, said[key], right[key]) for code in codes]
    return found + list(_conduit(claimed, inputs, right))


def audit_positions(claimed: Mapping[str, Decimal], flows: Iterable[Flow]) -> list[Discrepancy]:
    """Give the claimed positions that do not follow from the claimed flows (K2).

    Source: reference_impl/README.md, Settlement, K2.
    """
    right = positions(flows)
    pairs = {
        name: (claimed.get(name, Decimal()), right.get(name, Decimal()))
        for name in [*right, *claimed]
    }
    return [
        _off("K2_NOT_FROM_FLOWS", (name, name, "POSITION"), observed, expected)
        for name, (observed, expected) in pairs.items()
        if observed != expected
    ]


def audit_role_values(
    values: Sequence[tuple[str, Decimal]], minor_unit: int = 2
) -> list[Discrepancy]:
    """Give the conditions that positions without their flows violate: net zero (K2), K1.

    Source: reference_impl/README.md, Settlement, K2.
    """
    found = [
        _off("K1_SUB_MINOR_UNIT", (role, role, "POSITION"), value, EXACT.subtract(value, rest))
        for role, value in values
        if (rest := beyond_unit(value, minor_unit))
    ]
    if net := exact_sum(value for _, value in values):
        found.append(_off("K2_NOT_NET_ZERO", ("", "", "POSITION"), net, Decimal()))
    return found


def _flows(inputs: Inputs, settled: Mapping[str, Fraction]) -> list[Flow]:
    """Give all flows but the taxes, for the energy that is taken as settled."""
    terms, (agent, grid, platform, _), trades = inputs.terms, inputs.parties, inputs.trades
    flows: list[Flow] = []

    def charge(payee: str, kind: str, seller: Decimal, buyer: Decimal) -> Decimal:
        rates = {name: seller if energy > 0 else buyer for name, energy in settled.items()}
        owed = _by_side(settled, rates, terms)
        flows.extend(_flow(name, payee, kind, amount) for name, amount in owed.items())
        return exact_sum(owed.values())

    prices = {
        one.participant: inputs.price_per_kwh if one.price_per_kwh is None else one.price_per_kwh
        for one in trades
    }
    rent = Decimal()
    for name, amount in _by_side(settled, prices, terms).items():
        sells = settled[name] > 0
        pair = (agent, name) if sells else (name, agent)
        flows.append(_flow(*pair, "ENERGY", amount))
        rent = EXACT.subtract(rent, amount) if sells else EXACT.add(rent, amount)
    charge(agent, "FEE", terms.fee_per_kwh, terms.fee_per_kwh)
    charge(platform, "PLATFORM_FEE", terms.platform_fee_per_kwh, terms.platform_fee_per_kwh)
    sides = (terms.wheeling_seller_per_kwh, terms.wheeling_buyer_per_kwh)
    collected = charge(agent, "WHEELING", *sides)
    flows.append(_flow(agent, grid, "WHEELING_REMIT", collected))
    # without price differences there is none, even if the powers do not quite sum to zero
    if len({prices[name] for name, energy in settled.items() if energy}) > 1:
        flows.append(_flow(agent, grid, "CONGESTION_RENT", rent))
    flows.extend(_paid(due, terms) for due in _deviations(inputs))
    return [flow for flow in flows if flow.amount and flow.payer != flow.payee]


def _deviations(inputs: Inputs) -> Iterator[Due]:
    """Yield what is owed for metering something else than was cleared."""
    terms, (agent, grid, *_) = inputs.terms, inputs.parties
    metered = {t: Fraction(t.metered_kwh) for t in inputs.trades if t.metered_kwh is not None}
    excess = {t: energy - Fraction(t.cleared_kw) * inputs.hours for t, energy in metered.items()}
    if terms.mode == "TWO_SETTLEMENT":
        for trade, long_kwh in excess.items():
            if long_kwh < 0:
                amount = -long_kwh * Fraction(terms.short_price_per_kwh)
                yield Due(trade.participant, grid, "IMBALANCE_SHORT", amount)
            else:
                amount = long_kwh * Fraction(terms.long_price_per_kwh)
                yield Due(grid, trade.participant, "IMBALANCE_LONG", amount)
    for trade, long_kwh in excess.items():
        deviation_kwh = abs(long_kwh)
        if terms.mode == "ACTUALS_CAPPED":
            deviation_kwh = max(-long_kwh, 0) if trade.cleared_kw > 0 else 0
        band_kwh = Fraction(terms.penalty_band) * abs(Fraction(trade.cleared_kw) * inputs.hours)
        amount = max(deviation_kwh - band_kwh, Fraction()) * Fraction(terms.penalty_per_kwh)
        payee = terms.penalty_payee or grid
        yield Due(trade.participant, payee, "DEVIATION_PENALTY", amount)
    if terms.mode == "VIRTUAL_METER":
        net_kwh = abs(sum(metered.values(), Fraction()))
        amount = net_kwh * Fraction(terms.virtual_meter_per_kwh)
        yield Due(agent, grid, "VIRTUAL_METER_DEVIATION", amount)


def _taxes(
    flows: Iterable[Flow], terms: Terms, payers: Collection[str], government: str
) -> list[Flow]:
    """Give the tax on what the payers pay, one flow for each of them."""
    tax = terms.tax
    if tax is None:
        return []
    bases: defaultdict[str, list[Fraction]] = defaultdict(list)
    for flow in flows:
        if flow.kind in tax.base and flow.payer in payers:
            bases[flow.payer].append(Fraction(flow.amount))
    owed: list[Flow] = []
    for payer, lines in bases.items():
        taxed = lines if tax.per == "line" else [sum(lines, Fraction())]
        dues = (Due(payer, government, "TAX", line * Fraction(tax.rate)) for line in taxed)
        amount = exact_sum(_paid(due, terms).amount for due in dues)
        owed.append(Flow(payer, government, "TAX", amount))
    return [flow for flow in owed if flow.amount]


def _by_side(
    settled: Mapping[str, Fraction], rates: Mapping[str, Decimal], terms: Terms
) -> dict[str, Decimal]:
    """Round the amounts of a kind so that those of a side sum to the rounded exact total.

    A side is who sells, or who buys, at rates of one sign. Amounts have the sign of the rate.
    """
    unit_rates = {rate: abs(Fraction(rate)) * 10**terms.minor_unit for rate in rates.values()}
    sides: defaultdict[tuple[bool, bool], dict[str, Fraction]] = defaultdict(dict)
    for name, energy in settled.items():
        rate = rates[name]
        if rate:
            sides[energy > 0, rate < 0][name] = abs(energy) * unit_rates[rate]
    shares: dict[str, Decimal] = {}
    for (_, negative), exact in sides.items():
        due = whole(sum(exact.values(), Fraction()), terms.rounding)
        for name, share in shared(exact, due).items():
            shares[name] = money(-share if negative else share, terms.minor_unit)
    return {name: shares[name] for name in settled if name in shares}


def _paid(due: Due, terms: Terms) -> Flow:
    return _flow(*due[:3], rounded(due.amount, terms.rounding, terms.minor_unit))


def _flow(payer: str, payee: str, kind: str, amount: Decimal) -> Flow:
    if amount < 0:
        return Flow(payee, payer, kind, amount.copy_negate())
    return Flow(payer, payee, kind, amount)


def _totals(flows: Iterable[Flow]) -> defaultdict[Key, Decimal]:
    totals: defaultdict[Key, Decimal] = defaultdict(Decimal)
    for flow in flows:
        totals[flow[:3]] = EXACT.add(totals[flow[:3]], flow.amount)
    return totals


def _off(code: str, key: Key, observed: Decimal, expected: Decimal) -> Discrepancy:
    size = EXACT.subtract(observed, expected).copy_abs()
    return Discrepancy(code, *key, f"{observed:f}", f"{expected:f}", size)


def _flow_problems(
    flow: Flow, known: Collection[str], currency: str, minor_unit: int
) -> Iterator[Discrepancy]:
    """Yield what is wrong with a claimed payment in itself."""
    key, amount = flow[:3], flow.amount
    if not amount.is_finite():
        raise ValueError(f"{amount} is no amount")
    rest, unit = beyond_unit(amount, minor_unit), money(1, minor_unit)
    faults = [f"unknown party {one}" for one in dict.fromkeys(flow[:2]) if one not in known]
    faults += ["pays itself"] if flow.payer == flow.payee else []
    faults += ["below zero"] if amount < 0 else []
    faults += [f"finer than {unit}"] if rest else []
    if faults:
        observed = f"{amount:f} ({', '.join(faults)})"
        expected = f"zero or more in whole {unit}, between two parties of the market"
        yield Discrepancy("K1_FLOW", *key, observed, expected, (rest or amount).copy_abs())
    if rest:
        yield _off("K1_SUB_MINOR_UNIT", key, amount, EXACT.subtract(amount, rest))
    if flow.currency not in ("", currency):
        observed, expected = f"{amount:f} {flow.currency}", f"an amount in {currency}"
        yield Discrepancy("K12_CURRENCY", *key, observed, expected, amount.copy_abs())


def _excuse_ties(
    right: defaultdict[Key, Decimal], said: defaultdict[Key, Decimal], inputs: Inputs
) -> None:
    """Let participants who traded alike share their amounts in any order.

    Which of them gets the odd minor unit is nobody's right: the tie-break is ours.
    """
    settled = settled_kwh(inputs)
    alike: dict[str, object] = {
        one.participant: (
            one.cleared_kw,
            inputs.price_per_kwh if one.price_per_kwh is None else one.price_per_kwh,
            # buyers who cleared alike may settle an odd Wh apart: it is nobody's right either
            settled[one.participant] if one.cleared_kw > 0 else None,
        )
        for one in inputs.trades
    }
    pools: defaultdict[object, list[Key]] = defaultdict(list)
    for key in right.keys() | said.keys():
        payer, payee, kind = key
        if kind in SHARED:
            pools[alike.get(payer, payer), alike.get(payee, payee), kind].append(key)
    for keys in pools.values():
        if sorted(said[key] for key in keys) == sorted(right[key] for key in keys):
            right.update({key: said[key] for key in keys})


def _mistakes(inputs: Inputs) -> list[tuple[str, Mapping[Key, Decimal]]]:
    """Give the ledgers that known mistakes lead to, each with the code of its mistake."""
    trades, settled = inputs.trades, settled_kwh(inputs)
    powers = {trade.participant: Fraction(trade.cleared_kw) for trade in trades}
    cleared = {name: power * inputs.hours for name, power in powers.items()}
    metered = {t.participant: Fraction(t.metered_kwh) for t in trades if t.metered_kwh is not None}
    made: list[tuple[str, Inputs, Mapping[str, Fraction]]] = [
        ("K7_QUANTITY", inputs, energy) for energy in (cleared, cleared | metered)
    ]
    if inputs.hours != 1:
        made.append(("K11_POWER_AS_ENERGY", inputs, powers))
    for decimals in {0, 2, 3} - {inputs.terms.minor_unit}:
        terms = replace(inputs.terms, minor_unit=decimals)
        made.append(("K12_MINOR_UNIT", inputs._replace(terms=terms), settled))
    return [(code, _totals(_flows(mistaken, energy))) for code, mistaken, energy in made]


def _conduit(
    claimed: Sequence[Flow], inputs: Inputs, right: Mapping[Key, Decimal]
) -> Iterator[Discrepancy]:
    """Check what passes through the clearing agent: it keeps its fees and pays its deviation.

    What a clearing that does not quite balance leaves with it is not held against it.
    """
    agent, terms = inputs.parties.clearing_agent, inputs.terms
    nothing, through = money(0, terms.minor_unit), _through(claimed, agent)
    passed = _through((Flow(*key, amount) for key, amount in right.items()), agent)
    energy, left = (EXACT.add(one["ENERGY"], one["CONGESTION_RENT"]) for one in (through, passed))
    wheeling = EXACT.add(through["WHEELING"], through["WHEELING_REMIT"])
    earned = [flow.amount for flow in claimed if flow[1:3] == (agent, "FEE")]
    if terms.mode == "VIRTUAL_METER":
        earned.append(min(Decimal(), through["VIRTUAL_METER_DEVIATION"]))
    if terms.penalty_payee == agent:
        earned.append(through["DEVIATION_PENALTY"])
    for flow in claimed:
        if flow.kind == "FEE" and flow.payer == agent:
            yield _off("K3_FEE_PAID_TO_PARTICIPANT", flow[:3], flow.amount, nothing)
    for code, kind, observed, expected in (
        ("K6_ENERGY_LEG_UNBALANCED", "ENERGY", energy, nothing),
        ("K8_WHEELING_UNFUNDED", "WHEELING", wheeling, nothing),
        ("K3_MCA_CONDUIT", "FEE", exact_sum(through.values()), exact_sum([nothing, *earned])),
    ):
        if EXACT.subtract(observed, expected) not in (0, 0 if kind == "WHEELING" else left):
            yield _off(code, (agent, agent, kind), observed, expected)


def _through(flows: Iterable[Flow], agent: str) -> defaultdict[str, Decimal]:
    """Sum what an agent receives less what it pays, by kind."""
    through: defaultdict[str, Decimal] = defaultdict(Decimal)
    for flow in flows:
        sign = (flow.payee == agent) - (flow.payer == agent)
        through[flow.kind] = EXACT.fma(flow.amount, sign, through[flow.kind])
    return through


def congestion_rents(inputs: Inputs) -> dict[str, Decimal]:
    """Give what each participant's contract leaves for the grid operator, where prices differ.

    It is what its energy costs at its own node less what it would at the price of the market; of
    what is sold, the reverse. The values may be negative; where as much is sold as is bought
    they sum to CONGESTION_RENT.

    Source: reference_impl/README.md, Settlement (CONGESTION_RENT).
    """
    agent = inputs.parties.clearing_agent
    at_one_price = [trade._replace(price_per_kwh=None) for trade in inputs.trades]
    rents: defaultdict[str, Decimal] = defaultdict(Decimal)
    for one, sign in ((inputs, 1), (inputs._replace(trades=at_one_price), -1)):
        for flow in _flows(one, settled_kwh(one)):
            if flow.kind == "ENERGY":
                who = flow.payer if flow.payee == agent else flow.payee
                paid = flow.amount if flow.payee == agent else flow.amount.copy_negate()
                rents[who] = EXACT.fma(paid, Decimal(sign), rents[who])
    return {name: rent for name, rent in rents.items() if rent}
