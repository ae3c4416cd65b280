"""What shows the past: log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import task

from buildx_tasks.tasks.project import INPUT, load, plainly, require_format, say

if TYPE_CHECKING:
    from typing import Any

    from invoke import Context

    from buildx_tasks.tasks.project import Project


@task(
    iterable=["target", "event", "overlay", "set_"],
    help={
        "target": "Target, group or glob (repeatable); default: everything",
        **INPUT,
        "event": "Event, as in pushed (repeatable); default: all",
        "number": "Most rows; 0: all",
        "all": "Each verified cell in a row of its own; the versions of what pushed",
        "format": "table, or json (the entries themselves)",
        "release-notes": "A markdown table of the last push: references with digests",
    },
)
@plainly
def log(
    c: Context,  # noqa: ARG001
    target: list[str],
    event: list[str],
    overlay: list[str],
    set_: list[str],
    number: int = 50,
    all: bool = False,  # noqa: A002
    format: str = "table",  # noqa: A002
    release_notes: bool = False,
) -> None:
    """Show what was built, verified, pushed and promoted, newest first."""
    from buildx_tasks.errors import UsageError
    from buildx_tasks.machine import commands
    from buildx_tasks.records import history, ledger
    from buildx_tasks.reports import terminal as report

    require_format(format, "table", "json")
    if number < 0:
        raise UsageError(f"--number: {number} is no number of rows; write 1 or more, or 0 for all")
    if release_notes and (event or all or format != "table"):
        raise UsageError(
            "--release-notes is a table of its own: leave out --event, --all and --format"
        )
    project = load(overlay, set_)
    entries = ledger.whole(project.root)
    if release_notes:
        print(_notes(project, target, entries), end="")
        return
    targets = [one.name for one in project.plan(target).targets] if target else None
    chosen = history.chosen(entries, targets, event)
    most = number or None
    if format == "json":
        print(commands.json_text(chosen[:most]), end="")
        return
    rows = history.rows(chosen, every=all)
    if not rows:
        print("nothing recorded")
        return
    report.print_table(history.HEADINGS, rows[:most])
    if len(rows) > len(rows[:most]):
        say(f"{len(rows) - number} earlier ones are not shown; show all with --number 0")


def _notes(project: Project, target: list[str], entries: list[dict[str, Any]]) -> str:
    """Return the release notes of the last push; say which selected images have none."""
    from buildx_tasks.errors import PushError
    from buildx_tasks.records import history

    plan = project.plan(target)
    released = history.released(entries, [one.name for one in plan.targets], strangers=not target)
    typed = "".join(f" -t {name}" for name in target)
    if not released:
        raise PushError(f"nothing that is selected was pushed yet; run invoke push{typed}")
    lacking = [one.name for one in plan.images if one.name not in released]
    if lacking:
        say(f"not pushed, or replaced since: {', '.join(lacking)}")
    return history.release_notes(tag for tags in released.values() for tag in tags)
