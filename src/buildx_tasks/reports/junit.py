"""JUnit XML, as Jenkins, GitLab and GitHub's actions read it: a suite a target, a case a check.

The form is the one of Jenkins' xUnit plug-in (junit-10.xsd), the strictest of those in use: it knows
properties of suites only, so the digests stand there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from buildx_tasks.images.differences import growth_text
from buildx_tasks.reports import UNCHECKED, headline, targets
from buildx_tasks.text import MISLEADING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.verification.results import CellResult, CheckResult, Report

_WHOLE_SECONDS = len("2026-11-25T02:37:44")  # the form has no place for a time zone: it is UTC

_NOT_FIT = re.compile(
    f"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f{MISLEADING}]"
)


def text(report: Report) -> str:
    """Return the report as JUnit XML; a known failure is a skipped case that says so."""
    root = ET.Element("testsuites", name=f"buildx-tasks verify: {headline(report)}")
    for target in targets(report):
        results = [result for result in report.results if result.target == target]
        suite = _suite(target, results, report.started[:_WHOLE_SECONDS])
        _describe(suite, target, report)
        root.append(suite)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.attrib[name]) for suite in root)))
    root.set("time", f"{report.seconds:.3f}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(target: str, results: Sequence[CellResult], timestamp: str) -> ET.Element:
    suite = ET.Element("testsuite", name=target, timestamp=timestamp)
    properties = ET.SubElement(suite, "properties")
    for result in results:
        if result.digest:
            ET.SubElement(properties, "property", name=f"digest {result.id}", value=result.digest)
        for check in result.checks:
            suite.append(_case(result, check))
        if not result.checks:
            case = ET.SubElement(suite, "testcase", name=result.id, classname=target, time="0.000")
            ET.SubElement(case, "skipped", message=UNCHECKED)
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", "0")
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    suite.set("time", f"{sum(result.seconds for result in results):.3f}")
    return suite


def _describe(suite: ET.Element, target: str, report: Report) -> None:
    """Add what the whole report says of a target to its properties."""
    said = [("commit", report.commit)] if report.commit else []
    said += [("tag", tag) for tag in report.tags.get(target, ())]
    said += [
        (f"size {one.id}", f"{one.size} bytes {growth_text(one)}".rstrip())
        for one in report.differences
        if one.target == target and one.size is not None
    ]
    for properties in suite.findall("properties"):
        for name, value in said:
            ET.SubElement(properties, "property", name=name, value=_safe(value))


def _case(result: CellResult, check: CheckResult) -> ET.Element:
    case = ET.Element(
        "testcase",
        name=_safe(f"{result.id} {check.name}"),
        classname=result.target,
        time=f"{check.seconds:.3f}",
    )
    if check.status == "FAIL":
        first, *more = check.problems or ("failed",)
        message = f"{first} (and {len(more)} more)" if more else first
        failure = ET.SubElement(case, "failure", type=check.kind, message=_safe(message))
        failure.text = _safe(
            "\n".join(
                [*check.problems, *(["enter it with: " + check.enter] if check.enter else [])]
            )
        )
    elif check.status == "xfail":
        skipped = ET.SubElement(case, "skipped", message=_safe(f"known failure: {check.reason}"))
        skipped.text = _safe("\n".join(check.problems))
    elif check.status == "skip":
        ET.SubElement(case, "skipped", message=_safe(check.reason))
    said = list(check.facts)
    if result.since:
        said.insert(0, f"unchanged since it was verified at {result.since}: not run again")
    if said or check.stdout:
        ET.SubElement(case, "system-out").text = _safe("\n".join([*said, check.stdout]))
    if check.stderr:
        ET.SubElement(case, "system-err").text = _safe(check.stderr)
    return case


def _safe(text: str) -> str:
    """Replace characters that XML 1.0 cannot hold, and those that mislead who reads."""
    return _NOT_FIT.sub("�", text)
