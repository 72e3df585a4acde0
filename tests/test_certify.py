"""A participant in a process of its own is certified, and its faults are found."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from gridwitness.mocks.defects import DEFECTS
from tests.conftest import SEED, played

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "profiles" / "clearing-agent.toml"
FAST = "a_car_and_a_roof_clear and order"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_profile(folder: Path, *, endpoint: str, key: str, port: int, patience: float = 1) -> Path:
    """Write the example profile with the addresses of this test."""
    text = EXAMPLE.read_text("utf-8")
    for old, new in (
        ("http://127.0.0.1:9001/clearing-agent", endpoint),
        ('registry = "http://127.0.0.1:9001/registry"', key),
        ("port = 9000", f"port = {port}"),
        ("patience = 1.0", f"patience = {patience}"),
    ):
        assert old in text
        text = text.replace(old, new)
    file = folder / "agent.toml"
    file.write_text(text, "utf-8")
    return file


@contextmanager
def agent(tmp_path: Path, *options: str, patience: float = 1):
    """A reference clearing agent in a process of its own, and a profile for it."""
    port = free_port()
    registry = f"http://127.0.0.1:{port}/registry"
    with played("clearing-agent", "--registry", registry, *options) as told:
        key = f'registry = "{told["registry"]}"'
        yield write_profile(
            tmp_path, endpoint=told["endpoint"], key=key, port=port, patience=patience
        )


def test_the_reference_agent_is_conformant_twice_in_a_row(gridwitness, tmp_path):
    with agent(tmp_path) as profile:
        first = gridwitness("certify", str(profile), "--json")
        again = gridwitness("certify", str(profile), "--json")
    for ran in (first, again):
        assert ran.status == 0, ran.err
        assert ran.json["verdict"] == "conformant"
        assert ran.json["participant"]["subscriber_id"] == "clearing-agent.gridwitness.example"
    assert first.json["rules"] == again.json["rules"]


@pytest.mark.parametrize("defect", [None, "keeps-what-is-over"])
def test_a_catalogue_is_certified_too(gridwitness, tmp_path, defect: str | None):
    port = free_port()
    registry = f"http://127.0.0.1:{port}/registry"
    misbehaves = ("--defect", defect) if defect else ()
    with played("catalogue", "--registry", registry, *misbehaves) as told:
        key = f'registry = "{told["registry"]}"'
        profile = write_profile(tmp_path, endpoint=told["endpoint"], key=key, port=port)
        text = profile.read_text("utf-8")
        text = text.replace('seat = "clearing-agent"', 'seat = "catalogue"')
        text = text.replace("clearing-agent.gridwitness", "catalogue.gridwitness")
        profile.write_text(text, "utf-8")
        chosen = ("-k", "is_over") if defect else ()
        ran = gridwitness("certify", str(profile), "--json", *chosen)
    broken = {finding["rule"] for finding in ran.json["findings"]}
    wanted = {DEFECTS[defect].breaks} if defect else set()
    assert (ran.status, broken) == (1 if defect else 0, wanted), ran.out


def test_it_is_conformant_in_the_newest_edition_too(gridwitness, tmp_path):
    edition = "beckn-2.0.0-nfh"
    with agent(tmp_path, "--edition", edition) as profile:
        text = profile.read_text("utf-8").replace(
            '"beckn-2.0.0-rc", "beckn-2.0.0-lts"', f'"{edition}"'
        )
        profile.write_text(text, "utf-8")
        ran = gridwitness("certify", str(profile), "--json")
    assert ran.status == 0, ran.out
    assert ran.json["edition"] == {"contract": edition}


def test_it_is_conformant_as_deployed(gridwitness, tmp_path):
    with agent(tmp_path, "--strictness", "deployed") as profile:
        text = profile.read_text("utf-8").replace('"strict"', '"deployed"')
        profile.write_text(text, "utf-8")
        ran = gridwitness("certify", str(profile), "--json")
    assert (ran.status, ran.json["strictness"]) == (0, "deployed")


def test_a_broken_agent_is_nonconformant_and_the_reader_is_told_where(gridwitness, tmp_path):
    with agent(tmp_path, "--defect", "loses-a-kilowatt") as profile:
        ran = gridwitness("certify", str(profile), "-k", FAST)
    assert ran.status == 1
    told = ran.out.splitlines()
    start = next(n for n, line in enumerate(told) if line.startswith("MKT-005: "))
    assert "sum to +1 kW; expected powers that sum to 0 kW" in told[start + 1]
    evidence = told[start + 2].split()[1]
    file, _, pointer = evidence.partition("#")
    name, _, line = file.rpartition(":")
    record = json.loads((tmp_path / "out" / name).read_text("utf-8").splitlines()[int(line) - 1])
    value = json.loads(record["raw"])
    for token in pointer.strip("/").split("/"):
        value = value[int(token) if isinstance(value, list) else token]
    assert isinstance(value, int | float)
    assert told[start + 4].startswith("  rerun     gridwitness certify ")


def test_an_agent_with_another_key_is_nonconformant(gridwitness, tmp_path):
    with agent(tmp_path) as profile:
        text = profile.read_text("utf-8")
        key = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
        start = text.index("registry =")
        text = text[:start] + f'public = "{key}" #' + text[start:]
        profile.write_text(text.replace("patience = 1.0", "patience = 0.05"), "utf-8")
        ran = gridwitness("certify", str(profile), "--json", "-k", FAST)
    assert (ran.status, ran.json["verdict"]) == (1, "nonconformant")
    assert "SIG-001" in {finding["rule"] for finding in ran.json["findings"]}


@contextmanager
def stranger(answer: bytes | None):
    """An endpoint that answers every request with the same bytes, or never."""
    released = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            if answer is None:
                released.wait(60)
            else:
                self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/agent"
        finally:
            released.set()
            server.shutdown()
            thread.join()


HTML = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\r\n<h1>Hello!</h1>"
JSON_ACK = b'{"message":{"ack":{"status":"ACK"}}}'
ACK = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(JSON_ACK), JSON_ACK)


@pytest.mark.parametrize(
    ("answer", "rule", "told"),
    [
        (None, "ACK-001", "no answer within 1 s"),
        (HTML, "ACK-001", "HTTP 200, text/html: <h1>Hello!</h1>"),
        (b"nonsense\r\n\r\n", "ACK-001", "RemoteProtocolError"),
        (ACK, "COR-004", "no on_discover within 0.2 s"),
    ],
    ids=["never answers", "answers html", "speaks no http", "never calls back"],
)
def test_an_endpoint_that_is_no_participant_is_nonconformant(
    gridwitness, tmp_path, answer: bytes | None, rule: str, told: str
):
    key = 'public = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="'
    with stranger(answer) as endpoint:
        profile = write_profile(tmp_path, endpoint=endpoint, key=key, port=0, patience=0.02)
        ran = gridwitness("certify", str(profile), "--json", "-k", FAST)
    assert ran.status == 1, ran.err
    assert ran.json["verdict"] == "nonconformant"
    found = {finding["rule"]: finding["observed"] for finding in ran.json["findings"]}
    assert told in found[rule]
    [scenario] = ran.json["scenarios"]
    assert len((tmp_path / "out" / scenario["trace"]).read_text().splitlines()) == 3


def test_a_callback_to_the_wrong_place_is_found_there(gridwitness, tmp_path):
    with agent(tmp_path, "--defect", "calls-back-elsewhere", patience=0.05) as profile:
        ran = gridwitness("certify", str(profile), "--json", "-k", FAST)
    assert ran.status == 1
    told = [f["observed"] for f in ran.json["findings"] if f["rule"] == "COR-004"]
    assert len(told) == 2
    for seen in told:
        assert seen.startswith("no on_discover within 0.5 s; a POST to http://127.0.0.1:")
        assert "/callbacks/on_discover" in seen


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("pilot", "--registry", "http://x"), "there is no seat 'pilot'"),
        (("market-participant", "--registry", "http://x"), "there is no seat 'market-participant'"),
        (("clearing-agent", "--registry", "http://x", "--edition", "1.1"), "'1.1' is unknown"),
        (("clearing-agent", "--registry", "http://x", "--defect", "x"), "there is no defect 'x'"),
    ],
)
def test_what_cannot_be_played_is_a_users_mistake(gridwitness, arguments: tuple, told: str):
    ran = gridwitness("play", *arguments)
    assert ran.status == 2
    assert told in ran.err


def test_a_port_in_use_is_a_users_mistake(gridwitness):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ran = gridwitness("play", "clearing-agent", "--registry", "http://x", "--port", port)
    assert ran.status == 2
    assert ran.err.startswith(f"port {port}: cannot listen there")


def test_every_example_profile_is_tried_here():
    assert {file.name for file in EXAMPLE.parent.iterdir()} == {EXAMPLE.name}
    assert SEED.decode() not in EXAMPLE.read_text("utf-8")
