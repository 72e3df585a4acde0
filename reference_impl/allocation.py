"""Allocation: which trade gets how much of what the meters counted, and its money.

Belongs here: pro-rata shares of metered energy, the rounds in which two utilities
agree on them, the flows of one trade. Does not belong here: a market that clears at
one price (settlement), and who may write which column.

Energy of a trade is unsigned, in kWh. A meter reading is signed as the DEG ledger has
it, import positive, hence its name: imported_kwh.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from gridwitness.reference_impl.rounding import ROUNDINGS, rounded, shared
from gridwitness.reference_impl.settlement import positions
from gridwitness.reference_impl.terms import Flow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

ROLES = ("buyerPlatform", "sellerPlatform", "buyerDiscom", "sellerDiscom")
WATT_HOURS = 1000
"""In a kWh. Energy is allocated in whole Wh."""


class AllocationError(ValueError):
    """Trades that cannot be allocated or settled; code says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Trade(NamedTuple):
    """What was agreed for one interval of a trade. Intervals are joined by id, never by time."""

    trade: str
    interval: int
    buyer_meter: str
    seller_meter: str
    quantity_kwh: Decimal
    price_per_kwh: Decimal


class Rounds(NamedTuple):
    """The allocations of one trade in one interval, in kWh; None awaits a reading.

    The seller's utility allocates (to be confirmed), then the buyer's within that: this is
    final, the smaller of the two sides. A third round, the seller's within the buyer's, can
    only repeat it.
    """

    seller_kwh: Decimal | None
    final_kwh: Decimal | None


@dataclass(frozen=True)
class Rates:
    """Charges per kWh, and how amounts are rounded; minor_unit counts the decimals.

    Raises AllocationError (E_ROUNDING) for a rounding that is none.
    """

    wheeling_buyer_per_kwh: Decimal = Decimal(0)
    wheeling_seller_per_kwh: Decimal = Decimal(0)
    penalty_per_kwh: Decimal = Decimal(0)
    rounding: str = "HALF_UP"
    minor_unit: int = 2

    def __post_init__(self) -> None:
        if self.rounding not in ROUNDINGS:
            message = f"{self.rounding} is no rounding; known are {', '.join(ROUNDINGS)}"
            raise AllocationError("E_ROUNDING", message)


def pro_rata(meter: str, trades: Sequence[Trade], imported_kwh: Decimal) -> dict[str, Decimal]:
    """Share a meter's reading of one interval among its trades: kWh by trade.

    Its net is what it buys less what it sells. Each trade gets the part of its quantity
    that the reading is of the net, none if the signs differ, all if the net is zero.

    Each side's total is rounded down to whole Wh, and shared by largest remainder, ties
    by name: bought less sold is the reading, to the Wh, whenever it is below the net.

    Raises AllocationError for trades that are not all of this meter and of one interval
    (E_OTHER_METER), and as `allocate` does.

    Source: DEG ledger API 0.4.0, /ledger/allocate; reference_impl/README.md, Allocation.
    """
    _refuse_wrong(trades)
    strange = any(meter not in (one.buyer_meter, one.seller_meter) for one in trades)
    if strange or len({one.interval for one in trades}) > 1:
        message = f"a reading is shared by the trades of {meter} in one interval; give only those"
        raise AllocationError("E_OTHER_METER", message)
    wh = {one.trade: int(Fraction(one.quantity_kwh) * WATT_HOURS) for one in trades}
    bought = {one.trade: wh[one.trade] for one in trades if one.buyer_meter == meter}
    sold = {one.trade: wh[one.trade] for one in trades if one.seller_meter == meter}
    net_wh = sum(bought.values()) - sum(sold.values())
    ratio = Fraction(imported_kwh) * WATT_HOURS / net_wh if net_wh else Fraction(1)
    ratio = max(Fraction(), min(Fraction(1), ratio))
    return _share(bought, ratio) | _share(sold, ratio)


def allocate(
    trades: Sequence[Trade], imported_kwh: Mapping[tuple[str, int], Decimal]
) -> dict[tuple[str, int], Rounds]:
    """Allocate all trades in rounds: what each got, by trade and interval.

    imported_kwh: reading by meter and interval; a trade waits until both its meters are
    read. All trades of a meter in an interval must be given, for they share its reading.

    Raises AllocationError for a trade given twice in an interval (E_DUPLICATE_TRADE), with
    itself (E_SAME_METER), below zero (E_NEGATIVE) or finer than a Wh (E_NOT_WHOLE_WH).

    Source: DEG, note on allocation and settlement logic, section 5 (pro rata, three
    rounds, smaller of two sides); reference_impl/README.md, Allocation.
    """
    _refuse_wrong(trades)
    of_meter: defaultdict[tuple[str, int], list[Trade]] = defaultdict(list)
    for one in trades:
        of_meter[one.buyer_meter, one.interval].append(one)
        of_meter[one.seller_meter, one.interval].append(one)
    shares = {
        place: pro_rata(place[0], of_meter[place], reading)
        for place, reading in imported_kwh.items()
        if place in of_meter
    }
    rounds: dict[tuple[str, int], Rounds] = {}
    for one in trades:
        seller = shares.get((one.seller_meter, one.interval), {}).get(one.trade)
        buyer = shares.get((one.buyer_meter, one.interval), {}).get(one.trade)
        if seller is None or buyer is None:
            rounds[one.trade, one.interval] = Rounds(seller, None)
        else:
            rounds[one.trade, one.interval] = Rounds(seller, min(buyer, seller))
    return rounds


def settle_trade(
    rates: Rates, trades: Sequence[Trade], final_kwh: Mapping[int, Decimal]
) -> list[Flow]:
    """Settle one trade over all its intervals: flows between the four roles.

    trades: its intervals; final_kwh: what was finally allocated, by interval id. The
    buyer's platform pays the energy; either platform pays wheeling on it to its own
    utility, and the seller's a penalty on what is missing of the agreed quantity. Each
    amount is rounded once, half away from zero if HALF_UP.

    Raises AllocationError for no single trade (E_NOT_ONE_TRADE), intervals that are not the
    trade's (E_INTERVALS: an interval awaits its allocation, or is unknown), and more
    allocated than agreed, or less than nothing (E_OVER_ALLOCATED).

    Source: the contract policy `deg.contracts.p2p_trading`, revenue flows;
    reference_impl/README.md, Allocation.
    """
    _refuse_wrong(trades)
    if len({one.trade for one in trades}) != 1:
        raise AllocationError("E_NOT_ONE_TRADE", "settle the intervals of one trade at a time")
    if {one.interval for one in trades} != set(final_kwh):
        message = f"allocated are the intervals {sorted(final_kwh)}, not those that were agreed"
        raise AllocationError("E_INTERVALS", message)
    money = energy_kwh = short_kwh = Fraction()
    for one in trades:
        final = final_kwh[one.interval]
        if not 0 <= final <= one.quantity_kwh:
            message = f"interval {one.interval}: {final} of {one.quantity_kwh} kWh are allocated"
            raise AllocationError("E_OVER_ALLOCATED", message)
        money += Fraction(final) * Fraction(one.price_per_kwh)
        energy_kwh += Fraction(final)
        short_kwh += Fraction(one.quantity_kwh) - Fraction(final)
    buyer, seller, buyer_discom, seller_discom = ROLES
    payer, payee = (buyer, seller) if money >= 0 else (seller, buyer)
    amounts = (
        (payer, payee, "ENERGY", abs(money)),
        (buyer, buyer_discom, "WHEELING", energy_kwh * Fraction(rates.wheeling_buyer_per_kwh)),
        (seller, seller_discom, "WHEELING", energy_kwh * Fraction(rates.wheeling_seller_per_kwh)),
        (seller, seller_discom, "DEVIATION_PENALTY", short_kwh * Fraction(rates.penalty_per_kwh)),
    )
    flows = [
        Flow(owes, owed, kind, rounded(exact, rates.rounding, rates.minor_unit))
        for owes, owed, kind, exact in amounts
    ]
    return [flow for flow in flows if flow.amount]


def role_values(flows: Sequence[Flow]) -> dict[str, Decimal]:
    """Sum what each of the four roles receives less what it pays; the values sum to zero."""
    return dict.fromkeys(ROLES, Decimal(0)) | positions(flows)


def _share(wh: Mapping[str, int], ratio: Fraction) -> dict[str, Decimal]:
    exact = {name: quantity * ratio for name, quantity in wh.items()}
    whole = shared(exact, int(sum(wh.values()) * ratio))
    return {name: Decimal(count) / WATT_HOURS for name, count in whole.items()}


def _refuse_wrong(trades: Collection[Trade]) -> None:
    for error in _errors(trades):
        raise error


def _errors(trades: Collection[Trade]) -> Iterator[AllocationError]:
    if len({(one.trade, one.interval) for one in trades}) < len(trades):
        yield AllocationError("E_DUPLICATE_TRADE", "a trade is given twice in an interval")
    for one in trades:
        where = f"trade {one.trade}, interval {one.interval}"
        if one.buyer_meter == one.seller_meter:
            yield AllocationError("E_SAME_METER", f"{where}: {one.buyer_meter} trades with itself")
        if one.quantity_kwh < 0:
            message = f"{where}: {one.quantity_kwh} kWh; the sides say who sells"
            yield AllocationError("E_NEGATIVE", message)
        if Fraction(one.quantity_kwh) * WATT_HOURS % 1:
            message = f"{where}: {one.quantity_kwh} kWh; agree on whole Wh"
            yield AllocationError("E_NOT_WHOLE_WH", message)
