"""What a person sees of an upload: bytes of each layer on a terminal, a line for each in a log."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from buildx_tasks import sizes
from buildx_tasks.machine import output
from buildx_tasks.reports import live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

    from buildx_tasks.images.graph import Blob
    from buildx_tasks.publishing.upload import Watcher
    from buildx_tasks.registry.repository import Repository

_SHOWN = 12  # characters of a layer's digest


@contextmanager
def watcher(*, verbose: bool = False) -> Iterator[Watcher]:
    """Yield what to tell of each layer; a log has them where it is to be ``verbose``."""
    if not live.is_shown():
        lines = _Lines() if verbose else _Totals()
        with output.doing(lines.waiting):
            yield lines
        if isinstance(lines, _Lines):
            lines.sum_up()
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with live.display(*columns) as progress:
        yield _Live(progress)


def _named(repository: Repository, blob: Blob) -> str:
    return f"{repository}: {blob.digest.partition(':')[2][:_SHOWN]}"


class _Totals:
    """Says nothing but how far all is, when it is asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sizes: dict[tuple[str, str], int] = {}
        self._through: dict[tuple[str, str], int] = {}

    def planned(self, repository: Repository, blob: Blob) -> None:
        self._sizes[str(repository), blob.digest] = blob.size

    def sent(self, repository: Repository, blob: Blob, through: int) -> None:
        self._through[str(repository), blob.digest] = through

    def present(self, repository: Repository, blob: Blob, how: str) -> None:
        """Say nothing: nobody waits for it."""

    def waiting(self) -> str:
        """Return what is waited for."""
        through, planned = sum(list(self._through.values())), sum(list(self._sizes.values()))
        if through == planned:
            return "the registry"
        return f"the registry, {sizes.text(through)} of {sizes.text(planned)} sent"


class _Lines(_Totals):
    def __init__(self) -> None:
        super().__init__()
        self._present: dict[tuple[str, str], list[int]] = {}

    def sent(self, repository: Repository, blob: Blob, through: int) -> None:
        super().sent(repository, blob, through)
        if through == blob.size:
            with self._lock:
                size = sizes.text(blob.size)
                print(f"{_named(repository, blob)} {size} sent", file=sys.stderr, flush=True)

    def present(self, repository: Repository, blob: Blob, how: str) -> None:
        with self._lock:
            self._present.setdefault((str(repository), how), []).append(blob.size)

    def sum_up(self) -> None:
        for (repository, how), found in self._present.items():
            line = f"{repository}: {len(found)} blobs {how}, {sizes.text(sum(found))}"
            print(line, file=sys.stderr, flush=True)


class _Live:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[tuple[str, str], TaskID] = {}

    def planned(self, repository: Repository, blob: Blob) -> None:
        name = _named(repository, blob)
        self._bars[str(repository), blob.digest] = self._progress.add_task(name, total=blob.size)

    def sent(self, repository: Repository, blob: Blob, through: int) -> None:
        self._progress.update(self._bars[str(repository), blob.digest], completed=through)

    def present(self, repository: Repository, blob: Blob, how: str) -> None:
        """Say nothing: nobody waits for it."""
