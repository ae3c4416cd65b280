"""growth where the ledger knows of no push, and after a push."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Project


def test_a_fresh_clone_compares_with_the_version_before(
    project: Project, name: str, registry: str
) -> None:
    def write(version: str, size: int) -> None:
        (project.folder / "data").write_bytes(random.Random(0).randbytes(size))  # noqa: S311
        project.write(
            f"""
[target.{name}]
dockerfile-inline = "FROM scratch\\nCOPY data /data"
tags = ["{registry}/{name}:{version}"]
verify.size = {{ growth = 10 }}
"""
        )
        project.ok("build", "--progress", "quiet")

    write("v1.0.0", 200_000)
    project.ok("push")
    write("v1.1.0", 300_000)
    (project.folder / ".buildx" / "ledger.json").unlink()
    project.ok("build", "--progress", "quiet")
    result = project.invoke("push")
    assert result.returncode == 1
    assert re.search(r"growth: \+50\.. % since the last push \(200\.. kB", result.stdout)
    write("v1.1.0", 205_000)
    project.ok("push")
    again = project.invoke("push")
    assert again.returncode == 0
    assert "verified first" not in again.stdout + again.stderr
    assert ", as on " in project.invoke("verify").stderr
