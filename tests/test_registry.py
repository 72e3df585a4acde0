"""The registry answers both look-ups, and a directory asks one for whom it does not know."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from gridwitness.mocks.sandbox import Sandbox
from gridwitness.registry import Directory, look_up
from gridwitness.signing import public_text
from tests.conftest import SEED, SPEAKS

ID = "utility.gridwitness.example"


@pytest.fixture
def utility(played_utility):
    return played_utility


def test_a_subscription_is_looked_up_by_post(sandbox, utility):
    answer = httpx.post(f"{sandbox.registry_url}/lookup", json={"subscriber_id": ID}).json()
    signer = sandbox.signer("utility")
    assert answer[0]["subscriber_id"] == ID
    assert answer[0]["signing_public_key"] == signer.public_key
    assert answer[0]["key_id"] == signer.key_id
    assert answer[0]["status"] == "SUBSCRIBED"
    assert answer[0]["url"] == utility.uri


def test_a_key_is_looked_up_by_path(sandbox, utility):
    signer = sandbox.signer("utility")
    url = f"{sandbox.registry_url}/lookup/{ID}/subscribers.beckn.one/{signer.key_id}"
    details = httpx.get(url).json()["data"]["details"]
    assert details["signing_public_key"] == signer.public_key
    assert httpx.get(url + "x").status_code == 404


def test_nobody_unknown_is_found(sandbox, utility):
    url = sandbox.registry_url
    assert httpx.post(f"{url}/lookup", json={"subscriber_id": "nobody"}).json() == []
    assert httpx.post(f"{url}/lookup", content=b"{").status_code == 400
    assert httpx.post(f"{url}/subscribe", json={}).status_code == 404
    assert asyncio.run(look_up(url, "nobody")) is None


def test_a_directory_asks_a_registry_and_remembers(sandbox, utility):
    directory = Directory(sandbox.registry_url)
    signer = sandbox.signer("utility")
    key = asyncio.run(directory.find(ID, signer.key_id))
    assert public_text(key) == signer.public_key
    sandbox.directory.remove(ID)
    assert asyncio.run(directory.record(ID)).url == utility.uri
    assert asyncio.run(directory.find(ID, "another-key")) is None


def test_a_new_key_id_is_looked_up_anew(sandbox, utility):
    directory = Directory(sandbox.registry_url)
    old = sandbox.signer("utility")
    assert asyncio.run(directory.find(ID, old.key_id)) is not None
    with Sandbox(b"another seed, for another run of", speaks=SPEAKS) as later:
        new = later.signer("utility")
    assert new.key_id != old.key_id
    record = sandbox.directory.here(ID)
    sandbox.directory.add(type(record)(ID, record.url, "BPP", new.key_id, new.public_key))
    assert public_text(asyncio.run(directory.find(ID, new.key_id))) == new.public_key


def test_a_registry_that_is_not_there_knows_nobody():
    assert asyncio.run(look_up("http://127.0.0.1:9", "anybody")) is None


def test_a_run_has_keys_of_its_own_and_a_seed_repeats_them():
    one, same, other = Sandbox(SEED), Sandbox(SEED), Sandbox(b"another seed")
    assert one.signer("car").public_key == same.signer("car").public_key
    assert one.signer("car").public_key != other.signer("car").public_key
    assert one.signer("car").public_key != one.signer("roof").public_key
