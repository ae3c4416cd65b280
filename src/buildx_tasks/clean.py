"""Remove what setup and build made, and nothing else."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from buildx_tasks import builder, engine, images, ledger
from buildx_tasks.commands import is_dry, run
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

    from invoke import Context


def clean(c: Context, root: Path) -> list[str]:
    """Remove the images and builders that the ledger names, then ``.buildx/``; say what went.

    A tag that somebody moved to another image since is left alone, and exported files are too.

    Raises:
        EngineError: the engine does not answer, or refuses.

    """
    removed = [*_remove_images(c, root), *builder.remove_created(c, root)]
    folder = root / ledger.FOLDER
    if folder.exists():
        if is_dry(c):
            run(c, ["rm", "-r", ledger.FOLDER], folder=root)
        else:
            shutil.rmtree(folder)
        removed.append(f"{ledger.FOLDER}/")
    return removed


def _remove_images(c: Context, root: Path) -> list[str]:
    built = [
        entry for entry in ledger.read(root) if entry["event"] == "built" and entry.get("digest")
    ]
    if not built:
        return []
    client = engine.connect()
    ours = {entry["digest"] for entry in built}
    references = []
    for tag in dict.fromkeys(tag for entry in built for tag in entry["tags"]):
        image = images.stored(client, tag)
        if image and image.digest in ours:
            references.append(tag)
    # Earlier builds, whose tags moved on to later ones.
    tagged = {digest for tag in references if (digest := _digest(client, tag))}
    references += [digest for digest in ours - tagged if _digest(client, digest)]
    if references:
        result = run(c, ["docker", "image", "rm", "--force", *references], folder=root, hide=True)
        if not result.ok and not is_dry(c):
            raise EngineError(f"an image cannot be removed: {result.stderr.strip()}")
    return [f"image {reference}" for reference in references]


def _digest(client: object, reference: str) -> str:
    image = images.stored(client, reference)
    return image.digest if image else ""
