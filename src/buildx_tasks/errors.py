"""The one family of errors that a person sees, each with the exit code of its kind.

Codes: 1 for a failed build, check or push (and for an engine that cannot do the job), 2 for usage
and configuration. Every message ends with the next step.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from buildx_tasks.text import inert

if TYPE_CHECKING:
    from collections.abc import Iterable

# Our name of a task → the name that it has in a person's tasks file, as in image.build.
task_names: dict[str, str] = {}

_LOGIN = re.compile(r"(://[^\s/:@\"']*:)[^\s/\"']+@")
_TASK = re.compile(r"\binvoke ([a-z]+)\b")


class BuildxTasksError(Exception):
    """Base of all errors that the tasks report in plain words, without a traceback."""

    code = 1


class ConfigError(BuildxTasksError):
    """What ``buildx.toml`` says cannot be used; the message starts with ``file:line:column:``."""

    code = 2


class UsageError(BuildxTasksError):
    """What was typed cannot be used: an unknown target, a platform that is not declared."""

    code = 2


class EngineError(BuildxTasksError):
    """The engine, buildx, the builder or an emulator is missing or cannot do what is declared."""


class BuildError(BuildxTasksError):
    """The build itself failed; buildx has already said why."""


class RunError(BuildxTasksError):
    """A container ended with the exit code that is passed on as ``code``."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class VerifyError(BuildxTasksError):
    """At least one cell is not what ``[target.NAME.verify]`` expects."""


class PushError(BuildxTasksError):
    """A tag could not be pushed, or the registry holds something other than what was pushed."""


class RegistryError(BuildxTasksError):
    """A registry refuses or does not answer; the message ends with the fix."""


class MissingError(RegistryError):
    """The registry answers, and has no such thing."""


class RefusalError(RegistryError):
    """The registry says no, and will do so again."""


class DriftError(BuildxTasksError):
    """Builder or emulators are not what is declared."""


class LintError(BuildxTasksError):
    """``lint`` reports something."""


class LockError(BuildxTasksError):
    """``buildx.lock`` does not hold what is read, or no longer what is published."""


class DoctorError(BuildxTasksError):
    """At least one finding of ``doctor`` is not ok."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "x"?`` for the known word nearest to ``word``, or ``""``."""
    close = get_close_matches(word, sorted(known), n=1, cutoff=0.5)
    return f'; did you mean "{close[0]}"?' if close else ""


def listed(words: Iterable[str]) -> str:
    """Return words as a person lists them: sorted, separated by commas, ``none`` for nothing."""
    return ", ".join(sorted(words)) or "none"


def deepest(error: BaseException) -> BaseException:
    """Return what an error came from at last: libraries wrap each other's, and it has the plain words."""
    while True:
        inner = error.__cause__ or error.__context__ or getattr(error, "reason", None)
        inner = inner or next((a for a in error.args if isinstance(a, BaseException)), None)
        if not isinstance(inner, BaseException) or inner is error:
            return error
        error = inner


def as_called(text: str) -> str:
    """Return a text for people with our tasks named as in their tasks file."""
    named = _TASK.sub(lambda match: f"invoke {task_names.get(match[1], match[1])}", text)
    # It may hold other people's words, and these an address with a log-in.
    return inert(_LOGIN.sub(r"\1…@", named))
