"""Settlement: who pays whom, for what, to the last minor unit.

Belongs here: the money of one cleared interval, and the conditions a claimed
settlement must meet. Does not belong here: how flows are written in a message.

Every amount is a Decimal in the currency's minor unit, never negative: a flow
that would be negative runs the other way.
"""

from __future__ import annotations

import decimal
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Kind = Literal["ENERGY", "FEE", "WHEELING", "WHEELING_REMIT", "DEVIATION_PENALTY"]
ROUNDINGS = {"HALF_UP": decimal.ROUND_HALF_UP, "HALF_EVEN": decimal.ROUND_HALF_EVEN}


@dataclass(frozen=True)
class Terms:
    """What the parties agreed: every parameter of the settlement, none assumed.

    Prices are per kWh. penalty_band is the share of the cleared energy within which
    a deviation costs nothing. minor_unit counts the decimals of the currency.
    """

    currency: str
    fee_per_kwh: Decimal = Decimal(0)
    wheeling_buyer_per_kwh: Decimal = Decimal(0)
    wheeling_seller_per_kwh: Decimal = Decimal(0)
    penalty_per_kwh: Decimal = Decimal(0)
    penalty_band: Decimal = Decimal(0)
    rounding: str = "HALF_UP"
    minor_unit: int = 2


class Trade(NamedTuple):
    """What one participant cleared, in kW, and metered over the interval, in kWh, both signed."""

    participant: str
    cleared_kw: Decimal
    metered_kwh: Decimal


class Parties(NamedTuple):
    """The two who are no participants: the conduit of the money, and the network."""

    clearing_agent: str
    grid_operator: str


class Flow(NamedTuple):
    """One payment: amount in the currency's minor unit, never negative."""

    payer: str
    payee: str
    kind: str
    amount: Decimal


class Discrepancy(NamedTuple):
    """A condition that does not hold: code, the payment concerned, what is and what is right."""

    code: str
    payer: str
    payee: str
    kind: str
    observed: str
    expected: str


def settle(
    terms: Terms,
    hours: Fraction,
    price_per_kwh: Decimal,
    trades: Sequence[Trade],
    parties: Parties,
) -> list[Flow]:
    """Settle one interval that was cleared at one price.

    Energy is paid as cleared, so both legs balance; whoever delivers or takes
    something else pays a penalty on the energy beyond the band. Fee and wheeling
    are owed on the cleared energy; the wheeling is passed on whole.

    Amounts of a kind are rounded so that each side's total is the rounded exact
    total: everyone is rounded down, and the units then missing go to the largest
    remainders, ties by name. Hence the clearing agent keeps its fee and nothing else.

    Source: reference_impl/README.md, Settlement and Rounding.
    """
    money = _Money(terms)
    agent, grid = parties
    sellers = {t.participant: Fraction(t.cleared_kw) * hours for t in trades if t.cleared_kw > 0}
    buyers = {t.participant: -Fraction(t.cleared_kw) * hours for t in trades if t.cleared_kw < 0}
    flows: list[Flow] = []

    def charge(energy_kwh: Mapping[str, Fraction], rate: Decimal, kind: Kind) -> None:
        shares = money.share(energy_kwh, Fraction(rate)).items()
        flows.extend(Flow(name, agent, kind, amount) for name, amount in shares)

    for name, amount in money.share(sellers, abs(Fraction(price_per_kwh))).items():
        flows.append(_directed(agent, name, "ENERGY", amount, reverse=price_per_kwh < 0))
    for name, amount in money.share(buyers, abs(Fraction(price_per_kwh))).items():
        flows.append(_directed(name, agent, "ENERGY", amount, reverse=price_per_kwh < 0))
    charge(sellers, terms.fee_per_kwh, "FEE")
    charge(buyers, terms.fee_per_kwh, "FEE")
    charge(sellers, terms.wheeling_seller_per_kwh, "WHEELING")
    charge(buyers, terms.wheeling_buyer_per_kwh, "WHEELING")
    collected = [flow.amount for flow in flows if flow.kind == "WHEELING"]
    flows.extend(Flow(agent, grid, "WHEELING_REMIT", amount) for amount in collected)
    for trade in trades:
        cleared_kwh = Fraction(trade.cleared_kw) * hours
        beyond_kwh = abs(Fraction(trade.metered_kwh) - cleared_kwh)
        beyond_kwh -= Fraction(terms.penalty_band) * abs(cleared_kwh)
        penalty = money.round(max(Fraction(), beyond_kwh) * Fraction(terms.penalty_per_kwh))
        flows.append(Flow(trade.participant, grid, "DEVIATION_PENALTY", penalty))
    return [flow for flow in flows if flow.amount]


def positions(flows: Iterable[Flow]) -> dict[str, Decimal]:
    """Sum what each party receives less what it pays; the values sum to zero exactly."""
    total: defaultdict[str, Decimal] = defaultdict(Decimal)
    for flow in flows:
        total[flow.payer] -= flow.amount
        total[flow.payee] += flow.amount
    return dict(total)


def discrepancies(  # noqa: PLR0913 (what is claimed, and what `settle` takes)
    claimed: Sequence[Flow],
    terms: Terms,
    hours: Fraction,
    price_per_kwh: Decimal,
    trades: Sequence[Trade],
    parties: Parties,
) -> Iterator[Discrepancy]:
    """Yield every condition that the claimed flows of a whole market violate.

    Known parties and whole minor units (K1), the clearing agent keeps its fees
    only (K3), every amount follows from price, energy and terms (K4), in the
    right direction (K5), energy paid is energy received (K6), wheeling collected
    is wheeling passed on (K8). WHEELING_REMIT may be one flow or several.

    Source: reference_impl/README.md, Settlement, K1 to K8.
    """
    unit = Decimal(1).scaleb(-terms.minor_unit)
    known = {trade.participant for trade in trades} | set(parties)
    for flow in claimed:
        unknown = {flow.payer, flow.payee} - known
        if not flow.amount.is_finite():
            raise ValueError(f"{flow.amount} is no amount")
        if unknown or flow.payer == flow.payee or flow.amount < 0 or flow.amount % unit:
            yield Discrepancy(
                "K1_FLOW",
                flow.payer,
                flow.payee,
                flow.kind,
                f"{flow.amount} from {flow.payer} to {flow.payee}",
                f"two different parties of the market, an amount in whole {unit}",
            )

    said = _totals(claimed)
    right = _totals(settle(terms, hours, price_per_kwh, trades, parties))
    _excuse_ties(right, said, trades)
    for payer, payee, kind in sorted(right.keys() | said.keys()):
        observed, expected = said[payer, payee, kind], right[payer, payee, kind]
        if observed == expected:
            continue
        reversed_flow = expected == 0 and right[payee, payer, kind] > 0
        code = "K5_DIRECTION" if reversed_flow else "K4_AMOUNT"
        yield Discrepancy(code, payer, payee, kind, f"{observed}", f"{expected}")
    yield from _conduit(claimed, parties.clearing_agent)


def _excuse_ties(
    right: dict[tuple[str, str, str], Decimal],
    said: defaultdict[tuple[str, str, str], Decimal],
    trades: Sequence[Trade],
) -> None:
    """Let participants who cleared alike share their amounts in any order.

    Which of them gets the odd minor unit is nobody's right: the tie-break is ours.
    """
    alike: defaultdict[Decimal, list[str]] = defaultdict(list)
    for trade in trades:
        alike[trade.cleared_kw].append(trade.participant)
    for payer, payee, kind in list(right):
        for names in alike.values():
            if kind == "DEVIATION_PENALTY" or not {payer, payee} & set(names):
                continue
            keys = [
                (name if payer in names else payer, name if payee in names else payee, kind)
                for name in names
            ]
            if sorted(said[key] for key in keys) == sorted(right.get(k, Decimal()) for k in keys):
                right.update({key: said[key] for key in keys})


def _conduit(claimed: Sequence[Flow], agent: str) -> Iterator[Discrepancy]:
    """Check what passes through the clearing agent: energy, wheeling and nothing kept but fees."""
    through: defaultdict[str, Decimal] = defaultdict(Decimal)
    for flow in claimed:
        sign = (flow.payee == agent) - (flow.payer == agent)
        through[flow.kind] += sign * flow.amount
        if flow.kind == "FEE" and flow.payer == agent:
            yield Discrepancy(
                "K3_FEE_PAID_TO_PARTICIPANT", agent, flow.payee, "FEE", f"{flow.amount}", "0"
            )
    energy, wheeling = through["ENERGY"], through["WHEELING"] + through["WHEELING_REMIT"]
    if energy:
        yield Discrepancy("K6_ENERGY_LEG_UNBALANCED", agent, agent, "ENERGY", f"{energy}", "0")
    if wheeling:
        yield Discrepancy("K8_WHEELING_UNFUNDED", agent, agent, "WHEELING", f"{wheeling}", "0")
    kept = sum(through.values(), Decimal())
    fees = sum((f.amount for f in claimed if f.kind == "FEE" and f.payee == agent), Decimal())
    if kept != fees:
        yield Discrepancy("K3_MCA_CONDUIT", agent, agent, "FEE", f"{kept} kept", f"{fees}, its fee")


def _totals(flows: Iterable[Flow]) -> defaultdict[tuple[str, str, str], Decimal]:
    totals: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for flow in flows:
        totals[flow.payer, flow.payee, flow.kind] += flow.amount
    return totals


def _directed(payer: str, payee: str, kind: Kind, amount: Decimal, *, reverse: bool) -> Flow:
    return Flow(payee, payer, kind, amount) if reverse else Flow(payer, payee, kind, amount)


class _Money:
    """Rounding of amounts to the minor unit by the declared rule."""

    def __init__(self, terms: Terms) -> None:
        self._unit = Decimal(1).scaleb(-terms.minor_unit)
        self._rounding = ROUNDINGS[terms.rounding]

    def round(self, exact: Fraction) -> Decimal:
        scaled = exact / Fraction(self._unit)
        whole = scaled.numerator // scaled.denominator
        rest = scaled - whole
        half = Fraction(1, 2)
        up = rest > half or (
            rest == half and (self._rounding == decimal.ROUND_HALF_UP or whole % 2 == 1)
        )
        return (whole + up) * self._unit

    def share(self, energy_kwh: Mapping[str, Fraction], rate: Fraction) -> dict[str, Decimal]:
        """Round one side's amounts so that they sum to the rounded exact total."""
        exact = {name: energy * rate for name, energy in energy_kwh.items()}
        unit = Fraction(self._unit)
        units = {name: amount // unit for name, amount in exact.items()}
        total = self.round(sum(exact.values(), Fraction())) / self._unit
        by_remainder = sorted(exact, key=lambda name: (units[name] - exact[name] / unit, name))
        for name in by_remainder[: int(total) - sum(units.values())]:
            units[name] += 1
        return {name: count * self._unit for name, count in units.items()}
