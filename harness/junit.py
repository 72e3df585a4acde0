"""JUnit XML, for CI systems: derived from the report.

Belongs here: one test case a scenario. Does not belong here: verdicts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

if TYPE_CHECKING:
    from pathlib import Path


def write_junit(report: dict[str, Any], path: Path) -> None:
    """Write the report's scenarios as JUnit XML; a harness error is an error, not a failure."""
    suites: dict[str, TestSuite] = {}
    for scenario in report["scenarios"]:
        case = TestCase(
            f"{scenario['name']} [{scenario['seat']}, {scenario['dialect']}]",
            classname=scenario["feature"].removesuffix(".feature").replace("/", "."),
            time=scenario["duration_s"],
        )
        kind = {"harness_error": Error, "nonconformant": Failure, "untestable": Failure}
        if scenario["verdict"] in kind:
            text = _printable(scenario["message"])
            result = kind[scenario["verdict"]](text.partition("\n")[0], scenario["verdict"])
            result.text = text
            case.result = [result]
        suite = suites.setdefault(scenario["feature"], TestSuite(scenario["feature"]))
        suite.add_testcase(case)
    xml = JUnitXml("gridwitness")
    for suite in suites.values():
        xml.add_testsuite(suite)
    xml.write(str(path), pretty=True)


def _printable(text: str) -> str:
    """Replace the control characters that XML cannot hold."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
