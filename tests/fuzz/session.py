"""The fuzz session: ``python -m fuzz.session`` in tests/, as ``nox -s fuzz`` runs it.

Each case is made from the seed, its kind and its number: one that fails is named by them, and can be
made again. ``seeds`` keeps inputs that did harm once, and those who hunt put theirs there.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Callable, NamedTuple

from . import conversations, manifests, tarballs

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS = Path(__file__).parent / "seeds"
COUNTS = {"manifests": 100_000, "layers": 20_000, "conversations": 20_000}
MOST_MEMORY = 200_000  # kB more than before
_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h
SLOWEST = 10.0  # seconds for one case, with the making of it, on a machine with other work


class Done(NamedTuple):
    """What came of one kind; ``failed`` names the cases."""

    kind: str
    cases: int
    seconds: float
    slowest: float
    failed: tuple[str, ...]


@contextlib.contextmanager
def nothing_written() -> Iterator[None]:
    """Work in empty folders, and see that they stay so."""
    before = Path.cwd(), tempfile.tempdir
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        tempfile.tempdir = folder
        try:
            yield
            assert list(Path(folder).iterdir()) == [], "a file was written"
        finally:
            os.chdir(before[0])
            tempfile.tempdir = before[1]


def cases(kind: str) -> tuple[Callable[[random.Random], bytes], Callable[[], None]]:
    """What runs one case of a kind, and what ends it all."""
    if kind == "manifests":
        kept = [path.read_bytes() for path in sorted((SEEDS / kind).glob("*"))]
        return lambda rng: manifests.run(rng, kept), lambda: None
    if kind == "conversations":
        by = conversations.Bystander()
        return lambda rng: conversations.run(rng, by), by.close
    return tarballs.run, lambda: None


def fuzz(kind: str, count: int, seed: int, until: float) -> Done:
    """Run so many cases of a kind, as far as the time goes."""
    run, end = cases(kind)
    began = time.monotonic()
    slowest, number, failed = 0.0, 0, []
    try:
        for number in range(1, count + 1):
            start = time.monotonic()
            try:
                run(random.Random(f"{seed}:{kind}:{number}"))
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                name = f"{kind} seed {seed} number {number}"
                failed.append(f"{name}: {type(error).__name__} {error!s:.300}")
                traceback.print_exc()
            taken = time.monotonic() - start
            slowest = max(slowest, taken)
            if taken > SLOWEST:
                failed.append(f"{kind} seed {seed} number {number}: {taken:.1f} s")
            if len(failed) > 20 or time.monotonic() > until:
                break
    finally:
        end()
    return Done(kind, number, time.monotonic() - began, slowest, tuple(failed))


def session(share: float, seed: int, seconds: float) -> list[Done]:
    """Run a share of all cases in bounded time; memory and folders are looked at too."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    end = time.monotonic() + seconds
    done = []
    with nothing_written():
        for kind, count in COUNTS.items():
            done.append(fuzz(kind, int(count * share), seed, end))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    said = (f"memory grew by {grown} kB",) if grown >= MOST_MEMORY else ()
    return [*done, Done("memory", grown, 0.0, 0.0, said)]


def main() -> int:
    """Run it from a command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="a number; chance, if left out")
    parser.add_argument("--share", type=float, default=1.0, help="of all cases")
    parser.add_argument("--seconds", type=float, default=600.0, help="at most")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    # The servers here have a thread for each connection: glibc would keep an arena for each.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
    *done, memory = session(given.share, seed, given.seconds)
    for one in done:
        print(
            f"{one.kind}: {one.cases:,} of {int(COUNTS[one.kind] * given.share):,} in "
            f"{one.seconds:.0f} s, the slowest {one.slowest:.2f} s, {len(one.failed)} failed; "
            f"seed {seed}"
        )
    print(f"memory: {memory.cases // 1000} MB more, of {MOST_MEMORY // 1000}")
    failed = [name for one in (*done, memory) for name in one.failed]
    print("\n".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
