"""A bake file in; one whose Dockerfiles are files, where they were links out of their folders, out.

buildx sends BuildKit the folder that a Dockerfile is in: a link to elsewhere would lead to nothing there.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from buildx_tasks.references import CWD, REMOTE

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.language.merging import Attributes


def followed(definition: dict[str, Any], root: Path) -> dict[str, Any]:
    """Return the bake file with what links to Dockerfiles lead to."""
    targets = {name: _followed(one, root) for name, one in definition["target"].items()}
    return {**definition, "target": targets}


def _followed(attributes: Attributes, root: Path) -> Attributes:
    context: str = attributes.get("context", ".")
    name: str = attributes.get("dockerfile", "Dockerfile")
    if "dockerfile-inline" in attributes or REMOTE.match(context) or REMOTE.match(name):
        return attributes
    # bake joins both by their letters, whatever the context links to.
    link = root / posixpath.normpath(posixpath.join(context.removeprefix(CWD), name))
    if name.startswith(CWD):
        link = root / name.removeprefix(CWD)
    if not link.is_symlink() or not link.exists():
        return attributes
    real = link.resolve()
    if real.parent == link.parent.resolve():
        return attributes
    # Escaped, as bake reads it.
    return {**attributes, "dockerfile": str(real).replace("${", "$${").replace("%{", "%%{")}
