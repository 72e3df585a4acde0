"""The accounts of a deal: what a report rests on, how totals go on, what a correction pays.

Belongs here: what follows from one report to the next, through gridwitness.deals. Does not
belong here: what the payments of one message come to (deals), whether a report is right (rules).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from gridwitness import deals
from gridwitness.deals import DealError
from gridwitness.reference_impl import contract as agreement
from gridwitness.reference_impl.formula import FormulaError, Quantity, Unit
from gridwitness.reference_impl.rounding import EXACT, rounded
from gridwitness.signals import STATE, signals_in
from gridwitness.tabled import name_in_formulas
from gridwitness.views import RevenueFlow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridwitness.views import Deal, SettlementReport


class Input(NamedTuple):
    """A quantity that a report rests on: its value, to nine decimals, and its unit."""

    value: Decimal
    unit: str | None


DECIMALS = 9
FINEST = Fraction(1, 10**DECIMALS)
"""How exactly a quantity is stated that has no end, as a mean may be."""


def same_unit(one: str, other: str | None) -> bool:
    """Tell whether two texts are one unit; no unit is one of its own."""
    try:
        return one == other or Unit.read(one) == Unit.read(other or "1")
    except FormulaError:
        return False


def inputs(deal: Deal) -> dict[str, Input]:
    """Give every quantity that the formulas of a deal use, by the whole path of its name.

    The columns of an interval table are none: they stand in the table.

    Raises DealError where one has no value, or a formula cannot be read.
    """
    contract = deals.agreed(deal)
    columns = deal.table.columns if deal.table else ()
    tabled = {name_in_formulas(column.name): Quantity(0, column.unit) for column in columns}
    unknown = replace(
        contract,
        roles=tuple(
            role._replace(inputs={n: Quantity(None, q.unit) for n, q in role.inputs.items()})
            for role in contract.roles
        ),
        parameters=tabled
        | {name: Quantity(None, q.unit) for name, q in contract.parameters.items()},
    )
    try:
        return _valued(contract, {path: (path, None) for path in agreement.missing_inputs(unknown)})
    except (FormulaError, agreement.ContractError, ArithmeticError) as error:
        raise DealError(f"a quantity has no value: {error}") from error


def _valued(
    contract: agreement.EnergyContract, formulas: Mapping[str, tuple[str, str | None]]
) -> dict[str, Input]:
    """Compute formulas by name, each with the unit that it is to have, over what is known."""
    metrics = tuple(
        agreement.QualityMetric(name, formula, unit) for name, (formula, unit) in formulas.items()
    )
    found: dict[str, Input] = {}
    for one in agreement.quality(replace(contract, metrics=metrics)):
        exact = rounded(one.value, deals.ROUNDING, DECIMALS)
        plain = f"{exact:f}".rstrip("0").rstrip(".")
        found[one.metric_id] = Input(Decimal(plain), one.unit and str(one.unit))
    return found


def totals_after(deal: Deal) -> dict[str, Decimal]:
    """Give what the running totals of a message come to; money as it is paid.

    A total without a formula is none. Raises DealError.
    """
    meant = (*signals_in(deal), *signals_in(deal, "contract"))
    becomes = {s.name: (s.formula, s.unit) for s in meant if s.kind == STATE and s.formula}
    try:
        return {
            name: rounded(Fraction(one.value), *deals.rounding_of(deal))
            if one.unit and Unit.read(one.unit).is_money
            else one.value
            for name, one in _valued(deals.agreed(deal), becomes).items()
        }
    except (FormulaError, agreement.ContractError, ArithmeticError) as error:
        raise DealError(f"a running total cannot be computed: {error}") from error


def difference(old: SettlementReport, new: SettlementReport) -> tuple[RevenueFlow, ...]:
    """Give what remains to be paid under a report after another was: by parties and kind.

    An amount that has become smaller is paid back.
    """
    owed_now: dict[tuple[str, str, str, str], Decimal] = {}
    for report, is_owed in ((old, False), (new, True)):
        for flow in report.flows:
            low, high = sorted((flow.payer, flow.payee))
            key = low, high, flow.kind, flow.currency
            amount = flow.amount if (flow.payer == low) == is_owed else -flow.amount
            owed_now[key] = EXACT.add(owed_now.get(key, Decimal(0)), amount)
    return tuple(
        RevenueFlow(
            payer=low if amount > 0 else high,
            payee=high if amount > 0 else low,
            kind=kind,
            amount=abs(amount),
            currency=currency,
        )
        for (low, high, kind, currency), amount in owed_now.items()
        if amount
    )
