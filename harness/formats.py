"""Formats of texts: what makes a text a UUID, an address, an instant, a length of time.

Belongs here: one pure function a format, as the published schemas name it. Does not
belong here: which member has which format (schemas), reading a value (dialects).

Source: JSON Schema 2020-12, validation, section 7; RFC 3339, 3986, 5321 and 9562; ISO 8601.
"""

from __future__ import annotations

import re
import uuid
from datetime import date, datetime, time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(r"\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_DATE_TIME = re.compile(rf"{_DATE.pattern}[Tt]{_TIME.pattern}", re.ASCII)
_DURATION = re.compile(
    r"P(?=\d|T)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?", re.ASCII
)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def is_date_time(text: str) -> bool:
    """Tell whether a text is an RFC 3339 date-time; a leap second is one."""
    return _DATE_TIME.fullmatch(text) is not None and _is_on_the_calendar(
        datetime.fromisoformat, text.upper().replace(":60", ":59")
    )


def is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None and _is_on_the_calendar(date.fromisoformat, text)


def is_time(text: str) -> bool:
    """Tell whether a text is an RFC 3339 full-time, with a zone."""
    return _TIME.fullmatch(text) is not None and _is_on_the_calendar(
        time.fromisoformat, text.upper().replace(":60", ":59")
    )


def is_time_or_instant(text: str) -> bool:
    """Tell whether a text is a time of day or an instant; the published texts ask for either."""
    return is_date_time(text) or is_time(text)


def is_duration(text: str) -> bool:
    return _DURATION.fullmatch(text) is not None


def is_uri(text: str) -> bool:
    """Tell whether a text is an absolute URI: a scheme, and characters that RFC 3986 allows."""
    return _URI.fullmatch(text) is not None


def is_email(text: str) -> bool:
    return _EMAIL.fullmatch(text) is not None


def _is_on_the_calendar(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "uuid": is_uuid,
    "uri": is_uri,
    "date-time": is_date_time,
    "date": is_date,
    "time": is_time,
    "time-or-instant": is_time_or_instant,
    "duration": is_duration,
    "email": is_email,
}
"""Every format our schemas use; what else a schema names is not looked at."""
