"""The live display of everything that takes its time: bars on a terminal, nothing left of them after."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, ProgressColumn


def is_shown() -> bool:
    """Say whether a person sees it: it is on standard error."""
    return sys.stderr.isatty()


@contextmanager
def display(*columns: ProgressColumn) -> Iterator[Progress]:
    """Show bars of such columns while the work goes on."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, highlight=False)
    # What is piped away must not end up on the terminal, where rich would print it.
    shown = sys.stdout.isatty()
    with Progress(*columns, console=console, transient=True, redirect_stdout=shown) as progress:
        yield progress
