"""Spoilt messages: what a harness sends on purpose to see it refused, and what only looks odd.

Belongs here: the catalogue of what may be wrong with one message, each by the words that a
feature calls it by, and how bytes, headers, signer, time, context or path are changed. Does
not belong here: sending it (actor), what must become of it (rules).

A fault is seat-neutral: it spoils the request that a provider gets, or the callback
to the same request that a consumer gets.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable  # noqa: TC003 (dataclass fields)
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from gridwitness.views import EnergyContract, Envelope  # noqa: TC001 (dataclass fields)

Place = Literal["before", "instead", "after", "answer"]


@dataclass(frozen=True)
class Signing:
    """How a message is signed: otherwise than by its sender, now, over its own bytes.

    created_in_s  how far from now it says it was created
    life_s        how long it says it lives; None is as long as ever
    key, name     whose key signs, and who is named as the signer
    other_prefix  whether the digest is called as in the other texts
    chain         the signature of the message it claims to answer
    unchained     it claims to answer none
    """

    created_in_s: int = 0
    life_s: int | None = None
    key: Literal["own", "stranger's"] = "own"
    name: Literal["own", "stranger's"] = "own"
    other_prefix: bool = False
    chain: str | None = None
    unchained: bool = False


@dataclass(frozen=True)
class Fault:
    """What is wrong with one message, in words, and how it is made so.

    bytes_    changes the body after it was signed
    at        the request that is spoilt, or whose callback is
    place     whether it comes before the right message, instead of it, or after it; or whether
              it is the answer to what the other side sends
    honest    it only looks odd: it must be accepted, and is not marked as spoilt
    waits     an error may come as a callback
    rewrite   changes the body before it is signed
    header    changes the signature header; None takes it away
    """

    words: str
    bytes_: Callable[[bytes], bytes] | None = None
    at: str = "discover"
    place: Place = "before"
    honest: bool = False
    waits: bool = False
    envelope: Callable[[Envelope], Envelope] | None = None
    contract: Callable[[EnergyContract], EnergyContract] | None = None
    endpoint: Callable[[str], str] | None = None
    rewrite: Callable[[bytes], bytes] | None = None
    header: Callable[[str], str | None] | None = None
    signing: Signing = Signing()


def _fresh() -> str:
    return str(uuid.uuid4())


def _respaced(raw: bytes) -> bytes:
    """Write the same JSON with other white space: the first brace opens it."""
    return raw.replace(b"{", b"{\r\n\t ", 1) + b"\n"


def _escaped(raw: bytes) -> bytes:
    """Write the same JSON with a character of the version escaped."""
    return raw.replace(b'"2.0.0"', b'"\\u0032.0.0"', 1)


def _altered(raw: bytes) -> bytes:
    return raw.replace(b'"PT', b'"PT1', 1)


def _in_no_dialect(raw: bytes) -> bytes:
    for key in (
        b"message_id",
        b"transaction_id",
        b"bap_id",
        b"messageId",
        b"transactionId",
        b"bapId",
    ):
        raw = raw.replace(b'"%s"' % key, b'"x-%s"' % key)
    return raw


def _without_signature_part(header: str) -> str:
    return header.partition(",signature=")[0]


def _key_in_two_parts(header: str) -> str:
    return header.replace("|ed25519", "", 1)


def _key_of_nobody(header: str) -> str:
    who, _, rest = header.partition("|")
    return f"{who}|key-that-nobody-registered|{rest.partition('|')[2]}"


def _other_algorithm(header: str) -> str:
    return header.replace("ed25519", "rsa-sha256")


def _bad_base64(header: str) -> str:
    return f'{header.partition(",signature=")[0]},signature="-- no base64 --"'


def _covers_digest_only(header: str) -> str:
    before, _, rest = header.partition('headers="')
    return f'{before}headers="digest"{rest.partition(chr(34))[2]}'


def _spaced(header: str) -> str:
    return header.replace('",', '", ')


def _of_another_action(action: str) -> str:
    return action.replace("discover", "select")


def _unheard_of(action: str) -> str:
    return action.replace("discover", "barter")


def _lacks(field: str, words: str) -> Fault:
    def without(envelope: Envelope) -> Envelope:
        values: dict[str, Any] = {field: None}
        return replace(envelope, **values)

    return Fault(f"whose context lacks {words}", envelope=without)


def _stale(envelope: Envelope) -> Envelope:
    written = datetime.now(UTC) - timedelta(seconds=120)
    stamp = written.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return replace(envelope, timestamp=stamp, ttl="PT30S")


_FOREIGN = base64.b64encode(bytes(range(64))).decode()
"""A signature that nobody made: 64 bytes."""

_ALL = (
    # -- the signature
    Fault("without a signature", header=lambda _: None),
    Fault("with a header that is no signature", header=lambda _: "Bearer 0123456789"),
    Fault("whose key id has two parts", header=_key_in_two_parts),
    Fault("whose header ends before the signature", header=_without_signature_part),
    Fault("whose signature is not base64", header=_bad_base64),
    Fault("whose signature has expired", signing=Signing(created_in_s=-300, life_s=298)),
    Fault("that expires before it was created", signing=Signing(life_s=-30)),
    Fault("signed a minute ahead", signing=Signing(created_in_s=60)),
    Fault("signed with the key of another", signing=Signing(key="stranger's")),
    Fault("signed with a key that nobody registered", header=_key_of_nobody),
    Fault("signed by another", signing=Signing(key="stranger's", name="stranger's")),
    Fault("signed with another algorithm", header=_other_algorithm),
    Fault("whose signature covers the digest alone", header=_covers_digest_only),
    Fault("changed after it was signed", _altered),
    Fault("written anew after it was signed", _respaced),
    Fault("chained to a message that it does not answer", signing=Signing(chain=_FOREIGN)),
    # -- only odd
    Fault("with unusual white space", place="instead", honest=True, rewrite=_respaced),
    Fault("with an escaped character", place="instead", honest=True, rewrite=_escaped),
    Fault(
        "signed three seconds ahead",
        place="instead",
        honest=True,
        signing=Signing(created_in_s=3),
    ),
    Fault(
        "that calls its digest by the other name",
        place="instead",
        honest=True,
        signing=Signing(other_prefix=True),
    ),
    Fault("with spaces in its signature header", place="instead", honest=True, header=_spaced),
    # -- the context
    _lacks("action", "the action"),
    _lacks("version", "the version"),
    _lacks("bap_id", "the id of who asks"),
    _lacks("bap_uri", "the address of who asks"),
    _lacks("bpp_id", "the id of who answers"),
    _lacks("bpp_uri", "the address of who answers"),
    _lacks("transaction_id", "the transaction id"),
    _lacks("message_id", "the message id"),
    _lacks("timestamp", "the timestamp"),
    Fault("of version 1.1.0", envelope=lambda e: replace(e, version="1.1.0")),
    Fault("of version 9.9.9", envelope=lambda e: replace(e, version="9.9.9")),
    Fault("sent to the place of another action", endpoint=_of_another_action),
    Fault(
        "with an action that nobody knows",
        envelope=lambda e: replace(e, action=_unheard_of(e.action or "")),
        endpoint=_unheard_of,
    ),
    Fault("cut in the middle", rewrite=lambda raw: raw[: len(raw) // 2]),
    Fault("in a dialect that nobody speaks", rewrite=_in_no_dialect),
    Fault("whose time is over", envelope=_stale),
    # -- what it says
    Fault(
        "about a contract that nobody agreed",
        at="status",
        waits=True,
        contract=lambda c: replace(c, contract_id=_fresh()),
    ),
    Fault(
        "about an offer that nobody made",
        at="init",
        waits=True,
        contract=lambda c: replace(c, contract_id=_fresh(), offer_id="an-offer-that-nobody-made"),
    ),
    Fault("that offers the same once more", at="init", place="after"),
    Fault("that commits to the same once more", at="confirm", place="after"),
    # -- what nobody asked for
    Fault(
        "that nobody asked for",
        at="status",
        honest=True,
        envelope=lambda e: replace(e, message_id=_fresh()),
        signing=Signing(unchained=True),
    ),
    Fault(
        "in a transaction that nobody opened",
        envelope=lambda e: replace(e, message_id=_fresh(), transaction_id=_fresh()),
    ),
    # -- answers
    Fault("that gets no callback", place="answer"),
)

FAULTS: dict[str, Fault] = {fault.words: fault for fault in _ALL}
