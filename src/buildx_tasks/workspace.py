"""What the rooms know of a project: its folder, its Config, and what is open for it, each once."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from buildx_tasks.engine.engine import Engine
from buildx_tasks.errors import EngineError
from buildx_tasks.language import lockfile
from buildx_tasks.language.sources import FILE_NAME
from buildx_tasks.machine import output
from buildx_tasks.machine.commands import Commands
from buildx_tasks.machine.things import Things
from buildx_tasks.records.ledger import Ledger, last_built

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from invoke import Context

    from buildx_tasks.language.lockfile import Pin
    from buildx_tasks.language.targets import Config
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.registry.registries import Registries

Own = TypeVar("Own", bound="Workspace")


class Workspace:
    """One project at work. Engine and registries are reached when they are first needed.

    ``file`` is the TOML file that declares the project, ``root`` its folder. A function of a room
    takes the workspace, or the one part of it that it needs. ``shows`` is who shows to a person the
    :meth:`things` that it is at; nobody, where it is not called by a task.
    """

    def __init__(
        self,
        file: Path,
        config: Config,
        context: Context | None = None,
        client: Any = None,
    ) -> None:
        self.file = file
        self.root = file.parent
        self.config = config
        self.commands = Commands(self.root, context)
        self.engine = Engine(self.commands, client)
        self.ledger = Ledger(self.root)
        self.shows: Callable[[Things], AbstractContextManager[object]] = nullcontext

    @classmethod
    def empty(cls: type[Own], context: Context | None = None) -> Own:  # noqa: PYI019 - Python 3.9
        """Return one in the current folder in which nothing is declared, for what needs nothing."""
        from buildx_tasks.language.config import Emulators
        from buildx_tasks.language.targets import Config

        return cls(Path.cwd() / FILE_NAME, Config({}, {}, None, Emulators()), context)

    @cached_property
    def registries(self) -> Registries:
        """The registries, which most tasks never speak to."""
        from buildx_tasks.registry.registries import Registries

        return Registries(self.config.builder, self._engine_info, self.root)

    @cached_property
    def pins(self) -> Mapping[str, Pin] | None:
        """The pins of ``buildx.lock`` beside the project's file, by name; None where there is none.

        Raises:
            ConfigError: it cannot be used.

        """
        return lockfile.read(self.root / lockfile.LOCK_FILE)

    @contextmanager
    def things(self, word: str, names: Iterable[str] = ()) -> Iterator[Things]:
        """Yield who is told of things that are done one by one, for whoever :attr:`shows` them.

        ``word`` is what they are in the end, as in ``3 of 7 asked``.
        """
        told = Things(word, names)
        with output.doing(told.label), self.shows(told):
            yield told

    def _engine_info(self) -> Mapping[str, Any]:
        """Return what the engine says of itself: how it reaches registries is in there."""
        try:
            return self.engine.info
        except EngineError:
            line = "no engine answers: its insecure-registries are not known"
            print(line, file=sys.stderr, flush=True)
            return {}

    def look_ahead(self, targets: Sequence[TargetPlan]) -> None:
        """Have the engine begin to say what it holds of targets that were built here."""
        if self.commands.is_dry:
            return
        last = last_built(self.ledger.read())
        elsewhere = ("staged", "parts", "part")
        whole = {name for name, one in last.items() if not any(map(one.get, elsewhere))}
        self.engine.look_ahead([t.spec.tags[0] for t in targets if t.spec.tags and t.name in whole])

    def close(self) -> None:
        """End what was opened; it can be closed twice."""
        if "registries" in vars(self):
            self.registries.close()
        self.engine.close()
