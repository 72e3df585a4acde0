"""The files of the commands `settle` and `check-settlement`: their JSON, read and written.

Belongs here: which key means what. Does not belong here: any arithmetic of a settlement
(reference_impl.settlement).

    {"profile" (see settlement_terms),
     "intervalHours", "clearingPrice", "nodePrices"?: {NODE: price},
     "participants": [{"id", "clearedKW", "meteredKWh"?, "node"?}],
     "flows"?: [{"from", "to", "kind", "amount", "currency"?}],
     "positions"?: {PARTY: what the flows leave to it},
     "roleValues"?: [{"role", "value"}]}

Other keys beside these are left to whoever keeps the file, unless they look like one of
these; within the profile, a participant and a flow every key has to be known. null is the
same as absent.
"""

from __future__ import annotations

import difflib
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from gridwitness.reference_impl.rounding import EXACT, exact_sum
from gridwitness.reference_impl.settlement import (
    WH_PER_KWH,
    audit_flows,
    audit_positions,
    audit_role_values,
    positions,
    settle,
    settled_kwh,
)
from gridwitness.reference_impl.terms import Flow, Inputs, Parties, Trade
from gridwitness.settlement_terms import decimals, optional_text, read_terms
from gridwitness.user_json import Place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gridwitness.dialects.base import Json
    from gridwitness.reference_impl.terms import Discrepancy

PARTIES = Parties("MCA", "GRID_OPERATOR")
USUAL_DECIMALS = 2
KEYS = (
    *("profile", "intervalHours", "clearingPrice", "nodePrices", "participants"),
    *("flows", "positions", "roleValues"),
)
HALF_A_WATT = Decimal("0.0005")
"""In kW: what rounding a published power to 0.001 kW may take from it, or add to it."""

ABOUT = {
    "K3_MCA_CONDUIT": "kept by",
    "K6_ENERGY_LEG_UNBALANCED": "energy received less paid by",
    "K8_WHEELING_UNFUNDED": "wheeling received less passed on by",
}
"""What the sums through the clearing agent are about."""


class Claim(NamedTuple):
    """What somebody says a settlement is: its payments, or what is left to each role."""

    inputs: Inputs | None
    flows: Sequence[Flow]
    positions: Mapping[str, Decimal] | None
    role_values: Sequence[tuple[str, Decimal]]
    minor_unit: int


def read_settlement(raw: bytes, file: str) -> Inputs:
    """Read what is to be settled.

    Raises UserError for whatever cannot be: it names the file, the JSON Pointer, what to do.
    """
    return _inputs(_root(raw, file))


def read_claim(raw: bytes, file: str) -> Claim:
    """Read a settlement that somebody claims; raises UserError as `read_settlement` does.

    Flows are judged with what they settle; role values stand for themselves, in two decimals
    where no profile says otherwise.
    """
    root = _root(raw, file)
    flows, left, values = (root / key for key in ("flows", "positions", "roleValues"))
    if not flows and not values:
        raise root.mistake("claims nothing", "add flows, or roleValues")
    said = [((one / "role").text(), (one / "value").number()) for one in values] if values else []
    if not flows:
        minor = root / "profile" / "minorUnit"
        return Claim(None, (), None, said, decimals(minor) if minor else USUAL_DECIMALS)
    inputs = _inputs(root)
    stated = {party: place.number() for party, place in left.members()} if left else None
    claimed = [_flow(one) for one in flows]
    return Claim(inputs, claimed, stated, said, inputs.terms.minor_unit)


def settlement_answer(inputs: Inputs) -> dict[str, Json]:
    """Settle, and write what `gridwitness settle` answers."""
    flows, settled = settle(inputs), settled_kwh(inputs)
    left = positions(flows)
    return {
        "flows": [
            {"from": flow.payer, "to": flow.payee, "kind": flow.kind, "amount": f"{flow.amount:f}"}
            for flow in flows
        ],
        "positions": {party: f"{value:f}" for party, value in left.items()},
        "settledKWh": {
            trade.participant: f"{_energy(trade, settled[trade.participant], inputs):f}"
            for trade in inputs.trades
        },
        "netZero": sum(map(Fraction, left.values())) == 0,
    }


def violations_answer(claim: Claim) -> dict[str, Json]:
    """Judge, and write what `gridwitness check-settlement` answers; none is right."""
    found = audit_role_values(claim.role_values, claim.minor_unit)
    if claim.positions is not None:
        found += audit_positions(claim.positions, claim.flows)
    found += audit_flows(claim.flows, claim.inputs) if claim.inputs else []
    return {"violations": [_violation(one) for one in found]}


def _violation(one: Discrepancy) -> dict[str, Json]:
    parties = [party for party in dict.fromkeys(one[1:3]) if party]
    named = [party for party in parties if party not in PARTIES]
    whose = f"{ABOUT.get(one.code, one.kind)} {' to '.join(parties)}".strip()
    return {
        "code": one.code,
        **({"participant": named[0]} if named else {}),
        "size": f"{one.size:f}",
        "message": f"{whose}: {one.observed}, right is {one.expected}",
    }


def _energy(trade: Trade, settled: Fraction, inputs: Inputs) -> Decimal:
    """Write an energy in the digits it was given in; what buyers share of deliveries in Wh."""
    exact, hours = (
        EXACT.divide(*map(Decimal, value.as_integer_ratio())) for value in (settled, inputs.hours)
    )
    if inputs.terms.mode == "ACTUALS_CAPPED" and trade.cleared_kw < 0:
        in_wh = WH_PER_KWH % settled.denominator == 0
        return EXACT.quantize(exact, Decimal("0.001")) if in_wh else exact
    given = (EXACT.multiply(trade.cleared_kw, hours), trade.metered_kwh)
    return next((one for one in given if one is not None and one == exact), exact)


def _root(raw: bytes, file: str) -> Place:
    root = Place.of(raw, file)
    lower = {key.casefold(): key for key in KEYS}
    for key in root.object().keys() - {*KEYS}:
        if near := difflib.get_close_matches(key.casefold(), lower, n=1, cutoff=0.85):
            raise (root / key).mistake("is not known", f"did you mean {lower[near[0]]}?")
    return root


def _flow(one: Place) -> Flow:
    one.object("from", "to", "kind", "amount", "currency")
    payer, payee, kind = ((one / key).text() for key in ("from", "to", "kind"))
    return Flow(payer, payee, kind, (one / "amount").number(), optional_text(one / "currency"))


def _inputs(root: Place) -> Inputs:
    hours, price, nodes = (root / key for key in ("intervalHours", "clearingPrice", "nodePrices"))
    terms = read_terms(root / "profile")
    if hours.number() <= 0:
        raise hours.mistake(f"is {hours.value}", "give how long the interval is, in hours")
    prices = {node: place.number() for node, place in nodes.members()}
    trades: dict[str, Trade] = {}
    for one in root / "participants":
        one.object("id", "clearedKW", "meteredKWh", "node")
        trade = _trade(one, prices)
        if trade.participant in trades or trade.participant in PARTIES:
            raise (one / "id").mistake(f"{trade.participant} is taken", "give everyone a name")
        # what counts has to be there
        sells = trade.cleared_kw > 0
        if terms.mode == "VIRTUAL_METER" or (terms.mode == "ACTUALS_CAPPED" and sells):
            (one / "meteredKWh").number()
        if trade.cleared_kw and trade.price_per_kwh is None:
            price.number()
        trades[trade.participant] = trade
    _refuse_unbalanced(root / "participants", [*trades.values()])
    market_price = price.number() if price else Decimal()
    return Inputs(terms, Fraction(hours.number()), market_price, [*trades.values()], PARTIES)


def _refuse_unbalanced(participants: Place, trades: Sequence[Trade]) -> None:
    total = exact_sum(trade.cleared_kw for trade in trades)
    most = HALF_A_WATT * len(trades)
    if abs(total) > most:
        mend = f"give powers that sum to zero; rounding them explains {most.normalize():f} at most"
        raise participants.mistake(f"has clearedKW that sum to {total:f}", mend)


def _trade(one: Place, prices: Mapping[str, Decimal]) -> Trade:
    metered, node = one / "meteredKWh", optional_text(one / "node")
    if node and node not in prices:
        raise (one / "node").mistake(f"{node} has no price", "add it to nodePrices")
    energy = metered.number() if metered else None
    return Trade((one / "id").text(), (one / "clearedKW").number(), energy, prices.get(node))
