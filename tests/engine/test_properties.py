"""Any valid configuration: bake takes what we make of it, and means the same by it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildx_tasks.language import loading
from buildx_tasks.planning.bakefile import bake_definition
from buildx_tasks.planning.selection import make_plan

from .conftest import buildx

if TYPE_CHECKING:
    import random
    from pathlib import Path

    import pytest

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12)
# Ours: "${" starts a variable, so a literal one is escaped, as a person would.
LITERAL = TEXT.map(lambda text: text.replace("${", "$${"))
WORD = st.from_regex(r"[a-z][a-z0-9]{0,6}", fullmatch=True)
MAP = st.dictionaries(WORD, LITERAL | st.integers(0, 99) | st.booleans(), max_size=3)
PLATFORMS = st.lists(
    st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"]),
    min_size=1,
    unique=True,
)


def entries(*texts: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(texts), max_size=4)


ATTRIBUTES: dict[str, st.SearchStrategy[Any]] = {
    "annotations": st.lists(WORD.map(lambda word: f"{word}=1"), max_size=3),
    "args": MAP,
    "attest": entries("type=sbom", "type=provenance,mode=max", "type=sbom,disabled=true"),
    "cache-from": entries("a/b", "c/d:e", "type=gha,scope=x", "type=registry,ref=a/b"),
    # One that is written to a place would be the same place for several targets: an error of ours.
    "cache-to": entries("type=inline"),
    "contexts": st.dictionaries(WORD, WORD.map(lambda word: f"docker-image://{word}"), max_size=2),
    "description": TEXT.map(lambda text: text.replace("${", "")),
    "dockerfile-inline": LITERAL.map(lambda text: f"FROM scratch\n# {text}\n"),
    "entitlements": entries("network.host", "security.insecure"),
    "labels": MAP,
    "network": st.sampled_from(["default", "none", "host"]),
    "no-cache": st.booleans(),
    "no-cache-filter": st.lists(WORD, max_size=3),
    "output": entries("type=docker", "type=local,dest=out", "type=cacheonly"),
    "platforms": PLATFORMS,
    "pull": st.booleans(),
    "secret": entries("id=a,env=A", "id=b,env=B"),
    "shm-size": st.sampled_from(["1m", "2g"]),
    "target": WORD,
    "ulimits": entries("nofile=1:2", "core=0"),
}
TARGET = st.fixed_dictionaries({}, optional=ATTRIBUTES)


@st.composite
def projects(draw: st.DrawFn) -> dict[str, Any]:
    """Targets that inherit only from earlier ones, a matrix, a platform of its own, and groups."""
    names = [f"t{number}" for number in range(draw(st.integers(1, 5)))]
    targets: dict[str, Any] = {}
    for number, name in enumerate(names):
        targets[name] = draw(TARGET)
        if number:
            parents = st.lists(st.sampled_from(names[:number]), max_size=2, unique=True)
            targets[name]["inherits"] = draw(parents)
    if draw(st.booleans()):
        targets["m"] = {
            "matrix": {"v": ["1", "2"], "w": ["x", "y"]},
            "name": "m-${v}-${w}",
            "args": {"V": "${v}${w}"},
            "inherits": ["t0"],
        }
    if draw(st.booleans()):
        targets["p"] = {
            "platforms": ["linux/amd64", "linux/arm64"],
            "platform": {"linux/arm64": {"args": draw(MAP), "target": draw(WORD)}},
        }
    data: dict[str, Any] = {
        "target": targets,
        "group": {"g": {"targets": draw(st.lists(st.sampled_from(names), min_size=1))}},
    }
    if draw(st.booleans()):
        data["defaults"] = draw(TARGET)
    return data


def ours(folder: Path, data: dict[str, Any]) -> Any:
    path = folder / "buildx.toml"
    path.write_bytes(tomli_w.dumps(data).encode())
    return bake_definition(make_plan(loading.load(path, environment={})))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(projects())
def test_bake_returns_every_definition_unchanged(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    definition = ours(folder, data)
    (folder / "bake.json").write_text(json.dumps(definition))
    done = subprocess.run(
        [buildx(), "bake", "--file", "bake.json", "--print"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == definition


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(projects(), st.randoms(use_true_random=False))
def test_the_order_of_tables_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any], chance: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("any")
    first = ours(folder, data)
    assert first == ours(folder, data)
    shuffled = {}
    for key in chance.sample(sorted(data), len(data)):
        table = data[key]
        shuffled[key] = {name: table[name] for name in chance.sample(sorted(table), len(table))}
    assert ours(folder, shuffled) == first
