"""Flows: the messages of one recording, in order, as a trace with a scene.

Belongs here: who speaks to whom, by what the contexts say; the order; the instants; the
edition. Does not belong here: reading bytes (pieces), finding them (files).

What was recorded by others names no cast: an actor is a subscriber id, its role BAP or
BPP as the context names it (both, if it is named as both), a request goes from BAP to
BPP and a callback back. Nobody is in the seat: everybody is judged alike.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gridwitness.dialects import recognise
from gridwitness.editions import editions
from gridwitness.errors import UserError
from gridwitness.recordings.pieces import ACTIONS
from gridwitness.story import BAP, BAP_AND_BPP, BPP
from gridwitness.trace import Answer, Message, Scene, Trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gridwitness.recordings.pieces import Piece

EDITION_OF = {"order": "beckn-2.0.0-rc", "contract": "beckn-2.0.0-lts"}
"""The edition that a dialect is judged by, unless another is asked for."""

PUBLISHES = re.compile(r"catalog[_/]publish")
"""The request that a provider sends, to a catalogue."""


@dataclass(frozen=True)
class Terms:
    """By what a recording is judged: an edition a dialect, how strictly, what is laid beside.

    specification is the path of the official documents, None when there are none; options
    is how a person asks for all this in the command.
    """

    editions: Mapping[str, str]
    strictness: str = "strict"
    specification: str | None = None
    options: tuple[str, ...] = ()

    def rerun(self, *paths: str) -> str:
        """Give the command that judges some paths by these terms."""
        return shlex.join(["gridwitness", "audit", *paths, *self.options])


def in_order(pieces: Sequence[Piece]) -> list[Piece]:
    """Order the files of a flow.

    By the number that each part of its path begins with (`03_select`, `8.1-status`; a
    part without one comes first), then by the action's place in the flow, then by the
    context's timestamp, then by path.
    """
    return sorted(pieces, key=_order)


def _order(piece: Piece) -> tuple[list[list[int]], int, str, str]:
    numbers = [numbers_of(part) for part in piece.place.split("/")]
    action = piece.said("action") or ""
    name = action.rpartition("/")[2]
    asked = action.replace("on_", "", 1) if name.startswith("on_") else action
    place = 2 * ACTIONS.index(asked) if asked in ACTIONS else 2 * len(ACTIONS)
    place += name.startswith("on_")
    return numbers, place, piece.said("timestamp") or "", piece.place


def numbers_of(name: str) -> list[int]:
    """Give the numbers a name begins with: [8, 1] for `08_01_status`, none for `2025-11`."""
    match = re.match(r"\d{1,4}(?:[._]\d{1,4})*(?=[._-]\D|$)", name, re.ASCII)
    return [int(number) for number in re.split("[._]", match[0])] if match else []


def trace_of(pieces: Sequence[Piece], source: str, name: str, terms: Terms) -> Trace:
    """Make a trace of the messages of one flow."""
    dialect = _dialect(pieces)
    parties = [(piece.said("bap_id", "bapId"), piece.said("bpp_id", "bppId")) for piece in pieces]
    roles: dict[str, str] = {}
    for ids in parties:
        for role, subscriber_id in zip((BAP, BPP), ids, strict=True):
            if subscriber_id is not None:
                known = roles.setdefault(subscriber_id, role)
                roles[subscriber_id] = role if known == role else BAP_AND_BPP
    scene = Scene(
        feature=source,
        scenario=name,
        seat="everybody",
        dialect=dialect,
        edition=terms.editions.get(dialect, EDITION_OF[dialect]),
        strictness=terms.strictness,
        roles=roles,
        uris=_uris(pieces, roles),
    )
    instants = [instant(piece.at) or instant(piece.said("timestamp")) for piece in pieces]
    known = [moment for moment in instants if moment is not None]
    first = min(known) if known else None
    messages = [
        _message(
            piece,
            number,
            ids,
            (moment - first).total_seconds() if moment and first else float(number),
        )
        for number, (piece, ids, moment) in enumerate(
            zip(pieces, parties, instants, strict=True), 1
        )
    ]
    return Trace(scene, tuple(messages))


def _dialect(pieces: Sequence[Piece]) -> str:
    """Give the dialect of most messages, the first of them on a tie; order if none has any."""
    found = [recognise(piece.parsed.body) for piece in pieces]
    spoken = Counter(dialect.name for dialect in found if dialect is not None)
    return spoken.most_common(1)[0][0] if spoken else "order"


def _uris(pieces: Sequence[Piece], roles: Mapping[str, str]) -> dict[str, str]:
    """Find the address that each party first gave, of those that are on one side only."""
    uris: dict[str, str] = {}
    for piece in pieces:
        for role, id_keys, uri_keys in (
            (BAP, ("bap_id", "bapId"), ("bap_uri", "bapUri")),
            (BPP, ("bpp_id", "bppId"), ("bpp_uri", "bppUri")),
        ):
            subscriber_id, uri = piece.said(*id_keys), piece.said(*uri_keys)
            if subscriber_id is not None and uri is not None and roles[subscriber_id] == role:
                uris.setdefault(subscriber_id, uri)
    return uris


def _message(
    piece: Piece, number: int, ids: tuple[str | None, str | None], sent_s: float
) -> Message:
    action, (bap, bpp) = piece.action, ids
    from_provider = action.rpartition("/")[2].startswith("on_")
    if PUBLISHES.search(action):
        from_provider = not from_provider
    reply = piece.reply
    message = Message(
        number=number,
        kind="beckn",
        sender=bpp if from_provider else bap,
        receiver=bap if from_provider else bpp,
        action=action,
        method=piece.method,
        url=piece.url,
        headers=piece.headers,
        raw=piece.raw,
        at=piece.at or piece.said("timestamp") or "",
        sent_s=sent_s,
        answer=Answer(reply.status, reply.headers, reply.raw, sent_s) if reply else None,
        failure="no answer was recorded" if piece.recorded == "whole" and not reply else None,
        recorded=piece.recorded,
    )
    message.__dict__["parsed"] = piece.parsed  # so that it is not parsed again
    return message


def instant(text: str | None) -> datetime | None:
    """Read a date-time; one without a zone is taken as UTC, and what is none gives None."""
    try:
        read = datetime.fromisoformat(text or "")
        return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def known_editions(wanted: Sequence[str]) -> dict[str, str]:
    """Give the editions asked for by the dialect each of them speaks.

    Raises UserError for two of one dialect.
    """
    known: dict[str, str] = {}
    for edition in wanted:
        dialect = editions()[edition].dialect
        if known.setdefault(dialect, edition) != edition:
            raise UserError(
                f"{known[dialect]} and {edition} both speak the dialect {dialect!r}",
                where="--edition",
                mend="name one edition a dialect",
            )
    return known
