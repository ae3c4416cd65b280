"""What shows the past: log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.tasks.command import command
from buildx_tasks.tasks.options import FULL, INPUT, loaded, require_known, selected, texts

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.tasks.options import Texts


@command(
    iterable=["target", "event", "overlay", "set_"],
    help={
        "target": "Target, group or glob (repeatable); default: everything",
        **INPUT,
        "event": "Event, as in pushed (repeatable); default: all",
        "number": "Most rows; 0: all",
        "all": "Each verified cell in a row of its own; the versions of what pushed",
        "full": FULL,
        "format": "table, or json (the entries themselves)",
        "release-notes": "A markdown table of the last push: references with digests",
        "version": "With --release-notes: the version that they are of, as in v1.2.0",
    },
)
def log(
    c: Context,
    target: Texts = None,
    event: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    number: int = 50,
    all: bool = False,  # noqa: A002
    format: str = "table",  # noqa: A002
    release_notes: bool = False,
    version: str = "",
    full: bool = False,
) -> None:
    """Show what was built, verified, pushed and promoted, newest first."""
    from buildx_tasks.errors import UsageError
    from buildx_tasks.reports import past

    require_known("--format", format, ("table", "json"))
    if number < 0:
        raise UsageError(f"--number: {number} is no number of rows; write 1 or more, or 0 for all")
    if version and not release_notes:
        raise UsageError("--version is that of --release-notes; add it, or leave --version out")
    if release_notes and (event or all or format != "table"):
        raise UsageError(
            "--release-notes is a table of its own: leave out --event, --all and --format"
        )
    with loaded(c, overlay, set_) as project:
        entries = project.ledger.whole()
        plan = selected(project, target).plan if target or release_notes else None
    if release_notes and plan:
        print(past.notes(entries, plan, texts(target), version), end="")
        return
    how = past.How(number or None, format, every=all, full=full)
    past.print_log(entries, plan, texts(event, "--event"), how)
