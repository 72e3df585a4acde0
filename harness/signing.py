"""HTTP signatures of the Beckn protocol: Ed25519 over a BLAKE2b-512 digest of the raw body.

Belongs here: keys, the string to sign, the header, its check; pure functions of
bytes and instants. Does not belong here: looking a key up, deciding what a failed
check means.

Source: Beckn v2 docs 13 and 14; NFH-007. A request is signed over three lines; a callback
or an acknowledgement may chain to the message it answers by a fourth.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

if TYPE_CHECKING:
    from collections.abc import Sequence

DigestPrefix = Literal["BLAKE-512", "BLAKE2b-512"]
DIGEST_PREFIXES: tuple[DigestPrefix, DigestPrefix] = ("BLAKE-512", "BLAKE2b-512")
CLOCK_SKEW_S = 5
"""How far `created` may lie in the future (CON-004-13); `expires` has no tolerance."""

CheckStatus = Literal[
    "valid",
    "missing",
    "malformed",
    "wrong algorithm",
    "unknown key",
    "from the future",
    "expired",
    "wrong signature",
]


_REQUEST_LINES = ("(created)", "(expires)", "digest")


class KeyProblem(ValueError):
    """A text that is not an Ed25519 key; the message says what it seems to be."""


@dataclass(frozen=True)
class Signer:
    """A private key and the identity it signs for."""

    subscriber_id: str
    key_id: str
    key: Ed25519PrivateKey

    @property
    def public_key(self) -> str:
        """The public key as registries publish it: base64 of 32 raw bytes."""
        return public_text(self.key.public_key())


@dataclass(frozen=True)
class SignatureHeader:
    """A parsed Authorization or Signature header."""

    subscriber_id: str
    key_id: str
    algorithm: str
    created_s: int
    expires_s: int
    covered: tuple[str, ...]
    signature: str

    @property
    def covers_enough(self) -> bool:
        """Whether it lists the lines that must be signed: all of them, in their order."""
        return self.covered in (_REQUEST_LINES, (*_REQUEST_LINES, "request-signature"))


@dataclass(frozen=True)
class SignatureCheck:
    """What a check of a signature found.

    digest_prefix and lines say which of the accepted forms verified.
    """

    status: CheckStatus
    subscriber_id: str | None = None
    digest_prefix: str | None = None
    lines: int | None = None
    detail: str = ""

    @property
    def is_valid(self) -> bool:
        return self.status == "valid"


def digest(body: bytes) -> str:
    """Digest the bytes on the wire: base64 of BLAKE2b-512."""
    return base64.b64encode(hashlib.blake2b(body, digest_size=64).digest()).decode()


def signing_string(
    created_s: int,
    expires_s: int,
    body: bytes,
    prefix: DigestPrefix = "BLAKE-512",
    request_signature: str | None = None,
) -> bytes:
    """Build the exact bytes that are signed: three lines, or four when they answer a message."""
    lines = [
        f"(created): {created_s}",
        f"(expires): {expires_s}",
        f"digest: {prefix}={digest(body)}",
    ]
    if request_signature is not None:
        lines.append(f"request-signature: {request_signature}")
    return "\n".join(lines).encode()


def sign(  # noqa: PLR0913 (each is a part of the header)
    signer: Signer,
    body: bytes,
    *,
    created_s: int,
    expires_s: int,
    prefix: DigestPrefix = "BLAKE-512",
    request_signature: str | None = None,
) -> str:
    """Sign a body; returns the header's value, beginning with the word Signature."""
    covered = "(created) (expires) digest"
    if request_signature is not None:
        covered += " request-signature"
    text = signing_string(created_s, expires_s, body, prefix, request_signature)
    signature = base64.b64encode(signer.key.sign(text)).decode()
    return (
        f'Signature keyId="{signer.subscriber_id}|{signer.key_id}|ed25519",algorithm="ed25519",'
        f'created="{created_s}",expires="{expires_s}",headers="{covered}",signature="{signature}"'
    )


_ATTRIBUTE = re.compile(r'\s*([A-Za-z]+)="([^"]*)"\s*(?:,|$)')


def parse_header(value: str) -> SignatureHeader | None:
    """Parse a header's value, with or without the word Signature; None when it is malformed."""
    text = value.strip()
    if text[:10].lower() == "signature ":  # the name of a scheme may be written either way
        text = text[10:]
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _ATTRIBUTE.match(text, position)
        if match is None:
            return None
        found[match[1]] = match[2]
        position = match.end()
    identity = found.get("keyId", "").split("|")
    times = found.get("created", ""), found.get("expires", "")
    if len(identity) != 3 or not all(re.fullmatch(r"\d{1,12}", time) for time in times):  # noqa: PLR2004
        return None
    if "signature" not in found or "headers" not in found:
        return None
    algorithms = {identity[2], found.get("algorithm", identity[2])}
    return SignatureHeader(
        subscriber_id=identity[0],
        key_id=identity[1],
        algorithm=" and ".join(sorted(algorithms)),
        created_s=int(times[0]),
        expires_s=int(times[1]),
        covered=tuple(found["headers"].split()),
        signature=found["signature"],
    )


def check(  # noqa: C901, PLR0911 (one return a status, in the order of the checks)
    header: SignatureHeader | None,
    body: bytes,
    key: Ed25519PublicKey | None,
    *,
    now_s: float,
    answered: Sequence[str] = (),
) -> SignatureCheck:
    """Check a parsed header against a body and the sender's registered key.

    answered: the signatures of the messages this one may be the answer to; a
    four-line signature must chain to one of them. Both digest prefixes are read.
    """
    if header is None:
        return SignatureCheck("malformed", detail="the header does not follow the grammar")
    who = header.subscriber_id
    if header.algorithm != "ed25519":
        return SignatureCheck("wrong algorithm", who, detail=f"algorithm {header.algorithm}")
    chained = "request-signature" in header.covered
    if not header.covers_enough:
        detail = f"headers covers {' '.join(header.covered)!r}"
        return SignatureCheck("malformed", who, detail=detail)
    if key is None:
        return SignatureCheck("unknown key", who, detail=f"no key {header.key_id} of {who}")
    if header.created_s > now_s + CLOCK_SKEW_S:
        return SignatureCheck("from the future", who, detail=f"created {header.created_s}")
    if header.expires_s < now_s or header.expires_s <= header.created_s:
        return SignatureCheck("expired", who, detail=f"expires {header.expires_s}")
    try:
        signature = base64.b64decode(header.signature, validate=True)
    except ValueError:
        return SignatureCheck("malformed", who, detail="the signature is not base64")
    for prefix in DIGEST_PREFIXES:
        for request_signature in answered if chained else (None,):
            text = signing_string(
                header.created_s, header.expires_s, body, prefix, request_signature
            )
            try:
                key.verify(signature, text)
            except InvalidSignature:
                continue
            return SignatureCheck("valid", who, prefix, 4 if chained else 3)
    return SignatureCheck("wrong signature", who, detail="it does not verify over the body")


def public_text(key: Ed25519PublicKey) -> str:
    """Write a public key as registries publish it: base64 of 32 raw bytes."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def read_public_key(text: str) -> Ed25519PublicKey:
    """Read a public key: base64 of 32 raw bytes, or SubjectPublicKeyInfo as PEM or base64 DER.

    Raises KeyProblem.
    """
    if "-----BEGIN" in text:
        try:
            key = serialization.load_pem_public_key(text.encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyProblem("it is not a public key in PEM form") from error
        return _as_public(key)
    raw = _decoded(text)
    if len(raw) == _KEY_BYTES:
        return Ed25519PublicKey.from_public_bytes(raw)
    try:
        key = serialization.load_der_public_key(raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyProblem(_length_problem(raw, "32")) from error
    return _as_public(key)


def read_private_key(text: str) -> Ed25519PrivateKey:
    """Read a private key: base64 of a 32-byte seed or of seed and public key, or PKCS #8.

    Raises KeyProblem.
    """
    if "-----BEGIN" in text:
        try:
            key = serialization.load_pem_private_key(text.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyProblem("it is not an unencrypted private key in PEM form") from error
        return _as_private(key)
    raw = _decoded(text)
    if len(raw) in (_KEY_BYTES, 2 * _KEY_BYTES):
        key = Ed25519PrivateKey.from_private_bytes(raw[:_KEY_BYTES])
        if len(raw) > _KEY_BYTES and base64.b64decode(public_text(key.public_key())) != raw[32:]:
            raise KeyProblem("its second half is not the public key of its first")
        return key
    try:
        key = serialization.load_der_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyProblem(_length_problem(raw, "32 or 64")) from error
    return _as_private(key)


_KEY_BYTES = 32


def _as_public(key: object) -> Ed25519PublicKey:
    if not isinstance(key, Ed25519PublicKey):
        raise KeyProblem(f"it is a key of another kind: {type(key).__name__.lstrip('_')}")
    return key


def _as_private(key: object) -> Ed25519PrivateKey:
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyProblem(f"it is a key of another kind: {type(key).__name__.lstrip('_')}")
    return key


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise KeyProblem("it is neither PEM nor base64") from error


def _length_problem(raw: bytes, right: str) -> str:
    return f"it has {len(raw)} bytes; an Ed25519 key has {right}, or is DER"
