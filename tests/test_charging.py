"""Charging: what rules find in messages of others, whatever they hold; what a session comes to."""

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness import charging, deals, listing
from gridwitness.charging import Meter
from gridwitness.deals import Record
from gridwitness.dialects import DIALECTS
from gridwitness.errors import UserError
from gridwitness.judgement import judge
from gridwitness.mocks.stay import Course
from gridwitness.recordings.files import Flow, read_flow, recorded
from gridwitness.recordings.flows import Terms
from gridwitness.reference_impl.tariff import ChargingPeriod
from gridwitness.steps import tables
from gridwitness.views import (
    Block,
    Deal,
    Due,
    Envelope,
    Intent,
    Interval,
    Nearby,
    Reading,
    Role,
    Term,
)
from tests.test_recordings_fuzz import few, no_rule_fails, put_at, spoilt

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.trace import Trace

FLOWS = Path(__file__).parent.parent / "examples" / "ev_charging"
NOON = datetime(2031, 5, 12, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
fewer = settings(few, max_examples=10)


def told(feature: str, changes: dict[str, Callable[[Any], Any]], dialect: str = "order") -> Trace:
    """Read an example flow in which the bodies of some messages are changed."""
    with tempfile.TemporaryDirectory() as folder:
        copy, spool = Path(folder, "in"), Path(folder, "spool")
        shutil.copytree(FLOWS / feature / dialect, copy)
        spool.mkdir()
        for name, change in changes.items():
            file = copy / f"{name}.json"
            file.write_text(json.dumps(change(json.loads(file.read_text("utf-8")))), "utf-8")
        (flow,) = (one for one in recorded([copy], spool) if isinstance(one, Flow))
        return read_flow(flow, Terms({})).trace


def broken(trace: Trace) -> set[str]:
    """Name the rules of charging that are broken."""
    found = judge(trace, None).findings
    assert not [f.detail for f in found if f.verdict == "harness_error"]
    return {finding.rule for finding in found if finding.rule.startswith("EVC")}


DELIVERY = ("message", "order", "beckn:fulfillment", "beckn:deliveryAttributes")
CONTRACT = ("message", "order", "beckn:orderAttributes")


def putting(*path: str | int, value: Any) -> Callable[[Any], Any]:
    return lambda body: put_at(body, path, value)


SPOILT: list[tuple[str, str, str, Callable[[Any], Any]]] = [
    (
        "EVC-001",
        "interruption",
        "13_on_status",
        putting(*DELIVERY, "sessionStatus", value="PENDING"),
    ),
    (
        "EVC-017",
        "interruption",
        "12_on_status",
        putting(*DELIVERY, "connectorStatus", value=["Charging"]),
    ),
    (
        "EVC-002",
        "destination",
        "11_on_status",
        putting(*DELIVERY, "telemetry", "intervalPeriod", "duration", value="PT30M"),
    ),
    (
        "EVC-004",
        "destination",
        "02_on_discover",
        putting(
            *("message", "catalogs", 0, "beckn:items", 0, "beckn:itemAttributes", "maxPowerKW"),
            value=8,
        ),
    ),
    (
        "EVC-005",
        "walk_in",
        "06_update",
        putting(*DELIVERY, "observedAt", value="2031-05-12T14:50:00+05:30"),
    ),
    (
        "EVC-005",
        "walk_in",
        "03_confirm",
        putting(*DELIVERY, "observedAt", value="2031-05-12T14:50:00+05:30"),
    ),
    (
        "EVC-007",
        "interruption",
        "12_on_status",
        putting(*DELIVERY, "observedAt", value="2031-05-12T14:20:00+05:30"),
    ),
    (
        "EVC-008",
        "cancellation",
        "09_cancel",
        putting(*DELIVERY, "observedAt", value="2031-05-12T14:20:00+05:30"),
    ),
    (
        "EVC-009",
        "no_show",
        "09_on_cancel",
        putting(*DELIVERY, "observedAt", value="2031-05-12T18:31:59+05:30"),
    ),
    (
        "EVC-010",
        "en_route",
        "08_on_confirm",
        putting(
            *CONTRACT,
            *("inputParameters", "arrivalWindow", "startTime"),
            value="2031-05-12T18:06:00+05:30",
        ),
    ),
    (
        "EVC-011",
        "home",
        "17_on_update",
        putting(*CONTRACT, "objective", "targetChargeKWh", value=24),
    ),
    ("EVC-012", "home", "17_on_update", putting(*CONTRACT, "objective", "maxPricePerKWh", value=4)),
    (
        "EVC-013",
        "home",
        "17_on_update",
        putting(*DELIVERY, "meterReadings", 0, "allocatedEnergy", value=23.3),
    ),
    (
        "EVC-016",
        "destination",
        "06_on_init",
        putting(*CONTRACT, "inputParameters", "tradeWindow", "duration", value="PT181M"),
    ),
]


@pytest.mark.parametrize("feature", sorted(file.name for file in FLOWS.iterdir()))
@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_nothing_is_found_in_the_examples(feature: str, dialect: str):
    assert broken(told(feature, {}, dialect)) == set()


@pytest.mark.parametrize(
    ("rule", "feature", "name", "change"), SPOILT, ids=[f"{r} in {n}" for r, _, n, _ in SPOILT]
)
def test_one_wrong_value_breaks_the_rule_that_is_about_it(
    rule: str, feature: str, name: str, change: Callable[[Any], Any]
):
    assert rule in broken(told(feature, {name: change}))


def test_a_notice_is_counted_from_the_message_where_nothing_else_is_told():
    def unobserved(body: Any) -> Any:
        delivery = dict(body["message"]["order"]["beckn:fulfillment"]["beckn:deliveryAttributes"])
        del delivery["observedAt"]
        return put_at(body, DELIVERY, delivery)

    assert "EVC-008" not in broken(told("cancellation", {"09_cancel": unobserved}))

    def earlier(body: Any) -> Any:
        return put_at(unobserved(body), ("context", "timestamp"), "2031-05-12T08:00:00.000Z")

    assert "EVC-008" in broken(told("cancellation", {"09_cancel": earlier}))


@fewer
@given(data=st.data())
@pytest.mark.parametrize("dialect", ["order", "contract"])
@pytest.mark.parametrize(
    ("feature", "name"),
    [
        ("home", "17_on_update"),
        ("interruption", "14_on_status"),
        ("cancellation", "09_cancel"),
        ("no_show", "09_on_cancel"),
        ("en_route", "07_confirm"),
        ("destination", "02_on_discover"),
    ],
)
def test_no_rule_fails_on_any_message(data: st.DataObject, dialect: str, feature: str, name: str):
    def any_of_it(body: Any) -> Any:
        return body | {"message": data.draw(spoilt(body["message"]))}

    try:
        trace = told(feature, {name: any_of_it}, dialect)
    except UserError:
        return
    no_rule_fails(trace)


# -- what a session comes to ------------------------------------------------------------


def record(*energies_kwh: str) -> Record:
    """Give a record of one hour a period from noon on."""
    periods = tuple(
        ChargingPeriod(NOON + n * HOUR, NOON + (n + 1) * HOUR, Decimal(energy_kwh))
        for n, energy_kwh in enumerate(energies_kwh)
    )
    return Record(periods, None, None, None, None)


@pytest.mark.parametrize(
    ("minutes", "energy_kwh"),
    [(-1, "0"), (0, "0"), (30, "1"), (60, "2"), (90, "2"), (150, "4"), (180, "6"), (999, "6")],
)
def test_a_meter_goes_evenly_through_every_period(minutes: int, energy_kwh: str):
    meter = Meter(record("2", "0", "4"))
    assert meter.until(NOON + timedelta(minutes=minutes)) == Fraction(energy_kwh)
    assert meter.total_kwh == 6


def test_what_is_cancelled_owes_its_fee_alone_and_what_is_not_owes_all_else():
    roles = (
        Role(name="ev app", holder_id="a"),
        Role(
            name="charging operator",
            holder_id="b",
            terms=(Term(name="fee", value=Decimal(5), unit="INR"),),
        ),
    )
    dues = tuple(
        Due(payer="ev app", payee="charging operator", kind=kind, formula=formula)
        for kind, formula in (("ENERGY", "2 * fee"), ("CANCELLATION", "fee"))
    )
    deal = Deal(roles=roles, dues=dues, status="ACTIVE")
    assert [o.amount for o in deals.owed(deal)] == [10]
    cancelled = Deal(roles=roles, dues=dues, status="TERMINATED")
    assert [o.amount for o in deals.owed(cancelled)] == [5]
    of_neither = Deal(roles=roles, dues=dues[:1], status="TERMINATED")
    assert [o.amount for o in deals.owed(of_neither)] == [10]


def test_an_interruption_begins_with_the_period_that_takes_nothing():
    session = tuple(
        ChargingPeriod(NOON + n * HOUR, NOON + (n + 1) * HOUR, Decimal(energy_kwh))
        for n, energy_kwh in enumerate((1, 2, 0, 3))
    )
    course = Course()
    assert course.moved("ACTIVE", session) == NOON
    assert course.measured(session) == session[0]
    assert course.moved("INTERRUPTED", session) == NOON + 2 * HOUR
    assert course.moved("ACTIVE", session) == NOON + 3 * HOUR
    assert course.measured(session) == session[3]
    assert course.moved("STOP", session) == NOON + 4 * HOUR


@pytest.mark.parametrize("data", [None, [], {"intervalPeriod": {"start": "x", "duration": "PT1H"}}])
def test_what_is_no_telemetry_has_no_intervals(data: Any):
    deal = Deal(blocks=(Block(slot="fulfilment", name="telemetry", data=data),))
    assert charging.telemetry(deal) == ()


@pytest.mark.parametrize("start", ["9999-12-31T23:00:00Z", "noon"])
def test_an_interval_beyond_the_calendar_has_no_end(start: str):
    assert charging.end_of(Interval(start=start, duration_h=Fraction(2))) is None


# -- along a route ----------------------------------------------------------------------

BENGALURU, MYSURU, CHENNAI = (77.59, 12.97), (76.64, 12.30), (80.27, 13.08)


@pytest.mark.parametrize(
    "place", [(77.115, 12.635), (76.90, 12.52), (77.60, 13.06), (76.64, 12.20), (78.9, 12.6)]
)
@pytest.mark.parametrize("route", [[BENGALURU, MYSURU], [CHENNAI, BENGALURU, MYSURU]])
def test_a_place_is_as_far_off_a_route_as_off_its_nearest_point(
    place: tuple[float, float], route: list[tuple[float, float]]
):
    shares = [n / 2000 for n in range(2001)]
    near_m = min(
        listing.distance_m(place, (a + share * (c - a), b + share * (d - b)))
        for (a, b), (c, d) in pairwise(route)
        for share in shares
    )
    assert listing.off_route_m(place, route) == pytest.approx(near_m, rel=2e-3, abs=60)
    assert listing.off_route_m(place, [route[0], *route]) == listing.off_route_m(place, route)


def test_a_route_of_one_point_is_the_point():
    one = listing.off_route_m(BENGALURU, [MYSURU])
    assert one == listing.distance_m(BENGALURU, MYSURU)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_route_is_read_as_it_was_written(dialect: str):
    points = [(Decimal("77.59"), Decimal("12.97")), (Decimal("76.64"), Decimal("12.30"))]
    (longitude, latitude), *onward = points
    nearby = Nearby(
        longitude=longitude, latitude=latitude, within_m=Decimal(8000), onward=tuple(onward)
    )
    intent = Intent(interval=None, nearby=nearby)
    said = Reading(envelope=Envelope(action="discover"), intent=intent)
    body = DIALECTS[dialect].compose(said)
    assert DIALECTS[dialect].read(body).intent == intent
    (spatial,) = [s for s in _within(body, "spatial") if s]
    spatial[0]["geometry"]["coordinates"] *= 51
    asked = DIALECTS[dialect].read(body).intent
    assert asked is not None
    assert (asked.nearby, asked.is_whole) == (None, False)


def _within(value: Any, key: str) -> list[Any]:
    """Find what a key holds, wherever it stands."""
    if isinstance(value, list):
        return [found for item in value for found in _within(item, key)]
    if not isinstance(value, dict):
        return []
    here = [value[key]] if key in value else []
    return here + [found for inner in value.values() for found in _within(inner, key)]


# -- what a table says ------------------------------------------------------------------


def test_a_stay_says_what_its_cells_say():
    stay = tables.stay([{"arrives from": "18:05", "arrives until": "18:20", "grace": "10 min"}])
    assert stay.arrival == Interval(start="2031-05-12T18:05:00+05:30", duration_h=Fraction(1, 4))
    assert stay.grace_h == Fraction(1, 6)
    assert (stay.hours, stay.objective, stay.given_up) == (None, None, None)


@pytest.mark.parametrize(
    "table",
    [
        [],
        [{"grace": "10 min"}] * 2,
        [{"grace": "10"}],
        [{"given up": "noon"}],
        [{"given up": "12:00 on Someday"}],
        [{"arrives from": "18:05"}],
        [{"parked from": "18:05", "parked until": "18:05"}],
    ],
)
def test_a_stay_that_cannot_be_read_is_told(table: list[tables.Row]):
    with pytest.raises(UserError):
        tables.stay(table)


def test_a_day_of_the_week_is_one_of_the_week_that_begins_with_the_exchange():
    assert tables.instant("07:00 on Saturday") == tables.instant("07:00") + timedelta(days=5)
    assert tables.instant("07:00 next day") == tables.instant("07:00 on Tuesday")


def test_a_car_is_full_or_cut_off_or_charging():
    with pytest.raises(UserError, match="no state of a car"):
        tables.period({"from": "12:00", "until": "13:00", "energy": "1 kWh", "car": "gone"})
