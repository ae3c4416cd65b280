"""Modules that are imported meanwhile in; what Python compiled of them, kept for the next start, out."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def kept() -> Iterator[None]:
    """Let Python keep what it compiles, unless the person has told it not to (``-B``, the environment).

    invoke keeps nothing of all that tasks import (``--write-pyc``), so that no files appear beside a
    tasks file. Of a package that is not compiled where it is installed (``pip install -e``, uv), each
    task would compile 200 modules.
    """
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
