from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_ci_runs_the_two_commands_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    block = readme.split("```console\n")[1].split("```")[0].splitlines()
    ran = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if "bootstrap" in line]
    assert block == ran
    assert len(ran) == 2
