"""What keeps bases where they are: lock."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from buildx_tasks.tasks.command import command
from buildx_tasks.tasks.options import INPUT, SELECTION, loaded, selected, texts

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.tasks.options import Texts


@command(
    words="image",
    iterable=["target", "image", "overlay", "set_"],
    help={
        "target": SELECTION["target"],
        "image": "Only these, as in alpine:3.22, or a glob (repeatable); words do the same",
        "update": "Move pins to what is published now; take out what nothing reads any more",
        "check": "Only say what is not pinned, and what moved; exit code 1 if anything",
        **INPUT,
    },
)
def lock(
    c: Context,
    target: Texts = None,
    image: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    update: bool = False,
    check: bool = False,
) -> None:
    """Write into buildx.lock what the selected targets read and it lacks: bases by their digest."""
    from buildx_tasks.errors import LockError, UsageError
    from buildx_tasks.text import printable

    if update and check:
        raise UsageError("--update and --check are two things; leave one out")
    with loaded(c, overlay, set_) as project:
        selection = selected(project, target)
        found = selection.lock(*texts(image, "--image"), update=update, check=check)
        for line in found.notes:
            print(printable(f"note: {line}"), file=sys.stderr, flush=True)
        for line in (*found.lines, *found.problems):
            print(printable(line), flush=True)
        if project.commands.is_dry and not check and found.lines:
            project.commands.print_files({found.file: found.text})
    if found.problems:
        raise LockError(found.failure(check=check))
    print(found.summary(check=check))
