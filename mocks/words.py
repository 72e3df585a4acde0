"""What a row of a sequence carries: each word, and how a reference actor fills it.

Belongs here: what an actor knows of a deal, and from it the content of its messages. Does not
belong here: when a message is sent (exchange), how a word is recognised (rules.sequence.CARRIES),
arithmetic (gridwitness.deals, reference_impl).

Whatever somebody else has said already is passed on as it was said.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from gridwitness import deals
from gridwitness.dialects.blocks import iso_duration, typed
from gridwitness.dialects.tables import COLUMNS
from gridwitness.errors import UserError
from gridwitness.mocks import accounts, measuring
from gridwitness.mocks.draws import end_of
from gridwitness.reference_impl.allocation import Trade, pro_rata
from gridwitness.rules.sequence import DELIVERY, SESSION
from gridwitness.signals import signals_in
from gridwitness.story import BUYER_UTILITY, SELLER_UTILITY
from gridwitness.views import (
    Bill,
    Block,
    Column,
    Deal,
    IntervalTable,
    MeterReading,
    Offer,
    Part,
    Role,
    Source,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from gridwitness.dialects.base import Json
    from gridwitness.mocks.measuring import Telemetered
    from gridwitness.reference_impl.tariff import ChargingPeriod
    from gridwitness.signals import Signal
    from gridwitness.views import Due, Interval, SettlementReport, Term


@dataclass(frozen=True)
class Party:
    """Who takes part: its name, its role in market words, its meter if it has one."""

    name: str
    role: str
    meter_id: str | None = None


class Metered(NamedTuple):
    """What a meter registers, the name that formulas have for it, and in which report it is told.

    A source that is priced by a signal is counted in kWh, and once more at the signal's value.
    """

    source: Source
    reading: MeterReading
    report: int


@dataclass(frozen=True)
class Facts:
    """What a scenario says of an exchange, whoever gets to know it when.

    parties: the first asks, the second answers. terms: by role. readings: what the meters will
    register, later: what they tell after that, one portion after another; sources: the names
    that formulas have for them. tariff: a Tariff block. session: the periods of a charging
    session. tables: what holds in each interval, by the party it is about, "" for whoever has
    none. refusals: who answers which action with an error, on purpose. signals: every value of
    each, from when it holds. beside_customer: the roles to whom who asks alone speaks. ids:
    subscriber ids by name, and silent: the roles that act in no row, once the cast is known.
    telemetry: what is measured of each meter in each interval.
    """

    parties: tuple[Party, ...]
    interval: Interval
    terms: Mapping[str, tuple[Term, ...]] = field(default_factory=dict[str, "tuple[Term, ...]"])
    dues: tuple[Due, ...] = ()
    sources: tuple[Source, ...] = ()
    readings: tuple[MeterReading, ...] = ()
    tariff: Mapping[str, Json] | None = None
    session: tuple[ChargingPeriod, ...] = ()
    tables: Mapping[str, IntervalTable] = field(default_factory=dict[str, "IntervalTable"])
    refusals: frozenset[tuple[str, str]] = frozenset()
    beside_customer: tuple[str, ...] = ()
    later: tuple[tuple[MeterReading, ...], ...] = ()
    signals: tuple[Signal, ...] = ()
    currency: str = "INR"
    rounding: str = "HALF_UP"
    minor_unit: int = 2
    ids: Mapping[str, str] = field(default_factory=dict[str, str])
    silent: tuple[str, ...] = ()
    telemetry: tuple[Telemetered, ...] = ()

    def role_of(self, name: str | None) -> str:
        """Give the role of a party; empty for who is none."""
        return next((party.role for party in self.parties if party.name == name), "")

    def of_role(self, role: str) -> Party | None:
        """Give the first party of a role."""
        return next((party for party in self.parties if party.role == role), None)

    def id_of_role(self, role: str) -> str | None:
        party = self.of_role(role)
        return self.ids.get(party.name) if party else None

    @property
    def customer(self) -> Party:
        """The party that asks; of several the first."""
        return self.parties[0]

    @property
    def provider(self) -> Party:
        """The party that answers: the first of another role than who asks."""
        others = (party for party in self.parties if party.role != self.customer.role)
        return next(others, self.customer)

    def refuses(self, name: str) -> bool:
        """Tell whether a party answers anything with an error on purpose."""
        return any(who == name for who, _ in self.refusals)

    def renamed(self, old: str, new: str) -> Facts:
        """Call a party by another name."""
        return replace(
            self,
            parties=tuple(replace(p, name=new) if p.name == old else p for p in self.parties),
            tables={new if name == old else name: t for name, t in self.tables.items()},
            refusals=frozenset((new if who == old else who, what) for who, what in self.refusals),
        )


@dataclass
class Known:
    """What one party knows of one deal: what is agreed, and what was delivered.

    ledger: the trades that this party keeps, this one and others, by contract id. telling
    holds what the message under way tells beside what is agreed; new_id draws an id, now tells
    the time of day. is_told: the readings are somebody else's; portions counts those of one's
    own. totals: the last value of each running total; reports: the billing reports told so far.
    """

    facts: Facts
    party: Party
    deal: Deal
    new_id: Callable[[], str]
    now: Callable[[], str]
    ledger: dict[str, Deal] = field(default_factory=dict[str, "Deal"])
    readings: tuple[MeterReading, ...] = ()
    is_told: bool = False
    heard_signals: tuple[Signal, ...] = ()
    portions: int = 0
    totals: dict[str, Signal] = field(default_factory=dict[str, "Signal"])
    reports: list[SettlementReport] = field(default_factory=list["SettlementReport"])
    delivered: tuple[Block, ...] = ()
    stated: set[str] = field(default_factory=set[str])
    telling: dict[str, Any] = field(default_factory=dict[str, Any])

    # -- hearing --------------------------------------------------------------------

    def take(self, told: Deal) -> None:
        """Take what the other side of the deal says as agreed, but for what is one's own."""
        self._deliver(told)
        agreed = replace(
            told,
            readings=(),
            settlement=None,
            bill=None,
            blocks=tuple(block for block in told.blocks if block.slot == "contract"),
            at={},
        )
        self.deal = agreed
        for word in PERSISTENT:
            if word in self.stated:
                WORDS[word](self)

    def take_from_third(self, role: str, told: Deal) -> None:
        """Take what a third party says of itself, and what it measured."""
        self._deliver(told)
        theirs = told.role(role)
        if theirs is not None:
            self.deal = with_role(self.deal, replace(theirs, at={}))
        for column in told.table.columns if told.table else ():
            if column.role == role and told.table is not None:
                self.deal = with_column(self.deal, told.table, column)

    def take_offer(self, offer: Offer) -> None:
        """Take an offer as what is to be agreed."""
        if offer.deal is not None:
            self.deal = replace(
                offer.deal,
                offer_id=offer.offer_id,
                interval=offer.deal.interval or self.facts.interval,
                at={},
            )

    def _deliver(self, told: Deal) -> None:
        if told.readings:
            self.readings, self.is_told = told.readings, True
        self.heard_signals = signals_in(told) or self.heard_signals
        heard = {(b.slot, b.name): b for b in (*self.delivered, *told.blocks)}
        self.delivered = tuple(b for b in heard.values() if b.slot == "fulfilment")

    # -- saying ---------------------------------------------------------------------

    @property
    def own_id(self) -> str:
        return self.facts.ids[self.party.name]

    def offer(self) -> Offer:
        """Offer what this party has to offer: the deal, the customer's role still open."""
        customer = self.facts.customer
        deal = self._filled(self.deal)
        roles = tuple(
            Role(name=role.name) if role.name == customer.role else role for role in deal.roles
        )
        return Offer(
            offer_id=_offer_id(self.own_id),
            provider_id=self.own_id,
            pricing_model=None,
            clearing_agent_id=None,
            interval=None,
            charges=None,
            deal=replace(
                deal,
                status="PENDING",
                contract_id=None,
                interval=self.facts.interval,
                roles=roles,
                resource_id=RESOURCE,
            ),
        )

    def said(self) -> Deal:
        """Say what is agreed, with what this message tells beside it."""
        self.deal = self._filled(self.deal)
        return replace(self.deal, **self.telling)

    def _filled(self, deal: Deal) -> Deal:
        """Fill the roles that this party can fill: its own, and those beside it.

        Who asks fills those to whom it alone speaks, and who answers all others.
        """
        customer, provider = self.facts.customer, self.facts.provider
        asks = self.party.role == customer.role
        for party in self.facts.parties:
            role = deal.role(party.role) or Role(name=party.role)
            beside = (
                party.role in self.facts.beside_customer
                if asks
                else self.party == provider
                and party.role not in (customer.role, *self.facts.beside_customer)
            )
            if party == self.party or beside:
                holder, meter = self.facts.ids[party.name], party.meter_id or role.meter_id
                role = replace(role, holder_id=role.holder_id or holder, meter_id=meter)
            deal = with_role(deal, role)
        return replace(
            deal,
            contract_id=deal.contract_id or self.new_id(),
            status=deal.status or "PENDING",
            offer_id=deal.offer_id or _offer_id(self.facts.ids[provider.name]),
            resource_id=deal.resource_id or RESOURCE,
            provider_id=self.facts.ids[provider.name],
            customer_id=deal.customer_id or (self.own_id if asks else None),
        )

    def whole(self) -> Deal:
        """Give the deal with all that is known of its delivery, to compute from."""
        return replace(
            self.said(), readings=self.readings, blocks=(*self.deal.blocks, *self.delivered)
        )

    def with_blocks(self, blocks: tuple[Block, ...]) -> Deal:
        """Give what is agreed with other blocks."""
        return replace(self.deal, blocks=blocks)

    def term(self, name: str) -> Decimal | None:
        """Find a term of any role by its name."""
        found = self.deal.term(name)
        return found and found.value

    @property
    def exceeds_approval(self) -> bool:
        """Whether more energy is to be contracted than the utility approved."""
        approved, contracted = self.term(deals.APPROVED), self.term(deals.CONTRACTED)
        return approved is not None and contracted is not None and contracted > approved


RESOURCE = "energy"


def _offer_id(provider_id: str) -> str:
    return f"offer-of-{provider_id}"


def with_role(deal: Deal, role: Role) -> Deal:
    """Put a role in the place of the one of its name, or behind all others."""
    if deal.role(role.name) is None:
        return replace(deal, roles=(*deal.roles, role))
    return replace(deal, roles=tuple(role if r.name == role.name else r for r in deal.roles))


def _with_block(blocks: tuple[Block, ...], block: Block) -> tuple[Block, ...]:
    others = (b for b in blocks if (b.slot, b.name) != (block.slot, block.name))
    return (*others, block)


# -- the words --------------------------------------------------------------------------


def _terms(known: Known) -> None:
    """State one's own terms; who answers states those of who says nothing, too."""
    own = known.deal.role(known.party.role) or Role(name=known.party.role)
    terms = known.facts.terms.get(known.party.role, ())
    if not terms and not any(role.terms for role in known.deal.roles):
        raise UserError(
            f"the {known.party.role} is to carry terms, and nobody has stated any",
            where="the message sequence",
            mend="state a term of that role, or let the row carry something else",
        )
    known.deal = with_role(known.deal, replace(own, terms=terms))
    if known.party == known.facts.parties[1]:
        for role in known.facts.silent:
            theirs = known.deal.role(role) or Role(name=role)
            stated = known.facts.terms.get(role, ())
            known.deal = with_role(known.deal, replace(theirs, terms=stated))


def _tariff(known: Known) -> None:
    if known.facts.tariff is None:
        raise UserError(
            "a row carries a tariff, and none is stated",
            where="the message sequence",
            mend="state the tariff, or let the row carry something else",
        )
    block = Block(slot="contract", name="tariff", data=known.facts.tariff)
    known.deal = replace(known.deal, blocks=_with_block(known.deal.blocks, block))


def _formulas(known: Known) -> None:
    facts = known.facts
    known.deal = replace(
        known.deal,
        dues=facts.dues,
        sources=facts.sources,
        rounding=facts.rounding,
        minor_unit=facts.minor_unit,
    )
    if facts.signals:
        meant = accounts.meant(facts.signals)
        known.deal = replace(known.deal, blocks=_with_block(known.deal.blocks, meant))


def _quote(known: Known) -> None:
    """Quote what is wanted: by the tariff, or at the price."""
    wanted_kwh, price = known.term("wanted"), known.term("price")
    if wanted_kwh is None:
        raise UserError(
            "a quote needs the energy that is wanted",
            where="the terms",
            mend="state the term 'wanted' of who asks, in kWh",
        )
    tariff, interval = deals.tariff_in(known.deal), known.deal.interval
    if tariff is not None and interval is not None:
        priced = deals.trade_cost(tariff, interval, wanted_kwh)
        known.telling["bill"] = deals.tariff_bill(known.deal, priced, wanted_kwh, is_due=False)
    elif price is not None:
        known.telling["bill"] = _line_bill(known, wanted_kwh, price, is_due=False)


def _line_bill(known: Known, energy_kwh: Decimal, price: Decimal, *, is_due: bool) -> Bill:
    exact = energy_kwh * price
    value = exact.quantize(Decimal(1).scaleb(-known.facts.minor_unit), "ROUND_HALF_UP")
    return Bill(
        value=value,
        currency=known.facts.currency,
        parts=(Part(kind="UNIT", amount=value, text="Energy"),),
        energy_kwh=energy_kwh,
        price_per_kwh=price,
        is_due=is_due,
    )


def _readings(known: Known) -> None:
    """Tell what was heard of the meters; who reads them tells one portion after another."""
    if not known.is_told:
        portions = (_of_own_meters(known), *known.facts.later)
        known.readings = portions[min(known.portions, len(portions) - 1)]
        known.portions += 1
    known.telling["readings"] = known.readings


def _of_own_meters(known: Known) -> tuple[MeterReading, ...]:
    """Read the meters that this party knows of; one that is nobody's is read by all."""
    facts, own = known.facts, {role.meter_id for role in known.deal.roles}
    others = {party.meter_id for party in facts.parties} - own
    return tuple(reading for reading in facts.readings if reading.meter_id not in others)


def _lock(known: Known) -> None:
    """Keep a trade."""
    known.ledger[known.deal.contract_id or ""] = known.deal


def _record(known: Known) -> None:
    """Write the charge detail record of the session, and what it costs by the tariff."""
    block = next((b for b in known.delivered if b.name == "chargeDetailRecord"), None)
    if block is None:
        block = Block(slot="fulfilment", name="chargeDetailRecord", data=_charged(known))
        known.delivered = (*known.delivered, block)
    _tell(known, block)


def _charged(known: Known) -> dict[str, Json]:
    periods, tariff = known.facts.session, deals.tariff_in(known.deal)
    if not periods or tariff is None:
        raise UserError(
            "a charge detail record needs a session and a tariff",
            where="the feature",
            mend="state the charging session and the tariff",
        )
    cost = deals.invoice(known.deal, deals.session_cost(tariff, periods))
    return typed(
        "ChargeDetailRecord",
        {
            "sessionId": known.deal.contract_id,
            "startDateTime": periods[0].start.isoformat(),
            "endDateTime": periods[-1].end.isoformat(),
            "currency": tariff.currency,
            "chargingPeriods": [
                {
                    "startDateTime": period.start.isoformat(),
                    "dimensions": [
                        {"type": "ENERGY", "volume": Decimal(str(period.energy_kwh))},
                        {
                            "type": "PARKING_TIME" if period.parked else "TIME",
                            "volume": _hours(period),
                        },
                    ],
                }
                for period in periods
            ],
            "totalEnergy": sum((Decimal(str(p.energy_kwh)) for p in periods), Decimal(0)),
            "totalTime": sum((_hours(p) for p in periods), Decimal(0)),
            "totalCost": {"exclVat": cost.excl_vat, "inclVat": cost.incl_vat},
        },
    )


def _hours(period: ChargingPeriod) -> Decimal:
    return round(Decimal((period.end - period.start).total_seconds()) / 3600, 4)


def _telemetry(known: Known) -> None:
    """Tell how far the session has come: what its first period took, and the mean power."""
    period = known.facts.session[0]
    hours = Fraction(int((period.end - period.start).total_seconds()), 3600)
    energy_kwh = Decimal(str(period.energy_kwh))
    power_kw = round(Decimal(float(Fraction(energy_kwh) / hours)), 3)
    columns = (("ENERGY", "KWH", energy_kwh), ("POWER", "KW", power_kw))
    series = typed(
        "TimeSeries",
        {
            "intervalPeriod": {"start": period.start.isoformat(), "duration": iso_duration(hours)},
            "payloadDescriptors": [{"payloadType": k, "units": unit} for k, unit, _ in columns],
            "intervals": [
                {"id": 0, "payloads": [{"type": k, "values": [value]} for k, _, value in columns]}
            ],
        },
    )
    _tell(known, Block(slot="fulfilment", name="telemetry", data=series))


def _tell(known: Known, block: Block) -> None:
    """Tell a block in the message under way."""
    known.telling["blocks"] = (*known.telling.get("blocks", known.deal.blocks), block)


def _state(name: str, state: str) -> Callable[[Known], None]:
    def tell(known: Known) -> None:
        _tell(known, Block(slot="fulfilment", name=name, data=state))

    return tell


def _column(name: str) -> Callable[[Known], None]:
    """Write one column of the interval table, as the scenario states it for this party."""

    def write(known: Known) -> None:
        tables = known.facts.tables
        told, stated = known.deal.table, tables.get(known.party.name) or tables.get("")
        there, column = told and told.column(name), stated and stated.column(name)
        if stated is None or column is None or None in stated.values(name):
            if there is not None:
                return  # passed on as it was told
            raise UserError(
                f"a row carries {name!r} per interval, and nobody states it for all of them",
                where="the message sequence",
                mend="fill the column in the table of the intervals",
            )
        if there is not None and there.role != known.party.role:
            return
        own = replace(column, role=known.party.role)
        known.deal = with_column(known.deal, stated, own)

    return write


def _allocation(own: str, name: str) -> Callable[[Known], None]:
    """Allocate what the meter of a trade registered, pro rata to the trades of that meter."""

    def write(known: Known) -> None:
        deal = known.deal
        if known.party.role != own or deal.table is None:
            return  # passed on as it was told
        meter = next((role.meter_id for role in deal.roles if role.meter_id), "")
        kept = {
            contract_id: other.table.values("requested")
            for contract_id, other in known.ledger.items()
            if other.table and meter in {role.meter_id for role in other.roles}
        }
        read = sorted(_of_own_meters(known), key=lambda reading: reading.start or "")
        column = Column(name=name, unit="kWh", role=own)
        mine: list[Decimal] = []
        for place, reading in enumerate(one for one in read if one.meter_id == meter):
            sides = ("the buyer's", meter) if own == SELLER_UTILITY else (meter, "the seller's")
            trades = [
                Trade(contract_id, place, *sides, wanted[place] or Decimal(0), Decimal(0))
                for contract_id, wanted in kept.items()
            ]
            shares = pro_rata(meter, trades, -reading.energy_kwh)
            mine.append(shares[deal.contract_id or ""])
        known.deal = _with_values(deal, column, mine)

    return write


def _final_allocation(known: Known) -> None:
    """Allocate the smaller of both sides' shares, where this party writes what is final."""
    table = known.deal.table
    if known.party.role != SELLER_UTILITY or table is None:
        return
    shares = (table.values(f"{side}'s allocation") for side in ("buyer", "seller"))
    final = [min(x or Decimal(0), y or Decimal(0)) for x, y in zip(*shares, strict=True)]
    column = Column(name="final allocation", unit="kWh", role=SELLER_UTILITY)
    known.deal = _with_values(known.deal, column, final)


def _with_values(deal: Deal, column: Column, values: list[Decimal]) -> Deal:
    rows = tuple({column.name: (value,)} for value in values)
    return with_column(deal, IntervalTable(interval=None, columns=(), rows=rows), column)


def with_column(deal: Deal, source: IntervalTable, column: Column) -> Deal:
    """Write a column of another table into the table of a deal, which may have none yet."""
    empty = IntervalTable(interval=source.interval, columns=(), rows=tuple({} for _ in source.rows))
    table = deal.table or empty
    others = tuple(one for one in table.columns if one.name != column.name)
    rows = tuple(
        {**row, column.name: values[column.name]} if column.name in values else row
        for row, values in zip(table.rows, source.rows, strict=False)
    )
    return replace(deal, table=replace(table, columns=(*others, column), rows=rows, at={}))


def _bill(known: Known) -> None:
    """Bill what was delivered: by the tariff in force, or what the formulas make somebody pay."""
    deal = known.whole()
    tariff, periods = deals.tariff_in(deal), deals.session(deal)
    if tariff is not None and periods:
        energies = [Decimal(str(period.energy_kwh)) for period in periods]
        # What was ordered is not changed by what a meter registered (LIN-004).
        energy_kwh = sum(energies, Decimal(0)) if deals.record_in(deal) else None
        priced = deals.session_cost(tariff, periods)
        known.telling["bill"] = deals.tariff_bill(deal, priced, energy_kwh, is_due=True)
        return
    parts: list[Part] = []
    for one in deals.owed(deal):
        sign = (one.payer == deal.customer_id) - (one.payee == deal.customer_id)
        kind = "UNIT" if one.kind == "ENERGY" else "FEE"
        if sign:
            parts.append(Part(kind=kind, amount=sign * one.amount, text=one.kind.capitalize()))
    known.telling["bill"] = Bill(
        value=sum((part.amount for part in parts), Decimal(0)),
        currency=known.facts.currency,
        parts=tuple(parts),
    )


def _settlement(known: Known) -> None:
    known.telling["settlement"] = deals.settled(known.whole(), known.facts.currency)


def _completed(known: Known) -> None:
    known.deal = replace(known.deal, status="COMPLETED")


def happens(facts: Facts, word: str) -> datetime | None:
    """Give the instant before which nobody can tell of something; None: it is only said."""
    if word == "meter reading" or word in measuring.AFTERWARDS:
        return end_of(facts.interval)
    if not facts.session:
        return None
    first, last = facts.session[0], facts.session[-1]
    return {
        "session requested": first.start,
        "session active": first.start,
        "telemetry": first.end,
        "session stopping": last.end,
        "session completed": last.end,
        "charge detail record": last.end,
    }.get(word)


WORDS: dict[str, Callable[[Known], None]] = {
    "terms": _terms,
    "tariff": _tariff,
    "payment formulas": _formulas,
    "quote": _quote,
    "meter reading": _readings,
    "charge detail record": _record,
    "bill": _bill,
    "settlement": _settlement,
    "telemetry": _telemetry,
    "signals": accounts.signals,
    "running totals": accounts.running_totals,
    "billing report": accounts.billing_report,
    "correction": accounts.correction,
    "completed": _completed,
    "lock": _lock,
    **{word: _state("sessionStatus", state) for word, state in SESSION.items()},
    **{word: _state("deliveryStatus", state) for word, state in DELIVERY.items()},
    **measuring.WORDS,
    **{f"{name} per interval": _column(name) for name in COLUMNS},
    "buyer's allocation per interval": _allocation(BUYER_UTILITY, "buyer's allocation"),
    "seller's allocation per interval": _allocation(SELLER_UTILITY, "seller's allocation"),
    "final allocation per interval": _final_allocation,
}
"""How a reference actor fills each word that a row may carry."""

PERSISTENT = ("terms", "tariff", "payment formulas", *(f"{name} per interval" for name in COLUMNS))
"""What is said once and holds for the whole deal."""
