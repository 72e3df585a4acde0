"""Dialects: how a message becomes views, and views a message.

Belongs here: recognising a dialect by its shape, choosing one by name. Each module
beside this one knows where one dialect keeps each slot; nothing else does, apart
from the rules about the wire itself.

Never by `context.version`: three published shapes all say "2.0.0".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwitness.dialects.contract import CONTRACT
from gridwitness.dialects.order import ORDER

if TYPE_CHECKING:
    from gridwitness.dialects.base import Dialect

DIALECTS: dict[str, Dialect] = {"order": ORDER, "contract": CONTRACT}


def recognise(body: object) -> Dialect | None:
    """Find the dialect a parsed body is written in, by the spelling of its context."""
    return next((dialect for dialect in DIALECTS.values() if dialect.recognises(body)), None)
