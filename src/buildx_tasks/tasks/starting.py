"""What a project begins with: init, schema."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks.tasks.command import command
from buildx_tasks.tasks.options import loaded, require_known, selected

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.project import Selection


@command(
    words="expect",
    help={
        "yes": "Write the files; without it only the diff is shown",
        "dockerfile": "Write a Dockerfile that compiles natively for each platform, too: go",
        "expect": "Add what this target's built image is to what verify expects of it",
    },
)
def init(c: Context, yes: bool = False, dockerfile: str = "", expect: str = "") -> None:
    """Write buildx.toml, tasks.py and .dockerignore for what is here, and show the diff first."""
    from buildx_tasks.starting import writing

    folder = Path.cwd()
    before: dict[str, str] = {}
    if expect:
        with loaded(c, None, None) as project:
            folder = project.root
            before, after = _expected(selected(project, expect))
    else:
        after = _begun(c, folder, dockerfile)
    if not after:
        print("all files are there; nothing to do")
        return
    print(writing.diff(before, after))
    if yes and not c.config.run.dry:
        writing.write(folder, after)
        print(f"wrote {', '.join(after)}")
    else:
        print("nothing is written yet: --yes writes it", file=sys.stderr)


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
    from buildx_tasks.starting import looking, writing

    seen = looking.look(folder, Commands(folder, c))
    after = {}
    if language:
        require_known("--dockerfile", language, ("go",))
        if (folder / "Dockerfile").exists():
            raise UsageError("init: --dockerfile: Dockerfile is there already; leave it out")
        after["Dockerfile"] = writing.dockerfile(folder, language, seen.name)
        seen = seen._replace(
            dockerfiles=(looking.Found(seen.name, ".", "Dockerfile"), *seen.dockerfiles)
        )
    for name in seen.declaring:
        line = f"{name} declares images, too: invoke import --from {name} takes over what it says"
        print(f"note: {line}", file=sys.stderr)
    return {**after, **writing.files(seen)}


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
