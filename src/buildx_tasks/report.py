"""What people and CI servers read: terminal tables and JUnit XML."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from buildx_tasks.commands import write_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from buildx_tasks.verify import CellResult

_WIDTH = 1000

# Styles by the first word of a cell, for terminals only.
_STYLES = {"ok": "green", "FAIL": "bold red", "unchecked": "yellow"}


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings on standard output; nothing is ever cut off."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in row))
    # Wider than any row: a terminal wraps lines itself, and a digest cut in two cannot be copied.
    console = Console(width=_WIDTH, highlight=False)
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()), flush=True)


def write_junit(path: Path, results: Sequence[CellResult]) -> None:
    """Write JUnit XML, one test case a cell, in the form that Jenkins and GitLab read.

    Source: https://github.com/testmoapp/junitxml
    """
    suite = ET.Element(
        "testsuite",
        name="buildx-tasks verify",
        tests=str(len(results)),
        failures=str(sum(result.status == "FAIL" for result in results)),
        errors="0",
        skipped=str(sum(result.status == "unchecked" for result in results)),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    for result in results:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=result.cell.target,
            name=str(result.cell),
            time=f"{result.seconds:.3f}",
        )
        if result.status == "FAIL":
            failure = ET.SubElement(case, "failure", message=_xml_safe(result.problems[0]))
            failure.text = _xml_safe("\n".join(result.problems))
        elif result.status == "unchecked":
            ET.SubElement(case, "skipped", message="no [verify] table declares what to expect")
        if result.stdout:
            ET.SubElement(case, "system-out").text = _xml_safe(result.stdout)
        if result.stderr:
            ET.SubElement(case, "system-err").text = _xml_safe(result.stderr)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    write_file(path, ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n")


def _xml_safe(text: str) -> str:
    """Replace characters that XML 1.0 cannot hold."""
    return "".join(
        char if char in "\t\n\r" or " " <= char < "\ud800" or "\ue000" <= char != "\ufffe" else "�"
        for char in text
    )
