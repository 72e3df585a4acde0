"""Signatures: the known vectors, every status of a check, every form of a key."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.signing import (
    DIGEST_PREFIXES,
    DigestPrefix,
    KeyProblem,
    SignatureHeader,
    Signer,
    check,
    digest,
    parse_header,
    public_text,
    read_private_key,
    read_public_key,
    sign,
    signing_string,
)

RAW, DER, PEM = (
    serialization.Encoding.Raw,
    serialization.Encoding.DER,
    serialization.Encoding.PEM,
)
PKCS8, SPKI = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo
OPEN = serialization.NoEncryption()

SEED_A = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
SEED_B = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
PUBLIC_A = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
PUBLIC_B = "Kay64UG8yvCyLhqU000LxzYeUm0L/hLIl5S8kyKWbdc="
A = Signer("bap.test", "key-1", read_private_key(SEED_A))
B = Signer("bpp.test", "key-2", read_private_key(SEED_B))
CREATED = 1767225600
IDS = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


@dataclass(frozen=True)
class Known:
    """A message whose digest and signature were computed by other means."""

    signer: Signer
    created_s: int
    body: bytes
    size: int
    digest: str
    prefix: DigestPrefix
    signature: str
    answers: str | None = None


V1 = Known(
    A,
    CREATED,
    b'{"context":{"version":"2.0.0","action":"select","transaction_id":"%s","message_id":"%s",'
    b'"bap_id":"bap.test","bpp_id":"bpp.test"},"message":{"order":{"beckn:id":"o-1"}}}'
    % tuple(one.encode() for one in IDS),
    236,
    "beThDbExb5JAXWLD2FlfXmVeXUfuSIg1gXwFR63cR2aK3uDYpJkAMdM0xoxQJF+XWdPBKb1ptSvaeoWSZBXHnw==",
    "BLAKE-512",
    "4HvBoqkJiuyjTbwe8eMcGBhfwC3nDoM16e/Xnr81rAr6yXSVpSRMogZ2/CGi4kclJxiInWYQkWA8Mjw9oftBBQ==",
)
V3 = Known(
    B,
    CREATED + 1,
    b'{"message":{"status":"ACK","messageId":"%s"}}' % IDS[1].encode(),
    79,
    "U5kAD0Cm5J7v0F18MqDC45pcNAE9Fsn+PeVTp4VcCHcBFPTZMkbMcCCPKzCRxiNJkSwHCRWn3G1Jii6zrWAY0Q==",
    "BLAKE-512",
    "csemmKANXpTsbW6RXOxfDt57J3WOgcJUfKK0F2vTloq97sA9jqbrUP05qo1vUVxN2EG7XfxW6yfUt+R01qO+Dg==",
    answers=V1.signature,
)
KNOWN = {
    "a request": V1,
    "a request, other prefix": replace(
        V1,
        prefix="BLAKE2b-512",
        signature="owBRHCY5ZDc27bHPaU9dwlnS9SMNsmj1h3nN/67MBo5q"
        "hxgwrPDMcE8AHSRtv64BqrS+gTUuCGpOOmKpFUcmDQ==",
    ),
    "a body that is not ASCII": Known(
        A,
        CREATED,
        bytes.fromhex(
            "7b226d657373616765223a7b226e616d65223a225ac3bc7269636820e2809420e282b931322e3530227d2c"
            "22636f6e74657874223a7b22616374696f6e223a22737461747573222c2276657273696f6e223a22322e30"
            "2e30227d7d"
        ),
        91,
        "+pjx291PV8TYBwV9qS9mbSvdJRgE7ogK4bqYC/yrJQD7AzMGi3YiF6remjA18/zSXhETooocn9cJv19jpghQnQ==",
        "BLAKE-512",
        "Y3G8jzSq6sMJEy7qoYUFlifulkWvvbGEIYQbVuG6jVbFpxMI2MLRigmGjg/plQn83Ll5BrKdvzeFqKwglMP6BQ==",
    ),
    "an acknowledgement": V3,
    "an acknowledgement, other prefix": replace(
        V3,
        prefix="BLAKE2b-512",
        signature="nZ8YK5Nor1Ec2OaJcxJx5yirDnnmdwbXI0mLRaFOWPOl"
        "tc3OzgH7108bOk/YkB7K3u7kI2gWRhKvXhnKQgEnCA==",
    ),
    "a callback": Known(
        B,
        CREATED + 5,
        b'{"context":{"version":"2.0.0","action":"on_select","transactionId":"%s","messageId":"%s",'
        b'"bapId":"bap.test","bppId":"bpp.test"},"message":{"contract":{"commitments":[]}}}'
        % tuple(one.encode() for one in IDS),
        238,
        "DEHKfZJtJkNTR+u42AweJDb4wcegBQ3DHoGiisNrrH1aK0PCa6d0wskZpGcmkPhPUoyFcjOBRnfHhgKVCrw50Q==",
        "BLAKE-512",
        "sa/0WoDBCt8xW5GyWrVxJwMuVCdWw/Qc0CMvR4qJaXncQnSwuTpThV5zqMkJPTKDb/EWDiTPe4qlmPP4h7TNDg==",
        answers=V1.signature,
    ),
}
every_known = pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)


def signed(known: Known) -> str:
    return sign(
        known.signer,
        known.body,
        created_s=known.created_s,
        expires_s=known.created_s + 300,
        prefix=known.prefix,
        request_signature=known.answers,
    )


def header_of(known: Known = V1, **changes: object) -> SignatureHeader:
    header = parse_header(signed(known))
    assert header is not None
    return replace(header, **changes)


def status(header: SignatureHeader | None, now_s: float = CREATED + 1.0) -> str:
    return check(header, V1.body, A.key.public_key(), now_s=now_s).status


@every_known
def test_a_known_body_has_its_known_digest(known: Known):
    assert len(known.body) == known.size
    assert digest(known.body) == known.digest


@every_known
def test_a_known_message_has_its_known_signature(known: Known):
    header = header_of(known)
    assert header.signature == known.signature
    assert (header.subscriber_id, header.key_id) == (
        known.signer.subscriber_id,
        known.signer.key_id,
    )
    assert header.algorithm == "ed25519"
    assert (header.created_s, header.expires_s) == (known.created_s, known.created_s + 300)


@every_known
def test_a_known_signature_is_valid_and_its_form_is_told(known: Known):
    result = check(
        header_of(known),
        known.body,
        known.signer.key.public_key(),
        now_s=CREATED + 10,
        answered=["another", known.answers or ""],
    )
    assert result.is_valid
    assert result.subscriber_id == known.signer.subscriber_id
    assert result.digest_prefix == known.prefix
    assert result.lines == (4 if known.answers else 3)


@every_known
def test_a_changed_body_is_caught(known: Known):
    for place in (0, len(known.body) // 2, len(known.body) - 1):
        body = bytearray(known.body)
        body[place] ^= 1
        result = check(
            header_of(known),
            bytes(body),
            known.signer.key.public_key(),
            now_s=CREATED + 10,
            answered=[V1.signature],
        )
        assert result.status == "wrong signature"


def test_a_body_of_the_same_value_in_other_bytes_is_caught():
    body = V1.body.replace(b":", b": ")
    result = check(header_of(), body, A.key.public_key(), now_s=CREATED)
    assert result.status == "wrong signature"


def test_three_lines_are_signed_for_a_request_and_four_for_an_answer():
    three = signing_string(CREATED, CREATED + 300, V1.body)
    four = signing_string(CREATED + 1, CREATED + 301, V3.body, request_signature=V1.signature)
    assert (len(three), len(four)) == (150, 258)
    assert three.decode().split("\n") == [
        "(created): 1767225600",
        "(expires): 1767225900",
        f"digest: BLAKE-512={V1.digest}",
    ]
    assert four.decode().split("\n")[3] == f"request-signature: {V1.signature}"


def test_an_answer_chains_to_the_message_it_answers_and_to_no_other():
    def checked(*answered: str):
        key = B.key.public_key()
        return check(header_of(V3), V3.body, key, now_s=CREATED + 10, answered=answered).status

    assert checked(V1.signature) == "valid"
    assert checked(KNOWN["a callback"].signature) == "wrong signature"
    assert checked() == "wrong signature"


def test_an_empty_body_has_a_digest():
    # The hexadecimal digits are those of RFC 7693's function over nothing.
    empty = (
        "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419"
        "d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce"
    )
    assert digest(b"") == base64.b64encode(bytes.fromhex(empty)).decode()
    header = parse_header(sign(A, b"", created_s=CREATED, expires_s=CREATED + 1))
    assert check(header, b"", A.key.public_key(), now_s=CREATED).is_valid
    assert not check(header, b" ", A.key.public_key(), now_s=CREATED).is_valid


@given(
    st.binary(max_size=200),
    st.sampled_from(DIGEST_PREFIXES),
    st.none() | st.text("abc+/=", min_size=1),
)
@settings(max_examples=60, deadline=None)
def test_what_is_signed_is_valid(body: bytes, prefix: DigestPrefix, answers: str | None):
    value = sign(
        A,
        body,
        created_s=CREATED,
        expires_s=CREATED + 300,
        prefix=prefix,
        request_signature=answers,
    )
    result = check(
        parse_header(value), body, A.key.public_key(), now_s=CREATED, answered=[answers or ""]
    )
    assert (result.status, result.digest_prefix) == ("valid", prefix)


# The header's grammar.


def test_a_header_is_written_in_one_form():
    assert signed(V1) == (
        'Signature keyId="bap.test|key-1|ed25519",algorithm="ed25519",created="1767225600",'
        f'expires="1767225900",headers="(created) (expires) digest",signature="{V1.signature}"'
    )
    assert 'headers="(created) (expires) digest request-signature"' in signed(V3)


@pytest.mark.parametrize(
    "spelled",
    [
        lambda value: value.removeprefix("Signature "),
        lambda value: value.replace(",", ", "),
        lambda value: value.replace(",", " ,\t"),
        lambda value: value.replace("Signature ", "Signature   "),
        lambda value: f"  {value}  ",
        lambda value: value.replace('"(created) (expires)', '" (created)  (expires)'),
        lambda value: value.replace(',algorithm="ed25519"', ""),
        lambda value: value + ',opaque="x"',
        lambda value: "Signature " + ",".join(value.removeprefix("Signature ").split(",")[::-1]),
    ],
)
def test_a_header_is_read_in_every_spelling(spelled):
    assert parse_header(spelled(signed(V1))) == header_of()


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda _: "",
        lambda _: "Signature",
        lambda _: "Bearer abc",
        lambda value: value.replace("Signature ", "Digest "),
        lambda value: value.replace('keyId="bap.test|key-1|ed25519",', ""),
        lambda value: value.replace("|ed25519", ""),
        lambda value: value.replace("|key-1", "|key|1"),
        lambda value: value.replace('created="1767225600",', ""),
        lambda value: value.replace('"1767225600"', '"soon"'),
        lambda value: value.replace('"1767225600"', '"-1"'),
        lambda value: value.replace('"1767225600"', '"1767225600.5"'),
        lambda value: value.replace('"1767225600"', '"1234567890123"'),
        lambda value: value.replace('expires="1767225900",', ""),
        lambda value: value.replace('headers="(created) (expires) digest",', ""),
        lambda value: value.replace("signature=", "seal="),
        lambda value: value.replace('"', ""),
        lambda value: value.replace('"', "'"),
        lambda value: value.removesuffix('"'),
        lambda value: value.replace(",", ";"),
        lambda value: value.replace(",", " "),
    ],
)
def test_a_header_that_does_not_follow_the_grammar_is_none(spoiled):
    assert parse_header(spoiled(signed(V1))) is None


@given(st.text(max_size=80) | st.text('kKeyIdSignature="|, 0123456789()', max_size=80))
@settings(max_examples=60, deadline=None)
def test_any_text_is_a_header_or_none(text: str):
    assert parse_header(text) is None or isinstance(parse_header(text), SignatureHeader)


# Every status of a check.


def test_a_header_that_is_none_is_malformed():
    result = check(None, V1.body, A.key.public_key(), now_s=CREATED)
    assert (result.status, result.subscriber_id) == ("malformed", None)


@pytest.mark.parametrize(
    "covered",
    [
        (),
        ("digest",),
        ("(expires)", "(created)", "digest"),
        ("(created)", "(expires)", "digest", "host"),
        ("request-signature", "(created)", "(expires)", "digest"),
        ("(created)", "(expires)", "digest", "request-signature", "request-signature"),
    ],
)
def test_a_header_that_covers_something_else_is_malformed(covered: tuple[str, ...]):
    assert status(header_of(covered=covered)) == "malformed"


def test_a_signature_that_is_not_base64_is_malformed():
    assert status(header_of(signature="%%%")) == "malformed"
    assert status(header_of(signature="abc")) == "malformed"


@pytest.mark.parametrize("algorithm", ["rsa", "hs2019", "ED25519", ""])
def test_another_algorithm_is_told(algorithm: str):
    assert status(header_of(algorithm=algorithm)) == "wrong algorithm"


def test_an_algorithm_that_is_not_that_of_the_key_is_told():
    header = parse_header(signed(V1).replace('algorithm="ed25519"', 'algorithm="rsa"'))
    result = check(header, V1.body, A.key.public_key(), now_s=CREATED)
    assert (result.status, result.detail) == ("wrong algorithm", "algorithm ed25519 and rsa")


def test_a_key_that_nobody_registered_is_told():
    result = check(header_of(), V1.body, None, now_s=CREATED)
    assert (result.status, result.detail) == ("unknown key", "no key key-1 of bap.test")
    assert result.subscriber_id == "bap.test"


@pytest.mark.parametrize(
    ("now_s", "told"),
    [
        (CREATED - 5.001, "from the future"),
        (CREATED - 5, "valid"),
        (CREATED, "valid"),
        (CREATED + 300, "valid"),
        (CREATED + 300.001, "expired"),
    ],
)
def test_a_clock_may_be_late_by_five_seconds_and_never_early(now_s: float, told: str):
    assert status(header_of(), now_s) == told


@pytest.mark.parametrize("lifetime_s", [0, -1])
def test_a_signature_that_ends_before_it_begins_is_expired(lifetime_s: int):
    value = sign(A, V1.body, created_s=CREATED, expires_s=CREATED + lifetime_s)
    assert status(parse_header(value), CREATED - 1) == "expired"


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": V3.signature},
        {"signature": "AAAA"},
        {"signature": ""},
        {"created_s": CREATED - 1},
        {"expires_s": CREATED + 301},
    ],
)
def test_a_signature_over_something_else_is_wrong(changes: dict[str, object]):
    assert status(header_of(**changes)) == "wrong signature"


def test_a_signature_of_another_key_is_wrong():
    result = check(header_of(), V1.body, B.key.public_key(), now_s=CREATED)
    assert (result.status, result.is_valid) == ("wrong signature", False)
    assert (result.digest_prefix, result.lines) == (None, None)


# Keys.


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = {
    "a seed": SEED_A,
    "a seed over two lines": f" {SEED_A[:20]}\n{SEED_A[20:]}\n",
    "a seed and its public key": text_of(base64.b64decode(SEED_A) + base64.b64decode(PUBLIC_A)),
    "PKCS 8 as DER": text_of(A.key.private_bytes(DER, PKCS8, OPEN)),
    "PKCS 8 as PEM": A.key.private_bytes(PEM, PKCS8, OPEN).decode(),
}
PUBLIC = {
    "raw": PUBLIC_A,
    "raw with a line end": f"{PUBLIC_A}\n",
    "DER": text_of(A.key.public_key().public_bytes(DER, SPKI)),
    "PEM": A.key.public_key().public_bytes(PEM, SPKI).decode(),
}


@pytest.mark.parametrize("text", PRIVATE.values(), ids=PRIVATE)
def test_a_private_key_is_read_in_every_form(text: str):
    assert public_text(read_private_key(text).public_key()) == PUBLIC_A


@pytest.mark.parametrize("text", PUBLIC.values(), ids=PUBLIC)
def test_a_public_key_is_read_in_every_form(text: str):
    assert public_text(read_public_key(text)) == PUBLIC_A


def test_a_signer_publishes_its_public_key():
    assert (A.public_key, B.public_key) == (PUBLIC_A, PUBLIC_B)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it has 0 bytes; an Ed25519 key has 32 or 64, or is DER"),
        (SEED_A[4:], "it has 29 bytes"),
        (text_of(bytes(33)), "it has 33 bytes"),
        ("no key, sir", "neither PEM nor base64"),
        (SEED_A[:-1], "neither PEM nor base64"),
        (
            text_of(base64.b64decode(SEED_A) + base64.b64decode(PUBLIC_B)),
            "its second half is not the public key of its first",
        ),
        (text_of(RSA.private_bytes(DER, PKCS8, OPEN)), "another kind: RSAPrivateKey"),
        (RSA.private_bytes(PEM, PKCS8, OPEN).decode(), "another kind: RSAPrivateKey"),
        (PUBLIC["PEM"], "not an unencrypted private key in PEM form"),
        ("-----BEGIN PRIVATE KEY-----\n", "not an unencrypted private key in PEM form"),
    ],
)
def test_what_is_no_private_key_is_refused(text: str, problem: str):
    with pytest.raises(KeyProblem, match=problem):
        read_private_key(text)


def test_an_encrypted_private_key_is_refused():
    locked = serialization.BestAvailableEncryption(b"a word")
    with pytest.raises(KeyProblem, match="not an unencrypted private key"):
        read_private_key(A.key.private_bytes(PEM, PKCS8, locked).decode())
    with pytest.raises(KeyProblem, match="an Ed25519 key has 32 or 64"):
        read_private_key(text_of(A.key.private_bytes(DER, PKCS8, locked)))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it has 0 bytes; an Ed25519 key has 32, or is DER"),
        (text_of(bytes(31)), "it has 31 bytes"),
        (text_of(bytes(64)), "it has 64 bytes"),
        ("no key, sir", "neither PEM nor base64"),
        (text_of(RSA.public_key().public_bytes(DER, SPKI)), "another kind: RSAPublicKey"),
        (RSA.public_key().public_bytes(PEM, SPKI).decode(), "another kind: RSAPublicKey"),
        (PRIVATE["PKCS 8 as PEM"], "not a public key in PEM form"),
        ("-----BEGIN PUBLIC KEY-----\n", "not a public key in PEM form"),
    ],
)
def test_what_is_no_public_key_is_refused(text: str, problem: str):
    with pytest.raises(KeyProblem, match=problem):
        read_public_key(text)


def test_a_key_of_our_own_comes_back():
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(7, 39)))
    raw = key.public_key().public_bytes(RAW, serialization.PublicFormat.Raw)
    assert public_text(key.public_key()) == text_of(raw)
    assert read_public_key(public_text(key.public_key())) == key.public_key()


@pytest.mark.parametrize("text", ["é", "MCEwBQYDK2V5AxkA" + "A" * 28])
def test_a_text_that_is_no_key_at_all_is_a_problem_not_a_crash(text: str):
    with pytest.raises(KeyProblem):
        read_public_key(text)
    with pytest.raises(KeyProblem):
        read_private_key(text)


def test_a_signature_that_is_no_ascii_is_malformed():
    value = 'keyId="a|k|ed25519",created="1",expires="2",headers="(created) (expires) digest"'
    header = parse_header(f'Signature {value},signature="é"')
    key = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    assert check(header, b"", key, now_s=1).status == "malformed"
