from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from buildx_tasks.config import Verify
from buildx_tasks.plan import Cell
from buildx_tasks.platforms import parse
from buildx_tasks.report import write_junit
from buildx_tasks.verify import CellResult, _Ended, compare, docker_run_command, fill_in

if TYPE_CHECKING:
    from pathlib import Path

CELL = Cell("hello", parse("linux/arm/v7"))


def test_placeholders_are_filled_in_and_other_braces_stay() -> None:
    text = '{"p": "{platform}", "rest": "{os}-{arch}-{variant} {target} {nothing}"}'
    assert fill_in(text, CELL) == ('{"p": "linux/arm/v7", "rest": "linux-arm-v7 hello {nothing}"}')


@pytest.mark.parametrize(
    ("exit_code", "stdout", "stderr", "problems"),
    [
        (0, "Hello, linux/arm/v7!\n", "", ()),
        (0, "\x1b[0m\n\n", "", ('stdout: expected "Hello, linux/arm/v7!", got "\\x1b[0m"',)),
        (0, "Bye!\n", "", ('stdout: expected "Hello, linux/arm/v7!", got "Bye!"',)),
        (3, "Hello, linux/arm/v7!", "a\nb\n", ("exit code: expected 0, got 3 (b)",)),
        (None, "", "", ("still running after 1.5 s; it was stopped",)),
    ],
)
def test_problems_name_expected_and_actual(
    exit_code: int | None, stdout: str, stderr: str, problems: tuple[str, ...]
) -> None:
    ended = _Ended(exit_code, stdout, stderr)
    expected = Verify(stdout="Hello, {platform}!", timeout=1.5)
    assert compare(expected, CELL, ended) == problems


def test_the_command_can_be_typed() -> None:
    argv = docker_run_command("localhost:5000/x:v1", CELL, Verify(args=["--for", "{platform}"]))
    assert argv[-4:] == ["linux/arm/v7", "localhost:5000/x:v1", "--for", "linux/arm/v7"]


def test_junit_holds_what_xml_cannot(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.xml"
    results = [
        CellResult(CELL, "FAIL", "sha256:1", 0.5, ("bad \x00 <output>",), "out\x1b[0m", "err"),
        CellResult(CELL, "unchecked", "sha256:1", 0.0),
        CellResult(CELL, "ok", "sha256:1", 0.25),
    ]
    write_junit(path, results)
    suite = ET.parse(path).getroot()[0]
    assert suite.attrib["tests"] == "3"
    assert suite.attrib["failures"] == suite.attrib["skipped"] == "1"
    assert [case.attrib["name"] for case in suite] == ["hello@linux/arm/v7"] * 3
    assert suite[0][0].attrib["message"] == "bad � <output>"
    assert [path.name for path in path.parent.iterdir()] == ["report.xml"]
