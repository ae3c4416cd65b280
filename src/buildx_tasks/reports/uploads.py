"""What a person sees of an upload: bytes of each layer on a terminal, a line for each in a log."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from buildx_tasks import sizes
from buildx_tasks.machine import output
from buildx_tasks.reports import duration, live

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    seen = _Live()
    with live.display(seen.frame):
        yield seen


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


class _Live(_Totals):
    """Shows the layers that are sent."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._named: dict[tuple[str, str], str] = {}

    def planned(self, repository: Repository, blob: Blob) -> None:
        self._named[str(repository), blob.digest] = _named(repository, blob)
        super().planned(repository, blob)

    def frame(self) -> live.Frame:
        """Return what is shown now."""
        through, planned = dict(self._through), dict(self._sizes)
        left = {key: size for key, size in planned.items() if through.get(key, 0) < size}
        # Those that have begun come first.
        rows = [
            live.Row("running" if key in through else "waiting", self._named[key], facts=(facts,))
            for key, facts in sorted(
                ((key, _part(through.get(key, 0), size)) for key, size in left.items()),
                key=lambda item: item[0] not in through,
            )
        ]
        seconds = time.monotonic() - self._began
        sent = sum(through.values())
        speed = f", {sizes.text(round(sent / seconds))}/s" if sent and seconds > 1 else ""
        total = f"{_part(sent, sum(planned.values()))} sent{speed}, {duration(seconds)}"
        return live.Frame(rows, total, "more layers")


def _part(through: int, size: int) -> str:
    return f"{sizes.text(through)} of {sizes.text(size)}"
