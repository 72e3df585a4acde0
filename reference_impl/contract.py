"""Energy contracts: who holds which role, and what follows in money and in quality.

Belongs here: roles, status, revenue flows and quality metrics of one contract. Does not
belong here: how a formula is computed (formula), what a cleared market owes (settlement).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple

from gridwitness.reference_impl.formula import (
    FormulaError,
    Names,
    Quantity,
    Result,
    Unit,
    evaluate,
    missing,
)
from gridwitness.reference_impl.rounding import money, shared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from decimal import Decimal

    from gridwitness.reference_impl.formula import Scope, TariffPrice

Status = Literal["PENDING", "ACTIVE", "COMPLETED", "TERMINATED"]
FOLLOWS: Mapping[Status, tuple[Status, ...]] = {
    "PENDING": ("ACTIVE", "TERMINATED"),
    "ACTIVE": ("COMPLETED", "TERMINATED"),
    "COMPLETED": (),
    "TERMINATED": (),
}


class ContractError(ValueError):
    """A contract that contradicts itself: a code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Role(NamedTuple):
    """A part in the contract, who holds it (None: nobody yet), and what the holder provides."""

    name: str
    filled_by: str | None
    inputs: Mapping[str, Quantity]


class RevenueFlow(NamedTuple):
    """What one role pays another; where the formula comes to less than zero, it is paid back."""

    payer: str
    payee: str
    formula: str


class QualityMetric(NamedTuple):
    """A measure of the service.

    bound: on which side of the target it is met, None if nobody declares it.
    penalty: a formula over the same names, the metric's id and `target`.
    """

    metric_id: str
    formula: str
    unit: str | None = None
    target: Quantity | None = None
    bound: Literal["AT_MOST", "AT_LEAST"] | None = None
    penalty: str | None = None
    penalty_applied_to: str | None = None


class Payment(NamedTuple):
    """An exact amount, never negative, that one role pays another."""

    payer: str
    payee: str
    amount: Fraction


class Quality(NamedTuple):
    """What a metric came to. met, penalty: None where nothing declared says so."""

    metric_id: str
    value: Fraction
    unit: Unit | None
    met: bool | None
    penalty: Fraction | None


@dataclass(frozen=True)
class EnergyContract:
    """A computational agreement: roles, what is known, and formulas over it.

    parameters, signals (by id), telemetry (by source, then field) may lack values.

    Raises ContractError: E_STATUS; E_DUPLICATE for a role or a metric that is there twice;
    E_SAME_ROLE for a flow from a role to itself; E_UNFILLED for a contract that is active or
    completed while nobody holds a role that it names.
    """

    contract_id: str
    status: Status
    roles: tuple[Role, ...]
    flows: tuple[RevenueFlow, ...] = ()
    metrics: tuple[QualityMetric, ...] = ()
    parameters: Mapping[str, Quantity] = field(default_factory=dict[str, Quantity])
    signals: Mapping[str, Quantity] = field(default_factory=dict[str, Quantity])
    telemetry: Mapping[str, Mapping[str, Quantity]] = field(
        default_factory=dict[str, "Mapping[str, Quantity]"]
    )

    def __post_init__(self) -> None:
        if self.status not in FOLLOWS:
            message = f"{self.status!r} is no status; write {', '.join(FOLLOWS)}"
            raise ContractError("E_STATUS", message)
        names = Counter(role.name for role in self.roles)
        ids = Counter(metric.metric_id for metric in self.metrics)
        for name, times in [*names.items(), *ids.items()]:
            if times > 1:
                raise ContractError("E_DUPLICATE", f"{name} is there {times} times; once is right")
        for flow in self.flows:
            if flow.payer == flow.payee:
                raise ContractError("E_SAME_ROLE", f"{flow.payer} pays itself {flow.formula!r}")
        if self.status in ("ACTIVE", "COMPLETED") and (open_roles := unfilled(self)):
            message = f"{self.status} with nobody as {', '.join(open_roles)}; fill every role first"
            raise ContractError("E_UNFILLED", message)


def unfilled(contract: EnergyContract) -> list[str]:
    """Name the roles that nobody holds, also those that only a flow or a penalty names."""
    holders = {role.name: role.filled_by for role in contract.roles}
    named = [name for flow in contract.flows for name in (flow.payer, flow.payee)]
    named += [m.penalty_applied_to for m in contract.metrics if m.penalty_applied_to]
    return [name for name in dict.fromkeys([*holders, *named]) if holders.get(name) is None]


def missing_inputs(contract: EnergyContract) -> list[str]:
    """Name what the formulas use and nobody has given a value, in order of use.

    Raises FormulaError for a formula that cannot be read.
    """
    names = Names(_scope(contract))
    used = [name for flow in contract.flows for name in missing(flow.formula, names)]
    for metric in contract.metrics:
        used += missing(metric.formula, names)
        if metric.penalty:
            own = _penalty_names(contract, metric, Quantity(Fraction()))
            used += missing(metric.penalty, own)
    return list(dict.fromkeys(used))


def move(contract: EnergyContract, status: Status) -> EnergyContract:
    """Give the contract in its next status.

    Raises ContractError: E_TRANSITION for a status that does not follow, E_UNFILLED.
    """
    if status not in FOLLOWS[contract.status]:
        follows = " or ".join(FOLLOWS[contract.status]) or "nothing"
        message = f"{status} does not follow {contract.status}; {follows} does"
        raise ContractError("E_TRANSITION", message)
    return replace(contract, status=status)


def revenue_flows(
    contract: EnergyContract, tariff_price: TariffPrice | None = None
) -> list[Payment]:
    """Compute what each flow of the contract comes to, in their order.

    A negative amount is paid the other way round.

    Raises FormulaError as `evaluate` does, also E_UNIT for a unit that is no money;
    ContractError (E_MIXED_CURRENCY).

    Source: reference_impl/README.md, Contracts.
    """
    names = Names(_scope(contract))
    amounts = [_money(flow.formula, names, tariff_price) for flow in contract.flows]
    currencies = sorted({str(amount.unit) for amount in amounts if amount.unit})
    if len(currencies) > 1:
        raise ContractError("E_MIXED_CURRENCY", f"the flows are in {' and '.join(currencies)}")
    return [
        Payment(flow.payer, flow.payee, amount.value)
        if amount.value >= 0
        else Payment(flow.payee, flow.payer, -amount.value)
        for flow, amount in zip(contract.flows, amounts, strict=True)
    ]


def role_values(payments: Iterable[Payment]) -> dict[str, Fraction]:
    """Sum what each role receives less what it pays; the values sum to zero exactly."""
    total: dict[str, Fraction] = {}
    for payer, payee, amount in payments:
        total[payer] = total.get(payer, Fraction()) - amount
        total[payee] = total.get(payee, Fraction()) + amount
    return total


def rounded_role_values(payments: Iterable[Payment], minor_unit: int) -> dict[str, Decimal]:
    """Round the values of the roles to the minor unit; they still sum to zero.

    Source: reference_impl/README.md, Rounding: rounded down, then the largest remainders up.
    """
    exact = {role: value * 10**minor_unit for role, value in role_values(payments).items()}
    return {role: money(units, minor_unit) for role, units in shared(exact, 0).items()}


def quality(contract: EnergyContract, tariff_price: TariffPrice | None = None) -> Iterator[Quality]:
    """Compute every quality metric, whether its target is met, and the penalty.

    Without a declared bound no target is known to be met: its penalty is what the formula
    says. A target that is met costs nothing.

    Raises FormulaError as `evaluate` does, also E_UNIT for a unit that is not the declared
    one, or no money; ContractError (E_NEGATIVE_PENALTY).
    """
    names = Names(_scope(contract))
    for metric in contract.metrics:
        value, unit = evaluate(metric.formula, names, tariff_price)
        declared = Unit.read(metric.unit) if metric.unit else unit
        _refuse_other_unit(metric.metric_id, unit, declared)
        own = Quantity(value, declared and str(declared))
        met = penalty = None
        if metric.target and metric.bound:
            target = evaluate("target", Names({"target": metric.target}))
            _refuse_other_unit(f"the target of {metric.metric_id}", target.unit, declared)
            met = value <= target.value if metric.bound == "AT_MOST" else value >= target.value
        if metric.penalty:
            charge = _penalty_names(contract, metric, own)
            due = Fraction() if met else _money(metric.penalty, charge, tariff_price).value
            if due < 0:
                message = f"the penalty of {metric.metric_id} is {due}; max(0, …) keeps it at zero"
                raise ContractError("E_NEGATIVE_PENALTY", message)
            penalty = due
        yield Quality(metric.metric_id, value, declared, met, penalty)


def _scope(contract: EnergyContract) -> dict[str, Scope]:
    return {
        "roles": {
            role.name: {"era": Quantity(role.filled_by), "roleInputs": role.inputs}
            for role in contract.roles
        },
        "inputParameters": contract.parameters,
        "inputSignals": contract.signals,
        "telemetrySources": contract.telemetry,
    }


def _penalty_names(contract: EnergyContract, metric: QualityMetric, own: Quantity) -> Names:
    target = metric.target or Quantity(None)
    return Names({metric.metric_id: own, "target": target, **_scope(contract)})


def _refuse_other_unit(what: str, unit: Unit | None, declared: Unit | None) -> None:
    if unit and declared and unit != declared:
        raise FormulaError("E_UNIT", 1, f"{what} comes to {unit}, declared is {declared}")


def _money(formula: str, names: Names, tariff_price: TariffPrice | None) -> Result:
    result = evaluate(formula, names, tariff_price)
    if result.unit and not result.unit.is_money:
        raise FormulaError("E_UNIT", 1, f"{formula!r} comes to {result.unit}, which is no money")
    return result
