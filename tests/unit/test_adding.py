"""docs/design.md's list "a kind of check" is all that is touched: followed in a copy of the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHECK = '''"""``system``: the platform's operating system is one of those that are expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.verification.check import Found

if TYPE_CHECKING:
    from buildx_tasks.language.expectations import System
    from buildx_tasks.verification.check import Subject


def check(subject: Subject, spec: System) -> Found:
    """Compare the system."""
    if subject.platform.os in spec.known:
        return Found()
    return Found((f"the system is {subject.platform.os}; declare another platform",))
'''
SCRIPT = """
from pathlib import Path
from buildx_tasks import Project
from buildx_tasks.verification import check
from buildx_tasks.verification.checks import OF_A_CELL
target = Project.load(Path.cwd()).select().plan.targets[0]
for cell in target.cells:
    for one in check.of_cell(target.spec.verify, cell, "tag"):
        subject = check.Subject(None, target, None, cell.platform)
        print(cell, one.name, *OF_A_CELL[one.kind].check(subject, one.spec).problems)
"""


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(before) == 1, f"{before!r} in {path}"
    path.write_text(text.replace(before, after), "utf-8")


def test_a_kind_of_check_is_added_by_the_list(tmp_path: Path) -> None:
    copy = tmp_path / "src" / "buildx_tasks"
    shutil.copytree(ROOT / "src" / "buildx_tasks", copy)
    (tmp_path / "docs").mkdir()
    before = {path: path.read_bytes() for path in copy.rglob("*.py")}

    said = copy / "language" / "expectations.py"
    edit(
        said,
        "class Kinds(",
        'class System(Struct, frozen=True, forbid_unknown_fields=True):\n    """The system."""\n\n'
        '    known: Annotated[Texts, Meta(description="As in linux")]\n\n\nclass Kinds(',
    )
    edit(
        said,
        "    only: Annotated[Texts,",
        '    system: Annotated[Optional[System], Meta(description="Its system")] = None\n'
        "    only: Annotated[Texts,",
    )
    edit(said, '    "run",\n', '    "run",\n    "system",\n')
    (copy / "verification" / "checks" / "system.py").write_text(CHECK)
    room = copy / "verification" / "checks" / "__init__.py"
    edit(room, "    size,\n", "    size,\n    system,\n")
    edit(room, '    "size": size,\n', '    "size": size,\n    "system": system,\n')

    changed = {p.name for p, text in before.items() if p.read_bytes() != text}
    assert changed == {"expectations.py", "__init__.py"}

    project = tmp_path / "project"
    project.mkdir()
    (project / "buildx.toml").write_text(
        '[target.app]\nplatforms = ["linux/arm64", "windows/amd64"]\ntags = ["app:v1"]\n'
        '[target.app.verify.system]\nknown = ["linux"]\n'
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    for argv in (["-m", "buildx_tasks.language.schema"], ["-c", SCRIPT]):
        done = subprocess.run(
            [sys.executable, *argv],
            cwd=project,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "app@linux/arm64 system",
        "app@windows/amd64 system the system is windows; declare another platform",
    ]
    assert "Its system" in (copy / "buildx.schema.json").read_text()
    assert "Its system" in (tmp_path / "docs" / "reference.md").read_text()
