"""The profile of a settlement file: the terms it states, and how it spells them.

Belongs here: every key of the profile. Does not belong here: what the terms do
(reference_impl.settlement).

    {"rounding", "minorUnit", "energyRounding"?, "currency"?, "feePerKWh"?, "platformFeePerKWh"?,
     "wheelingPerKWh"?: charge, or {"buyer"?, "seller"?},
     "imbalance"?: {"mode", "payee"?, the rates of the mode},
     "tax"?: {"rate", "base": [kind], "per": "line" | "invoice"}}

What is not stated is free.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridwitness.reference_impl import terms
from gridwitness.reference_impl.rounding import ROUNDINGS
from gridwitness.reference_impl.terms import KINDS, Tax, Terms

if TYPE_CHECKING:
    from gridwitness.user_json import Place

MOST_DECIMALS = 9
PENALTY = ("penaltyPerKWh", "deviationPenaltyPerKWh", "penaltyRate", "ratePerKWh", "rate")
DEVIATION = ("deviationPerKWh", "deviationRatePerKWh", "deviationRate", "pricePerKWh", *PENALTY)
SPELLINGS = {
    "short_price_per_kwh": ("shortPrice",),
    "long_price_per_kwh": ("longPrice",),
    "penalty_per_kwh": PENALTY,
    "penalty_band": ("penaltyBand", "band", "bandFraction", "tolerance"),
    "virtual_meter_per_kwh": DEVIATION,
}
"""The rates of an imbalance, as the terms and as files spell them, the canonical one first."""

PRICES, PENALTIES = tuple(SPELLINGS)[:2], tuple(SPELLINGS)[2:4]
MODES = {
    **dict.fromkeys(("DEVIATION_PENALTY", "PENALTY", "PENALTY_BAND"), PENALTIES),  # AS_CLEARED
    "AS_CLEARED": PENALTIES,
    "TWO_SETTLEMENT": (*PRICES, *PENALTIES),
    "ACTUALS_CAPPED": PENALTIES,
    "VIRTUAL_METER": ("virtual_meter_per_kwh",),
}
"""The rates that an imbalance has by its mode; of penalty and band, what is not said is zero."""


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
    mode = (imbalance / "mode").choice(*MODES)
    known = [name for rate in MODES[mode] for name in SPELLINGS[rate]]
    imbalance.object("mode", "payee", *known)
    given: dict[str, Any] = {"penalty_payee": optional_text(imbalance / "payee")}
    given["mode"] = mode if mode in terms.MODES else "AS_CLEARED"
    for rate in MODES[mode]:
        there = [imbalance / name for name in SPELLINGS[rate] if imbalance / name]
        if len(there) > 1:
            raise there[1].mistake("is said already", f"give {SPELLINGS[rate][0]} only")
        place = (*there, imbalance / SPELLINGS[rate][0])[0]
        if rate in PENALTIES:
            given[rate] = _charge(place)
        else:
            given[rate] = place.number() if rate in PRICES else place.at_least_zero()
    return given


def _tax(tax: Place) -> Tax:
    tax.object("rate", "base", "per")
    base = tuple(one.choice(*KINDS) for one in tax / "base")
    per = (tax / "per").choice("line", "invoice")
    return Tax((tax / "rate").at_least_zero(), base, "line" if per == "line" else "invoice")


def _charge(place: Place) -> Decimal:
    return place.at_least_zero() if place else Decimal()
