"""A target that is built in; what its image is now, as expectations of ``verify``, out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.building import location
from buildx_tasks.engine.faults import faults
from buildx_tasks.errors import UsageError
from buildx_tasks.images import store
from buildx_tasks.starting.writing import FIRST_CHECKS, toml

if TYPE_CHECKING:
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.workspace import Workspace

_ROOM = 1.2  # an image may grow by a fifth before its size is worth a word


def expected(workspace: Workspace, target: TargetPlan) -> str:
    """Return the lines that expect the image's config and size to stay: what all platforms share.

    Raises:
        EngineError: it is not built.

    """
    with faults():
        image = location.locate(workspace, target, target.platforms)
        contents = [store.content(workspace.engine, image, one) for one in target.platforms]
    configs = [content.config for content in contents]
    said: list[str] = []
    for key, name in (("Entrypoint", "entrypoint"), ("Cmd", "cmd"), ("WorkingDir", "working-dir")):
        values = [config.get(key) or None for config in configs]
        if values[0] is not None and all(value == values[0] for value in values):
            said.append(f"{name} = {toml(values[0])}")
    if all(
        str(config.get("User") or "0").partition(":")[0] not in ("0", "root") for config in configs
    ):
        said.append("nonroot = true")
    lines = f"config = {{ {', '.join(said)} }}\n" if said else ""
    sizes = [sum(one.size for one in content.layers or ()) for content in contents]
    if max(sizes):
        megabytes = max(1, -(-int(max(sizes) * _ROOM) // 1_000_000))
        lines += f'size = {{ compressed = "{megabytes}MB" }}\n'
    return lines


def added(text: str, target: str, lines: str) -> str:
    """Return the file's text with the lines in the target's ``verify``, where ``init`` left room.

    Raises:
        UsageError: the table is another one, and not ours to change; says what to write.

    """
    head = f"[target.{target}.verify]\n"
    room = head + FIRST_CHECKS
    if text.count(head) == 1 and room in text:
        rest = text.partition(room)[2]
        if not rest.split("\n[", 1)[0].strip() or rest.startswith(("\n", "[")):
            return text.replace(room, room + lines)
    if head not in text:
        return f"{text.rstrip()}\n\n{head}{lines}"
    raise UsageError(
        f"init: [target.{target}.verify] says something already, which stays; it could say:\n{lines}"
    )
