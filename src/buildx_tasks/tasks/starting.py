"""What a project begins with: init, schema."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks.tasks.command import command
from buildx_tasks.tasks.options import INPUT, loaded, require_known, selected, texts

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.project import Selection
    from buildx_tasks.starting.workflows import Files
    from buildx_tasks.tasks.options import Texts


@command(
    words="expect",
    iterable=["overlay", "set_"],
    help={
        "yes": "Write the files; without it only the diff is shown",
        "dockerfile": "Write a Dockerfile that compiles natively for each platform, too: go, rust, "
        "c, node or python",
        "expect": "Add what this target's built image is to what verify expects of it",
        "ci": "Write what builds, verifies and publishes the images: github, gitlab or woodpecker",
        "check": "With --ci: exit with 1 where the files there differ from what would be written",
        **INPUT,
    },
)
def init(
    c: Context,
    yes: bool = False,
    dockerfile: str = "",
    expect: str = "",
    ci: str = "",
    check: bool = False,
    overlay: Texts = None,
    set_: Texts = None,
) -> None:
    """Write buildx.toml, tasks.py and .dockerignore for what is here, and show the diff first."""
    from buildx_tasks.errors import UsageError

    if check and not ci:
        raise UsageError("--check is that of --ci; add it, or leave --check out")
    folder = Path.cwd()
    before: dict[str, str] = {}
    if ci or expect:
        with loaded(c, overlay, set_) as project:
            folder = project.root
            if ci:
                found = _workflows(selected(project, None), ci, (texts(overlay), texts(set_)))
                _write(c, folder, found, check=check, yes=yes)
                return
            before, after = _expected(selected(project, expect))
    else:
        after = _begun(c, folder, dockerfile)
    _offer(c, folder, before, after, yes=yes)


def _offer(
    c: Context, folder: Path, before: dict[str, str], after: dict[str, str], *, yes: bool
) -> None:
    """Show what would be written, and write it where that is wanted."""
    from buildx_tasks.starting import writing

    if not after:
        print("all files are there; nothing to do")
        return
    print(writing.diff(before, after))
    if yes and not c.config.run.dry:
        writing.write(folder, after)
        print(f"wrote {', '.join(after)}")
    else:
        print("nothing is written yet: --yes writes it", file=sys.stderr)


def _workflows(selection: Selection, system: str, given: tuple[list[str], list[str]]) -> Files:
    """Return the files of a CI; overlays and values that were given go to all that runs there."""
    from buildx_tasks.starting import workflows

    require_known("--ci", system, workflows.SYSTEMS)
    flags = [
        word for flag, each in zip(("-o", "-s"), given) for one in each for word in (flag, one)
    ]
    return workflows.files(selection.project.root, selection.plan, system, flags)


def _write(c: Context, folder: Path, found: Files, *, check: bool, yes: bool) -> None:
    """Show how a CI's files differ; write them, or fail, as is wanted.

    Raises:
        DriftError: they differ, and were to be checked.

    """
    from buildx_tasks.errors import DriftError, listed
    from buildx_tasks.starting import writing

    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    if not check:
        _offer(c, folder, found.before, found.after, yes=yes)
    elif found.after or found.notes:
        print(writing.diff(found.before, found.after))
        names = f"{listed(found.after)} differ: see above" if found.after else "see above"
        raise DriftError(f"{names}; --yes in place of --check writes what is missing")
    else:
        print("as it would be written: nothing to change")


def _expected(selection: Selection) -> tuple[dict[str, str], dict[str, str]]:
    """Return the project's file as it is, and with what the selected targets' images are."""
    from buildx_tasks.starting import expecting

    file = selection.project.file
    before = after = file.read_text("utf-8")
    for target in selection.images():
        lines = expecting.expected(selection.project, target)
        after = expecting.added(after, target.name, lines)
    return {file.name: before}, {file.name: after}


def _begun(c: Context, folder: Path, language: str) -> dict[str, str]:
    """Return the files that are to be written."""
    from buildx_tasks.errors import UsageError
    from buildx_tasks.machine.commands import Commands
    from buildx_tasks.starting import dockerfiles, looking, writing

    seen = looking.look(folder, Commands(folder, c))
    after = {}
    if language:
        require_known("--dockerfile", language, dockerfiles.LANGUAGES)
        if (folder / "Dockerfile").exists():
            raise UsageError("init: --dockerfile: Dockerfile is there already; leave it out")
        after["Dockerfile"] = dockerfiles.dockerfile(folder, language, seen.name)
        seen = seen._replace(
            dockerfiles=(looking.Found(seen.name, ".", "Dockerfile"), *seen.dockerfiles)
        )
    found = writing.files(seen)
    for name in seen.declaring if "buildx.toml" in found else ():
        line = f"{name} declares images, too: invoke import --from {name} takes over what it says"
        print(f"note: {line}, in place of this buildx.toml", file=sys.stderr)
    tasks = writing.tasks_of(folder)
    if tasks and not writing.has_ours(tasks):
        line = (
            f"{tasks.relative_to(folder)} is there; write from buildx_tasks import namespace in it"
        )
        print(f"note: {line}, and its own tasks are added by namespace.add_task", file=sys.stderr)
    return {**after, **found}


@command(help={"write": "Write buildx.schema.json beside buildx.toml, to be committed with it"})
def schema(c: Context, write: bool = False) -> None:  # noqa: ARG001 - as every task
    """Print the JSON Schema of buildx.toml, or write it where an editor and git find it."""
    from buildx_tasks.language import loading
    from buildx_tasks.language import schema as made

    text = made.SCHEMA_FILE.read_text("utf-8")
    if not write:
        print(text, end="")
        return
    file = loading.find(Path.cwd())
    print(made.write_beside(file, text))
