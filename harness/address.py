"""Addresses: whether a text is one that messages can be posted to.

Belongs here: reading an address. Does not belong here: reaching it (wire, profile).
"""

from __future__ import annotations

from urllib.parse import urlsplit


def is_http_address(text: str) -> bool:
    """Tell whether a text is an http or https address with a host and, if any, a real port."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
