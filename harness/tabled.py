"""Payments by interval: formulas that name columns of a deal's interval table.

Belongs here: what such a formula comes to, interval by interval, summed before it is rounded.
Does not belong here: what else a deal comes to (deals), how a formula is computed
(reference_impl.formula), the table as it is written (dialects.tables).

A formula names a column by its words: price * final_allocation. What a meter registered in an
interval has the name of its source there, as has the reduction of all meters (loads).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness import loads
from gridwitness.reference_impl import contract as agreement
from gridwitness.reference_impl.formula import Quantity
from gridwitness.reference_impl.rounding import exact_sum
from gridwitness.signals import moment

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from gridwitness.views import Deal, IntervalTable

MOST_COMPUTED = 500_000
"""How many characters of formulas are computed, each as often as it is: a month of quarters."""

LENGTH = "interval"
"""The name that formulas have for the length of an interval of the table, in hours."""

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class TooMuchError(ValueError):
    """More intervals and formulas than are computed."""


def name_in_formulas(column: str) -> str:
    """Give the name that formulas have for a column: seller's allocation is sellers_allocation."""
    return column.replace("'s", "s").replace(" ", "_")


def payments(deal: Deal, contract: agreement.EnergyContract) -> Iterator[agreement.Payment]:
    """Compute the payments of a contract in their order, exactly.

    contract: that of the deal. Raises what `reference_impl.contract.revenue_flows` raises, and
    TooMuchError.
    """
    table = deal.table
    columns = {name_in_formulas(column.name) for column in (table.columns if table else ())}
    named = [set(_NAME.findall(flow.formula)) for flow in contract.flows]
    pairs = list(zip(contract.flows, named, strict=True))
    repeated = tuple(flow for flow, names in pairs if names & columns)
    alone = tuple(flow for flow, names in pairs if not names & columns)
    rows = len(table.rows) if table and repeated else 0
    if rows * sum(len(flow.formula) for flow in repeated) > MOST_COMPUTED:
        raise TooMuchError(f"{len(repeated)} formulas in {rows} intervals are too many")
    once = iter(agreement.revenue_flows(replace(contract, flows=alone)))
    totals = [Fraction(0)] * len(repeated)
    for known in _in_intervals(deal, set[str]().union(*named)) if repeated else ():
        there = replace(contract, flows=repeated, parameters={**contract.parameters, **known})
        for place, payment in enumerate(agreement.revenue_flows(there)):
            right_way = payment.payer == repeated[place].payer
            totals[place] += payment.amount if right_way else -payment.amount
    summed = iter(totals)
    for flow, names in pairs:
        if not names & columns:
            yield next(once)
            continue
        total = next(summed)
        ends = (flow.payer, flow.payee) if total >= 0 else (flow.payee, flow.payer)
        yield agreement.Payment(*ends, abs(total))


def _in_intervals(deal: Deal, names: Container[str]) -> Iterator[dict[str, Quantity]]:
    """Give what formulas may name in each interval: columns, and metered energy.

    names: only these. A name without a value there is there with None.
    """
    table = deal.table
    if table is None:
        return
    columns = [(word, c) for c in table.columns if (word := name_in_formulas(c.name)) in names]
    sources = [s for s in deal.sources if s.kind == "METER_READING" and s.name in names]
    metered = _metered(deal, table) if sources else {}
    of_all = [source.name for source in sources if source.meter_id is None]
    reduced = loads.reductions_kwh(deal) if of_all else {}
    always = {LENGTH: Quantity(table.interval.duration_h, "h")} if table.interval else {}
    for place, row in enumerate(table.rows):
        yield (
            always
            | {
                source.name: Quantity(metered.get((source.meter_id, place)), "kWh")
                for source in sources
            }
            | {name: Quantity(reduced.get(place), "kWh") for name in of_all}
            | {
                word: Quantity(next(iter(row.get(column.name, ())), None), column.unit)
                for word, column in columns
            }
        )


def _metered(deal: Deal, table: IntervalTable) -> dict[tuple[str | None, int], Decimal]:
    """Sum what each meter registered in each interval of a table: kWh, by meter and place."""
    first = moment(table.interval.start) if table.interval else None
    if table.interval is None or first is None:
        return {}
    length = timedelta(microseconds=int(table.interval.duration_h * 3_600_000_000))
    found: dict[tuple[str | None, int], Decimal] = {}
    for reading in deal.readings:
        begin = moment(reading.start)
        if begin is not None and length:
            key = reading.meter_id, (begin - first) // length
            found[key] = exact_sum((found.get(key, Decimal(0)), reading.energy_kwh))
    return found
