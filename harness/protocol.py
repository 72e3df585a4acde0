"""What the protocol fixes by name: its version, its actions, its error codes.

Belongs here: closed lists of names. Does not belong here: where a message carries
them (dialects), what follows from them (rules).

Source: the yaml of Beckn 2.0.0 rc and LTS (actions); NFH-008 (code names); Beckn v2 docs,
15 (code numbers).
"""

from __future__ import annotations

from typing import Literal

VERSION = "2.0.0"

ACTIONS = frozenset(
    [
        "discover",
        "select",
        "init",
        "confirm",
        "status",
        "track",
        "update",
        "cancel",
        "support",
        "rate",
        "rating",
        "aggregate",
        "publish",
        "catalog_publish",
        "catalog/publish",
        "catalog/subscription",
        "catalog/pull",
    ]
)
"""What can be asked; each is answered under the same name with on_ before it."""

PUBLISHING = frozenset(("publish", "catalog_publish", "catalog/publish"))
"""What a provider asks, of a catalogue: the sides of a request and of its callback change."""

CodeList = Literal["free", "numbers", "names"]
"""How an edition writes error codes: as it likes, by document 15, or by NFH-008."""

_NAMES = {
    "CTX": "MISSING_FIELD INVALID_FIELD ACTION_MISMATCH VERSION_UNSUPPORTED TTL_EXPIRED "
    "MESSAGE_ID_DUPLICATE TRANSACTION_ID_UNKNOWN CALLBACK_URL_MISSING INVALID_BPP_URI",
    "AUT": "SIGNATURE_MISSING SIGNATURE_INVALID SUBSCRIBER_NOT_FOUND KEY_NOT_FOUND "
    "KEY_EXPIRED_OR_REVOKED UNAUTHORIZED_ACTION DOMAIN_NOT_ALLOWED REPLAY_DETECTED RATE_LIMITED",
    "SCH": "INVALID_JSON SCHEMA_VALIDATION_FAILED REQUIRED_FIELD_MISSING FIELD_NOT_ALLOWED "
    "INVALID_ENUM INVALID_FORMAT INVALID_JSONPATH INVALID_JSONLD_CONTEXT TYPE_NOT_SUPPORTED "
    "ATTRIBUTE_PACK_INVALID INVALID_ENTITY_TYPE SCHEMA_ADAPTATION_FAILED",
    "NET": "TIMEOUT DOWNSTREAM_UNAVAILABLE CALLBACK_FAILED ACK_TIMEOUT OVERLOADED INTERNAL_ERROR "
    "NOT_IMPLEMENTED CATALOG_SOURCE_UNAVAILABLE CATALOG_STALE",
    "BIZ": "PROVIDER_NOT_FOUND LOCATION_NOT_FOUND CATEGORY_NOT_FOUND ITEM_NOT_FOUND "
    "OFFER_NOT_FOUND ADDON_NOT_FOUND ORDER_NOT_FOUND QUANTITY_UNAVAILABLE "
    "FULFILLMENT_UNAVAILABLE QUOTE_EXPIRED_OR_CHANGED PRICE_MISMATCH PAYMENT_NOT_SUPPORTED "
    "PAYMENT_FAILED TRACKING_NOT_SUPPORTED SUPPORT_NOT_AVAILABLE NO_RESULTS_FOUND "
    "INVALID_STATE_TRANSITION ALREADY_CANCELLED ALREADY_CONFIRMED UPDATE_INCONSISTENT "
    "INVALID_UPDATE_TARGET INVALID_CANCELLATION_REASON RATING_TARGET_NOT_FOUND "
    "INVALID_RATING_VALUE GENERIC_ERROR",
    "POL": "CANCELLATION_NOT_ALLOWED UPDATE_NOT_ALLOWED GEO_RESTRICTED ELIGIBILITY_NOT_MET "
    "KYC_REQUIRED CONSENT_REQUIRED SANCTIONED_PARTY CALLER_TRUST_INSUFFICIENT "
    "NP_CAPACITY_EXCEEDED NP_DORMANT ENGAGEMENT_REFUSED GENERIC_ERROR",
}
CODE_NAMES = frozenset(
    f"{prefix}_{name}" for prefix, names in _NAMES.items() for name in names.split()
)
CODE_NUMBERS = frozenset(
    str(number)
    for first, last in ((30000, 30012), (40000, 40007), (50000, 50006), (60000, 60005))
    for number in range(first, last + 1)
)
_NUMBERS = {
    "AUT_SIGNATURE_INVALID": "60001",
    "AUT_KEY_NOT_FOUND": "60003",
    "AUT_SUBSCRIBER_NOT_FOUND": "60003",
    "CTX_VERSION_UNSUPPORTED": "50006",
    "AUT": "60000",
    "CTX": "60005",
    "SCH": "30000",
    "NET": "40000",
    "BIZ": "30000",
    "POL": "50000",
}
"""The number of a name, or else of its prefix."""


def is_known(action: str) -> bool:
    """Tell whether an endpoint is one of the protocol's: an action, or its callback."""
    return request_of(action) in ACTIONS


def callback_of(action: str) -> str:
    """Name the callback of a request: catalog/publish is answered by catalog/on_publish."""
    folder, slash, name = action.rpartition("/")
    return f"{folder}{slash}on_{name}"


def request_of(action: str) -> str:
    """Name the request that a callback answers; a request is its own."""
    folder, slash, name = action.rpartition("/")
    return f"{folder}{slash}{name.removeprefix('on_')}"


def code_is_listed(code: str, listed: CodeList) -> bool:
    """Tell whether an error code is one that an edition lists."""
    if listed == "free":
        return bool(code)
    return code in (CODE_NAMES if listed == "names" else CODE_NUMBERS)


def write_code(name: str, listed: CodeList) -> str:
    """Write a code, known by its name, as an edition lists it."""
    if listed != "numbers":
        return name
    return _NUMBERS.get(name) or _NUMBERS[name.partition("_")[0]]


def open_context(action: str) -> tuple[str, ...]:
    """Name the fields of a context that may be left out, mandatory as they are.

    Published publishes name no BAP: nobody buys yet.
    """
    return ("bap_id", "bap_uri") if request_of(action) in PUBLISHING else ()
