"""The contract block of a deal, written alike in both dialects: roles, terms, formulas, blocks.

Belongs here: the inside of an EnergyContract that is no market's, and the building blocks
that stand in a slot beside it. Does not belong here: the slot it sits in (order, contract),
what follows from it (rules, reference_impl.contract).

Roles are spelt as each dialect spells them: CHARGING_OPERATOR, chargingOperator. In a
formula they are spelt as in the contract dialect, in both.

Source: beckn/DEG, building blocks, EnergyContract v1 (roles, revenueFlows, telemetrySources).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from gridwitness.dialects.blocks import hours, iso_duration, read_flows, read_window, write_flows
from gridwitness.reference_impl.rounding import ROUNDINGS
from gridwitness.views import Block, Deal, Due, Promise, Role, Source, Term

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from fractions import Fraction

    from gridwitness.dialects.base import Cursor, Json
    from gridwitness.views import Interval, SettlementReport

    Spell = Callable[[str], str]

HELD: dict[str, tuple[str, ...]] = {
    "item": (
        "maxPowerKW",
        "connectorType",
        "offerCurve",
        "objectives",
        "gridConstraints",
        "locationalPriceAdder",
        "location",
        "availableQuantity",
    ),
    "offer": (
        "tariff",
        "objective",
        "gridNode",
        "gridConstraints",
        "locationalPriceAdder",
        "externalSignals",
        "beckn:maxQuantity",
    ),
    "contract": (
        "tariff",
        "objective",
        "externalSignals",
        "setpoint",
        "offsetCommand",
        "gridNode",
        "gridConstraints",
        "locationalPriceAdder",
        "baseline",
    ),
    "fulfilment": (
        "chargeDetailRecord",
        "telemetry",
        "offsetCommand",
        "externalSignals",
        "baseline",
        "sessionStatus",
        "connectorStatus",
        "deliveryStatus",
        "observedAt",
    ),
}
"""The blocks that the block of a slot may hold, by the member that holds them."""

IN_A_DEAL = HELD | {
    "contract": (*HELD["contract"], "participatingMeters"),
    "fulfilment": (*HELD["fulfilment"], "meters", "methodology", "pageInfo"),
}
"""What the blocks of a deal hold: a market's meters are its readings."""

SPELT = {
    "utility": ("GRID_OPERATOR", "gridOperator"),
    "buyer utility": ("BUYER_DISCOM", "buyerDiscom"),
    "seller utility": ("SELLER_DISCOM", "sellerDiscom"),
}
"""Roles that are published under another name: as the order and the contract dialect spell them."""

_READ = {"grid operator": "utility"} | {
    f"{side} discom": f"{side} utility" for side in ("buyer", "seller")
}

MOST_DECIMALS = 4

MOST_PROMISES = 100
BOUNDS = ("AT_LEAST", "AT_MOST")


def upper(role: str) -> str:
    """Spell a role as the order dialect does."""
    if role in SPELT:
        return SPELT[role][0]
    return role.replace("'s", "").replace(" ", "_").upper()


def camel(role: str) -> str:
    """Spell a role as the contract dialect does, and formulas."""
    if role in SPELT:
        return SPELT[role][1]
    first, *others = role.replace("'s", "").split(" ")
    return first + "".join(word.capitalize() for word in others)


def words(spelt: str) -> str:
    """Read a role that is spelt in either way back as words."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", spelt).lower().replace("_", " ")
    return _READ.get(apart, apart)


def read_blocks(
    holder: Cursor, slot: str, held: Mapping[str, tuple[str, ...]] = HELD
) -> tuple[Block, ...]:
    """Read the building blocks that the block of a slot holds."""
    return tuple(
        Block(slot=slot, name=name, data=inner.value, at={"": inner.pointer})
        for name in held[slot]
        if (inner := holder / name)
    )


def write_blocks(blocks: Iterable[Block], slot: str) -> dict[str, Json]:
    """Write the building blocks of a slot as members of its block."""
    return {block.name: block.data for block in blocks if block.slot == slot}


def read_deal(block: Cursor) -> Deal | None:
    """Read the contract block of a deal; None where it has no role beyond those of a market."""
    roles = tuple(_read_roles(block / "roles"))
    if not roles:
        return None
    flows, inputs = block / "revenueFlows", block / "inputParameters"
    return Deal(
        status=(block / "status").text(),
        interval=read_window(inputs / "tradeWindow", "startTime", "duration"),
        roles=roles,
        dues=tuple(_read_dues(flows)),
        promises=tuple(_read_promises(block / "qualityMetrics" / "metrics")),
        sources=tuple(_read_sources(block / "telemetrySources")),
        arrival=read_window(inputs / "arrivalWindow", "startTime", "duration"),
        grace_h=_hours(inputs / "gracePeriod"),
        minor_unit=_minor_unit(inputs / "minorUnit"),
        rounding=_rounding(inputs / "rounding"),
        blocks=read_blocks(block, "contract", IN_A_DEAL),
        at={
            "": block.pointer,
            "status": (block / "status").pointer,
            "dues": flows.pointer,
            "roles": (block / "roles").pointer,
        },
    )


def is_deal(block: Cursor) -> bool:
    """Tell whether a contract block is a deal's: it has terms, or other roles than a market's."""
    roles = block / "roles"
    if not isinstance(roles.value, list):
        return False
    named = {words(role.text() or "") for item in roles.items() if (role := item / "role")}
    if not named <= MARKET:
        return True
    # Who sells a service to a utility has no other role, but terms.
    return any(isinstance((item / "roleInputs" / "terms").value, list) for item in roles.items())


MARKET = {"market clearing agent", "clearing agent", "prosumer", "utility"}
"""The roles of a pay-as-clear market in either spelling; whoever has others makes a deal."""


def _read_roles(roles: Cursor) -> Iterator[Role]:
    for item in roles.items():
        name = (item / "role").text()
        if name is None:
            continue
        inputs = item / "roleInputs"
        yield Role(
            name=words(name),
            holder_id=(item / "filledBy").text() or (item / "participantId").text(),
            meter_id=(inputs / "sourceMeterId").text(),
            terms=tuple(_read_terms(inputs / "terms")),
            at={"": item.pointer},
        )


def _read_terms(terms: Cursor) -> Iterator[Term]:
    """Read quantities that are stated by name: of a role, or of a report."""
    for item in terms.items():
        name, value = (item / "name").need_text(), (item / "value").need_number()
        if name is not None and value is not None:
            at = {"": item.pointer, "value": (item / "value").pointer}
            yield Term(name=name, value=value, unit=(item / "unit").text(), at=at)


def _read_dues(flows: Cursor) -> Iterator[Due]:
    """Read the payments; a list, or as the drafts have it an object around one."""
    inner = flows / "flows"
    for item in (inner or flows).items():
        if not item / "formula":
            continue  # a list of what is left to each party
        texts = [(item / key).need_text() for key in ("from", "to", "formula")]
        if all(text is not None for text in texts):
            payer, payee, formula = (text or "" for text in texts)
            kind = (item / "kind").text() or "ENERGY"
            at = {"": item.pointer, "formula": (item / "formula").pointer}
            yield Due(payer=words(payer), payee=words(payee), kind=kind, formula=formula, at=at)


def _read_promises(metrics: Cursor) -> Iterator[Promise]:
    """Read the quality metrics that say on which side of their target they are met."""
    for number, item in enumerate(metrics.items()):
        if number == MOST_PROMISES:
            item.problem(f"is more than the {MOST_PROMISES} that are read")
            return
        penalty, bound = item / "penalty", (item / "bound").text()
        texts = [(item / "metricId").text(), (item / "formula").text()]
        texts += [(penalty / key).text() for key in ("appliedTo", "paidTo", "formula")]
        target = (item / "target").number()
        if bound not in BOUNDS or target is None or any(text is None for text in texts):
            continue
        name, formula, payer, payee, charge = (text or "" for text in texts)
        kind = (penalty / "kind").text() or "PENALTY"
        due = Due(payer=words(payer), payee=words(payee), kind=kind, formula=charge)
        unit, at = (item / "unit").text(), {"": item.pointer}
        yield Promise(
            name=name, formula=formula, target=target, bound=bound, due=due, unit=unit, at=at
        )


def _write_promises(deal: Deal, spell: Spell) -> dict[str, Json] | None:
    metrics: list[Json] = [
        _present(
            {
                "metricId": promise.name,
                "formula": promise.formula,
                "target": promise.target,
                "bound": promise.bound,
                "unit": promise.unit,
                "penalty": {
                    "kind": promise.due.kind,
                    "formula": promise.due.formula,
                    "appliedTo": spell(promise.due.payer),
                    "paidTo": spell(promise.due.payee),
                },
            }
        )
        for promise in deal.promises
    ]
    return {"metrics": metrics} if metrics else None


def _read_sources(sources: Cursor) -> Iterator[Source]:
    for item in sources.items():
        name, kind = (item / "sourceId").need_text(), (item / "sourceType").need_text()
        if name is not None and kind is not None:
            yield Source(
                name=name,
                kind=kind,
                meter_id=(item / "meterId").text(),
                signal=(item / "signalId").text(),
                unit=(item / "unit").text(),
                at={"": item.pointer},
            )


def _hours(cursor: Cursor) -> Fraction | None:
    text = cursor.text()
    length_h = hours(text) if text is not None else None
    if text is not None and length_h is None:
        cursor.problem("is not an ISO 8601 duration above zero")
    return length_h


def _minor_unit(cursor: Cursor) -> int | None:
    decimals = cursor.integer()
    if decimals is not None and not 0 <= decimals <= MOST_DECIMALS:
        cursor.problem(f"is not between 0 and {MOST_DECIMALS}")
        return None
    return decimals


def _rounding(cursor: Cursor) -> str | None:
    rounding = cursor.text()
    if rounding is not None and rounding not in ROUNDINGS:
        cursor.problem(f"is none of {', '.join(ROUNDINGS)}")
        return None
    return rounding


def write_deal(deal: Deal, spell: Spell, holder: str) -> dict[str, Json]:
    """Write the members of a deal's contract block; holder: the key of who fills a role."""
    inputs: dict[str, Json] = {
        "tradeWindow": _window(deal.interval),
        "arrivalWindow": _window(deal.arrival),
        "gracePeriod": iso_duration(deal.grace_h) if deal.grace_h else None,
        "rounding": deal.rounding,
        "minorUnit": deal.minor_unit,
    }
    members: dict[str, Json] = {
        "status": deal.status,
        "roles": [_write_role(role, spell, holder) for role in deal.roles],
        "inputParameters": _present(inputs) or None,
        "telemetrySources": [_write_source(source) for source in deal.sources] or None,
        "revenueFlows": _write_dues(deal, spell),
        "qualityMetrics": _write_promises(deal, spell),
    }
    return _present(members | write_blocks(deal.blocks, "contract"))


def _write_role(role: Role, spell: Spell, holder: str) -> dict[str, Json]:
    terms = _write_terms(role.terms)
    inputs = _present({"sourceMeterId": role.meter_id, "terms": terms})
    return {"role": spell(role.name), holder: role.holder_id} | (
        {"roleInputs": inputs} if inputs else {}
    )


def _write_terms(terms: Iterable[Term]) -> list[Json] | None:
    written: list[Json] = [
        _present({"name": term.name, "value": term.value, "unit": term.unit}) for term in terms
    ]
    return written or None


def read_report(report: SettlementReport, cursor: Cursor) -> SettlementReport:
    """Read what makes a settlement a billing report: its name, what it rests on and corrects."""
    at = {"inputs": cursor.pointer + "/inputs", "adjustments": cursor.pointer + "/adjustments"}
    return replace(
        report,
        report_id=(cursor / "reportId").text(),
        generated_at=(cursor / "generatedAt").text(),
        replaces=(cursor / "replaces").text(),
        inputs=tuple(_read_terms(cursor / "inputs")),
        adjustments=read_flows(cursor / "adjustments"),
        at={**report.at, **at, "report_id": (cursor / "reportId").pointer},
    )


def write_report(report: SettlementReport) -> dict[str, Json]:
    """Write the flows of a settlement, and what makes it a billing report."""
    members: dict[str, Json] = {
        "reportId": report.report_id,
        "generatedAt": report.generated_at,
        "replaces": report.replaces,
        "inputs": _write_terms(report.inputs),
        "flows": write_flows(report.flows),
        # A correction that changes nothing says so.
        "adjustments": write_flows(report.adjustments) if report.replaces else None,
    }
    return _present(members)


def _write_source(source: Source) -> dict[str, Json]:
    members: dict[str, Json] = {
        "sourceId": source.name,
        "sourceType": source.kind,
        "meterId": source.meter_id,
        "signalId": source.signal,
        "unit": source.unit,
    }
    return _present(members)


def _write_dues(deal: Deal, spell: Spell) -> list[Json] | None:
    flows: list[Json] = [
        {"from": spell(d.payer), "to": spell(d.payee), "kind": d.kind, "formula": d.formula}
        for d in deal.dues
    ]
    return flows or None


def _window(interval: Interval | None) -> dict[str, Json] | None:
    if interval is None:
        return None
    return {"startTime": interval.start, "duration": iso_duration(interval.duration_h)}


def _present(members: dict[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in members.items() if value is not None}
