"""What makes a function one of our tasks: its flags, what it takes over, its errors in plain words."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Callable

from invoke import Task

from buildx_tasks.tasks import parsing
from buildx_tasks.tasks.flags import Flag
from buildx_tasks.tasks.options import plainly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoke import Argument, Context

    Body = Callable[..., None]
    Step = Callable[..., Any]

parsing.install()


class Command(Task[Any]):
    """One of our tasks: on the command line, in ``pre`` and ``post``, or called from Python.

    ``words`` is the parameter that words behind the task are meant for; ``alone`` are those beside
    which no target is taken over; ``steps`` says that the body calls them.
    """

    def __init__(
        self,
        body: Body,
        *,
        words: str = "target",
        alone: Sequence[str] = (),
        steps: bool = False,
        **options: Any,
    ) -> None:
        self.words = words
        self.alone = alone
        self.takes_steps = steps
        self.steps: list[Step] = []
        code = body.__code__  # inspect.signature takes its time, which invoke --list would pay
        self.parameters = code.co_varnames[1 : code.co_argcount]
        super().__init__(
            plainly(self._filled(body)), auto_shortflags=False, positional=(), **options
        )

    def before(self, step: Step) -> Step:
        """Have ``step(c, selection)`` called before the task's own work, when all is worked out.

        Raises:
            TypeError: this task calls none.

        """
        if not self.takes_steps:
            raise TypeError(f"{self.name} calls no steps; put them into its pre")
        self.steps.append(step)
        return step

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the flags as invoke's parser takes them."""
        return [
            Flag(one, self.name, takes_words=one.name == self.words)
            for one in super().get_arguments(ignore_unknown_help)
        ]

    def _filled(self, body: Body) -> Body:
        @functools.wraps(body)
        def filled(c: Context, *args: Any, **kwargs: Any) -> None:
            bound = inspect.signature(body).bind(c, *args, **kwargs).arguments
            given = {name: bound[name] for name in [*bound][1:] if bound[name] is not None}
            body(c, **self._completed(c, given))

        return filled

    def _completed(self, c: Context, given: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments with what earlier tasks and the configuration say of the others."""
        from buildx_tasks.tasks import chain, options, settings

        options.refuse_empty(given)
        alone = any(given.get(name) for name in self.alone)
        lacking = [name for name in self.parameters if not (alone and name == "target")]
        called = parsing.NAMES.get(self.name, self.name)
        given = chain.continued(c, called, given, lacking)
        missing = [name for name in lacking if given.get(name, []) == []]
        return {**given, **settings.defaults(c, missing)}


def command(**options: Any) -> Callable[[Body], Command]:
    """Make a function one of our tasks; the options are those of :class:`Command` and of invoke."""

    def made(body: Body) -> Command:
        return Command(body, **options)

    return made
