"""What goes wrong at the engine, told apart and in words: its own faults, its refusals of an image.

docker's library lets the exceptions of ``requests`` through; this is the one place that knows both.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from buildx_tasks.errors import EngineError, deepest
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

# The engine answers 400 to most of what is the image's fault; these come as 500 and 404.
_IMAGES_FAULT = re.compile(
    "unable to find (user|group) |uids and gids must be |Cannot mkdir: |No such image: "
    "|does not provide the specified platform|cannot mount volume over existing file"
)
_WHERE_IT_FAILED = re.compile(
    '.*(unable to start container process|OCI runtime create failed|config for type "bind"): ',
    re.DOTALL,
)

Kinds = tuple[type[Exception], ...]


class RefusedError(Exception):
    """The container cannot be started, and the image or what is declared is why; says what is wrong."""


class AnswerError(Exception):
    """The engine says no; ``status_code`` and ``explanation`` are as those of docker's library."""

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(f"{status}: {explanation}")
        self.status_code = status
        self.explanation = explanation


def api_errors() -> Kinds:
    """Return the exceptions of an engine that answers, and says no: for an ``except`` clause."""
    from docker.errors import APIError

    return (APIError, AnswerError)


def lost_connections() -> Kinds:
    """Return the exceptions of an engine that does not answer, or broke off."""
    from requests.exceptions import RequestException

    return (RequestException,)


def timeouts() -> Kinds:
    """Return the exceptions of an answer that did not come in time.

    requests tells a read time-out in either way; before the time it is the engine's fault.
    """
    from requests.exceptions import ConnectionError as Unfinished
    from requests.exceptions import Timeout

    return (Timeout, Unfinished)


def all_errors() -> Kinds:
    """Return every exception with which docker's library tells of the engine."""
    from docker.errors import DockerException

    return (DockerException, AnswerError, *lost_connections())


def broken_off(reason: str) -> Exception:
    """Return the exception of an answer that was cut off, to be raised as docker's library would."""
    from requests.exceptions import ChunkedEncodingError

    return ChunkedEncodingError(reason)


def lost(reason: str) -> Exception:
    """Return the exception of a connection that is gone."""
    from requests.exceptions import ConnectionError as Lost

    return Lost(reason)


def late(reason: str) -> Exception:
    """Return the exception of an answer that did not come in time."""
    from requests.exceptions import ReadTimeout

    return ReadTimeout(reason)


def status_of(error: Exception) -> int:
    """Return the HTTP status with which the engine said no; 0 where it did not answer."""
    return int(getattr(error, "status_code", None) or 0)


def words_of(error: Exception) -> str:
    """Return what the engine said, or what happened to the connection."""
    return str(getattr(error, "explanation", None) or error)


def reason_of(error: Exception) -> str:
    """Return the deepest cause: docker wraps requests wraps urllib3 wraps the OSError."""
    cause = deepest(error)
    return str(getattr(cause, "strerror", None) or cause)


@contextmanager
def faults() -> Iterator[None]:
    """Turn what docker's client says of an engine that fails into our error.

    Raises:
        EngineError: the engine refused, or does not answer any more.

    """
    try:
        yield
    except all_errors() as error:
        reason = getattr(error, "explanation", None) or reason_of(error)
        raise EngineError(f"the engine failed: {reason}; see invoke doctor") from None


@contextmanager
def refusals() -> Iterator[None]:
    """Tell the engine's refusal of an image or of what is declared from the engine's own faults.

    Raises:
        RefusedError: the engine refuses it.

    """
    try:
        yield
    except api_errors() as error:
        text = words_of(error)
        if status_of(error) != 400 and not _IMAGES_FAULT.search(text):
            raise
        what = printable(_WHERE_IT_FAILED.sub("", text))
        raise RefusedError(f"cannot be started: {what}") from None
