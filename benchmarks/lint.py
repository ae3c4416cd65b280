"""How much of what lint finds is true, and what it misses: on the judged Dockerfiles of the tests.

Run it with ``python benchmarks/lint.py``; another file like ``tests/support/data/dockerfiles.txt`` may be
named.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.judged import FILE, corpus


def main() -> None:
    """Print precision and misses: by code, then each false and missed finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=FILE, help="judged Dockerfiles")
    judged = corpus(parser.parse_args().file)
    began = time.perf_counter()
    counts: dict[str, Counter[str]] = {"true": Counter(), "false": Counter(), "missed": Counter()}
    lines = []
    for one in judged:
        found = one.found()
        kinds = {"true": found & one.true, "false": found - one.true, "missed": one.true - found}
        for kind, its in kinds.items():
            counts[kind].update(code.strip("()") for _, code in its.elements())
            if kind != "true":
                lines += [f"{kind}: {one.name}:{line} {code}" for line, code in its.elements()]
    seconds = time.perf_counter() - began
    print(f"{len(judged)} Dockerfiles in {seconds:.2f} s")
    print(f"{'code':<24} {'true':>5} {'false':>6} {'missed':>7}")
    codes = sorted({code for its in counts.values() for code in its})
    for code in codes:
        true, false, missed = (counts[kind][code] for kind in ("true", "false", "missed"))
        print(f"{code:<24} {true:>5} {false:>6} {missed:>7}")
    for title, left in (
        ("all", codes),
        ("without EmulatedRun", [c for c in codes if c != "EmulatedRun"]),
    ):
        true, false, missed = (
            sum(counts[kind][c] for c in left) for kind in ("true", "false", "missed")
        )
        print(f"{title}: precision {_share(true, false)}, found {_share(true, missed)}")
    print("\n".join(lines))


def _share(part: int, rest: int) -> str:
    return f"{part / (part + rest):.0%} ({part} of {part + rest})" if part + rest else "-"


if __name__ == "__main__":
    main()
