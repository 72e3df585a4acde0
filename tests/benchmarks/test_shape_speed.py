"""How fast a right message passes the schemas, beside reading its JSON.

Run alone: python -m pytest tests/benchmarks/test_shape_speed.py -p no:randomly
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from time import process_time

from gridwitness.dialects.base import dump_json
from gridwitness.mocks.sandbox import Sandbox
from gridwitness.rules import rules
from gridwitness.trace import Trace
from tests.conftest import SEED, SPEAKS, small_market

MESSAGES = 10_000
BATCH = 500
SIZE_BYTES = 6_000


def long_body(trace: Trace, dialect: str) -> bytes:
    """Fill the last on_status up to the size, with readings or intervals as a long market has."""
    body = trace.of("on_status")[-1].body
    if dialect == "order":
        delivery = body["message"]["order"]["beckn:fulfillment"]["beckn:deliveryAttributes"]
        rows = delivery["meterReadings"]
    else:
        agreed = body["message"]["contract"]
        rows = agreed["commitments"][0]["commitmentAttributes"]["intervals"]
    while len(dump_json(body)) < SIZE_BYTES:
        rows.append(rows[0])
    return dump_json(body)


def test_the_rules_of_shape_cost_no_more_than_a_few_readings_of_the_json(record):
    mine = [one for one in rules().values() if one.family == "SHP"]
    with Sandbox(SEED, speaks=SPEAKS) as sandbox:
        traces = {dialect: small_market(sandbox, dialect) for dialect in ("order", "contract")}
    for dialect, trace in traces.items():
        raw, template = long_body(trace, dialect), trace.of("on_status")[-1]
        taken_s: Counter[str] = Counter()

        def measured(what: str, work, taken_s=taken_s):
            start = process_time()
            result = work()
            taken_s[what] += process_time() - start
            return result

        for _ in range(MESSAGES // BATCH):
            messages = [replace(template, raw=raw) for _ in range(BATCH)]
            long = Trace(trace.scene, tuple(messages))
            measured("json.loads", lambda long=long: [json.loads(m.raw) for m in long.messages])
            for message in long.messages:  # what every family of rules shares
                assert message.reading.contract
                assert message.ack
            measured("shape", lambda long=long: [m.shape for m in long.messages])
            for one in mine:
                found = measured(one.id, lambda one=one, long=long: list(one.check(long)))
                assert all(outcome.kept for outcome in found)
        each_us = {what: round(s / MESSAGES * 1e6, 1) for what, s in taken_s.items()}
        record(f"{dialect}, {len(raw)} bytes, us a message", each_us)
        assert taken_s.total() < 3 * taken_s["json.loads"]
