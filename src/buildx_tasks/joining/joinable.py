"""A selection in; what it does with other machines, out: part, join. A part of the public API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks.publishing.audience import Nobody

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.joining.part import Handed
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.publishing.audience import Audience
    from buildx_tasks.publishing.publish import Published
    from buildx_tasks.workspace import Workspace


class Joinable:
    """Some targets on some platforms of a project, to be made by many machines."""

    def __init__(self, project: Workspace, plan: Plan) -> None:
        self.project = project
        self.plan = plan

    def part(
        self,
        run: str,
        *,
        to: Path | str | None = None,
        replace: bool = False,
        audience: Audience | None = None,
    ) -> list[Handed]:
        """Hand in each selected cell as a part of a run: to the registry, or into the folder ``to``.

        ``replace`` takes the place of another part of the same cell.

        Raises:
            UsageError: ``run`` is no id, or nothing selected leaves an image.
            VerifyError: a cell failed or was not verified; nothing was handed in.
            EngineError: an image is not built.
            PushError, RegistryError: another part is there, or the registry refuses.

        """
        from buildx_tasks.joining import part

        options = part.Options(Path(to) if to is not None else None, replace)
        return part.hand_in(self.project, self.plan, run, options, audience or Nobody())

    def join(
        self,
        run: str,
        *,
        folders: Sequence[Path | str] = (),
        missing: Sequence[str] = (),
        audience: Audience | None = None,
    ) -> list[Published]:
        """Publish the selected images, composed of the parts of a run; return each tag.

        The parts wait in the registry, or are in ``folders``. ``missing`` are platforms that may be
        left out, where ``optional`` in the file says so.

        Raises:
            UsageError: ``run`` is no id, nothing selected leaves an image, or what is missing may not be.
            VerifyError: an index is not as expected; no tag moved.
            PushError: parts are missing or not what they should be; each is named, and no tag moved.
            RegistryError: a registry refuses.

        """
        from buildx_tasks.joining import join

        options = join.Options([Path(one) for one in folders], join.platforms_of(missing))
        told = audience or Nobody()
        return join.join(self.project, self.plan, run, options, told)
