"""Defects of refusing: what should be refused is overlooked, what should not be is minded.

Each is tried in the one scenario in which the message in question comes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from gridwitness.dialects.base import dump_json
from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.defects.base import Defect, in_answer
from gridwitness.story import AGENT, PARTICIPANT

if TYPE_CHECKING:
    from gridwitness.dialects.base import Json
    from gridwitness.trace import Answer

SIGNATURES = "signatures"
ENVELOPE = "envelope"
REQUESTS = "requests"
CALLBACKS = "callbacks"


def _defect(  # noqa: PLR0913 (what is wrong, and where it is seen)
    name: str,
    breaks: str,
    says: str,
    conduct: Conduct,
    where: str,
    scenario: str,
    *,
    also: tuple[str, ...] = (),
    role: str = AGENT,
) -> Defect:
    return Defect(
        name,
        breaks,
        says,
        conduct,
        role=role,
        also=also,
        feature=f"transport/{where}.feature",
        scenario=scenario,
    )


def _overlooks(*names: str) -> Conduct:
    return Conduct(overlooks=frozenset(names))


def _minds(name: str) -> Conduct:
    return Conduct(minds=frozenset({name}))


def _with_error(answer: Answer, **changes: str) -> Answer:
    """Change the error of an answer, in whatever form it comes."""
    body = answer.body
    if not isinstance(body, dict):
        return answer
    members = cast("dict[str, Json]", body)
    inner = members.get("message")
    if isinstance(inner, dict) and "error" in inner:
        members = members | {"message": _changed(cast("dict[str, Json]", inner), changes)}
    if "error" in members:
        members = _changed(members, changes)
    return replace(answer, raw=dump_json(members))


def _changed(members: dict[str, Json], changes: dict[str, str]) -> dict[str, Json]:
    error = cast("dict[str, Json]", members["error"])
    spelt = {
        key: changes["code" if key in ("code", "errorCode") else "text"]
        for key in error
        if ("code" if key in ("code", "errorCode") else "text") in changes
    }
    return members | {"error": error | spelt}


def _in_own_words(answer: Answer) -> Answer:
    return _with_error(answer, code="Unauthorized")


def _with_its_stack(answer: Answer) -> Answer:
    text = 'Traceback (most recent call last): File "/srv/agent/verify.py", line 12'
    return _with_error(answer, text=text)


def _with_the_catalogue(answer: Answer) -> Answer:
    body = answer.body
    return replace(answer, raw=dump_json(body | {"catalogs": []})) if body else answer


def _failing(answer: Answer) -> Answer:
    return replace(answer, status=500) if answer.status >= 400 else answer  # noqa: PLR2004


def _without_challenge(answer: Answer) -> Answer:
    headers = {name: value for name, value in answer.headers.items() if name != "www-authenticate"}
    return replace(answer, headers=headers)


DEFECTS = (
    # -- ACK
    _defect(
        "keeps-the-challenge-to-itself",
        "ACK-009",
        "answers 401 without saying what has to be signed",
        in_answer(_without_challenge),
        SIGNATURES,
        "A message without a signature",
    ),
    # -- SIG
    _defect(
        "believes-the-unsigned",
        "SIG-006",
        "accepts messages without a signature",
        _overlooks("missing"),
        SIGNATURES,
        "A message without a signature",
        also=("SIG-003",),
    ),
    _defect(
        "believes-half-a-key-id",
        "SIG-007",
        "accepts messages whose signature header cannot be read",
        _overlooks("malformed"),
        SIGNATURES,
        "A message whose key id has two parts",
    ),
    _defect(
        "believes-the-expired",
        "SIG-008",
        "accepts signatures that have expired",
        _overlooks("expired"),
        SIGNATURES,
        "A message whose signature has expired",
        also=("SIG-003",),
    ),
    _defect(
        "believes-the-future",
        "SIG-009",
        "accepts signatures that were created in the future",
        _overlooks("from the future"),
        SIGNATURES,
        "A message signed a minute ahead",
        also=("SIG-003",),
    ),
    _defect(
        "believes-any-key",
        "SIG-010",
        "accepts signatures with keys that nobody registered",
        _overlooks("unknown key"),
        SIGNATURES,
        "A message signed with a key that nobody registered",
        also=("SIG-003",),
    ),
    _defect(
        "believes-any-algorithm",
        "SIG-011",
        "accepts signatures by another algorithm",
        _overlooks("wrong algorithm"),
        SIGNATURES,
        "A message signed with another algorithm",
    ),
    _defect(
        "believes-rewritten-bodies",
        "SIG-012",
        "accepts bodies that were written anew after they were signed",
        _overlooks("wrong signature"),
        SIGNATURES,
        "A message written anew after it was signed",
        also=("SIG-003",),
    ),
    _defect(
        "believes-any-signer",
        "SIG-013",
        "accepts messages that another than their sender has signed",
        _overlooks("foreign signer"),
        SIGNATURES,
        "A message signed by another",
    ),
    _defect(
        "believes-less-than-three-lines",
        "SIG-014",
        "accepts signatures that cover the digest alone",
        _overlooks("covers too little"),
        SIGNATURES,
        "A message whose signature covers the digest alone",
    ),
    _defect(
        "digests-its-own-writing",
        "SIG-015",
        "computes the digest over the body as it would write it itself",
        _minds("unusual white space"),
        SIGNATURES,
        "A message with unusual white space",
        also=("ORD-005",),
    ),
    _defect(
        "minds-spaces",
        "SIG-016",
        "cannot read a signature header with spaces in it",
        _minds("spaced header"),
        SIGNATURES,
        "A message with spaces in its signature header",
        also=("ORD-005",),
    ),
    # -- ENV
    _defect(
        "does-without-a-timestamp",
        "ENV-020",
        "accepts messages whose context is incomplete",
        _overlooks("incomplete"),
        ENVELOPE,
        "A message whose context lacks the timestamp",
    ),
    _defect(
        "speaks-any-version",
        "ENV-021",
        "accepts messages of any version",
        _overlooks("other version"),
        ENVELOPE,
        "A message of version 9.9.9",
    ),
    _defect(
        "goes-by-the-path",
        "ENV-022",
        "does not see that the action is not that of the endpoint",
        _overlooks("other action", "unhandled", "says too little"),
        ENVELOPE,
        "A message sent to the place of another action",
    ),
    _defect(
        "knows-any-action",
        "ENV-023",
        "accepts messages with actions that the protocol does not know",
        _overlooks("unknown action", "unhandled", "says too little"),
        ENVELOPE,
        "A message with an action that nobody knows",
    ),
    _defect(
        "reads-anything",
        "ENV-024",
        "accepts messages that it cannot read",
        _overlooks("unreadable"),
        ENVELOPE,
        "A message cut in the middle",
    ),
    _defect(
        "has-all-the-time",
        "ENV-025",
        "accepts requests whose time to live is over",
        _overlooks("too late"),
        REQUESTS,
        "A request whose time is over",
    ),
    # -- ACK
    _defect(
        "refuses-in-its-own-words",
        "ACK-005",
        "writes a word of its own where the error code belongs",
        in_answer(_in_own_words),
        SIGNATURES,
        "A message without a signature",
    ),
    _defect(
        "shows-its-stack",
        "ACK-006",
        "writes the stack of its program into the error",
        in_answer(_with_its_stack),
        SIGNATURES,
        "A message without a signature",
    ),
    _defect(
        "answers-at-once",
        "ACK-007",
        "puts its catalogue into the acknowledgement",
        in_answer(_with_the_catalogue),
        SIGNATURES,
        "A message signed three seconds ahead",
        also=("SHP-004",),
    ),
    _defect(
        "fails-over-a-key-id",
        "ACK-008",
        "answers what it cannot read with 500",
        in_answer(_failing),
        SIGNATURES,
        "A message whose key id has two parts",
        also=("SIG-007",),
    ),
    # -- COR
    _defect(
        "answers-every-repetition",
        "COR-010",
        "does not notice that a commitment is repeated, and answers it twice",
        _overlooks("repeated"),
        REQUESTS,
        "A request that commits to the same once more",
    ),
    _defect(
        "knows-any-contract",
        "COR-011",
        "answers for its own contract when asked about another",
        _overlooks("unknown contract"),
        REQUESTS,
        "A request about a contract that nobody agreed",
        also=("COR-006",),
    ),
    _defect(
        "wants-no-news",
        "COR-012",
        "refuses news of its trade that it has not asked for",
        _minds("unasked"),
        CALLBACKS,
        "News of the trade that nobody asked for",
        role=PARTICIPANT,
        also=("ORD-005",),
    ),
    _defect(
        "takes-any-news",
        "COR-013",
        "accepts callbacks in transactions that it never opened",
        _overlooks("unknown transaction"),
        CALLBACKS,
        "News of a trade that nobody opened",
        role=PARTICIPANT,
    ),
    _defect(
        "insists",
        "COR-014",
        "asks again and again after being turned away",
        Conduct(retries=5),
        "acknowledgements",
        "A search that nobody will answer",
        role=PARTICIPANT,
    ),
)
