"""Tables: whole in a log, no wider than the terminal where a person reads."""

from __future__ import annotations

import pytest

from buildx_tasks.reports.tables import cut, laid_out, shortened

DIGEST = "sha256:0123456789abcdef" + "0" * 48
HEADINGS = ("cell", "result", "manifest digest", "seconds", "")
ROWS = [
    ("greeter-with-a-long-name@linux/amd64", "ok", DIGEST, "1.2", ""),
    ("greeter@linux/arm64", "skip", DIGEST, "0.1", "run: skipped (there is no emulator here)"),
    ("greeter (index)", "FAIL", DIGEST, "0.0", ""),
]
BELOW = {2: ["index: the first problem, which is about as long as such problems are", "run: 2nd"]}


def lines(most: int | None) -> list[str]:
    rows = [[shortened(cell) for cell in row] for row in ROWS] if most else ROWS
    return ["  ".join(one.cells).rstrip() for one in laid_out(HEADINGS, rows, BELOW, most)]


def test_a_log_has_everything() -> None:
    found = lines(None)
    assert [DIGEST in line for line in found] == [False, True, True, True, False, False]
    assert found[2].endswith("run: skipped (there is no emulator here)")
    assert found[4:] == [f"    {problem}" for problem in BELOW[2]]


@pytest.mark.parametrize("most", [120, 80, 60])
def test_nothing_is_wider_than_the_terminal(most: int) -> None:
    found = lines(most)
    assert max(map(len, found)) <= most
    assert sum("0123456789ab" in line for line in found) == 3
    assert "there is no emulator here" in " ".join(" ".join(found).split())
    assert any(line.startswith("    run: 2nd") for line in found)
    assert ("…" in "".join(found)) == (most < 80)


def test_what_is_cut_says_so() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 4) == "abc…"
    assert shortened(f"x@{DIGEST} y") == "x@0123456789ab y"


def test_a_cut_cell_keeps_its_platform() -> None:
    assert cut("a-name-that-is-long@linux/arm64", 20) == "a-name-…@linux/arm64"
    assert cut("name@linux/arm64", 10) == "name@linu…"
