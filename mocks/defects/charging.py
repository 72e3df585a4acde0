"""Defects of who charges cars, and of who has a car charged: sessions, records, reservations.

A defect of a record leaves the money right: its cost, the bill and the payments follow from it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

from gridwitness import deals
from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.defects.base import Defect, in_deal
from gridwitness.mocks.words import with_block, with_role
from gridwitness.story import CHARGING_OPERATOR, EV_APP
from gridwitness.views import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gridwitness.views import Deal, Reading

    Period = tuple[datetime, Decimal]
    """When a period of a record begins, and the energy that it takes."""

FOLDER = "ev_charging"
EVENING, SHORT = "A visit over the evening peak", "A short stop"
BROKEN_OFF, CUT_OFF = "A charge that breaks off", "An interrupted charge"
NIGHT, WEEKEND = "A charge waits for the night", "What is missing"
IN_TIME, LAST_MINUTE, LAPSES = (
    "A driver who comes in time",
    "A driver who cancels a minute",
    "A reser",
)

MINUTE = timedelta(minutes=1)


def _block(deal: Deal, name: str, data: object) -> Deal:
    """Put a block of the fulfilment in the place of the one of its name."""
    block = Block(slot="fulfilment", name=name, data=data)
    return replace(deal, blocks=with_block(deal.blocks, block))


# -- records ----------------------------------------------------------------------------


def _recorded(change: Callable[[list[Period]], list[Period]]) -> Callable[[Deal], Deal]:
    """Change the periods of a record, and all money with it."""

    def changed(deal: Deal) -> Deal:
        block, tariff = deal.block("fulfilment", "chargeDetailRecord"), deals.tariff_in(deal)
        if block is None or tariff is None:
            return deal
        data = dict(cast("Mapping[str, Any]", block.data))
        periods: list[dict[str, Any]] = data["chargingPeriods"]
        told = [
            (datetime.fromisoformat(p["startDateTime"]), p["dimensions"][0]["volume"])
            for p in periods
        ]
        data["chargingPeriods"] = [
            _period(start, energy_kwh, parked=_is_parked(periods, number, energy_kwh))
            for number, (start, energy_kwh) in enumerate(change(told))
        ]
        data["startDateTime"] = data["chargingPeriods"][0]["startDateTime"]
        record = deals.read_record(data)
        seconds = sum((p.end - p.start).total_seconds() for p in record.periods)
        priced = deals.session_cost(tariff, record.periods)
        total_kwh = sum((Decimal(str(p.energy_kwh)) for p in record.periods), Decimal(0))
        cost = deals.invoice(deal, priced)
        data |= {
            "totalEnergy": total_kwh,
            "totalTime": round(Decimal(seconds) / 3600, 4),
            "totalCost": {"exclVat": cost.excl_vat, "inclVat": cost.incl_vat},
        }
        return _settled(
            replace(
                _block(deal, "chargeDetailRecord", data),
                bill=deals.tariff_bill(deal, priced, total_kwh, is_due=True),
            )
        )

    return changed


def _period(start: datetime, energy_kwh: Decimal, *, parked: bool) -> dict[str, Any]:
    kind = "PARKING_TIME" if parked else "TIME"
    dimensions = [{"type": "ENERGY", "volume": energy_kwh}, {"type": kind, "volume": 0}]
    return {"startDateTime": start.isoformat(), "dimensions": dimensions}


def _is_parked(periods: list[dict[str, Any]], number: int, energy_kwh: Decimal) -> bool:
    told = periods[min(number, len(periods) - 1)]["dimensions"][1]["type"]
    return told == "PARKING_TIME" and not energy_kwh


def _settled(deal: Deal) -> Deal:
    """Settle anew what is settled."""
    return replace(deal, settlement=deals.settled(deal, "INR")) if deal.settlement else deal


def _all_at_once(periods: list[Period]) -> list[Period]:
    """Take everything in five minutes, and park from then on."""
    (start, energy_kwh), *_ = periods
    return [(start, energy_kwh), (start + 5 * MINUTE, Decimal(0))]


def _too_early(periods: list[Period]) -> list[Period]:
    (start, energy_kwh), *others = periods
    return [(start - 5 * MINUTE, energy_kwh), *others]


def _too_late(periods: list[Period]) -> list[Period]:
    """Take some of it beyond the agreed hours: these are two, and the end is set far off."""
    (start, energy_kwh), (cut_off, _) = periods
    late = start + 121 * MINUTE
    return [(start, energy_kwh - 1), (cut_off, Decimal(0)), (late, Decimal(1))]


def _later_end(deal: Deal) -> Deal:
    """Let a record end three hours after it begins."""
    block = deal.block("fulfilment", "chargeDetailRecord")
    if block is None:
        return deal
    data = dict(cast("Mapping[str, Any]", block.data))
    start = datetime.fromisoformat(data["startDateTime"])
    data["endDateTime"] = (start + timedelta(hours=3)).isoformat()
    return _recorded(_too_late)(_block(deal, "chargeDetailRecord", data))


def _while_cut_off(periods: list[Period]) -> list[Period]:
    before, (cut_off, _), (again, energy_kwh), *others = periods
    half_kwh = Decimal("0.5")
    return [before, (cut_off, half_kwh), (again, energy_kwh - half_kwh), *others]


def _at_the_dear_hour(deal: Deal) -> Deal:
    """Take a third of it in the last hour of the agreed ones."""
    block = deal.block("fulfilment", "chargeDetailRecord")
    if block is None:
        return deal
    data = dict(cast("Mapping[str, Any]", block.data))
    start = datetime.fromisoformat(data["startDateTime"])
    dear = start.replace(hour=6, minute=0) + timedelta(days=1)
    data["endDateTime"] = (dear + timedelta(hours=1)).isoformat()

    def waits(periods: list[Period]) -> list[Period]:
        total_kwh = sum((energy_kwh for _, energy_kwh in periods), Decimal(0))
        last_kwh = Decimal("7.35")
        idle = start + 130 * MINUTE
        return [(start, total_kwh - last_kwh), (idle, Decimal(0)), (dear, last_kwh)]

    return _recorded(waits)(_block(deal, "chargeDetailRecord", data))


def _more_than_metered(periods: list[Period]) -> list[Period]:
    *others, (start, energy_kwh) = periods
    return [*others, (start, energy_kwh + Decimal("0.3"))]


# -- sessions ---------------------------------------------------------------------------


def _over_already(deal: Deal) -> Deal:
    return _block(deal, "sessionStatus", "COMPLETED")


def _always_charging(deal: Deal) -> Deal:
    return _block(deal, "connectorStatus", "Charging")


def _telemetry(change: Callable[[str, Decimal], Decimal]) -> Callable[[Deal], Deal]:
    """Change each value of telemetry, by its payload type."""

    def changed(deal: Deal) -> Deal:
        block = deal.block("fulfilment", "telemetry")
        if block is None:
            return deal
        data = dict(cast("Mapping[str, Any]", block.data))
        data["intervals"] = [
            item
            | {
                "payloads": [
                    p | {"values": [change(p["type"], p["values"][0])]} for p in item["payloads"]
                ]
            }
            for item in data["intervals"]
        ]
        return _block(deal, "telemetry", data)

    return changed


def _more_energy(kind: str, value: Decimal) -> Decimal:
    return value + Decimal("0.5") if kind == "ENERGY" else value


def _tenfold(_kind: str, value: Decimal) -> Decimal:
    return value * 10


# -- reservations and objectives --------------------------------------------------------


def _stating(deal: Deal, name: str, value: Decimal) -> Deal:
    """State another value of a term, by whoever states it."""
    for role in deal.roles:
        if any(term.name == name for term in role.terms):
            terms = tuple(replace(t, value=value) if t.name == name else t for t in role.terms)
            return with_role(deal, replace(role, terms=terms))
    return deal


def _long_notice(deal: Deal) -> Deal:
    return _stating(deal, "notice", Decimal(9))


def _lapses_early(deal: Deal) -> Deal:
    """Give a reservation up a quarter of an hour before it is time, at the fee of that moment."""
    block, term = deal.block("fulfilment", "observedAt"), deal.term("notice")
    if block is None or term is None or deal.bill is None:
        return deal
    at = datetime.fromisoformat(str(block.data)) - 15 * MINUTE
    early = _stating(deal, "notice", term.value + Decimal("0.25"))
    early = _settled(_block(early, "observedAt", at.isoformat()))
    fee = sum((one.amount for one in deals.owed(early)), Decimal(0))
    part = replace(deal.bill.parts[0], amount=fee)
    return replace(early, bill=replace(deal.bill, value=fee, parts=(part,)))


def _shorter_grace(deal: Deal) -> Deal:
    return replace(deal, grace_h=Fraction(1, 20))


def _no_shortfall(deal: Deal) -> Deal:
    return _settled(_stating(deal, "shortfall", Decimal(0)))


def _dearer_tariff(deal: Deal) -> Deal:
    """Add ten paisa to every price of the tariff, and quote by it."""
    block = deal.block("contract", "tariff")
    if block is None or deal.bill is None or deal.interval is None:
        return deal
    data = dict(cast("Mapping[str, Any]", block.data))
    data["elements"] = [
        element
        | {
            "priceComponents": [
                part | {"price": part["price"] + Decimal("0.10")}
                for part in element["priceComponents"]
            ]
        }
        for element in data["elements"]
    ]
    dearer = replace(deal, blocks=with_block(deal.blocks, replace(block, data=data)))
    energy_kwh = deal.bill.energy_kwh or Decimal(0)
    priced = deals.trade_cost(deals.read_tariff(data), deal.interval, energy_kwh)
    return replace(dearer, bill=deals.tariff_bill(dearer, priced, energy_kwh, is_due=False))


def _longer_plan(deal: Deal) -> Deal:
    """Plan for an hour and a half more, and quote for that."""
    tariff, interval = deals.tariff_in(deal), deal.interval
    if interval is None:
        return deal
    longer = replace(interval, duration_h=interval.duration_h + Fraction(3, 2))
    planned = replace(deal, interval=longer)
    if tariff is None or deal.bill is None:
        return planned
    energy_kwh = deal.bill.energy_kwh or Decimal(0)
    priced = deals.trade_cost(tariff, longer, energy_kwh)
    return replace(planned, bill=deals.tariff_bill(planned, priced, energy_kwh, is_due=False))


def _planning_longer(action: str, reading: Reading) -> Reading:
    """Plan for longer towards the utility and towards the driver."""
    if reading.deal is None or action not in ("init", "on_init"):
        return reading
    return replace(reading, deal=_longer_plan(reading.deal))


def _other_connector(action: str, reading: Reading) -> Reading:
    """Offer chargers of another connector than the one that is asked for."""
    if action != "on_discover":
        return reading
    other = Block(slot="item", name="connectorType", data="CHADEMO")
    offers = tuple(replace(o, blocks=with_block(o.blocks, other)) for o in reading.offers)
    return replace(reading, offers=offers)


def _defect(  # noqa: PLR0913 (what a defect says of itself)
    name: str,
    breaks: str,
    says: str,
    conduct: Conduct,
    feature: str,
    scenario: str,
    also: tuple[str, ...] = (),
    role: str = CHARGING_OPERATOR,
) -> Defect:
    return Defect(
        name,
        breaks=breaks,
        says=says,
        conduct=conduct,
        role=role,
        also=also,
        feature=f"{FOLDER}/{feature}.feature",
        scenario=scenario,
    )


DEFECTS = (
    _defect(
        "calls-a-session-over-before-it-begins",
        "EVC-001",
        "confirms a reservation with a session that is completed",
        in_deal("on_confirm", _over_already),
        "destination",
        EVENING,
    ),
    _defect(
        "calls-a-cut-off-connector-charging",
        "EVC-017",
        "says that the connector charges while the session is interrupted",
        in_deal("on_status", _always_charging),
        "interruption",
        CUT_OFF,
    ),
    _defect(
        "measures-more-than-the-power-gives",
        "EVC-002",
        "tells half a kWh more in telemetry than its power gives in the time",
        in_deal("on_status", _telemetry(_more_energy)),
        "destination",
        EVENING,
    ),
    _defect(
        "records-less-than-it-measured",
        "EVC-003",
        "tells ten times as much in telemetry as the record holds in the end",
        in_deal("on_status", _telemetry(_tenfold)),
        "destination",
        EVENING,
    ),
    _defect(
        "charges-faster-than-the-charger-can",
        "EVC-004",
        "records in five minutes what takes the charger more than ten",
        in_deal("on_update", _recorded(_all_at_once)),
        "destination",
        SHORT,
    ),
    _defect(
        "starts-the-record-before-the-session",
        "EVC-005",
        "lets the record begin five minutes before the session was asked for",
        in_deal("on_update", _recorded(_too_early)),
        "destination",
        EVENING,
    ),
    _defect(
        "charges-beyond-the-agreed-hours",
        "EVC-006",
        "charges a kWh after the hours that were agreed",
        in_deal("on_update", _later_end),
        "breakdown",
        BROKEN_OFF,
    ),
    _defect(
        "records-energy-of-an-interruption",
        "EVC-007",
        "records half a kWh of the time in which the session was interrupted",
        in_deal("on_update", _recorded(_while_cut_off)),
        "interruption",
        CUT_OFF,
    ),
    _defect(
        "cancels-with-a-long-notice",
        "EVC-008",
        "cancels a minute before the reserved hours, and says nine hours",
        in_deal("cancel", _long_notice),
        "cancellation",
        LAST_MINUTE,
        role=EV_APP,
    ),
    _defect(
        "gives-a-reservation-away-too-early",
        "EVC-009",
        "lets a reservation lapse before its grace is over",
        in_deal("on_cancel", _lapses_early),
        "no_show",
        LAPSES,
    ),
    _defect(
        "shortens-the-grace",
        "EVC-010",
        "confirms three minutes of grace where ten were agreed",
        in_deal("on_confirm", _shorter_grace),
        "en_route",
        IN_TIME,
    ),
    _defect(
        "hides-a-shortfall",
        "EVC-011",
        "states no shortfall though the target was missed at the deadline",
        in_deal("on_update", _no_shortfall),
        "home",
        WEEKEND,
    ),
    _defect(
        "charges-at-the-dear-hour",
        "EVC-012",
        "charges a third in the dearest hour, beyond the highest price and after the stop",
        in_deal("on_update", _at_the_dear_hour),
        "home",
        NIGHT,
        also=("EVC-005",),
    ),
    _defect(
        "records-more-than-was-metered",
        "EVC-013",
        "records and bills more than the meter of the charger registered",
        in_deal("on_update", _recorded(_more_than_metered)),
        "home",
        NIGHT,
    ),
    _defect(
        "adds-to-the-utilitys-tariff",
        "EVC-014",
        "passes the utility's tariff on with ten paisa more in every price, until it is confirmed",
        in_deal("on_init", _dearer_tariff),
        "home",
        NIGHT,
        also=("LIN-014",),
    ),
    _defect(
        "plans-beyond-the-stay",
        "EVC-016",
        "plans to charge until half an hour after the car is to leave",
        Conduct(views=_planning_longer),
        "home",
        NIGHT,
    ),
    _defect(
        "offers-another-connector",
        "EVC-015",
        "offers chargers of another connector than the one that is searched for",
        Conduct(views=_other_connector),
        "destination",
        EVENING,
    ),
)
