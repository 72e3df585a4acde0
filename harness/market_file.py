"""Market files: what `gridwitness clear` and `check-clearing` read, and what they answer.

Belongs here: the JSON of a market, its bids, its result and its verdict. Does not belong
here: what a result is, or what is right about it (reference_impl).

    {"market": {"priceFloor"?, "priceCap"?, "tolPrice"?, "tolPowerKW"?,
                "nodes"?: {NAME: {"parent", "maxForwardFlowKW"?, "maxReverseFlowKW"?}},
                "adders"?: {NODE: adder per kWh, or a loaded node's published figures}},
     "participants": [{"id", "offerCurve": {"currency", "minExport", "maxExport",
                       "curve": [{"price", "powerKW"}]}, "approvedMaxTradeKW"?, "node"?}],
     "result"?: {"status", "clearingPrice"?, "clearedPower"?, "adders"?, "nodePrices"?,
                 "flows"?, "offCurveCommanded"?}}

Other keys beside these three are left to whoever keeps the file.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.errors import UserError
from gridwitness.market_book import clear_large, judge_large, read_large
from gridwitness.reference_impl import clearing as flat
from gridwitness.reference_impl.clearing import ROOT, Bid, Bounds, Quantum, unclearable
from gridwitness.reference_impl.curves import Curve, OfferError, Point
from gridwitness.reference_impl.equilibrium import Claim, Market, Tolerance, violations
from gridwitness.reference_impl.grid import Grid, GridClearing, Node, clear_grid, load_adder
from gridwitness.user_json import BadNumber, Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gridwitness.dialects.base import Json
    from gridwitness.market_book import LargeBids
    from gridwitness.reference_impl.book import Book
    from gridwitness.reference_impl.clearing import Clearing
    from gridwitness.reference_impl.equilibrium import Violation

FINEST = Quantum(Decimal("1e-12"), Decimal("1e-9"))
"""What results are written in; finer, where a market is judged finer than a thousand of these."""
LARGE_BYTES = 200_000
"""A file that is longer, some eight hundred bids, is read and computed in arrays."""
RESULT = (
    *("status", "clearingPrice", "priceInterval", "offCurveCommanded"),
    *("clearedPower", "adders", "nodePrices", "flows"),
)
"""What a result may hold of what is judged; the last four are numbers by name."""
STATUSES = (
    "CLEARED",
    "CLEARED_ZERO",
    "CURTAILED_AT_FLOOR",
    "CURTAILED_AT_CAP",
    "NOT_CLEARABLE",
    "NOT_CLEARABLE_SURPLUS",
    "NOT_CLEARABLE_DEFICIT",
    "INVALID",
)


@dataclass(frozen=True)
class Fault:
    """Why a market file is refused: a code, whose offer it is, a sentence that says where."""

    code: str
    message: str
    participant: str | None = None

    def answer(self) -> dict[str, Json]:
        """Give the fault as JSON."""
        whose = {} if self.participant is None else {"participant": self.participant}
        return {"code": self.code, **whose, "message": self.message}


@dataclass(frozen=True)
class MarketFile:
    """A market file as read: the market, its tolerance, and the result claimed, if one is.

    faults: why the offers have no meaning; the market is then without bids.
    large, book: the bids of a large market, which then has none of its own.
    """

    name: str
    market: Market
    tolerance: Tolerance
    claim: Claim | None
    faults: tuple[Fault, ...] = ()
    large: LargeBids | None = None
    book: Book | None = None

    @property
    def exact(self) -> Market:
        """The market, bid for bid."""
        if self.large is None:
            return self.market
        bids = [self.large.bid(index) for index in range(len(self.large.names))]
        return replace(self.market, bids=bids)


def read_market(raw: bytes, where: str) -> MarketFile:
    """Read a market file exactly, number for number.

    Raises UserError for what is no JSON, or JSON of another shape: the file, the JSON
    Pointer, what to do. Offers that have no meaning are no such mistake: they are the faults.
    """
    large = read_large(raw) if len(raw) > LARGE_BYTES else None
    if large is not None:
        file = _read(Place({"market": large.market, "result": large.result}, where), where)
        book = large.book(file.market.bounds, file.market.grid, quantum_of(file.tolerance))
        if book is not None:
            return replace(file, large=large, book=book)
    root = Place.of(raw, where)
    file = _read(root, where)
    faults: list[Fault] = []
    bids = [bid for row in root / "participants" if (bid := _bid(row, faults)) is not None]
    faults += [
        Fault(error.problem.code, error.problem.message, error.participant)
        for error in (*unclearable(bids, file.market.bounds), *file.market.grid.strangers(bids))
    ]
    market = replace(file.market, bids=[] if faults else bids)
    return replace(file, market=market, faults=tuple(faults))


def _read(root: Place, where: str) -> MarketFile:
    """Read all but the bids."""
    market, tolerance = _settings(root / "market")
    claim = _claim(root / "result") if root / "result" else None
    return MarketFile(where, market, tolerance, claim)


def clear(file: MarketFile) -> dict[str, Json]:
    """Clear the market of a file; the answer, as JSON."""
    if file.faults:
        return invalid(file.faults)
    result = _cleared(file, quantum_of(file.tolerance))
    answer: dict[str, Json] = {
        "status": result.status,
        "priceInterval": [None if end is None else _float(end) for end in result.price_interval],
        "clearingPrice": None if result.price_per_kwh is None else plain(result.price_per_kwh),
        "clearedPower": _plain(result.power_kw),
    }
    if isinstance(result, GridClearing):
        answer |= {
            "nodePrices": _plain(result.node_prices),
            "adders": _plain(result.adders),
            "flows": _plain(result.flows_kw),
        }
    return answer


def _cleared(file: MarketFile, quantum: Quantum) -> Clearing:
    grid, bounds = file.market.grid, file.market.bounds
    if file.large is not None and file.book is not None:
        result = clear_large(file.large, file.book, bounds, grid, quantum)
        if result is not None:
            return result
    bids = file.exact.bids
    if grid == Grid():
        return flat.clear(bids, quantum, bounds)
    return clear_grid(bids, grid, quantum, bounds)


def check(file: MarketFile) -> dict[str, Json]:
    """Judge the result that a file claims; the violations, as JSON.

    Raises UserError where the file claims none.
    """
    claim = file.claim
    if claim is None:
        raise UserError("claims no result", where=file.name, mend="add the result to be checked")
    found: list[dict[str, Json]] = []
    if file.faults and claim.status != "INVALID":
        found = [
            Fault(
                "V_ACCEPTED_INVALID_INPUT", f"{fault.code}: {fault.message}", fault.participant
            ).answer()
            for fault in file.faults
        ]
    elif claim.status == "INVALID" and not file.faults:
        message = "the market is refused, although every offer in it is valid"
        found = [Fault("V_REJECTED_VALID_INPUT", message).answer()]
    elif not file.faults:
        found = [
            Fault(one.code, one.message, one.participant).answer() | {"size": _float(one.size)}
            for one in _judged(file, claim)
        ]
    return {"violations": found}


def _judged(file: MarketFile, claim: Claim) -> Iterable[Violation]:
    if file.large is not None and file.book is not None:
        found = judge_large(file.large, file.book, file.market, claim, file.tolerance)
        if found is not None:
            return found
    return violations(file.exact, claim, file.tolerance)


def invalid(faults: Iterable[Fault]) -> dict[str, Json]:
    """Give the answer to input that has no meaning: each code once, whomever it concerns."""
    by_code: defaultdict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        by_code[fault.code].append(fault)
    told = (
        replace(alike[0], message="; ".join(fault.message for fault in alike))
        for alike in by_code.values()
    )
    return {"status": "INVALID", "errors": [fault.answer() for fault in told]}


def plain(number: Decimal) -> Decimal:
    """Write a number without an exponent and without zeros at its end."""
    text = f"{number:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def _plain(numbers: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {name: plain(number) for name, number in numbers.items()}


def _float(exact: Fraction) -> Decimal:
    """Give the shortest decimal that reads as the nearest double."""
    return plain(Decimal(repr(float(exact))))


def quantum_of(tolerance: Tolerance) -> Quantum:
    """Give the resolution in which a result is written that is judged with a tolerance."""
    return Quantum(
        _finer(FINEST.price_per_kwh, tolerance.price_per_kwh),
        _finer(FINEST.power_kw, tolerance.power_kw),
    )


def _finer(step: Decimal, tolerance: Fraction) -> Decimal:
    """Divide a step by ten until a thousand of it are within the tolerance, if there is one."""
    while tolerance and 1000 * Fraction(step) > tolerance:
        step = step.scaleb(-1)
    return step


def _settings(settings: Place) -> tuple[Market, Tolerance]:
    if not settings:
        settings = Place({}, "")
    settings.object("priceFloor", "priceCap", "tolPrice", "tolPowerKW", "nodes", "adders")
    tolerances = (("tolPrice", "1e-9"), ("tolPowerKW", "1e-6"))
    price, power = (
        Fraction((settings / key).at_least_zero() if settings / key else Decimal(default))
        for key, default in tolerances
    )
    try:
        bounds = Bounds(_optional(settings / "priceFloor"), _optional(settings / "priceCap"))
        nodes = {
            name: _node(node)
            for name, node in (settings / "nodes").members()
            if name != ROOT or node / "parent"  # the root is there by itself; its flow is zero
        }
        adders = {name: _adder(adder) for name, adder in (settings / "adders").members()}
        grid = Grid(nodes, adders)
    except OfferError as error:
        raise settings.mistake(error.problem.message, "correct the bounds or the nodes") from error
    return Market([], bounds, grid), Tolerance(price, power, power)


def _optional(place: Place) -> Decimal | None:
    return place.number() if place else None


def _node(node: Place) -> Node:
    node.object("parent", "maxForwardFlowKW", "maxReverseFlowKW")
    parent = (node / "parent").text() if node / "parent" else ROOT
    return Node(parent, *(_optional(node / f"max{way}FlowKW") for way in ("Forward", "Reverse")))


def _adder(adder: Place) -> Decimal:
    """Read a published adder: the number itself, or the load and the price that make it."""
    if not adder.is_object():
        return adder.number()
    adder.object("currentLoadPercent", "priceAdderPerPercent", "congestionMultiplier")
    multiplier = _optional(adder / "congestionMultiplier")
    return load_adder(
        (adder / "currentLoadPercent").number(),
        (adder / "priceAdderPerPercent").number(),
        Decimal(1) if multiplier is None else multiplier,
    )


def _claim(result: Place) -> Claim:
    for key in result.object():
        near = difflib.get_close_matches(key.lower(), map(str.lower, RESULT), n=1, cutoff=0.9)
        if near and key not in RESULT:
            known = next(one for one in RESULT if one.lower() == near[0])
            raise (result / key).mistake("is not known", f"did you mean {known}?")
    powers, adders, node_prices, flows = (
        {name: _claimed(number) for name, number in (result / key).members()} for key in RESULT[-4:]
    )
    price, commanded = result / "clearingPrice", result / "offCurveCommanded"
    return Claim(
        (result / "status").choice(*STATUSES),
        _claimed(price) if price else None,
        powers,
        adders,
        node_prices,
        flows,
        frozenset(name.text() for name in commanded) if commanded else frozenset(),
    )


def _claimed(number: Place) -> Decimal:
    """Read a number of a result; whatever is none is judged as such, not refused."""
    try:
        return number.number()
    except UserError:
        return Decimal("NaN")


def _bid(row: Place, faults: list[Fault]) -> Bid | None:
    """Read a bid; None, and a fault noted, where it has no meaning."""
    row.object("id", "offerCurve", "approvedMaxTradeKW", "node")
    name, offer = (row / "id").text(), row / "offerCurve"
    offer.object("currency", "minExport", "maxExport", "curve")
    try:
        points = tuple(_point(point) for point in offer / "curve")
        currency = (offer / "currency").text() if (offer / "currency").value else ""
        low, high = (offer / "minExport").number(), (offer / "maxExport").number()
        node = (row / "node").text() if row / "node" else ROOT
        curve = Curve(currency, low, high, points)
        return Bid(name, curve, _optional(row / "approvedMaxTradeKW"), node)
    except BadNumber as bad:
        faults.append(Fault(bad.code, f"{bad.where} {bad.what}: {bad.mend}", name))
    except OfferError as error:
        faults.append(Fault(error.problem.code, error.problem.message, name))
    return None


def _point(point: Place) -> Point:
    point.object("price", "powerKW")
    return Point((point / "price").number(), (point / "powerKW").number())
