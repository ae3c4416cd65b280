from __future__ import annotations

import json
import re
from pathlib import Path

from buildx_tasks.language import loading, schema
from buildx_tasks.planning.selection import make_plan

ROOT = Path(__file__).parents[2]


def test_ci_runs_the_two_commands_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    block = readme.split("```console\n")[1].split("```")[0].splitlines()
    ran = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if "bootstrap" in line]
    assert block == ran
    assert len(ran) == 2


def test_the_matrix_that_the_docs_show_is_what_it_says(tmp_path: Path) -> None:
    blocks = (ROOT / "docs" / "declaring.md").read_text().split("```toml\n")[1:]
    (tmp_path / "buildx.toml").write_text(blocks[0].split("```")[0])
    config = loading.load(tmp_path / "buildx.toml", environment={})
    targets = [target.name for target in make_plan(config).targets]
    assert targets == ["app", "tools-1-24-alpine", "tools-1-25-alpine", "tools-1-25-debian"]


def test_the_catalog_entry_names_the_schemas_address() -> None:
    block = (ROOT / "CONTRIBUTING.md").read_text().split("```json\n")[1].split("```")[0]
    assert json.loads(block)["url"] == schema.ADDRESS == schema.json_schema()["$id"]
    assert schema.ADDRESS.endswith(schema.SCHEMA_FILE.relative_to(ROOT).as_posix())


def test_the_changelog_is_kept_as_others_are() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"(?m)^(##+) (.*)$", text)
    assert headings[0] == ("##", "[Unreleased]")
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert {title for level, title in headings if level == "###"} <= kinds
