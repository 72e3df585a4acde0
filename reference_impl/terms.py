"""Terms: what the parties of a settlement agreed, what they traded, what they pay.

Belongs here: the data that settlement works on. Does not belong here: any arithmetic.

Prices and charges are per kWh; power is in kW, energy in kWh, both signed, export positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, NamedTuple

from gridwitness.reference_impl.rounding import ROUNDINGS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

MODES = ("AS_CLEARED", "TWO_SETTLEMENT", "ACTUALS_CAPPED", "VIRTUAL_METER")
SHARED = ("ENERGY", "FEE", "PLATFORM_FEE", "WHEELING")
"""The kinds whose total is rounded a side at a time; of all others each amount is."""

KINDS = (
    *SHARED,
    "WHEELING_REMIT",
    "CONGESTION_RENT",
    "IMBALANCE_SHORT",
    "IMBALANCE_LONG",
    "DEVIATION_PENALTY",
    "VIRTUAL_METER_DEVIATION",
    "TAX",
)
TAXABLE = (*SHARED, "IMBALANCE_SHORT", "IMBALANCE_LONG", "DEVIATION_PENALTY")
"""The kinds that a participant may have to pay, tax aside."""


@dataclass(frozen=True)
class Tax:
    """A share of the amounts of some kinds, owed to the government by whoever pays them.

    per: "line" rounds the tax on each amount, "invoice" the tax on a payer's sum of them.
    """

    rate: Decimal
    base: tuple[str, ...]
    per: Literal["line", "invoice"]


@dataclass(frozen=True)
class Terms:
    """What the parties agreed: every parameter of the settlement, none assumed.

    Prices are per kWh. minor_unit counts the decimals of the currency. penalty_band is
    the share of the cleared energy within which a deviation costs nothing; penalty_payee
    is the grid operator where it is empty. mode says what a deviation changes: nothing
    (AS_CLEARED), it is bought or sold at the short and long price (TWO_SETTLEMENT), only
    what was delivered is traded (ACTUALS_CAPPED), or the clearing agent pays for what all
    meters sum to (VIRTUAL_METER).

    Raises ValueError for a rounding or a mode that is none.
    """

    currency: str
    fee_per_kwh: Decimal = Decimal(0)
    wheeling_buyer_per_kwh: Decimal = Decimal(0)
    wheeling_seller_per_kwh: Decimal = Decimal(0)
    penalty_per_kwh: Decimal = Decimal(0)
    penalty_band: Decimal = Decimal(0)
    rounding: str = "HALF_UP"
    minor_unit: int = 2
    platform_fee_per_kwh: Decimal = Decimal(0)
    mode: str = "AS_CLEARED"
    short_price_per_kwh: Decimal = Decimal(0)
    long_price_per_kwh: Decimal = Decimal(0)
    virtual_meter_per_kwh: Decimal = Decimal(0)
    penalty_payee: str = ""
    tax: Tax | None = None

    def __post_init__(self) -> None:
        if self.rounding not in ROUNDINGS or self.mode not in MODES:
            known = ", ".join((*ROUNDINGS, *MODES))
            raise ValueError(f"{self.rounding}, {self.mode}: known are {known}")


class Trade(NamedTuple):
    """What one participant cleared, in kW, and metered over the interval, in kWh, both signed.

    Who is not metered deviates in nothing. price_per_kwh is the price at the participant's
    node; None is the price of the whole market.
    """

    participant: str
    cleared_kw: Decimal
    metered_kwh: Decimal | None = None
    price_per_kwh: Decimal | None = None


class Parties(NamedTuple):
    """Those who are no participants: the conduit of the money, the network, who else is paid."""

    clearing_agent: str
    grid_operator: str
    platform: str = "PLATFORM"
    government: str = "GOVERNMENT"


class Inputs(NamedTuple):
    """One interval to settle: what was agreed, its length, what cleared and what was metered."""

    terms: Terms
    hours: Fraction
    price_per_kwh: Decimal
    trades: Sequence[Trade]
    parties: Parties


class Flow(NamedTuple):
    """One payment: amount in the currency's minor unit, never negative.

    currency is named by who claims the payment; empty is the currency of the terms.
    """

    payer: str
    payee: str
    kind: str
    amount: Decimal
    currency: str = ""


class Due(NamedTuple):
    """What one party owes another before rounding; a negative amount is owed the other way."""

    payer: str
    payee: str
    kind: str
    amount: Fraction


class Discrepancy(NamedTuple):
    """A condition that does not hold: code, the payment, what is, what is right, how far off."""

    code: str
    payer: str
    payee: str
    kind: str
    observed: str
    expected: str
    size: Decimal
