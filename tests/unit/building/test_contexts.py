"""A bake file keeps our own .buildx/ out of each context, and changes nothing where it is so already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.building.contexts import without_state

if TYPE_CHECKING:
    from pathlib import Path

HERE: dict[str, Any] = {"context": ".", "dockerfile": "Dockerfile"}
COPY = ".buildx/dockerfiles/app/Dockerfile"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / "sub").mkdir(parents=True)
    (project / "Dockerfile").write_bytes(b"FROM scratch\r\nCOPY . /\r\n")
    return project


def changed(root: Path, **attributes: Any) -> tuple[dict[str, Any], dict[str, str]]:
    definition, files = without_state({"target": {"app": {**HERE, **attributes}}}, root)
    return definition["target"], files


def test_the_dockerfile_is_a_copy_with_an_ignore_file_beside_it(root: Path) -> None:
    (root / ".dockerignore").write_text("*.md")
    targets, files = changed(root)
    assert targets == {"app": {**HERE, "dockerfile": COPY}}
    assert files == {
        COPY: "FROM scratch\r\nCOPY . /\r\n",
        f"{COPY}.dockerignore": "*.md\n**/.buildx\n",
    }


@pytest.mark.parametrize("text", ["**/.buildx", "a\n**/.buildx/\n# end\n", "*\n", "!a\n**"])
def test_nothing_changes_where_it_is_ignored_already(root: Path, text: str) -> None:
    (root / ".dockerignore").write_text(text)
    assert changed(root, contexts={"src": "."}) == ({"app": {**HERE, "contexts": {"src": "."}}}, {})


@pytest.mark.parametrize(
    "attributes",
    [
        {"context": "sub"},
        {"context": "https://example.com/app.git"},
        {"dockerfile": "https://example.com/Dockerfile"},
        {"dockerfile": "gone"},
        {"context": "gone"},
    ],
)
def test_contexts_that_never_have_it_and_what_is_elsewhere_stay(
    root: Path, attributes: dict[str, str]
) -> None:
    assert changed(root, **attributes) == ({"app": {**HERE, **attributes}}, {})


def test_an_ignore_file_of_the_dockerfile_counts_more(root: Path) -> None:
    (root / ".dockerignore").write_text("*\n")
    (root / "Dockerfile.dockerignore").write_text("*.md\n")
    assert changed(root)[1][f"{COPY}.dockerignore"] == "*.md\n**/.buildx\n"


def test_a_folder_above_and_a_project_below(root: Path) -> None:
    targets, _ = changed(root, context="..", dockerfile="project/Dockerfile")
    assert targets["app"]["dockerfile"] == f"project/{COPY}"
    (root / "sub" / ".buildx").mkdir()
    (root / "sub" / "Dockerfile").write_text("FROM scratch\n")
    targets, _ = changed(root, context="sub")
    assert targets["app"]["dockerfile"] == f"../{COPY}"


def test_an_inline_dockerfile_becomes_a_file_and_means_the_same(root: Path) -> None:
    targets, files = changed(root, **{"dockerfile-inline": "FROM a\nENV A=$${B:-c}"})
    assert "dockerfile-inline" not in targets["app"]
    assert files[COPY] == "FROM a\nENV A=${B:-c}\n"


def test_a_named_context_becomes_a_target(root: Path) -> None:
    attributes = {"contexts": {"src": ".", "sub": "sub"}, "platforms": ["linux/arm64"]}
    targets, files = changed(root, **attributes)
    assert targets["app"]["contexts"] == {"src": "target:app--context0", "sub": "sub"}
    assert targets["app--context0"] == {
        "context": ".",
        "dockerfile": ".buildx/dockerfiles/app--context0/Dockerfile",
        "platforms": ["linux/arm64"],
        "output": [{"type": "cacheonly"}],
    }
    assert files[".buildx/dockerfiles/app--context0/Dockerfile"] == "FROM scratch\nCOPY . /\n"
