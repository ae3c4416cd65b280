"""The project that pytest runs in: its cells, and what is made on the engine for their tests."""

from __future__ import annotations

import contextlib
import signal
import threading
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

import pytest

from buildx_tasks.engine import faults
from buildx_tasks.errors import BuildxTasksError, UsageError, listed, nearest

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.planning.cells import Cell, TargetPlan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.project import Project
    from buildx_tasks.pytest.image import Image
    from buildx_tasks.verification.check import Subject
    from buildx_tasks.verification.containers import Session

_ENDING = (signal.SIGTERM, signal.SIGHUP)  # Ctrl-C is pytest's own


class Images:
    """What the fixtures stand on: one project, and one session on its engine, each when needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._session: Session | None = None
        self._handlers: dict[int, object] = {}

    @cached_property
    def project(self) -> Project:
        """The project of ``buildx.toml``.

        Raises:
            ConfigError: there is none, or it cannot be used.

        """
        from buildx_tasks.project import Project

        return Project.load(self._folder)

    def cells(self, *targets: str, platforms: tuple[str, ...] = ()) -> list[Cell]:
        """Return the cells of the selected targets that leave an image.

        Raises:
            UsageError: something selected does not exist.

        """
        plan = self.project.select(*targets, platforms=platforms).plan
        return [one for target in plan.images for one in target.cells]

    def image(self, name: str, platform: str = "") -> Image:
        """Return the image of a target; without a platform the engine's own, or the only one.

        Raises:
            UsageError: there is no such target, or not for that platform.

        """
        from buildx_tasks.pytest.image import Image

        known = self.project.config.target
        if name not in known:
            hint = nearest(name, known) or f"; known: {listed(known)}"
            raise UsageError(f'image: unknown target "{name}"{hint}')
        (target,) = self.project.select(name, platforms=[platform] if platform else []).plan.targets
        chosen = self._chosen(target)
        return Image(target, chosen, lambda: self._subject(target, chosen))

    def _chosen(self, target: TargetPlan) -> Platform:
        if len(target.platforms) == 1:
            return target.platforms[0]
        if (own := self.project.engine.platform) in target.platforms:
            return own
        raise UsageError(
            f'image: "{target.name}" is for {listed(map(str, target.platforms))}: name one, as in '
            f'image("{target.name}", "{target.platforms[0]}")'
        )

    def _subject(self, target: TargetPlan, platform: Platform) -> Subject:
        """Return what the checks look at: the platform's image as it was built."""
        from buildx_tasks.building import location
        from buildx_tasks.verification.check import Subject

        with faults.faults():
            image = location.locate(self.project, target, [platform])
            image.manifest(platform)  # one that lacks it says so
        return Subject(self._opened(), target, image, platform, keep=False)

    def _opened(self) -> Session:
        from buildx_tasks.verification import containers

        if self._session is None:
            with faults.faults():
                containers.sweep(self.project.engine)
            self._session = containers.Session(self.project)
            self._heed_signals()
        return self._session

    def _heed_signals(self) -> None:
        """Have pytest end in order where it would die at once, and leave containers."""
        if threading.current_thread() is threading.main_thread():
            for number in _ENDING:
                if signal.getsignal(number) == signal.SIG_DFL:
                    self._handlers[number] = signal.signal(number, _end)

    def close(self) -> None:
        """Remove all that was made on the engine; what cannot be, the next session does."""
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)
        if self._session is not None:
            with contextlib.suppress(*faults.all_errors(), BuildxTasksError):
                self._session.close()
        if "project" in self.__dict__:
            self.project.close()
        for number in self._handlers:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _frame: object) -> NoReturn:
    pytest.exit(f"pytest was interrupted ({signal.Signals(number).name})", 128 + number)
