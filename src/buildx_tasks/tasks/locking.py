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
        "audit": "With --check: look into the images, too, as they are now, before they are taken",
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
    audit: bool = False,
) -> None:
    """Write into buildx.lock what the selected targets read and it lacks: bases by their digest."""
    from buildx_tasks.errors import LockError
    from buildx_tasks.tasks.auditing import audit_bases
    from buildx_tasks.text import printable

    _require_fitting(update, check, audit)
    with loaded(c, overlay, set_) as project:
        selection = selected(project, target)
        found = selection.lock(*texts(image, "--image"), update=update, check=check)
        for line in found.notes:
            print(printable(f"note: {line}"), file=sys.stderr, flush=True)
        for line in (*found.lines, *found.problems):
            print(printable(line), flush=True)
        if project.commands.is_dry and not check and found.lines:
            project.commands.print_files({found.file: found.text})
        failed = audit_bases(project, found) if audit else []
    if found.problems or failed:
        said = [found.failure(check=check)] if found.problems else []
        raise LockError("\nerror: ".join([*said, *failed]))
    print(found.summary(check=check))


def _require_fitting(update: bool, check: bool, audit: bool) -> None:
    """Refuse flags that do not go together.

    Raises:
        UsageError: with what to leave out, or to add.

    """
    from buildx_tasks.errors import UsageError

    if update and check:
        raise UsageError("--update and --check are two things; leave one out")
    if audit and not check:
        raise UsageError("--audit looks at images before they are taken: write --check --audit")
