"""The profile of a settlement file: the terms it states, and how it spells them.

Belongs here: every key of the profile. Does not belong here: what the terms do
(reference_impl.settlement).

    {"rounding", "minorUnit", "energyRounding"?, "currency"?, "feePerKWh"?, "platformFeePerKWh"?,
     "wheelingPerKWh"?: charge, or {"buyer"?, "seller"?},
     "imbalance"?: {"mode", the rates of the mode},
     "tax"?: {"rate", "base": [kind], "per": "line" | "invoice"}}

| mode | rates |
|---|---|
| AS_CLEARED (or DEVIATION_PENALTY), ACTUALS_CAPPED | penaltyPerKWh, penaltyBand, payee |
| TWO_SETTLEMENT | shortPrice and longPrice, which have to be there; and the same |
| VIRTUAL_METER | deviationPerKWh, which has to be there |

penaltyBand may be called band or bandFraction, deviationPerKWh ratePerKWh, rate or
penaltyPerKWh. The band and the rate of the tax are shares from 0 to
1. What is not stated is free.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridwitness.reference_impl.rounding import ROUNDINGS
from gridwitness.reference_impl.terms import MODES, TAXABLE, Tax, Terms

if TYPE_CHECKING:
    from gridwitness.user_json import Place

MOST_DECIMALS = 9
BAND = ("penaltyBand", "band", "bandFraction")
DEVIATION = ("deviationPerKWh", "ratePerKWh", "rate", "penaltyPerKWh")


def read_terms(profile: Place) -> Terms:
    """Read the terms; raises UserError for a key, a rounding, a mode or a number that is none."""
    profile.object(
        *("rounding", "minorUnit", "energyRounding", "currency", "feePerKWh", "platformFeePerKWh"),
        *("wheelingPerKWh", "imbalance", "tax"),
    )
    if profile / "energyRounding":
        (profile / "energyRounding").choice("LARGEST_REMAINDER")
    wheeling, imbalance, tax = (profile / key for key in ("wheelingPerKWh", "imbalance", "tax"))
    buyer = seller = wheeling
    if wheeling.is_object():
        wheeling.object("buyer", "seller")
        buyer, seller = wheeling / "buyer", wheeling / "seller"
    return Terms(
        currency=optional_text(profile / "currency"),
        rounding=(profile / "rounding").choice(*ROUNDINGS),
        minor_unit=decimals(profile / "minorUnit"),
        fee_per_kwh=_charge(profile / "feePerKWh"),
        platform_fee_per_kwh=_charge(profile / "platformFeePerKWh"),
        wheeling_buyer_per_kwh=_charge(buyer),
        wheeling_seller_per_kwh=_charge(seller),
        tax=_tax(tax) if tax else None,
        **(_imbalance(imbalance) if imbalance else {}),
    )


def optional_text(place: Place) -> str:
    """Read a text that need not be there; then it is empty."""
    return place.text() if place else ""


def decimals(place: Place) -> int:
    """Read how many decimals a currency has."""
    if place.number() not in range(MOST_DECIMALS + 1):
        raise place.mistake(f"is {place.value}", f"give a whole number from 0 to {MOST_DECIMALS}")
    return int(place.number())


def _imbalance(imbalance: Place) -> dict[str, Any]:
    mode = (imbalance / "mode").choice(*MODES, "DEVIATION_PENALTY")
    if mode == "VIRTUAL_METER":
        imbalance.object("mode", *DEVIATION)
        rate = _spelled(imbalance, DEVIATION).at_least_zero()
        return {"mode": mode, "virtual_meter_per_kwh": rate}
    prices = ("shortPrice", "longPrice") if mode == "TWO_SETTLEMENT" else ()
    imbalance.object("mode", "payee", "penaltyPerKWh", *BAND, *prices)
    band = _spelled(imbalance, BAND)
    given: dict[str, Any] = {
        "mode": "AS_CLEARED" if mode == "DEVIATION_PENALTY" else mode,
        "penalty_payee": optional_text(imbalance / "payee"),
        "penalty_per_kwh": _charge(imbalance / "penaltyPerKWh"),
        "penalty_band": _share(band) if band else Decimal(),
    }
    if mode == "TWO_SETTLEMENT":
        given["short_price_per_kwh"] = (imbalance / "shortPrice").number()
        given["long_price_per_kwh"] = (imbalance / "longPrice").number()
    return given


def _spelled(imbalance: Place, names: tuple[str, ...]) -> Place:
    """Go to what has several names, by the one that is used."""
    there = [imbalance / name for name in names if imbalance / name]
    if len(there) > 1:
        raise there[1].mistake("is said already", f"give {names[0]} only")
    return (*there, imbalance / names[0])[0]


def _tax(tax: Place) -> Tax:
    tax.object("rate", "base", "per")
    base = tuple(one.choice(*TAXABLE) for one in tax / "base")
    per = (tax / "per").choice("line", "invoice")
    return Tax(_share(tax / "rate"), base, "line" if per == "line" else "invoice")


def _share(place: Place) -> Decimal:
    share = place.at_least_zero()
    if share > 1:
        raise place.mistake(f"is {place.value}", "give a share from 0 to 1")
    return share


def _charge(place: Place) -> Decimal:
    return place.at_least_zero() if place else Decimal()
