"""How fast a right message passes the schemas, beside reading its JSON.

Run alone: python -m pytest tests/benchmarks/test_shape_speed.py -p no:randomly
"""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import median
from time import perf_counter

from gridwitness.dialects.base import dump_json
from gridwitness.mocks.sandbox import Sandbox
from gridwitness.rules import rules
from gridwitness.trace import Trace
from tests.conftest import SEED, SPEAKS, small_market

MESSAGES = 10_000
SIZE_BYTES = 6_000


def seconds(work) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def long_messages(trace: Trace, dialect: str) -> list:
    """Fill the last on_status up to the size, with readings or intervals as a long market has."""
    template = trace.of("on_status")[-1]
    body = template.body
    if dialect == "order":
        delivery = body["message"]["order"]["beckn:fulfillment"]["beckn:deliveryAttributes"]
        rows = delivery["meterReadings"]
    else:
        agreed = body["message"]["contract"]
        rows = agreed["commitments"][0]["commitmentAttributes"]["intervals"]
    while len(dump_json(body)) < SIZE_BYTES:
        rows.append(rows[0])
    return [replace(template, raw=dump_json(body), number=n) for n in range(MESSAGES)]


def test_the_rules_of_shape_cost_no_more_than_a_few_readings_of_the_json(record):
    mine = [one for one in rules().values() if one.family == "SHP"]
    with Sandbox(SEED, speaks=SPEAKS) as sandbox:
        traces = {dialect: small_market(sandbox, dialect) for dialect in ("order", "contract")}
    for dialect, trace in traces.items():
        ratios: list[float] = []
        for _ in range(3):
            long = Trace(trace.scene, tuple(long_messages(trace, dialect)))
            for message in long.messages:  # what every family of rules shares
                assert message.reading.contract
                assert message.ack
            plain_s = seconds(lambda long=long: [json.loads(m.raw) for m in long.messages])
            shape_s = seconds(lambda long=long: [m.shape for m in long.messages])
            rules_s = seconds(lambda long=long: [list(one.check(long)) for one in mine])
            assert all(o.kept for one in mine for o in one.check(long))
            ratios.append((shape_s + rules_s) / plain_s)
            record(
                f"{dialect}, {len(long.messages[0].raw)} bytes: json.loads, shape, rules (us)",
                [round(s / MESSAGES * 1e6) for s in (plain_s, shape_s, rules_s)],
            )
        assert median(ratios) < 6
