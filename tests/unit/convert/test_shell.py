"""Lines of a shell become commands, word by word."""

from __future__ import annotations

import pytest

from buildx_tasks.convert import shell


def words(text: str) -> list[list[str]]:
    return [command.words for command in shell.commands(text)]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("docker build -t a .", [["docker", "build", "-t", "a", "."]]),
        (
            "cd x && docker build . || exit 1",
            [["cd", "x"], ["docker", "build", "."], ["exit", "1"]],
        ),
        ("@sudo env A=1 docker push b > /dev/null 2>&1", [["docker", "push", "b"]]),
        ("docker build \\\n  -t a \\\n  .\n", [["docker", "build", "-t", "a", "."]]),
        ("docker build '$x' \"$y\" ${z:-1}", [["docker", "build", "$x", "${y}", "${z:-1}"]]),
        (
            "docker build -t a:$(git rev-parse HEAD)",
            [["docker", "build", "-t", "a:${git.commit:-dev}"]],
        ),
        ("docker build -t a:$1 ${2:-x}", [["docker", "build", "-t", "a:${ARG1}", "${ARG2:-x}"]]),
        ("TAG=$1\nexport V=${2:-x}", [["TAG=$1"], ["export", "V=$${2:-x}"]]),
        ("docker build --build-arg V=$1 .", [["docker", "build", "--build-arg", "V=${ARG1}", "."]]),
        ('docker build "a .', [[]]),
        ("# docker build .\n", []),
    ],
)
def test_commands(text: str, commands: list[list[str]]) -> None:
    assert words(text) == commands


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("for a in x y; do b $a; done", [["b", "x"], ["b", "y"]]),
        ("for a in x y\ndo\n  b $a\n  c\ndone\nd", [["b", "x"], ["c"], ["b", "y"], ["c"], ["d"]]),
        (
            "for a in 1 2; do for b in 3 4; do c $a-$b; done; done; d",
            [["c", "1-3"], ["c", "1-4"], ["c", "2-3"], ["c", "2-4"], ["d"]],
        ),
        ("cd q && for a in x; do b ${a}z; done", [["cd", "q"], ["b", "xz"]]),
        ("for a in $LIST; do b $a; done", [["for", "a", "in", "${LIST}"], ["b", "${a}"], ["done"]]),
        ("for a in *.x; do b $a; done", [["for", "a", "in", "*.x"], ["b", "${a}"], ["done"]]),
        ("for a in x; do b $a", [["for", "a", "in", "x"], ["b", "${a}"]]),
    ],
)
def test_loops_over_plain_values_are_unrolled(text: str, commands: list[list[str]]) -> None:
    assert words(text) == commands


def test_a_loop_that_is_not_unrolled_is_known_by_its_variable() -> None:
    commands = list(shell.commands("for a in $LIST; do b $a $c; done"))
    assert [command.looped for command in commands] == [[], ["a"], []]


def test_what_stands_before_a_command_is_its_own() -> None:
    [command] = shell.commands("A=1 B=$x docker build --build-arg C=2 .")
    assert command.before == {"A": "1", "B": "${x}"}
    assert command.words == ["docker", "build", "--build-arg", "C=2", "."]
