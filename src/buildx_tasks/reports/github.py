"""What GitHub Actions shows of a verification: the job's summary page, and annotations.

Sources: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands (limits and
form), packages/core/src/command.ts in github.com/actions/toolkit (escaping).
"""

# No `from __future__ import annotations`: a function has that name here.
import html
import re
from collections.abc import Iterator, Sequence
from typing import Callable

from buildx_tasks.reports import (
    WORDS,
    Outcome,
    counts,
    differences,
    duration,
    headline,
    moment,
    notes,
    outcome,
    platforms,
    plural,
    tail,
    targets,
    visible,
)
from buildx_tasks.reports.markdown import plain
from buildx_tasks.verification.results import CellResult, CheckResult, Report

_SYMBOLS: dict[Outcome, str] = {
    "ok": "✅",
    "FAIL": "❌",
    "xfail": "⚠️",
    "skip": "⏭️",
    "unchecked": "⚪",
}

_SUMMARY_BYTES = 1024 * 1024  # of one step; GitHub drops a summary that is larger
_OUTPUT = (60, 16_000)  # lines and characters of one stream
_PROBLEMS = (50, 16_000)  # of one check
_ANNOTATIONS = 10  # of one kind in one step; GitHub drops the others
_MESSAGE = 4_000  # characters of one annotation


def summary(report: Report, taken: int = 0) -> str:
    """Return Markdown for ``$GITHUB_STEP_SUMMARY``, at most 1 MiB: the table, then what failed.

    ``taken`` bytes of it the file has already.
    Output is cut to its end; failures for which there is no room are counted.
    """
    head = "\n".join([*_head(report), "", *_table(report), ""])
    left = _SUMMARY_BYTES - taken - _size(head) - 1000
    if left < 0:
        return f"## ❌ verify: {headline(report)}\n\nThe table is too large to be shown here.\n"
    parts = [head]
    blocks = [*map(_failure, report.failed), *_notes(report), *_sizes(report)]
    for number, block in enumerate(blocks):
        left -= _size(block)
        if left < 0:
            parts.append(f"\n{len(blocks) - number} more do not fit here: see the whole report.\n")
            break
        parts.append(block)
    return "".join(parts)


def annotations(report: Report, file: str, line_of: Callable[[str], int]) -> list[str]:
    """Return workflow commands, to be printed one a line: an error for each check that failed.

    ``line_of`` gives the line of a target's table in ``file``, which is ``""`` for none. GitHub shows
    ten in a step, so the tenth stands for all that follow.
    """
    failed = [
        (result, check)
        for result in report.failed
        for check in result.checks
        if check.status == "FAIL"
    ]
    shown = failed if len(failed) <= _ANNOTATIONS else failed[: _ANNOTATIONS - 1]
    commands = [
        _error(file, line_of(result.target), f"{result.id} {check.name}", check.problems)
        for result, check in shown
    ]
    if more := failed[len(shown) :]:
        names = [f"{result.id} {check.name}" for result, check in more]
        line = line_of(more[0][0].target)
        commands.append(_error(file, line, f"{len(more)} more checks failed", names))
    return commands


def _error(file: str, line: int, title: str, lines: Sequence[str]) -> str:
    message = visible("\n".join(lines))
    if len(message) > _MESSAGE:
        message = message[:_MESSAGE] + "…"
    place = f"file={_property(file)},line={line}," if file else ""
    properties = f"{place}title={_property(visible(title))}"
    return f"::error {properties}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _size(text: str) -> int:
    return len(text.encode())


def _head(report: Report) -> Iterator[str]:
    yield f"## {_SYMBOLS['FAIL' if report.failed else 'ok']} verify: {headline(report)}"
    yield ""
    # The counts are the table's legend, too.
    yield " · ".join(f"{_SYMBOLS[o]} {n} {WORDS[o]}" for o, n in counts(report).items())
    yield ""
    tools = [f"{name} {version}" for name, version in report.tools.items()]
    commit = [f"commit {report.commit}"] if report.commit else []
    facts = [
        f"started {moment(report.started)}",
        f"took {duration(report.seconds)}",
        *commit,
        *tools,
    ]
    yield plain(" · ".join(facts))


def _table(report: Report) -> Iterator[str]:
    columns = platforms(report)
    found = {(result.target, result.platform): result for result in report.results}
    yield f"| target | {' | '.join(str(column or 'index') for column in columns)} |"
    yield f"|:--|{':-:|' * len(columns)}"
    for target in targets(report):
        results = [found.get((target, column)) for column in columns]
        cells = " | ".join(_SYMBOLS[outcome(result)] if result else " " for result in results)
        yield f"| `{target}` | {cells} |"


def _failure(result: CellResult) -> str:
    problems = plural(len(result.problems), "problem")
    lines = [
        "",
        f"<details><summary>❌ <b>{html.escape(result.id)}</b>: {problems}</summary>",
        "",
        f"`{result.digest}`" if result.digest else "not in the image",
        "",
    ]
    for check in result.checks:
        if check.status == "FAIL":
            lines += _check(check)
    return "\n".join([*lines, "</details>", ""])


def _check(check: CheckResult) -> Iterator[str]:
    yield f"**{plain(check.name)}**"
    yield from _fenced("\n".join(check.problems[: _PROBLEMS[0]])[: _PROBLEMS[1]])
    if len(check.problems) > _PROBLEMS[0]:
        yield f"and {len(check.problems) - _PROBLEMS[0]} more"
        yield ""
    for name, text in (("stdout", check.stdout), ("stderr", check.stderr)):
        if text.strip():
            end = tail(text, *_OUTPUT)
            yield f"{name}:" if end == text.rstrip("\n") else f"{name}, its end:"
            yield from _fenced(end)


def _fenced(text: str) -> list[str]:
    shown = visible(text)
    # Longer than any in the text, which therefore cannot end it.
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", shown) or [""]))
    return ["", f"{fence}text", shown, fence, ""]


def _notes(report: Report) -> list[str]:
    listed = notes(report)
    if not listed:
        return []
    lines = [
        f"- {_SYMBOLS[note.status]} {WORDS[note.status]}: **{plain(', '.join(note.checks))}** of "
        f"{', '.join(f'`{cell}`' for cell in note.ids)}: {plain(note.reason)}"
        for note in listed
    ]
    return ["\n" + "\n".join(lines) + "\n"]


def _sizes(report: Report) -> list[str]:
    if not report.differences:
        return []
    return [f"\n### Sizes\n\n{differences.as_markdown(report.differences)}"]
