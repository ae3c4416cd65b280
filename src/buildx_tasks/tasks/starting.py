"""What a project begins with: schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks.tasks.command import command

if TYPE_CHECKING:
    from invoke import Context


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
