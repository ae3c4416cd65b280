"""A project in; its artifacts, and what registries hold, out: a part of the public API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.publishing.audience import Nobody
from buildx_tasks.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.publishing.artifacts import Artifacts
    from buildx_tasks.publishing.audience import Audience
    from buildx_tasks.publishing.publish import Published
    from buildx_tasks.verification.results import Report


class Outside(Workspace):
    """A project, and what is published: of its own, and of others."""

    @property
    def is_of_artifacts(self) -> bool:
        """Whether artifacts are all that it declares."""
        return bool(self.config.artifact) and not self.config.target

    def artifacts(self, *names: str) -> Artifacts:
        """Select ``[artifact.NAME]`` by their names; without names all are meant.

        Raises:
            UsageError: there is no such artifact.

        """
        from buildx_tasks.publishing import artifacts

        return artifacts.chosen(self, names)

    def promote(self, source: str, *tags: str, audience: Audience | None = None) -> list[Published]:
        """Give a published image or artifact further tags, without building; return each.

        ``source`` is a reference, ``tags`` are ``v1`` in the same repository, or whole references.

        Raises:
            UsageError: these are no references.
            PushError: a tag may not be moved.
            RegistryError: there is no such image, or a registry refuses.

        """
        from buildx_tasks.publishing import promote

        wanted = promote.wanted(source, tags, self.config)
        return promote.promote(self, wanted, audience or Nobody())

    def audit(
        self,
        *references: str,
        platforms: Sequence[str] = (),
        jobs: int = 0,
        audience: Audience | None = None,
    ) -> Report:
        """Look at images that are published, anybody's, without an engine; return what was found.

        ``references`` are such, or ``oci:FOLDER``; without any, ``[audit] images``. ``report.failed``
        holds what is not as it should be: no error is raised for it. ``jobs`` is how many layers are
        read at once, 0 for what suits.

        Raises:
            UsageError: one is no reference, or is not for one of the ``platforms``.
            EngineError: a folder is no OCI image layout.

        """
        from buildx_tasks.auditing import audit, subjects
        from buildx_tasks.engine.faults import faults

        told = audience or Nobody()
        with faults():
            listed = audit.looked_up(subjects.asked(self, references, platforms))
            with told.verifying(sum(one.number for one in listed)) as watcher:
                report = audit.audit(listed, subjects.options(self, jobs), watcher)
        told.reported(report)
        return report
