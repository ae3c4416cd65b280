"""All that pages show: files load, code compiles, commands are ours, links and messages are there."""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from invoke import Program
from invoke.parser import Parser
from invoke.vendor import yaml

from buildx_tasks import namespace
from buildx_tasks.dockerfiles import stages
from buildx_tasks.errors import BuildxTasksError
from buildx_tasks.language import loading

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SITE = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")), *SITE]
BLOCK = re.compile(r"(?m)^```([\w-]*)([^\n]*)\n(.*?)^```$", re.DOTALL)
# What stands for something in commands that are shown.
STANDS_FOR = {"TASK": "plan", "[NAME…]": "name", "…": "", "[GOAL…]": "goal"}


class Block(NamedTuple):
    """A code block; ``title`` is what stands behind its language."""

    page: Path
    language: str
    title: str
    text: str


def blocks(*languages: str) -> list[Block]:
    found = [
        Block(page, *match.groups()) for page in PAGES for match in BLOCK.finditer(page.read_text())
    ]
    return [block for block in found if block.language in languages]


def named(block: Block) -> str:
    return f"{block.page.stem}-{block.text[:20]!r}"


@pytest.mark.parametrize("block", blocks("toml"), ids=named)
def test_files_load(tmp_path: Path, block: Block) -> None:
    (tmp_path / "VERSION").write_text("1.2")
    file = tmp_path / "buildx.toml"
    file.write_text(block.text if "[target." in block.text else f"{block.text}[target.app]\n")
    loading.load(file, environment={})


@pytest.mark.parametrize("block", blocks("python", "json", "yaml", "dockerfile"), ids=named)
def test_code_is_of_its_language(block: Block) -> None:
    if block.language == "python":
        compile(block.text, named(block), "exec")
    elif block.language == "json":
        json.loads(block.text if block.text.startswith("{") else f"{{{block.text}}}")
    elif block.language == "yaml":
        assert isinstance(yaml.safe_load(block.text), dict)  # type: ignore[no-untyped-call]
    else:
        stages.parse(block.text if "FROM" in block.text else f"FROM scratch\n{block.text}")


def commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        text = page.read_text()
        shown = "\n".join(
            block.text for block in blocks("console", "sh", "yaml") if block.page == page
        )
        for line in re.findall(r"(?m)(?:^|[$;&-] |run: )(invoke .*)$", shown):
            yield page.name, line
        prose = BLOCK.sub("", text)
        for line in re.findall(
            r"`((?:python -m )?(?:buildx_tasks\.tasks|invoke)(?: [^`]+))`", prose
        ):
            yield (
                page.name,
                line.replace("\\|", "|").replace("python -m buildx_tasks.tasks", "invoke"),
            )


def test_commands_are_ours() -> None:
    """Every command that is shown is one of our tasks with flags that it has."""
    wrong = {}
    initial = Program().initial_context
    seen = list(dict.fromkeys(commands()))
    assert len(seen) > 100
    for page, line in seen:
        said = re.split(r"\s[|>] ?|\s#|\s&& ", line)[0]
        for word, meant in STANDS_FOR.items():
            said = said.replace(word, meant)
        words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "value", said))[1:]
        try:
            Parser(initial=initial, contexts=namespace.to_contexts()).parse_argv(words)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is wrong
            wrong[f"{page}: {line}"] = str(error)
    assert not wrong, "\n".join(f"{line}: {error}" for line, error in wrong.items())


def test_the_page_of_the_tasks_has_all_of_their_flags() -> None:
    page = (ROOT / "docs" / "tasks.md").read_text()
    parts = re.findall(r"(?m)^## (`.*`)\n\n(?:.*\n)+?\nFlags: (.*)\n", page)
    contexts = {str(context.name): context for context in namespace.to_contexts()}
    seen = []
    for heading, flags in parts:
        names = re.findall(r"`([\w-]+)`", heading)
        seen += names
        said = set(re.findall(r"`(--?[\w-]+)", flags)) - {"--"}
        has = {flag for name in names for flag in contexts[name].flags}
        letters = {
            alias: flag for name in names for alias, flag in contexts[name].flags.aliases.items()
        }
        said = {letters.get(flag, flag) for flag in said}
        everywhere = {"--overlay", "--set", "--full", "--verbose", "--help"}
        assert said - has == set(), heading
        assert {flag for flag in has if flag.startswith("--")} - said - everywhere == set(), heading
    assert sorted(seen) == sorted(contexts)


def anchors(page: Path) -> set[str]:
    """The anchors of a page, as GitHub and MkDocs make them."""
    text = BLOCK.sub("", page.read_text())
    found = set(re.findall(r'<a id="([^"]+)"', text))
    for heading in re.findall(r"(?m)^#+ (.*)$", text):
        plain = re.sub(r"[^\w\- ]", "", heading.lower()).strip()
        found.add(plain.replace(" ", "-"))
    return found


def test_links_lead_somewhere() -> None:
    """MkDocs looks at those of the site; this one at all, also into and out of the repository's pages."""
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text())):
            if link.startswith("http"):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), f"{page.name}: {link}"
            if anchor and target.suffix == ".md":
                assert anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_is_found_from_the_first_one() -> None:
    """In the site by its navigation, on GitHub by the README."""
    said = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    listed = (ROOT / "mkdocs.yml").read_text()
    for page in SITE:
        assert re.search(rf"[ /]{re.escape(page.name)}\b", listed), page.name
        if page.name not in ("index.md", "variables.md"):
            assert f"docs/{page.name}" in said, page.name


def templates() -> Iterator[str]:
    """What the source says, with … for what is filled in."""
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "…"
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_messages_that_are_explained_are_said() -> None:
    said = "\n".join(templates())
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    messages = re.findall(r"(?m)^### `(.+)`$", page)
    assert len(messages) > 20
    for message in messages:
        for part in filter(None, (part.strip() for part in message.split("…"))):
            assert part in said, f"{message}: nothing says {part!r}"


def test_the_readme_fits_two_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 90


def test_a_file_that_is_wrong_is_found(tmp_path: Path) -> None:
    file = tmp_path / "buildx.toml"
    file.write_text("[target.app]\nplatform = 1\n")
    with pytest.raises(BuildxTasksError):
        loading.load(file, environment={})
