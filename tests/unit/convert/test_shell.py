"""Lines of a shell become commands, word by word."""

from __future__ import annotations

import pytest

from buildx_tasks.convert import shell
from buildx_tasks.convert.expanding import FIRM


def words(text: str) -> list[list[str]]:
    apart = text.startswith("@")
    return [command.words for command in shell.commands(text, apart=apart)]


def commands_of(text: str, *, apart: bool = False) -> list[shell.Command]:
    """Return the docker commands of a text."""
    return [one for one in shell.commands(text, apart=apart) if one.words[:1] == ["docker"]]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("docker build -t a .", [["docker", "build", "-t", "a", "."]]),
        (
            "cd x && docker build . || exit 1",
            [["docker", "build", "."], ["exit", "1"]],
        ),
        ("@sudo env A=1 docker push b > /dev/null 2>&1", [["docker", "push", "b"]]),
        ("docker build \\\n  -t a \\\n  .\n", [["docker", "build", "-t", "a", "."]]),
        ("docker build '$x' \"$y\" ${z:-1}", [["docker", "build", "$x", "${y}", "${z:-1}"]]),
        (
            "docker build -t a:$(git rev-parse HEAD)",
            [["docker", "build", "-t", "a:${git.commit:-dev}"]],
        ),
        ("docker build -t a:$1 ${2:-x}", [["docker", "build", "-t", "a:${ARG1}", "${ARG2:-x}"]]),
        ("TAG=$1\nexport V=${2:-x}", [["V=x"]]),
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
        ("cd q && for a in x; do b ${a}z; done", [["b", "xz"]]),
        ("for a in $LIST; do b $a; done", [["b", "${a}"]]),
        ("for a in *.x; do b $a; done", [["b", "${a}"]]),
        ("for a in x; do b $a", [["b", "x"]]),
        ("A='x y'\nfor a in $A; do b $a; done", [["A=x y"], ["b", "x"], ["b", "y"]]),
        ('A=(x y)\nfor a in "${A[@]}"; do b $a; done', [["b", "x"], ["b", "y"]]),
    ],
)
def test_loops_over_plain_values_are_unrolled(text: str, commands: list[list[str]]) -> None:
    assert words(text) == commands


def test_a_loop_that_is_not_unrolled_is_known_by_its_variable() -> None:
    commands = list(shell.commands("for a in $LIST; do b $a $c; done"))
    assert [command.looped for command in commands] == [["a"]]


def test_what_stands_before_a_command_is_its_own() -> None:
    [command] = shell.commands("A=1 B=$x docker build --build-arg C=2 .")
    assert command.before == {"A": "1", "B": "${x}"}
    assert command.words == ["docker", "build", "--build-arg", "C=2", "."]


@pytest.mark.parametrize(
    ("text", "folders"),
    [
        ("cd a && docker b\ndocker c", ["a", "a"]),
        ("(cd a; docker b)\ndocker c", ["a", ""]),
        ("( cd a && ( cd b; docker c ); docker d ) && docker e", ["a/b", "a", ""]),
        (
            "pushd a\ndocker b\npushd ..\ndocker c\npopd\ndocker d\npopd\ndocker e",
            ["a", "a/..", "a", ""],
        ),
        ("cd a\ncd -\ndocker b", [""]),
        ('cd "$(dirname "$0")/.." && docker b', ["scripts/.."]),
        (
            'D=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)\ncd "$D/x"\ndocker b',
            [f"{FIRM}scripts/x"],
        ),
        ("cd $(git rev-parse --show-toplevel)\ndocker b", [f"{FIRM}."]),
        ("cd $WHERE; docker b", ["${WHERE}"]),
        ("if cd a; then docker b; fi", ["a"]),
    ],
)
def test_a_folder_holds_as_far_as_the_shell_that_moved(text: str, folders: list[str]) -> None:
    found = [one.folder for one in shell.commands(text, "scripts") if one.words[0] == "docker"]
    assert found == folders


def test_each_line_of_a_recipe_has_a_shell_of_its_own() -> None:
    text = "cd a && docker b\ndocker c\n-docker d \\\n  --e\n@+docker f"
    found = commands_of(text, apart=True)
    assert [(one.folder, *one.words) for one in found] == [
        ("a", "docker", "b"),
        ("", "docker", "c"),
        ("", "docker", "d", "--e"),
        ("", "docker", "f"),
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("docker b a#b # c", ["a#b"]),
        ("docker b `# why` \\\n  x", ["x"]),
        ("A=(1 '2 3')\nA+=(--four)\ndocker b \"${A[@]}\" x", ["1", "2 3", "--four", "x"]),
        ('docker b "${A[@]}" x', ["x"]),
        ('A=(y)\ndocker b ${A[@]+"${A[@]}"} x', ["y", "x"]),
        ('O="-a 1"\nO="$O -b"\ndocker b $O', ["-a", "1", "-b"]),
        ("O=\ndocker b $O x", ["x"]),
        ('O=one\ndocker b $O "$O"', ["${O}", "${O}"]),
        ("C='docker b -t \"x y\"'\n$C z", ["-t", "x y", "z"]),
        ("C='docker b x'\neval $C", ["x"]),
        ("${DOCKER:-docker} b x", ["x"]),
        ("$CONTAINER_TOOL b x", ["x"]),
        ("docker b ${A:?why} ${B?}", ["${A}", "${B}"]),
        ("docker b ${A:-$B}", ["${A}"]),
        (
            "docker b ${A//\\//-} ${A,,} ${A^^}",
            ["${A|replace('/', '-')}", "${A|lower}", "${A|upper}"],
        ),
        ("docker b ${A##*/} ${A:1} ${A#v}", ["${A_PART}", "${A_PART_1}", "${A_V}"]),
        ("$(which docker) b x", ["x"]),
        ("`command -v docker` b x", ["x"]),
        ("docker b ~/x '~/y'", ["${HOME}/x", "~/y"]),
        ("docker b $'a' $\"b\" $$ $((1 + 2))", ["a", "b", "$$", "${VALUE}"]),
        ("docker b <(echo x) > /dev/null 2>&1 y &> z", ["y"]),
        ('docker b "$(echo "a)b")" x', ["${ECHO_A_B}", "x"]),
    ],
)
def test_words_of_a_command(text: str, wanted: list[str]) -> None:
    [command] = commands_of(text)
    assert command.words[2:] == wanted


@pytest.mark.parametrize(
    ("rest", "cut"),
    [
        ("#v", "1.2/x.tar.gz"),
        ("%.gz", "v1.2/x.tar"),
        ("%%.*", "v1"),
        ("##*/", "x.tar.gz"),
        ("#*.", "2/x.tar.gz"),
        ("/x/y", "v1.2/y.tar.gz"),
        ("//./-", "v1-2/x-tar-gz"),
        ("//\\//-", "v1.2-x.tar.gz"),
        ("^^", "V1.2/X.TAR.GZ"),
        ("^", "V1.2/x.tar.gz"),
        ("#none", "v1.2/x.tar.gz"),
        (":1:3", "1.2"),
        (":5", "x.tar.gz"),
    ],
)
def test_what_is_told_is_cut_as_the_shell_cuts_it(rest: str, cut: str) -> None:
    [command] = commands_of(f"A=v1.2/x.tar.gz\ndocker b ${{A{rest}}}")
    assert command.words[2:] == [cut]


@pytest.mark.parametrize(
    ("text", "stdin"),
    [
        ("docker b - <<E\nFROM a\nRUN it's\nE\n", "FROM a\nRUN it's\n"),
        ("docker b - <<-'E'\n\tFROM $a\n\tE\n", ""),
        ("docker b - < Dockerfile.x", "<Dockerfile.x"),
        ("docker b - <<< 'FROM a'", "FROM a\n"),
        ("docker b .", ""),
    ],
)
def test_what_a_command_reads(text: str, stdin: str) -> None:
    [command, *_] = commands_of(text)
    assert command.stdin == stdin


def test_texts_below_a_line_are_no_commands() -> None:
    text = "cat <<A <<B\ndocker 1\nA\ndocker 2 'x\nB\ndocker 3\n"
    assert [one.words for one in commands_of(text)] == [["docker", "3"]]


def test_functions_are_filled_in_where_they_are_called() -> None:
    text = """
b() { local n=$1; shift; docker "$n" "$@"; }
function c { docker c; b "$1-x" y; }
b one 2 3
c z
never() { docker "$1"; }
again() { again; docker again; }
main() { docker main; }
main "$@"
"""
    assert [" ".join(one.words[1:]) for one in commands_of(text)] == [
        "one 2 3",
        "c",
        "z-x y",
        "main",
        "again",
        "${ARG1}",
    ]


def test_of_several_values_the_first_stays_and_the_others_are_said() -> None:
    text = 'if a; then T=x; else T=y; fi\nA=(1)\n[ -n "$Q" ] && A+=(2)\ndocker b $T "${A[@]}"'
    [command] = commands_of(text)
    assert command.words[2:] == ["${T}", "1"]
    assert sorted(command.left) == ["A may also be 2", "T may also be y"]


def test_all_branches_of_a_case_are_read() -> None:
    text = "case $1 in\n(a|b) docker a ;;\nc) case x in x) docker c;; esac\n;;\n"
    text += "*) docker d\nesac\ndocker e"
    assert [one.words[1] for one in commands_of(text)] == ["a", "c", "d", "e"]


def test_a_quote_that_does_not_end_takes_one_line() -> None:
    text = "docker a\ndocker 'b\nc() {\n  docker d\n}\ndocker e\n"
    found = [(one.line, one.words) for one in shell.commands(text)]
    assert (2, []) in found
    assert [words for _, words in found if words] == [
        ["docker", "a"],
        ["docker", "d"],
        ["docker", "e"],
    ]


def test_lines_are_those_of_the_file() -> None:
    text = "docker a\n\nif x; then\n  docker b \\\n    c\nfi\ncat <<E\n1\n2\nE\ndocker d\r\n"
    assert [(one.line, one.text) for one in commands_of(text)] == [
        (1, "docker a"),
        (4, "docker b c"),
        (11, "docker d"),
    ]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("f() { docker b x; docker c }\nf\n", [["docker", "b", "x"], ["docker", "c"]]),
        ("f() { docker b }\n", [["docker", "b"]]),
        ("OPTS='--pull $OPTS'\ndocker b $OPTS", [["docker", "b", "--pull", "${OPTS}"]]),
        ("A='-x $B' B='-y $A'\ndocker b $A", [["docker", "b", "-x", "-y", "${A}"]]),
        ("function", []),
        ("function f", []),
        ("function f()", []),
        ("f()", []),
        ("for", []),
        ("case", []),
    ],
)
def test_what_does_not_end_as_it_should(text: str, commands: list[list[str]]) -> None:
    assert [one.words for one in commands_of(text)] == commands


@pytest.mark.parametrize(
    "text", ["(" * 2_000 + "docker b", "docker b " + "${a:-" * 1_500 + "}" * 1_500]
)
def test_what_is_too_deep_is_not_taken_apart(text: str) -> None:
    assert [one.words for one in shell.commands(text)] == [[]]


@pytest.mark.parametrize(
    ("text", "words", "left"),
    [
        ("P=${P:-q}; A=${P:+-p $P}; docker b $A", ["-p", "${P}"], []),
        ("P=q; docker b ${P:+-p $P}", ["-p", "${P}"], []),
        ("A=${P:+-p $P}; docker b $A", [], ["${P:+-p $P}: what it adds where P is set"]),
        ("P=$Q; docker b ${P:+-p}", [], ["${P:+-p}: what it adds where P is set"]),
        ("P=; [ $X ] && P=q; docker b ${P:+-p}", [], ["P may also be q"]),
        ("P=; docker b ${P:+-p}", [], []),
        ("P=-x; docker b ${P:+--y z} c", ["--y", "z", "c"], []),
        ('P=q; docker b "${P:+-p $P}"', ["-p ${P}"], []),
    ],
)
def test_what_is_added_where_a_variable_is_set(
    text: str, words: list[str], left: list[str]
) -> None:
    [command] = commands_of(text)
    assert command.words[2:] == words
    assert command.left == left


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("docker a <<E && docker b < F\n1\nE\n", ["1\n", "<F"]),
        ("docker a <<E | tee log\n1\nE\n", ["1\n"]),
        ("docker a <<A; docker b <<-B\n1\nA\n\t2\n\tB\ndocker c", ["1\n", "2\n", ""]),
        ("docker a && docker b <<E\n1\nE\n", ["", "1\n"]),
    ],
)
def test_a_text_below_a_line_is_read_by_its_own_command(text: str, read: list[str]) -> None:
    assert [one.stdin for one in commands_of(text)] == read


def test_where_there_are_too_many_commands_that_is_said() -> None:
    loops = "".join(f"for a{number} in 0 1 2 3 4 5 6 7 8 9; do " for number in range(6))
    for text in ("docker b .\n" * 2_100, loops + "cd x;" + "done;" * 6):
        *_, last = shell.commands(text)
        assert last.words == []
        assert "too many" in last.text
        assert "docker" in last.text
