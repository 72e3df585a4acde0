"""Formats: the texts a schema may ask for, each as its own standard defines it.

Belongs here: one predicate a format, for both validators. Does not belong here:
formats no published specification of the protocol uses.
"""

from __future__ import annotations

import re
import uuid
from datetime import date, datetime
from typing import TYPE_CHECKING

import isodate
import jsonschema

if TYPE_CHECKING:
    from collections.abc import Callable

_TIME = r"\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})"
_FULL_TIME = re.compile(_TIME, re.ASCII)
_DATE_TIME = re.compile(rf"\d{{4}}-\d{{2}}-\d{{2}}[Tt]{_TIME}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*", re.ASCII)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+", re.ASCII)
MOST_CHARACTERS = 10_000
"""A longer text is of no format; nobody waits for a pattern to find that out."""


def _is_date_time(text: str) -> bool:
    """RFC 3339, date-time; a leap second is one."""
    if not _DATE_TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(_short_fraction(text.upper().replace(":60", ":59")))
    except ValueError:
        return False
    return True


def _short_fraction(text: str) -> str:
    return re.sub(r"(\.\d{6})\d+", r"\1", text)


def _is_time(text: str) -> bool:
    """RFC 3339, full-time."""
    return bool(_FULL_TIME.fullmatch(text)) and _is_date_time(f"2000-01-01T{text}")


def _is_date(text: str) -> bool:
    """RFC 3339, full-date."""
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_uuid(text: str) -> bool:
    """RFC 4122, in its written form."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _is_duration(text: str) -> bool:
    """ISO 8601, duration."""
    try:
        isodate.parse_duration(text)
    except (ValueError, ArithmeticError):
        return False
    return text.startswith("P")


def _bounded(predicate: Callable[[str], bool]) -> Callable[[object], bool]:
    def holds(value: object) -> bool:
        return not isinstance(value, str) or (len(value) <= MOST_CHARACTERS and predicate(value))

    return holds


FORMATS: dict[str, Callable[[object], bool]] = {
    "date-time": _bounded(_is_date_time),
    "date": _bounded(_is_date),
    "time": _bounded(_is_time),
    "duration": _bounded(_is_duration),
    "email": _bounded(lambda text: bool(_EMAIL.fullmatch(text))),
    "uri": _bounded(lambda text: bool(_URI.fullmatch(text))),
    "uuid": _bounded(_is_uuid),
}

CHECKER = jsonschema.FormatChecker(())
for _name, _predicate in FORMATS.items():
    CHECKER.checks(_name)(_predicate)
