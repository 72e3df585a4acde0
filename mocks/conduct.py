"""How an actor behaves. Every default is the right behaviour; a defect replaces one.

Belongs here: the seams at which a defect can take hold. Does not belong here: the
defects (defects), the behaviour itself (the actors).
"""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 (dataclass fields)
from dataclasses import dataclass

from gridwitness.dialects.base import Json  # noqa: TC001 (dataclass fields)
from gridwitness.reference_impl.grid import Grid  # noqa: TC001 (dataclass fields)
from gridwitness.trace import Answer  # noqa: TC001 (dataclass fields)
from gridwitness.views import Reading  # noqa: TC001 (dataclass fields)

Headers = dict[str, str]


def _same_reading(_action: str, reading: Reading) -> Reading:
    return reading


def _same_body(_action: str, body: Json) -> Json:
    return body


def _same_bytes(_action: str, raw: bytes) -> bytes:
    return raw


def _same_headers(_action: str, headers: Headers) -> Headers:
    return headers


def _same_url(_action: str, url: str) -> str:
    return url


def _same_grid(grid: Grid) -> Grid:
    return grid


def _same_answer(answer: Answer) -> Answer:
    return answer


@dataclass(frozen=True)
class Conduct:
    """The seams. Hooks get the action first and give back what to use instead.

    views     what is said, before it is written in a dialect
    bodies    the JSON, before it is signed
    bytes_    the bytes, after they are signed
    headers   the HTTP headers, after they are signed
    urls      where the message is posted
    answers   the synchronous answer
    silent_on callbacks that are never sent
    leaves_out
              requests of a participant that are never sent
    refuses_actions
              messages that are refused whatever they say
    answers_twice
              requests that are called back twice
    overlooks reasons to refuse a message that are not seen; see `Actor.complaints`
    minds     reasons that are none, for which messages are refused all the same
    grids     the grid within whose limits a market is cleared
    lists     offers that a catalogue gives although it must not: withdrawn, expired, unfit,
              superseded
    retries   how often one asks again after being turned away
    """

    views: Callable[[str, Reading], Reading] = _same_reading
    bodies: Callable[[str, Json], Json] = _same_body
    bytes_: Callable[[str, bytes], bytes] = _same_bytes
    headers: Callable[[str, Headers], Headers] = _same_headers
    urls: Callable[[str, str], str] = _same_url
    answers: Callable[[Answer], Answer] = _same_answer
    silent_on: frozenset[str] = frozenset()
    leaves_out: frozenset[str] = frozenset()
    refuses_actions: frozenset[str] = frozenset()
    overlooks: frozenset[str] = frozenset()
    minds: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    reads_every_page: bool = True
    refuses_bad_offers: bool = True
    calls_back_after_refusal: bool = False
    binds_refused_locks: bool = False
    retries: int = 0
    signs_as: str | None = None
    signature_life_s: int = 300
    chains: bool = True
    reuses_message_ids: bool = False
    waits_for_all: bool = True
    heeds_approval: bool = True
    buys_whole_target: bool = True
    asks_nodes: bool = True
    refuses_flows: bool = False
    books_refused_flows: bool = False
    moves_others: bool = True
    relocks: bool = True
    grids: Callable[[Grid], Grid] = _same_grid
    locks: int = 1
    binds_before_lock: bool = False
    forgets_commitments: bool = False
    forgets_cancellations: bool = False
    asks_status_too_early: bool = False
    answers_twice: frozenset[str] = frozenset()


RIGHT = Conduct()
