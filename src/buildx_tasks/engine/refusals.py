"""The engine's refusal of an image, or of what is declared, told from the engine's own faults."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

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


class RefusedError(Exception):
    """The container cannot be started, and the image or what is declared is why; says what is wrong."""


@contextmanager
def refusals() -> Iterator[None]:
    """Tell the engine's refusal of an image or of what is declared from the engine's own faults.

    Raises:
        RefusedError: the engine refuses it.

    """
    from docker.errors import APIError

    try:
        yield
    except APIError as error:
        text = str(error.explanation or error)
        if error.status_code != 400 and not _IMAGES_FAULT.search(text):
            raise
        what = printable(_WHERE_IT_FAILED.sub("", text))
        raise RefusedError(f"cannot be started: {what}") from None
