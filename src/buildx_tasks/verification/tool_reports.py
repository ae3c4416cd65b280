"""What a tool wrote in; what it says is wrong, line by line, out: SARIF, JUnit's XML, or any JSON.

Sources: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html,
https://github.com/testmoapp/junitxml
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 1000  # lines about one report
_LEVELS = ("error", "warning", "note", "none")


class Told(NamedTuple):
    """What a report says: ``failures`` are wrong for certain, ``findings`` only if the tool says so.

    ``summary`` counts them; ``sarif`` are its runs.
    """

    failures: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    summary: str = ""
    sarif: tuple[dict[str, Any], ...] = ()


def read(kind: str, data: bytes) -> Told:
    """Return what a report of a kind says.

    Raises:
        ValueError: it is none; says why.

    """
    if kind == "none":
        return Told()
    return {"sarif": _sarif, "junit": _junit, "json": _json}[kind](data)


def _json(data: bytes) -> Told:
    _parsed(data)
    return Told(summary=f"{len(data):,} bytes of JSON")


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {error}") from None


def _sarif(data: bytes) -> Told:
    whole = _parsed(data)
    if not isinstance(whole, dict) or whole.get("version") != "2.1.0":
        raise ValueError("it is no SARIF 2.1.0: it has no such version")
    runs = whole.get("runs")
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        raise ValueError("it is no SARIF 2.1.0: runs is no list of objects")
    found = [line for run in runs for line in _results(run)]
    counts = {level: sum(1 for one, _ in found if one == level) for level in _LEVELS}
    counted = [f"{level} {number:,}" for level, number in counts.items() if number]
    ordered = sorted(found, key=lambda one: _LEVELS.index(one[0]))
    lines = [f"{level} {text}" for level, text in ordered if level != "none"]
    return Told((), _cut(lines), f"SARIF: {', '.join(counted) or 'nothing found'}", tuple(runs))


def _results(run: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the level and the line of each result of a run that is not suppressed."""
    driver = _dict(_dict(run.get("tool")).get("driver"))
    rules = [_dict(rule) for rule in _list(driver.get("rules"))]
    by_id = {rule.get("id"): rule for rule in rules if isinstance(rule.get("id"), str)}
    for raw in _list(run.get("results")):
        result = _dict(raw)
        if result.get("kind", "fail") != "fail" or _is_suppressed(result):
            continue
        number = result.get("ruleIndex")
        rule = by_id.get(result.get("ruleId"), {}) if isinstance(result.get("ruleId"), str) else {}
        if not rule and isinstance(number, int) and 0 <= number < len(rules):
            rule = rules[number]
        level = result.get("level") or _dict(rule.get("defaultConfiguration")).get("level")
        name = str(result.get("ruleId") or rule.get("id") or "")
        text = _text(result.get("message"), rule)
        where = _where(result)
        line = f"{name}: {text}" if name and text else name or text or "a result without words"
        yield (level if level in _LEVELS else "warning"), f"{line}{f' ({where})' if where else ''}"


def _is_suppressed(result: dict[str, Any]) -> bool:
    listed = [one for one in _list(result.get("suppressions")) if isinstance(one, dict)]
    return any(one.get("status", "accepted") == "accepted" for one in listed)


def _text(message: Any, rule: dict[str, Any]) -> str:
    said = _dict(message)
    text = said.get("text") or _dict(
        _dict(rule.get("messageStrings")).get(str(said.get("id")))
    ).get("text")
    text = str(text or _dict(rule.get("shortDescription")).get("text") or "")
    for number, value in enumerate(_list(said.get("arguments"))):
        text = text.replace(f"{{{number}}}", str(value))
    return printable(text.strip().partition("\n")[0])


def _where(result: dict[str, Any]) -> str:
    for raw in _list(result.get("locations")):
        place = _dict(_dict(raw).get("physicalLocation"))
        path = _dict(place.get("artifactLocation")).get("uri")
        line = _dict(place.get("region")).get("startLine")
        if isinstance(path, str) and path:
            return printable(f"{path}:{line}" if isinstance(line, int) else path)
    return ""


def _junit(data: bytes) -> Told:
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ValueError("it is no JUnit XML: it declares a document type")
    try:
        root = ET.fromstring(data)  # noqa: S314 - without a document type there are no entities
    except ET.ParseError as error:
        raise ValueError(f"it is no XML: {error}") from None
    if root.tag not in ("testsuites", "testsuite"):
        raise ValueError(f"it is no JUnit XML: it begins with <{root.tag}>")
    cases = list(root.iter("testcase"))
    failures = []
    for case in cases:
        for kind in ("failure", "error"):
            fault = case.find(kind)
            if fault is not None:
                words = fault.get("message") or (fault.text or "").strip().partition("\n")[0]
                name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
                failures.append(printable(f"{name}: {words}" if words else name))
    told = f"JUnit: {len(failures):,} of {len(cases):,} tests failed"
    return Told(_cut(failures), (), told)


def _cut(lines: list[str]) -> tuple[str, ...]:
    more = len(lines) - _MOST
    return (*lines[:_MOST], f"and {more:,} more") if more > 0 else tuple(lines)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
