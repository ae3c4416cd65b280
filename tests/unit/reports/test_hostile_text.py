"""Other people's words act on no terminal, no runner and no reader of a report."""

from __future__ import annotations

import io
import json
import re
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from buildx_tasks import errors
from buildx_tasks.dockerfiles import findings
from buildx_tasks.machine import output
from buildx_tasks.machine.commands import Commands
from buildx_tasks.platforms import parse
from buildx_tasks.reports import cells, github, jsonreport, junit, page
from buildx_tasks.text import MISLEADING, escaped, inert, printable
from buildx_tasks.verification.results import CellResult, CheckResult, Report

if TYPE_CHECKING:
    from pathlib import Path

# Colours; a title; the clipboard; a question that the terminal answers; 8-bit; reset; order of a line.
WORDS = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]52;c;ZXZpbA==\x1b\\",
    "\x1b[6n",
    "\x9b31m",
    "\x1bc",
    "a\u202eb\u2066c",
    "\x00",
    "\rover",
    "::error::taken",
    "  ::set-output name=a::b",
    "##[error]taken",
    "\U000e0041",
    "\ud800",
)
HOSTILE = "\n".join(WORDS)
ACTING = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{MISLEADING}]")
COMMAND = re.compile(r"(?:^|[\r\n])\s*::|##\[")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_text_of_several_lines_is_inert() -> None:
    shown = inert(HOSTILE)
    assert "\x1b[31mred\x1b[0m" in shown  # colours
    assert not ACTING.search(shown.replace("\x1b[31m", "").replace("\x1b[0m", ""))
    assert not COMMAND.search(shown)
    assert inert("plain: a::b\n\tc") == "plain: a::b\n\tc"
    assert not ACTING.search(printable(HOSTILE))


def test_what_is_escaped_in_json_is_json() -> None:
    data = {"key": "a\x7f\x9b\u202e\U000e0041"}
    text = json.dumps(data, ensure_ascii=False)
    assert escaped(text) != text
    assert json.loads(escaped(text)) == data


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_what_a_task_prints_is_inert_however_it_comes(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, terminal = io.StringIO(), Terminal()
    monkeypatch.setattr(sys, "stdout", plain)
    monkeypatch.setattr(sys, "stderr", terminal)
    drawn = "\x1b[2K\x1b[1A\x1b[?25l\x1b[?25h"  # as a live display does
    with output.enduring("build"):
        for stream in (sys.stdout, sys.stderr):
            for at in range(0, len(HOSTILE + drawn), size):
                stream.write((HOSTILE + drawn)[at : at + size])
    for stream in (plain, terminal):
        seen = stream.getvalue()
        assert "\\u001b]0;title\\u0007" in seen
        assert "\\u001b[6n" in seen
        assert "\\u202e" in seen
        left = re.sub(r"\x1b\[(31m|0m|2K|1A|\?25[lh])", "", seen)
        assert not ACTING.search(left)
    assert drawn in terminal.getvalue()
    assert drawn not in plain.getvalue()
    assert size == 1 or "\x1b[31mred" in plain.getvalue()


def test_an_error_and_a_finding_are_inert() -> None:
    assert not COMMAND.search(errors.as_called(f"error: {HOSTILE}"))
    one = findings.Finding(
        "Code", "app", parse("linux/amd64"), "Dockerfile", 1, HOSTILE, HOSTILE, HOSTILE
    )
    for line in findings.lines([one]):
        assert not ACTING.search(line)
        assert "\n" not in line


def test_a_runner_takes_nothing_for_a_command_while_others_speak(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = Commands(tmp_path)
    said = "::error::taken"
    commands.run(["printf", said])
    assert capfd.readouterr() == (said, "")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    tokens = set()
    for run in (commands.run, commands.hand_over):
        run(["sh", "-c", f"echo {said} >&2"])
        lines = capfd.readouterr().err.split()
        token = lines[0].removeprefix("::stop-commands::")
        assert lines == [f"::stop-commands::{token}", said, f"::{token}::"]
        tokens.add(token)
    assert len(tokens) == 2  # who knew it could end it
    assert all(len(token) == 32 for token in tokens)
    assert commands.query(["printf", said]).stdout == said
    assert capfd.readouterr() == ("", "")


def hostile_report(text: str) -> Report:
    check = CheckResult("run", "run", "FAIL", 0.1, (text,), (text,), text, text, text, "")
    known = CheckResult("known", "run", "xfail", 0.1, (text,), (), text)
    cell = CellResult("app", parse("linux/amd64"), "sha256:1", (check, known), 1.0)
    return Report("2026-11-25T02:37:44+00:00", 1.0, (cell,), {"Docker Engine": text})


def test_reports_of_hostile_words(capsys: pytest.CaptureFixture[str]) -> None:
    tags = "</pre></script><script>alert(1)</script><img src=x onerror=alert(1)><!--]]>&amp;"
    report = hostile_report(HOSTILE + tags)
    cells.print_report(report)
    printed = capsys.readouterr().out
    assert not ACTING.search(printed)
    assert not COMMAND.search(printed)
    xml = junit.text(report)
    assert ET.fromstring(xml).find(".//system-err") is not None
    assert not ACTING.search(xml)
    html = page.text(report)
    assert not ACTING.search(html)
    assert "<img" not in html
    assert html.count("<script") == 1
    json.loads(jsonreport.text(report))
    annotations = github.annotations(report, "buildx.toml", lambda _: 1)
    assert all(line.startswith("::error file=buildx.toml,line=1,") for line in annotations)
    assert not any("\n" in line or "\r" in line for line in annotations)
    assert not ACTING.search(github.summary(report))


def test_a_line_without_end_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    cells.print_report(hostile_report("x" * 1_000_000))
    longest = max(map(len, capsys.readouterr().out.splitlines()))
    assert longest < 20_000
