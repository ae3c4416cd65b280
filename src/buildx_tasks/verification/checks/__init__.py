"""One module for each kind of check: a subject and what is expected in, what was found out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.verification.checks import (
    binaries,
    command,
    config,
    files,
    goss,
    run,
    service,
    size,
    structure_command,
    structure_files,
    structure_metadata,
)

if TYPE_CHECKING:
    from types import ModuleType

# By kind, the modules with ``check(subject, spec) -> Found``.
OF_A_CELL: dict[str, ModuleType] = {
    "run": run,
    "service": service,
    "config": config,
    "size": size,
    "command": command,
    "structure-test": structure_command,
    "structure-metadata": structure_metadata,
}
# Those with ``visitor(subject, spec)``: they share one walk through the image's files.
OF_ITS_FILES: dict[str, ModuleType] = {
    "binaries": binaries,
    "files": files,
    "structure-files": structure_files,
}
# Those with ``look(subject, specs)``: all of one file look into one container.
OF_A_CONTAINER: dict[str, ModuleType] = {"goss": goss}
