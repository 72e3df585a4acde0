"""What a row of a sequence carries: each word, and how a reference actor fills it.

Belongs here: what an actor knows of a deal, and from it the content of its messages. Does not
belong here: when a message is sent (exchange), how a word is recognised (rules.sequence.CARRIES),
arithmetic (gridwitness.deals, reference_impl).

Whatever somebody else has said already is passed on as it was said.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from gridwitness import charging, deals
from gridwitness.dialects.blocks import iso_duration, typed
from gridwitness.errors import UserError
from gridwitness.mocks import measuring
from gridwitness.mocks.columns import COLUMN_WORDS, with_column
from gridwitness.mocks.draws import end_of
from gridwitness.mocks.stay import Course, Stay
from gridwitness.rules.sequence import DELIVERY, SESSION
from gridwitness.signals import signals_in, write_signal
from gridwitness.views import (
    Bill,
    Block,
    Deal,
    IntervalTable,
    MeterReading,
    Offer,
    Part,
    Role,
    Source,
    Term,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gridwitness.dialects.base import Json
    from gridwitness.mocks.telemetered import Telemetered
    from gridwitness.reference_impl.tariff import ChargingPeriod
    from gridwitness.signals import Signal
    from gridwitness.views import Due, Intent, Interval, Promise, SettlementReport

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Party:
    """Who takes part: its name, its role in market words, its meter if it has one.

    thing: what it has to offer, as blocks of a catalogue's item. refuses: the request that it
    answers with an error on purpose.
    """

    name: str
    role: str
    meter_id: str | None = None
    thing: tuple[Block, ...] = ()
    refuses: str = ""


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
    session. search: what is asked for beside the interval. stay: what the customer says of its
    visit. signals: every value of each, from when it holds. tables: what holds in each interval,
    by the party it is about, "" for whoever has none. refusals: who answers which action with an
    error, on purpose. ids: subscriber ids by name, silent: the roles that act in no row, and
    beside_customer: those to whom who asks alone speaks, once the cast is known.
    telemetry: what is measured of each meter in each interval.
    """

    parties: tuple[Party, ...]
    interval: Interval
    terms: Mapping[str, tuple[Term, ...]] = field(default_factory=dict[str, "tuple[Term, ...]"])
    dues: tuple[Due, ...] = ()
    promises: tuple[Promise, ...] = ()
    sources: tuple[Source, ...] = ()
    readings: tuple[MeterReading, ...] = ()
    tariff: Mapping[str, Json] | None = None
    session: tuple[ChargingPeriod, ...] = ()
    tables: Mapping[str, IntervalTable] = field(default_factory=dict[str, "IntervalTable"])
    refusals: frozenset[tuple[str, str]] = frozenset()
    beside_customer: tuple[str, ...] = ()
    search: Intent | None = None
    stay: Stay = field(default_factory=Stay)
    later: tuple[tuple[MeterReading, ...], ...] = ()
    signals: tuple[Signal, ...] = ()
    currency: str = "INR"
    rounding: str = "HALF_UP"
    minor_unit: int = 2
    ids: Mapping[str, str] = field(default_factory=dict[str, str])
    silent: tuple[str, ...] = ()
    telemetry: tuple[Telemetered, ...] = ()

    @property
    def asked(self) -> Interval:
        """The hours that are asked for: of the stay, where who answers plans within them."""
        return self.stay.hours or self.interval

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

    telling holds what the message under way tells beside what is agreed; observed is when
    the last thing was so that this party told of; new_id draws an id, now tells the time of
    day. is_told: the readings are somebody else's; portions counts those of one's own. totals:
    the last value of each running total; reports: the billing reports told so far. ledger: the
    trades that this party keeps, this one and others, by contract id.
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
    course: Course = field(default_factory=Course)
    telling: dict[str, Any] = field(default_factory=dict[str, Any])
    observed: datetime | None = None

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
        for block in told.blocks:
            if block.slot == "contract":
                self.deal = replace(self.deal, blocks=with_block(self.deal.blocks, block))
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
                interval=offer.deal.interval or self.facts.asked,
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
            blocks=self.party.thing,
            deal=replace(
                deal,
                status="PENDING",
                contract_id=None,
                interval=self.facts.asked,
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

    def own_meters(self, readings: tuple[MeterReading, ...]) -> tuple[MeterReading, ...]:
        """Give the readings of meters that this party knows of, or that are nobody's."""
        own = {role.meter_id for role in self.deal.roles}
        others = {party.meter_id for party in self.facts.parties} - own
        return tuple(reading for reading in readings if reading.meter_id not in others)

    def with_blocks(self, blocks: tuple[Block, ...]) -> Deal:
        """Give what is agreed with other blocks."""
        return replace(self.deal, blocks=blocks)

    def term(self, name: str) -> Decimal | None:
        """Find a term of any role by its name."""
        found = self.deal.term(name)
        return found.value if found else None

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


def with_block(blocks: tuple[Block, ...], block: Block) -> tuple[Block, ...]:
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
    """State the tariff: as somebody else has stated it, or as it is known."""
    if deals.tariff_in(known.deal) is not None:
        return
    if known.facts.tariff is None:
        raise UserError(
            "a row carries a tariff, and none is stated",
            where="the message sequence",
            mend="state the tariff, or let the row carry something else",
        )
    block = Block(slot="contract", name="tariff", data=known.facts.tariff)
    known.deal = replace(known.deal, blocks=with_block(known.deal.blocks, block))


def _formulas(known: Known) -> None:
    facts = known.facts
    known.deal = replace(
        known.deal,
        dues=facts.dues,
        promises=facts.promises,
        sources=facts.sources,
        rounding=facts.rounding,
        minor_unit=facts.minor_unit,
    )
    if facts.signals:
        known.deal = replace(
            known.deal, blocks=with_block(known.deal.blocks, _meant(facts.signals))
        )


def _meant(signals: Sequence[Signal]) -> Block:
    """Say which signals a contract means, without their values."""
    by_name = {s.name: s._replace(value=None, instant=None) for s in reversed(signals)}
    named = [by_name[name] for name in dict.fromkeys(s.name for s in signals)]
    return Block(slot="contract", name="externalSignals", data=[write_signal(s) for s in named])


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
        portions = (known.facts.readings, *known.facts.later)
        known.readings = known.own_meters(portions[min(known.portions, len(portions) - 1)])
        known.portions += 1
    known.telling["readings"] = known.readings


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
    """Tell how far the session has come: what the period under way took, and the mean power."""
    period = known.course.measured(known.facts.session)
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
    _observe(known, period.end)


def _tell(known: Known, block: Block) -> None:
    """Tell a block in the message under way."""
    known.telling["blocks"] = with_block(known.telling.get("blocks", known.deal.blocks), block)


def _observe(known: Known, at: datetime) -> None:
    """Tell when what the message under way tells was so."""
    known.observed = at
    _tell(known, Block(slot="fulfilment", name="observedAt", data=at.isoformat()))


CONNECTOR = {
    "PENDING": "Preparing",
    "ACTIVE": "Charging",
    "INTERRUPTED": "SuspendedEVSE",
    "STOP": "Finishing",
    "COMPLETED": "Finishing",
}
"""How the connector is in each state of a session, as OCPP calls it."""


def _session(state: str) -> Callable[[Known], None]:
    def tell(known: Known) -> None:
        _tell(known, Block(slot="fulfilment", name="sessionStatus", data=state))
        if known.party != known.facts.parties[0]:  # who charges sees the connector
            _tell(known, Block(slot="fulfilment", name="connectorStatus", data=CONNECTOR[state]))
        _observe(known, known.course.moved(state, known.facts.session))

    return tell


def _delivery(state: str) -> Callable[[Known], None]:
    def tell(known: Known) -> None:
        _tell(known, Block(slot="fulfilment", name="deliveryStatus", data=state))

    return tell


def _arrival(known: Known) -> None:
    stay = known.facts.stay
    known.deal = replace(known.deal, arrival=stay.arrival, grace_h=stay.grace_h)


def _objective(known: Known) -> None:
    if known.facts.stay.objective is None:
        raise UserError(
            "a row carries an objective, and none is stated",
            where="the message sequence",
            mend="state in the stay what is to be charged, and by when",
        )
    data = typed("EnergyObjective", dict(known.facts.stay.objective))
    block = Block(slot="contract", name="objective", data=data)
    known.deal = replace(known.deal, blocks=with_block(known.deal.blocks, block))


def _plan(known: Known) -> None:
    """Choose the hours of the delivery among those that are asked for."""
    known.deal = replace(known.deal, interval=known.facts.interval)


def _notice(known: Known) -> None:
    """State how long before the reserved hours they are given up; below zero is after."""
    at, interval = known.facts.stay.given_up, known.deal.interval
    if at is None or interval is None:
        raise UserError(
            "nobody gives the reserved hours up",
            where="the message sequence",
            mend="state in the stay when they are given up",
        )
    notice_h = (datetime.fromisoformat(interval.start) - at) / HOUR
    _state(known, Term(name="notice", value=round(Decimal(str(notice_h)), 4), unit="h"))
    if known.party == known.facts.parties[0]:
        _tell(known, Block(slot="fulfilment", name="deliveryStatus", data="PENDING"))
    else:
        _tell(known, Block(slot="fulfilment", name="deliveryStatus", data="FAILED"))
    _observe(known, at)


def _shortfall(known: Known) -> None:
    """State what the record lacks of the target at the deadline."""
    missing_kwh = charging.shortfall_kwh(known.whole())
    if missing_kwh is not None:
        _state(known, Term(name="shortfall", value=missing_kwh, unit="kWh"))


def _state(known: Known, term: Term) -> None:
    """State one quantity of one's own beside those that are stated already."""
    own = known.deal.role(known.party.role) or Role(name=known.party.role)
    others = tuple(one for one in own.terms if one.name != term.name)
    known.deal = with_role(known.deal, replace(own, terms=(*others, term)))


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


WORDS: dict[str, Callable[..., None]] = {
    "terms": _terms,
    "tariff": _tariff,
    "payment formulas": _formulas,
    "quote": _quote,
    "meter reading": _readings,
    "charge detail record": _record,
    "bill": _bill,
    "settlement": _settlement,
    "telemetry": _telemetry,
    "completed": _completed,
    "lock": _lock,
    "arrival window": _arrival,
    "objective": _objective,
    "plan": _plan,
    "notice": _notice,
    "shortfall": _shortfall,
    **{word: _session(state) for word, state in SESSION.items()},
    **{word: _delivery(state) for word, state in DELIVERY.items()},
    **measuring.WORDS,
    **COLUMN_WORDS,
}
"""How a reference actor fills each word that a row may carry."""

PERSISTENT = (
    "terms",
    "tariff",
    "payment formulas",
    "arrival window",
    "objective",
    *COLUMN_WORDS,
)
"""What is said once and holds for the whole deal."""
