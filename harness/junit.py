"""JUnit XML, for CI systems: derived from the report.

Belongs here: one test case a scenario. Does not belong here: verdicts.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, cast
from xml.sax.saxutils import quoteattr

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write_junit(report: dict[str, Any], path: Path) -> None:
    """Write the report's scenarios as JUnit XML; a harness error is an error, not a failure."""
    suites: dict[str, TestSuite] = {}
    for scenario in report["scenarios"]:
        feature = _printable(scenario["feature"])
        suite = suites.setdefault(feature, TestSuite(feature))
        suite.add_testcase(_case(scenario))
    xml = JUnitXml("gridwitness")
    for suite in suites.values():
        xml.add_testsuite(suite)
    xml.write(str(path), pretty=True)


def write_junit_streamed(scenarios: Iterable[dict[str, Any]], path: Path) -> None:
    """Write scenarios as JUnit XML one by one, a suite for each run of them of one feature."""
    with path.open("wb") as file:
        file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<testsuites name="gridwitness">\n')
        for feature, alike in groupby(scenarios, lambda scenario: scenario["feature"]):
            file.write(f"<testsuite name={quoteattr(_printable(feature))}>\n".encode())
            for scenario in alike:
                written: bytes = cast("Any", _case(scenario)).tostring()
                file.write(written.partition(b"?>")[2] if written[:5] == b"<?xml" else written)
                file.write(b"\n")
            file.write(b"</testsuite>\n")
        file.write(b"</testsuites>\n")


def _case(scenario: dict[str, Any]) -> TestCase:
    where = scenario["seat"], scenario["dialect"]
    case = TestCase(
        _printable(f"{scenario['name']} [{', '.join(filter(None, where))}]"),
        classname=_printable(scenario["feature"]).removesuffix(".feature").replace("/", "."),
        time=scenario["duration_s"],
    )
    kind = {"harness_error": Error, "nonconformant": Failure, "untestable": Failure}
    if scenario["verdict"] in kind:
        text = _printable(scenario["message"])
        result = kind[scenario["verdict"]](text.partition("\n")[0], scenario["verdict"])
        result.text = text
        case.result = [result]
    return case


def _printable(text: str) -> str:
    """Replace the control characters that XML cannot hold."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
