"""Views: what rules and steps speak of, the same in every dialect.

Belongs here: frozen dataclasses with units in their names. Does not belong here:
where a dialect keeps them (dialects), what is right about them (rules).

A view knows where it was read: `at` maps a field's name to the JSON Pointer of
its value, the empty name to the pointer of the whole. It plays no part in equality.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from gridwitness.reference_impl.curves import Curve, Number, Point, curve_problems
from gridwitness.reference_impl.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gridwitness.reference_impl.curves import OfferProblem

Pointers = Mapping[str, str]
Read = TypeVar("Read")


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
    """What one participant cleared. The utility is told the power, not the price.

    local_price_per_kwh: the price where the participant stands in the grid; None where
    there is but one price.
    """

    cleared_power_kw: Decimal
    clearing_price_per_kwh: Decimal | None = None
    local_price_per_kwh: Decimal | None = None

    @property
    def own_price_per_kwh(self) -> Decimal | None:
        """The price that the participant pays or is paid."""
        if self.local_price_per_kwh is not None:
            return self.local_price_per_kwh
        return self.clearing_price_per_kwh


@dataclass(frozen=True, kw_only=True)
class Charges(View):
    """The parameters of the settlement; rates are per kWh. None is not stated.

    mode: what a deviation changes, as reference_impl.terms.Terms has it.
    """

    currency: str
    fee_per_kwh: Decimal | None = None
    wheeling_buyer_per_kwh: Decimal | None = None
    wheeling_seller_per_kwh: Decimal | None = None
    penalty_per_kwh: Decimal | None = None
    penalty_band: Decimal | None = None
    mode: str | None = None
    virtual_meter_per_kwh: Decimal | None = None
    short_price_per_kwh: Decimal | None = None
    long_price_per_kwh: Decimal | None = None
    rounding: str | None = None
    minor_unit: int | None = None

    def terms(self) -> Terms:
        """Give the terms to settle by; what is not stated is free, or the terms' default."""
        stated = {name: value for name, value in self.__dict__.items() if value is not None}
        stated.pop("at")
        return Terms(**stated)


@dataclass(frozen=True, kw_only=True)
class MeterReading(View):
    """The energy a meter registered, in kWh, export positive.

    start, end: RFC 3339; None where it is the whole interval of the contract.
    """

    meter_id: str
    energy_kwh: Decimal
    start: str | None = None
    end: str | None = None


@dataclass(frozen=True, kw_only=True)
class Objective(View):
    """What a grid operator wants to buy: less load, by so much, at no more than a price.

    target_kw: the reduction, not below zero. methodology: how the baseline is found, as 3of5.
    """

    target_kw: Decimal
    max_price_per_kwh: Decimal
    currency: str | None = None
    interval: Interval | None = None
    methodology: str | None = None


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
    """The money of one contract: every payment, and what is left to each party.

    inputs: the quantities that it rests on, by the names that formulas have for them. replaces:
    the report that it corrects; adjustments: what remains to be paid after that one.
    """

    flows: tuple[RevenueFlow, ...]
    positions: tuple[Position, ...]
    report_id: str | None = None
    generated_at: str | None = None
    replaces: str | None = None
    inputs: tuple[Term, ...] = ()
    adjustments: tuple[RevenueFlow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Part(View):
    """One part of a price: UNIT, TAX, DELIVERY, DISCOUNT, FEE or SURCHARGE, and its words."""

    kind: str | None
    amount: Decimal
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Bill(View):
    """What one participant pays for its trade, or is paid, with its parts.

    Energy is unsigned: it was sold where to_participant is set, bought where not; it and its
    price are None where no one price tells the whole. A part that runs against the rest is
    negative. is_due: it is to be paid; a quote is not.
    """

    value: Decimal
    currency: str
    parts: tuple[Part, ...]
    energy_kwh: Decimal | None = None
    price_per_kwh: Decimal | None = None
    to_participant: bool = False
    is_due: bool = True


@dataclass(frozen=True, kw_only=True)
class Block(View):
    """A building block that has no view of its own, as it was sent.

    slot: item, offer, contract or fulfilment; name: the member that holds it there;
    data: its parsed JSON.
    """

    slot: str
    name: str
    data: object


@dataclass(frozen=True, kw_only=True)
class Term(View):
    """A quantity that somebody states, by its name; unit as `kWh` or `INR/kWh`, None for none."""

    name: str
    value: Decimal
    unit: str | None = None


@dataclass(frozen=True, kw_only=True)
class Role(View):
    """A part in a deal in market words, who has it (None: nobody yet), and what it brings."""

    name: str
    holder_id: str | None = None
    meter_id: str | None = None
    terms: tuple[Term, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Due(View):
    """What one role is to pay another: a formula over what the deal and its delivery state."""

    payer: str
    payee: str
    kind: str
    formula: str


@dataclass(frozen=True, kw_only=True)
class Promise(View):
    """How good a service is to be, and what is due where it is not.

    formula: of the measure; bound: AT_LEAST or AT_MOST the target, whose unit the measure has.
    """

    name: str
    formula: str
    target: Decimal
    bound: str
    due: Due
    unit: str | None = None


@dataclass(frozen=True, kw_only=True)
class Source(View):
    """Where a formula's name gets its value after delivery.

    kind: METER_READING (of meter_id) or CHARGE_DATA_RECORD, as OCPI and the drafts call it.
    signal: each reading counts times the value of this signal then. unit: of what is taken of
    a record, its energy where it is kWh, else its cost.
    """

    name: str
    kind: str
    meter_id: str | None = None
    signal: str | None = None
    unit: str | None = None


@dataclass(frozen=True, kw_only=True)
class Column(View):
    """A column of an interval table: its name, its unit as a Term has it, the role that writes it.

    The name is a market word (dialects.tables), or the payload type where nobody has one.
    """

    name: str
    unit: str | None = None
    role: str | None = None


@dataclass(frozen=True, kw_only=True)
class IntervalTable(View):
    """What is agreed interval by interval: a table that grows, each column written by one role.

    interval is the first of them, all are as long. rows: by column the values of each interval;
    a stepped offer has several.
    """

    interval: Interval | None
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, tuple[Decimal, ...]], ...]

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    def values(self, name: str) -> tuple[Decimal | None, ...]:
        """Give the first value of a column, interval by interval."""
        return tuple(next(iter(row.get(name, ())), None) for row in self.rows)


@dataclass(frozen=True, kw_only=True)
class Deal(View):
    """What two parties agree, and those who have a part in it, as far as a message tells.

    status is PENDING, ACTIVE, COMPLETED or TERMINATED in every dialect. provider_id answers
    (BPP), customer_id asks (BAP). Each payment is rounded by itself, to minor_unit decimals.
    arrival: when the customer is awaited; grace_h: how long after it what is reserved is kept.
    """

    contract_id: str | None = None
    status: str | None = None
    offer_id: str | None = None
    resource_id: str | None = None
    provider_id: str | None = None
    customer_id: str | None = None
    interval: Interval | None = None
    arrival: Interval | None = None
    grace_h: Fraction | None = None
    roles: tuple[Role, ...] = ()
    dues: tuple[Due, ...] = ()
    promises: tuple[Promise, ...] = ()
    sources: tuple[Source, ...] = ()
    minor_unit: int | None = None
    rounding: str | None = None
    table: IntervalTable | None = None
    blocks: tuple[Block, ...] = ()
    readings: tuple[MeterReading, ...] = ()
    settlement: SettlementReport | None = None
    bill: Bill | None = None

    def role(self, name: str) -> Role | None:
        return next((role for role in self.roles if role.name == name), None)

    def term(self, name: str) -> Term | None:
        """Find a quantity of any role by its name."""
        return next((t for role in self.roles for t in role.terms if t.name == name), None)

    def block(self, slot: str, name: str) -> Block | None:
        return next((b for b in self.blocks if (b.slot, b.name) == (slot, name)), None)


@dataclass(frozen=True, kw_only=True)
class Offer(View):
    """An offer of a catalogue: to trade in a market, or a deal that somebody may join.

    It can be taken from valid_from until valid_until, RFC 3339; None is open. Who withdraws
    it says that it is not active any more.
    """

    offer_id: str
    provider_id: str | None
    pricing_model: str | None
    clearing_agent_id: str | None
    interval: Interval | None
    charges: Charges | None
    deal: Deal | None = None
    blocks: tuple[Block, ...] = ()
    valid_from: str | None = None
    valid_until: str | None = None
    is_active: bool = True
    resource_id: str | None = field(default=None, compare=False)
    """What it is of; beside a deal, which says so too."""

    def block(self, slot: str, name: str) -> Block | None:
        return next((b for b in self.blocks if (b.slot, b.name) == (slot, name)), None)


@dataclass(frozen=True, kw_only=True)
class Catalogue(View):
    """What one provider publishes together, or what of it a search finds.

    merges: it is laid over what was published under its id before, not put in its place.
    """

    catalogue_id: str | None
    provider_id: str | None
    bpp_id: str | None = None
    bpp_uri: str | None = None
    is_active: bool = True
    merges: bool = False
    offers: tuple[Offer, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PublishResult(View):
    """What became of a published catalogue: ACCEPTED, REJECTED or PARTIAL."""

    catalogue_id: str | None
    status: str | None
    offer_count: int | None = None


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
    bill: Bill | None = None
    blocks: tuple[Block, ...] = ()

    def block(self, slot: str, name: str) -> Block | None:
        return next((b for b in self.blocks if (b.slot, b.name) == (slot, name)), None)


@dataclass(frozen=True, kw_only=True)
class Gathered(View):
    """What somebody offers for many: by an id, one curve."""

    member_id: str
    curve: OfferCurve


@dataclass(frozen=True, kw_only=True)
class AggregationRequest(View):
    """Curves that are sent up to be cleared together with others, for one interval."""

    members: tuple[Gathered, ...]
    interval: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class MemberSetpoint(View):
    """The power that one of the gathered curves is to give, in kW, export positive."""

    member_id: str
    power_kw: Decimal


@dataclass(frozen=True, kw_only=True)
class AggregationResult(View):
    """What comes back down: the price of the whole market, the price here, a power each."""

    clearing_price_per_kwh: Decimal | None
    setpoints: tuple[MemberSetpoint, ...]
    local_price_per_kwh: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True, kw_only=True)
class NodeState(View):
    """What a grid node tells of itself: limits in kW, prices per kWh, load in percent.

    parent_id is None below the root. price is its own sum of base, load and adder.
    """

    node_id: str
    parent_id: str | None = None
    max_forward_kw: Decimal | None = None
    max_reverse_kw: Decimal | None = None
    base_price: Decimal | None = None
    load_percent: Decimal | None = None
    adder_per_percent: Decimal | None = None
    price: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Command(View):
    """An offset that a grid operator commands, in kW; redispatch: it leads off the own curve."""

    offset_kw: Decimal
    is_redispatch: bool = False


@dataclass(frozen=True, kw_only=True)
class Nearby(View):
    """Where a search looks: within so many metres of a point, in degrees of WGS 84.

    onward: the points after it, each longitude and latitude, where it looks along a route.
    """

    longitude: Decimal
    latitude: Decimal
    within_m: Decimal
    onward: tuple[tuple[Decimal, Decimal], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Intent(View):
    """What a discover asks for: offers that fit in all that it names.

    is_whole: nothing that it asks for is missing here.
    """

    interval: Interval | None
    nearby: Nearby | None = None
    connector_type: str | None = None
    min_power_kw: Decimal | None = None
    provider_id: str | None = None
    is_whole: bool = True


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
    """Everything read from one message.

    catalogues holds the offers once more, as they stand in it; None where it has no list of them.
    """

    envelope: Envelope
    intent: Intent | None = None
    offers: tuple[Offer, ...] = ()
    catalogues: tuple[Catalogue, ...] | None = field(default=None, compare=False)
    results: tuple[PublishResult, ...] = ()
    contract: EnergyContract | None = None
    deal: Deal | None = None
    request: AggregationRequest | None = None
    result: AggregationResult | None = None
    error: ProtocolError | None = None
    problems: tuple[Problem, ...] = field(default=(), compare=False)


# What published messages state about money and energy; see gridwitness.dialects.amounts.


@dataclass(frozen=True, kw_only=True)
class Line(View):
    """One line of an order: so much of a thing, at a price that holds for `per` of it."""

    quantity: Decimal
    price: Decimal
    per: Decimal = Decimal(1)

    @property
    def amount(self) -> Fraction:
        return Fraction(self.quantity) * Fraction(self.price) / Fraction(self.per)


@dataclass(frozen=True, kw_only=True)
class Quote(View):
    """A price with its parts, and the lines it is for where all of them are priced.

    delivered: the message tells a delivered quantity, which may be what is charged.
    """

    value: Decimal
    currency: str | None
    parts: tuple[Part, ...] = ()
    lines: tuple[Line, ...] = ()
    delivered: bool = False


@dataclass(frozen=True, kw_only=True)
class Payment(View):
    """A payment, beside the amount that the same message says is due."""

    amount: Decimal
    currency: str | None
    due: Decimal
    due_currency: str | None


@dataclass(frozen=True, kw_only=True)
class Total(View):
    """A total, and what it totals."""

    what: str
    value: Decimal
    currency: str | None
    summands: tuple[Decimal, ...]


@dataclass(frozen=True, kw_only=True)
class EnergyFlow(View):
    """What flowed in one period, beside what the meters at both ends showed at its end."""

    energy_kwh: Decimal | None = None
    source_kwh: Decimal | None = None
    target_kwh: Decimal | None = None
    start: str | None = None
    end: str | None = None


@dataclass(frozen=True, kw_only=True)
class Delivery(View):
    """A delivery: how much in all, its periods, and when it was to be."""

    delivered_kwh: Decimal | None
    flows: tuple[EnergyFlow, ...]
    start: str | None = None
    end: str | None = None


@dataclass(frozen=True, kw_only=True)
class Metric(View):
    """One value of telemetry: POWER, ENERGY and the like, in the unit it is given in."""

    name: str
    unit: str


@dataclass(frozen=True, kw_only=True)
class Window(View):
    """Until when an offer is valid, and when its delivery begins."""

    valid_until: str
    delivered_from: str


@dataclass(frozen=True, kw_only=True)
class PowerMarket(View):
    """A cleared market as one message tells it: kW by party, export positive.

    whole: the message claims that these are all parties.
    """

    powers_kw: Mapping[str, Decimal]
    whole: bool
    price_per_kwh: Decimal | None = None
    approved_kw: Decimal | None = None
    curves: Mapping[str, OfferCurve] = field(default_factory=dict[str, OfferCurve])


@dataclass(frozen=True, kw_only=True)
class Aggregation(View):
    """What many curves clear at: the quantity in kW, a setpoint each, the aggregate maxima."""

    quantity_kw: Decimal | None
    setpoints_kw: tuple[Decimal, ...]
    supply_kw: Decimal | None = None
    demand_kw: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Table(View):
    """An interval time series: its columns by payload type.

    units maps a declared payload type to its unit, None where it has none; ids and rows
    have one entry an interval. Values that are no numbers are left out; `used` names
    every column that appears.
    """

    start: str | None
    duration_h: Fraction | None
    units: Mapping[str, str | None]
    used: frozenset[str]
    ids: tuple[Decimal | None, ...]
    rows: tuple[Mapping[str, tuple[Decimal, ...]], ...]

    def column(self, kind: str) -> tuple[Decimal | None, ...]:
        """Give the first value of a column, interval by interval."""
        return tuple(next(iter(row.get(kind, ())), None) for row in self.rows)


@dataclass(frozen=True, kw_only=True)
class CommittedTable(View):
    """A commitment: how much of a resource, the resource's own table, the growing one."""

    quantity: Decimal | None
    unit: str | None
    need: Table | None
    table: Table | None
    penalty_rate_per_kwh: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Performance(View):
    """A measurement: one table a meter, and how many meters have none.

    settles: it counts for the settlement. whole: no page of it is still to come.
    """

    meters: tuple[Table, ...]
    unread: int
    settles: bool
    whole: bool


@dataclass(frozen=True, kw_only=True)
class MeteredTable(View):
    """What a utility read of a meter, in kWh, export negative."""

    contract_id: str | None
    meter_id: str
    table: Table


@dataclass(frozen=True, kw_only=True)
class TradeTable(View):
    """The table of a peer-to-peer trade, and the meters at both ends of it."""

    contract_id: str | None
    buyer_meter_id: str | None
    seller_meter_id: str | None
    table: Table


@dataclass(frozen=True, kw_only=True)
class Adder(View):
    """What a grid node adds to a price; its price, and what it is made of, per kWh."""

    price: Decimal
    base_price: Decimal
    load_percent: Decimal
    adder_per_percent: Decimal


@dataclass(frozen=True, kw_only=True)
class Paid(View):
    """When a payment was made, as the message says."""

    at_time: str


@dataclass(frozen=True, kw_only=True)
class Consideration(View):
    """An amount that a contract is for."""

    consideration_id: str | None
    amount: Decimal
    currency: str | None


@dataclass(frozen=True, kw_only=True)
class RoleFlows(View):
    """What each role of a contract receives, payments negative, in one list."""

    entries: tuple[Position, ...]

    def value(self, *roles: str) -> Decimal | None:
        """Give what some roles receive together; None where none of them is named."""
        found = [entry.value for entry in self.entries if entry.party in roles]
        return sum(found, Decimal(0)) if found else None


@dataclass(frozen=True, kw_only=True)
class Reference(View):
    """A settlement's reference to a consideration, and whether the message holds that."""

    consideration_id: str
    found: bool


@dataclass(frozen=True, kw_only=True)
class Amounts(View):
    """Everything one message states about money and energy."""

    quotes: tuple[Quote, ...] = ()
    payments: tuple[Payment, ...] = ()
    totals: tuple[Total, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    metrics: tuple[Metric, ...] = ()
    windows: tuple[Window, ...] = ()
    market: PowerMarket | None = None
    aggregation: Aggregation | None = None
    commitments: tuple[CommittedTable, ...] = ()
    tables: tuple[Table, ...] = ()
    performances: tuple[Performance, ...] = ()
    considerations: tuple[Consideration, ...] = ()
    declared_totals: tuple[Decimal, ...] = ()
    flows: tuple[RoleFlows, ...] = ()
    references: tuple[Reference, ...] = ()
    metered: tuple[MeteredTable, ...] = ()
    trades: tuple[TradeTable, ...] = ()
    adders: tuple[Adder, ...] = ()
    paid: tuple[Paid, ...] = ()


def moved(read: Read, place: Callable[[str], str]) -> Read:
    """Give what was read with its pointers put elsewhere: those of every view and problem."""
    return cast("Read", _moved(read, place))


def _moved(value: object, place: Callable[[str], str]) -> object:
    if type(value) is tuple:  # not a point of a curve, which is a tuple, too
        return tuple(_moved(item, place) for item in cast("tuple[object, ...]", value))
    if isinstance(value, Problem):
        return replace(value, pointer=place(value.pointer))
    if not isinstance(value, View | Reading):
        return value
    changed = {field.name: _moved(getattr(value, field.name), place) for field in fields(value)}
    if isinstance(value, View):
        changed["at"] = {name: place(pointer) for name, pointer in value.at.items()}
    return replace(value, **changed)
