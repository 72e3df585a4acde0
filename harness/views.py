"""Views: what rules and steps speak of, the same in every dialect.

Belongs here: frozen dataclasses with units in their names. Does not belong here:
where a dialect keeps them (dialects), what is right about them (rules).

A view knows where it was read: `at` maps a field's name to the JSON Pointer of
its value, the empty name to the pointer of the whole. It plays no part in equality.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal  # noqa: TC003
from fractions import Fraction  # noqa: TC003
from typing import TYPE_CHECKING, NamedTuple

from gridwitness.reference_impl.curves import Curve, Number, Point, curve_problems
from gridwitness.reference_impl.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.reference_impl.curves import OfferProblem

Pointers = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class View:
    """Something read from a message."""

    at: Pointers = field(default_factory=dict[str, str], compare=False, repr=False)

    def pointer(self, name: str = "") -> str:
        """Give the JSON Pointer of a field, or of the whole view where the field has none."""
        return self.at.get(name, self.at.get("", ""))


@dataclass(frozen=True, kw_only=True)
class Envelope(View):
    """The context of a message. Absent fields are None; uris are absolute."""

    action: str | None
    version: str | None = None
    bap_id: str | None = None
    bap_uri: str | None = None
    bpp_id: str | None = None
    bpp_uri: str | None = None
    transaction_id: str | None = None
    message_id: str | None = None
    timestamp: str | None = None
    ttl: str | None = None
    network_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Interval(View):
    """A delivery interval: RFC 3339 start, length in hours."""

    start: str
    duration_h: Fraction


@dataclass(frozen=True, kw_only=True)
class OfferCurve(View):
    """A curve as it was sent, valid or not: prices per kWh, powers in kW, export positive."""

    currency: str | None
    min_export_kw: Number
    max_export_kw: Number
    points: tuple[Point, ...]

    def problems(self) -> Iterator[OfferProblem]:
        """Yield why this is no offer curve; nothing when it is one."""
        return curve_problems(self.currency, self.min_export_kw, self.max_export_kw, self.points)

    def curve(self) -> Curve:
        """Give the curve to compute with; raises OfferError when it is none."""
        return Curve(self.currency or "", self.min_export_kw, self.max_export_kw, self.points)


@dataclass(frozen=True, kw_only=True)
class Approval(View):
    """What the utility grants a meter, in kW, beside what it has already granted."""

    approved_max_trade_kw: Decimal
    sanctioned_load_kw: Decimal | None = None
    committed_kw: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class ClearingResult(View):
    """What one participant cleared. The utility is told the power, not the price."""

    cleared_power_kw: Decimal
    clearing_price_per_kwh: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Charges(View):
    """The parameters of the settlement; rates are per kWh. None is not stated."""

    currency: str
    fee_per_kwh: Decimal | None = None
    wheeling_buyer_per_kwh: Decimal | None = None
    wheeling_seller_per_kwh: Decimal | None = None
    penalty_per_kwh: Decimal | None = None
    penalty_band: Decimal | None = None
    rounding: str | None = None
    minor_unit: int | None = None

    def terms(self) -> Terms:
        """Give the terms to settle by; what is not stated is free, or the terms' default."""
        stated = {name: value for name, value in self.__dict__.items() if value is not None}
        stated.pop("at")
        return Terms(**stated)


@dataclass(frozen=True, kw_only=True)
class MeterReading(View):
    """The energy a meter registered over the interval, in kWh, export positive."""

    meter_id: str
    energy_kwh: Decimal


@dataclass(frozen=True, kw_only=True)
class RevenueFlow(View):
    """One payment between two parties, by their ids."""

    payer: str
    payee: str
    kind: str
    amount: Decimal
    currency: str


@dataclass(frozen=True, kw_only=True)
class Position(View):
    """What one party receives, less what it pays, in one contract."""

    party: str
    value: Decimal
    currency: str


@dataclass(frozen=True, kw_only=True)
class SettlementReport(View):
    """The money of one contract: every payment, and what is left to each party."""

    flows: tuple[RevenueFlow, ...]
    positions: tuple[Position, ...]


@dataclass(frozen=True, kw_only=True)
class Offer(View):
    """An offer of a catalogue to trade in a market."""

    offer_id: str
    provider_id: str | None
    pricing_model: str | None
    clearing_agent_id: str | None
    interval: Interval | None
    charges: Charges | None


@dataclass(frozen=True, kw_only=True)
class EnergyContract(View):
    """What one participant agreed, as far as the message tells.

    status is PENDING, ACTIVE, COMPLETED or TERMINATED in every dialect.
    """

    contract_id: str | None = None
    status: str | None = None
    offer_id: str | None = None
    participant_id: str | None = None
    clearing_agent_id: str | None = None
    grid_operator_id: str | None = None
    meter_id: str | None = None
    interval: Interval | None = None
    curve: OfferCurve | None = None
    requested_kw: Decimal | None = None
    approval: Approval | None = None
    charges: Charges | None = None
    clearing: ClearingResult | None = None
    readings: tuple[MeterReading, ...] = ()
    settlement: SettlementReport | None = None


@dataclass(frozen=True, kw_only=True)
class Intent(View):
    """What a discover asks for: offers to trade in an interval."""

    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class ProtocolError(View):
    """An error a message carries: its code and text."""

    code: str | None
    text: str | None


class Stated(NamedTuple):
    """One thing a message states about a deal, to be compared with what others state of it.

    kind     what it is: quantity, price, currency, validity, delivery, meter, party ... (see
             dialects.lines, lifecycle.toml); a state is of the kind "contract state" and so on
    of       of which line, offer, resource or party; empty for the deal as a whole
    value    as it was sent: a text, a number, a pair of instants, a table of numbers
    pointer  where it stands
    """

    kind: str
    of: str
    value: Hashable
    pointer: str


@dataclass(frozen=True)
class Problem:
    """Something that could not be read: where, and why."""

    pointer: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Everything read from one message."""

    envelope: Envelope
    intent: Intent | None = None
    offers: tuple[Offer, ...] = ()
    contract: EnergyContract | None = None
    error: ProtocolError | None = None
    problems: tuple[Problem, ...] = field(default=(), compare=False)
