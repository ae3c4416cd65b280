from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.records import tool_reports as keeping
from buildx_tasks.reports import sarif
from buildx_tasks.verification import tool_reports
from buildx_tasks.verification.results import CellResult, CheckResult, Report

if TYPE_CHECKING:
    from pathlib import Path


def run_of(*results: dict[str, Any], rules: list[Any] | None = None) -> dict[str, Any]:
    return {"tool": {"driver": {"name": "scan", "rules": rules or []}}, "results": list(results)}


def read(*runs: Any) -> tool_reports.Told:
    return tool_reports.read("sarif", json.dumps({"version": "2.1.0", "runs": runs}).encode())


AT = [{"physicalLocation": {"artifactLocation": {"uri": "usr/x"}, "region": {"startLine": 3}}}]
RULES = [
    {
        "id": "R1",
        "defaultConfiguration": {"level": "error"},
        "messageStrings": {"m": {"text": "{0} is {1}"}},
    },
    {"id": "R2", "shortDescription": {"text": "short"}},
]


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (
            {"ruleId": "A", "level": "note", "message": {"text": "said"}, "locations": AT},
            "note A: said (usr/x:3)",
        ),
        ({"ruleId": "A", "message": {"text": "first\nsecond"}}, "warning A: first"),
        (
            {"ruleId": "R1", "message": {"id": "m", "arguments": ["libx", "old"]}},
            "error R1: libx is old",
        ),
        ({"ruleIndex": 1}, "warning R2: short"),
        ({"ruleId": "R1", "level": "nonsense", "message": {"text": "x"}}, "warning R1: x"),
        ({"message": {"text": "\x1b[2J"}}, "warning \\x1b[2J"),
        ({}, "warning a result without words"),
    ],
)
def test_a_result_is_one_line(result: dict[str, Any], line: str) -> None:
    assert read(run_of(result, rules=RULES)).findings == (line,)


def test_the_worst_come_first_and_what_is_suppressed_or_passes_does_not_count() -> None:
    told = read(
        run_of(
            {"level": "note", "ruleId": "n"}, {"level": "error", "ruleId": "e"}, {"kind": "pass"}
        ),
        run_of({"ruleId": "w"}, {"ruleId": "s", "suppressions": [{"kind": "external"}]}),
    )
    assert told.findings == ("error e", "warning w", "note n")
    assert told.summary == "SARIF: error 1, warning 1, note 1"


def test_ten_thousand_results() -> None:
    run = run_of(*({"ruleId": f"R{n}", "message": {"text": "x" * 50}} for n in range(10_000)))
    told = read(run)
    assert (len(told.findings), told.findings[-1]) == (1001, "and 9,000 more")
    assert len(told.sarif[0]["results"]) == 10_000


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("sarif", b"", "it is no JSON"),
        ("sarif", b"[" * 100_000, "it is no JSON"),
        ("sarif", b'{"version": "2.0"}', "it is no SARIF 2.1.0"),
        ("sarif", b'{"version": "2.1.0", "runs": [3]}', "runs is no list of objects"),
        ("json", b"{", "it is no JSON"),
        ("junit", b"<a", "it is no XML"),
        ("junit", b"<html/>", "it is no JUnit XML: it begins with <html>"),
        ("junit", b"<!DOCTYPE x><testsuite/>", "it declares a document type"),
    ],
)
def test_what_is_no_report_says_why(kind: str, data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tool_reports.read(kind, data)


@pytest.mark.parametrize("odd", [None, 3, "x", [], {}, [[]], [None]])
def test_odd_parts_of_a_report_are_left_aside(odd: Any) -> None:
    for result in (
        {"message": odd, "locations": odd, "suppressions": odd, "ruleIndex": odd, "ruleId": odd},
        {"locations": [{"physicalLocation": odd}], "message": {"id": odd, "arguments": odd}},
    ):
        assert len(read(run_of(result, rules=[odd])).findings) == 1
    assert read({"results": odd, "tool": odd}).failures == ()


def test_junit() -> None:
    data = b"""<testsuites><testsuite><testcase classname="a.b" name="c"/>
    <testcase name="d"><failure message="no"/></testcase>
    <testcase name="e"><error>first\nsecond</error></testcase></testsuite></testsuites>"""
    told = tool_reports.read("junit", data)
    assert told.failures == ("d: no", "e: first")
    assert told.summary == "JUnit: 2 of 3 tests failed"


def test_all_reports_become_one(tmp_path: Path) -> None:
    runs = read(run_of({"ruleId": "A"})).sarif
    check = CheckResult("scan", "command", "ok", sarif=runs)
    cells = [CellResult("app", None, f"sha256:{n}", (check,)) for n in range(2)]
    whole = json.loads(sarif.text(Report("", 0.0, tuple(cells), {})))
    assert whole["version"] == "2.1.0"
    assert [run["automationDetails"]["id"] for run in whole["runs"]] == ["app/scan/"] * 2
    keeping.keep(tmp_path, "app@linux/amd64", "scan", ("sha256:1", "h"), runs)
    assert keeping.kept(tmp_path, "app@linux/amd64", "scan", ("sha256:1", "h")) == runs
    assert keeping.kept(tmp_path, "app@linux/amd64", "scan", ("sha256:2", "h")) == ()
    assert keeping.kept(tmp_path, "app@linux/arm64", "scan", ("sha256:1", "h")) == ()
    (kept,) = (tmp_path / "sarif").iterdir()
    kept.write_text("[")
    assert keeping.kept(tmp_path, "app@linux/amd64", "scan", ("sha256:1", "h")) == ()
