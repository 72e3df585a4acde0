"""A profile's mistakes are told with file, key and mend, and end with status 2."""

from __future__ import annotations

import base64
import socket
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gridwitness.errors import UserError
from gridwitness.mocks.sandbox import Sandbox
from gridwitness.profile import read_profile
from tests.conftest import SEED, SPEAKS

KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
GOOD = f"""
[participant]
id = "agent.example"
endpoint = "http://127.0.0.1:9/agent"
seat = "clearing-agent"
[participant.key]
public = "{KEY}"
[certify]
editions = ["beckn-2.0.0-nfh"]
strictness = "deployed"
patience = 2
[harness]
port = 0
[market]
price_tick = "0.01"
[absent]
MKT-007 = "prices differ by zone in this market"
"""


def profile(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "participant.toml"
    file.write_text(text, "utf-8")
    return file


def rsa_pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_good_profile_is_read(tmp_path):
    read = read_profile(profile(tmp_path, GOOD))
    assert read.participant.public_key == KEY
    assert read.participant.key_id == "key-1"
    assert [(c.seat, c.dialect, c.strictness) for c in read.castings] == [
        ("clearing agent", "contract", "deployed")
    ]
    assert (read.patience, read.price_tick, read.power_step) == (2.0, "0.01", "0.001")
    assert read.absent == {"MKT-007": "prices differ by zone in this market"}


MISTAKES = [
    ('id = "agent.example"', 'idd = "agent.example"', r"participant\.idd.*did you mean 'id'"),
    ('id = "agent.example"', "", r"participant\.id: is missing\n  mend: add it: the subscriber id"),
    ('endpoint = "http://127.0.0.1:9/agent"', "", r"participant\.endpoint: is missing"),
    ("http://127.0.0.1:9/agent", "127.0.0.1:9", r"participant\.endpoint.*not an http or https"),
    ('seat = "clearing-agent"', 'seat = "driver"', r"participant\.seat: 'driver'"),
    (
        'seat = "clearing-agent"',
        'seat = "market-participant"',
        r"seat: 'market-participant' is taken by the reference.*mend: take one of: clearing-agent",
    ),
    (f'public = "{KEY}"', "", r"participant\.key"),
    (KEY, "bm90IGEga2V5", r"participant\.key\.public: is no Ed25519.*9 bytes"),
    (KEY, "%%%", r"participant\.key\.public.*neither PEM nor base64"),
    (f'public = "{KEY}"', 'file = "none.pem"', r"participant\.key\.file: .*none\.pem cannot be"),
    (f'public = "{KEY}"', 'registry = "http://127.0.0.1:9"', r"key\.registry: .* gives no Ed25519"),
    (
        "beckn-2.0.0-nfh",
        "beckn-9",
        r"certify\.editions: 'beckn-9' is unknown\n  mend: known: beckn",
    ),
    ('"beckn-2.0.0-nfh"', '"beckn-2.0.0-nfh", "beckn-2.0.0-lts"', r"speak the same dialect"),
    ("patience = 2", "patience = 0", r"certify\.patience"),
    ("patience = 2", "patience = 'long'", r"certify\.patience"),
    ("port = 0", "port = 70000", r"harness\.port"),
    ("port = 0", 'key_file = "participant.toml"', r"harness\.key_file: is no Ed25519 private key"),
    ('price_tick = "0.01"', "price_tick = 0.01", r"market\.price_tick"),
    ("MKT-007", "MKT-999", r"absent\.MKT-999: there is no such rule"),
    ('"prices differ by zone in this market"', '"no"', r"absent\.MKT-007"),
    ("[participant]", "[participant", r"is not TOML"),
]


@pytest.mark.parametrize(("right", "wrong", "told"), MISTAKES)
def test_a_mistake_is_told_with_file_key_and_mend(tmp_path, right: str, wrong: str, told: str):
    assert right in GOOD
    with pytest.raises(UserError, match=f"(?s)participant\\.toml: .*{told}") as caught:
        read_profile(profile(tmp_path, GOOD.replace(right, wrong, 1)))
    assert "\n  mend: " in str(caught.value)


def test_a_key_of_another_kind_is_named(tmp_path):
    (tmp_path / "key.pem").write_text(rsa_pem())
    text = GOOD.replace(f'public = "{KEY}"', 'file = "key.pem"')
    with pytest.raises(UserError, match=r"key\.file: is no Ed25519 public key: .*RSA"):
        read_profile(profile(tmp_path, text))


def test_a_key_in_a_file_is_read(tmp_path):
    (tmp_path / "key.txt").write_text(KEY + "\n")
    text = GOOD.replace(f'public = "{KEY}"', 'file = "key.txt"')
    assert read_profile(profile(tmp_path, text)).participant.public_key == KEY


def test_a_key_in_a_registry_is_looked_up(tmp_path):
    with Sandbox(SEED, speaks=SPEAKS) as sandbox:
        signer = sandbox.signer("clearing agent")
        record = sandbox.directory
        from gridwitness.registry import Record

        record.add(Record(signer.subscriber_id, "http://x", "BPP", "k9", signer.public_key))
        text = GOOD.replace("agent.example", signer.subscriber_id, 1).replace(
            f'public = "{KEY}"', f'registry = "{sandbox.registry_url}"'
        )
        read = read_profile(profile(tmp_path, text))
    assert (read.participant.public_key, read.participant.key_id) == (signer.public_key, "k9")


def test_a_missing_profile_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_profile(tmp_path / "none.toml")


def test_a_private_key_for_the_harness_is_read(tmp_path):
    (tmp_path / "seed.txt").write_text(base64.b64encode(bytes(32)).decode())
    text = GOOD.replace("port = 0", 'key_file = "seed.txt"')
    read = read_profile(profile(tmp_path, text))
    assert read.key == base64.b64encode(bytes(32)).decode()


def test_status_2_and_no_traceback_for_a_profile_with_a_mistake(gridwitness, tmp_path):
    profile(tmp_path, GOOD.replace("seat =", "sea ="))
    ran = gridwitness("certify", "participant.toml")
    assert ran.status == 2
    assert ran.err.startswith("participant.toml: participant.sea: is no key of a profile")
    assert "Traceback" not in ran.err


def test_status_2_for_an_endpoint_that_refuses(gridwitness, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/agent"
        profile(tmp_path, GOOD.replace("http://127.0.0.1:9/agent", url))
        ran = gridwitness("certify", "participant.toml")
    assert ran.status == 2
    assert f"nothing answers at {url}" in ran.err
    assert "mend: start the participant" in ran.err


def test_status_2_for_a_port_in_use(gridwitness, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        profile(tmp_path, GOOD.replace("port = 0", f"port = {port}"))
        ran = gridwitness("certify", "participant.toml")
    assert ran.status == 2
    assert ran.err.startswith(f"port {port}: cannot listen there")


def test_status_2_for_parallel_runs_against_one_participant(gridwitness, tmp_path):
    profile(tmp_path, GOOD)
    ran = gridwitness("certify", "participant.toml", "-n", "2")
    assert (ran.status, ran.err.startswith("-n 2: ")) == (2, True)
