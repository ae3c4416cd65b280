"""Very many targets: bake gets them in batches, a person gets one result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from buildx_tasks.language import loading
from buildx_tasks.planning.batches import batches
from buildx_tasks.planning.selection import make_plan

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project


def test_120_targets_are_built_in_batches_with_one_result(project: Project) -> None:
    project.write(
        "[target.all]\nmatrix = { n = ["
        + ", ".join(f'"{number}"' for number in range(120))
        + ']}\nname = "t-${n}"\ndockerfile-inline = "FROM scratch\\nLABEL n=same"\n'
        'output = ["type=cacheonly"]\n'
    )
    result = project.invoke("build", "--progress", "quiet")
    assert result.returncode == 0, result.stderr
    assert [line for line in result.stderr.splitlines() if line.startswith("batch")] == [
        "batch 1 of 3: 50 targets",
        "batch 2 of 3: 50 targets",
        "batch 3 of 3: 20 targets",
    ]
    rows = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    assert rows == [f"t-{number}" for number in range(120)]
    ledger = json.loads((project.folder / ".buildx" / "ledger.json").read_text())
    assert sum(entry["event"] == "built" for entry in ledger) == 120


def test_what_is_built_on_the_same_stays_in_one_batch(tmp_path: Path) -> None:
    text = "".join(
        f'[target.t{n}]\ncontexts = {{ base = "target:base{n % 3}" }}\n' for n in range(30)
    )
    text += "".join(f"[target.base{n}]\n" for n in range(3))
    path = tmp_path / "buildx.toml"
    path.write_text(
        f"{text}[group.default]\ntargets = {json.dumps([f't{n}' for n in range(30)])}\n"
    )
    parts = batches(make_plan(loading.load(path)), most=12)
    assert [(len(part.targets), [t.name for t in part.linked]) for part in parts] == [
        (10, ["base0"]),
        (10, ["base1"]),
        (10, ["base2"]),
    ]
