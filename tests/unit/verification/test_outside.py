"""Files of other test programs: read as they are, refused with their place where they cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.errors import ConfigError
from buildx_tasks.images.paths import Entry, Tree
from buildx_tasks.language.expectations import Goss, NamedCheck, Verify
from buildx_tasks.machine import yaml_files
from buildx_tasks.planning.cells import Cell
from buildx_tasks.platforms import parse
from buildx_tasks.verification import check, units
from buildx_tasks.verification.checks import (
    goss_resources,
    output,
    structure_files,
    structure_metadata,
)
from buildx_tasks.verification.outside import (
    expanding,
    goregex,
    gossfile,
    matchers,
    structure,
)
from buildx_tasks.verification.outside.matchers import Output
from buildx_tasks.verification.outside.structure import Existence, Metadata, Patterns

if TYPE_CHECKING:
    from pathlib import Path

CST = 'schemaVersion: "2.0.0"\n'


def written(root: Path, text: str, name: str = "t.yaml") -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("pattern", "text", "is_found"),
    [
        ("hello", "say hello\n", True),
        ("^hello$", "hello", True),
        ("^hello$", "hello\n", False),  # Go's $ is the very end
        ("(?m)^b$", "a\nb\nc", True),
        ("(?i)HELLO", "hello", True),
        ("(?s)a.b", "a\nb", True),
        ("a.b", "a\nb", False),
        ("[[:digit:]]{2}", "x42", True),
        ("[[:punct:]]", "]", True),
        ("[^[:space:]]", " \t", False),
        (r"\Qa.b\E+", "axb", False),
        (r"\Qa.b\E+", "a.bb", True),
        (r"\x{41}\x42\103", "ABC", True),
        (r"x\z", "x", True),
        ("[]a]+", "]", True),
        (r"[\d\s.]", "\v", False),
        ("[a&&b]", "&", True),
        (r"(?P<name>\w+) (?:x|y)", "ab y", True),
        (r"\bfoo\b", "a foo b", True),
        (".*Inst.*Security.* | .*Security.*Inst.*", "Inst x Security y ", True),
        (r"^\d{4}-\d{2}-\d{2}T", "2024-01-02T", True),
    ],
)
def test_expressions_find_what_go_finds(pattern: str, text: str, is_found: bool) -> None:
    assert bool(goregex.compiled(pattern).search(text)) is is_found


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)",
        "(?<!a)b",
        r"(a)\1",
        r"\pL",
        "a(?i)b",
        "(?U)a*",
        "[a",
        "a\\",
        "a**",
        "(",
        "[[:nope:]]",
        r"\x{110000}",
        "(?i-s)a",
    ],
)
def test_expressions_that_cannot_be_said_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        goregex.compiled(pattern)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (True, True),
        (42, "42"),
        ("42", 42),
        ("0644", "0644"),
        (["a"], ["a", "b"]),
        (["a", {"have-prefix": "b"}], ["ba", "a"]),
        ({"consist-of": [{"have-prefix": "b"}, "bb"]}, ["bb", "ba"]),
        ({"equal": ["a", "b"]}, ["a", "b"]),
        ({"gt": 1}, "2"),
        ({"le": 2}, 2),
        ({"have-suffix": "c"}, "abc"),
        ({"contain-substring": "b"}, "abc"),
        ({"match-regexp": "^a.c$"}, "abc"),
        ({"have-len": 2}, ["a", "b"]),
        ({"have-key": "a"}, {"a": 1}),
        ({"contain-element": {"have-prefix": "x"}}, ["a", "xy"]),
        ({"not": "a"}, "b"),
        ({"and": [{"ge": 1}, {"lt": 3}]}, 2),
        ({"or": ["a", "b"]}, "b"),
        ("hello", Output("hello\n")),
        (["ell", "!bye", "/^h.*o$/", "!/^x/", ""], Output("hello\nyou")),
        ([r"\!bang"], Output("a !bang")),
        ([{"have-prefix": "you"}], Output("hello\nyou")),
        ({"contain-substring": "o\ny"}, Output("hello\nyou")),
        ([], Output("")),
    ],
)
def test_matchers_that_match(expected: Any, found: Any) -> None:
    assert list(matchers.problems(expected, found)) == []


@pytest.mark.parametrize(
    ("expected", "found", "problem"),
    [
        (True, False, "expected true, got false"),
        (1, True, "expected 1, got true"),
        ("a", "b", 'expected "a", got "b"'),
        (["a", "a"], ["a", "b"], 'expected ["a","a"], got ["a","b"]'),
        ({"consist-of": ["a"]}, ["a", "b"], 'expected {"consist-of":["a"]}, got ["a","b"]'),
        ({"equal": ["b", "a"]}, ["a", "b"], 'expected {"equal":["b","a"]}, got ["a","b"]'),
        ({"gt": 2}, 2, 'expected {"gt":2}, got 2'),
        ({"gt": 2}, "x", 'expected {"gt":2}, got "x"'),
        ({"not": {"have-prefix": "a"}}, "ab", 'expected {"not":{"have-prefix":"a"}}, got "ab"'),
        (["bye"], Output("hello"), 'expected a line with "bye", got "hello"'),
        (["!ell"], Output("a\nhello"), 'expected no line with "ell", got "hello"'),
        (["/^ello/"], Output("hello"), 'expected a line with "/^ello/", got "hello"'),
        (["a"], Output(""), 'expected a line with "a", got ""'),
        ("hell", Output("hello"), 'expected "hell", got "hello"'),
    ],
)
def test_matchers_that_do_not(expected: Any, found: Any, problem: str) -> None:
    assert list(matchers.problems(expected, found)) == [problem]


def test_yaml_keeps_places_and_what_is_written() -> None:
    value = yaml_files.parsed("a: &x {mode: 0644, on: yes}\nb:\n  <<: *x\n  more: [1, 2.50]\n", "f")
    assert value.plain() == {
        "a": {"mode": 420, "on": True},
        "b": {"mode": 420, "on": True, "more": [1, 2.5]},
    }
    assert value.of["a"].of["mode"].text("mode") == "0644"
    assert value.of["b"].of["more"].of[1].text("more") == "2.50"
    assert value.of["b"].of["more"].of[1].place == ("f", 4, 13)


def test_json_is_yaml() -> None:
    assert yaml_files.parsed('{"a": ["b", null, true]}', "f").plain() == {"a": ["b", None, True]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", r"f:1:\d+: it is no YAML: "),
        ("a: 1\na: 2", 'f:2:1: "a" is there twice, and only the last one would count; join them'),
        ("a: 1\n---\nb: 2", "f:3:1: a second document begins here"),
        ("a: !!python/object:os.system x", "f:1:4: the tag tag:yaml.org,2002:python/object"),
        ("a: !x 1", "f:1:4: the tag !x is not known here"),
        ("? [a]\n: b", "f:1:3: a key must be a text"),
        ("a: &b [*b]", "f:1:.*(too much|no YAML)"),
        ("a: \t@", r"f:1:\d+: it is no YAML"),
        ("[" * 3000, "f:1:.*(too deep|too much|no YAML)"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
            + "\n".join(
                f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefg", "bcdefgh")
            ),
            "it says too much",
        ),
    ],
    ids=lambda text: text[:30],
)
def test_yaml_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        yaml_files.parsed(text, "f")


def test_a_whole_file_of_container_structure_test(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    written(
        tmp_path,
        CST
        + """
globalEnvVars: [{key: A, value: "1"}]
containerRunOptions: {user: web, capabilities: [NET_ADMIN], bindMounts: ["data:/mnt:ro"]}
commandTests:
  - {name: one, command: which, args: [-a, 1.50, true], setup: [[touch, /x]], teardown: [[rm, /x]],
     envVars: [{key: B, value: $A}], expectedOutput: ["^a"], excludedError: [b], exitCode: 3}
fileExistenceTests:
  - {name: two, path: /a, permissions: "-rw-r--r--", uid: 0, gid: 5, isExecutableBy: group}
  - {name: two, path: /b, shouldExist: false}
fileContentTests: [{name: three, path: /a, expectedContents: [x]}]
metadataTest: {env: [{key: A, value: b}], cmd: [], user: web, exposedPorts: [8080]}
licenseTests: [{debian: false, files: [/LICENSE]}]
""",
    )
    found = list(structure.tests(tmp_path, "t.yaml"))
    assert found == [
        structure.Command(
            "one",
            ("which", "-a", "1.50", "true"),
            (("touch", "/x"),),
            (("A", "1"), ("B", "$A")),
            Patterns(("^a",)),
            Patterns((), ("b",)),
            3,
            structure.Options("web", "", (), ("NET_ADMIN",), (("data", "/mnt", True),)),
        ),
        Existence("two", "/a", True, "-rw-r--r--", 0, 5, 0o010),
        Existence("two", "/b", False),
        structure.Content("three", "/a", Patterns(("x",))),
        structure.Licenses("licenses 1", False, ("/LICENSE",)),
        Metadata("metadata", env=(("A", "b", False),), cmd=(), ports=("8080",), user="web"),
    ]
    named = [one.name for one in expanding.tests("structure-test", "t.yaml", tmp_path, "cst")]
    assert named == ["one", "two", "two (2)", "three", "licenses 1", "metadata"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("commandTests: []", 't.yaml:1:1: the file has no "schemaVersion"; add it'),
        ('schemaVersion: "1.0.0"', 't.yaml:1:16: only schemaVersion "2.0.0" is known'),
        (CST, "t.yaml:1:1: it has no test"),
        (CST + "comandTests: []", 'knows no "comandTests"; did you mean "commandTests"\\?$'),
        (CST + "commandTests: {a: b}", "t.yaml:2:15: .*must be a list"),
        (CST + "commandTests: [{command: a}]", 't.yaml:2:16: a command test has no "name"'),
        (CST + "commandTests: [{name: a}]", 't.yaml:2:16: a command test has no "command"'),
        (CST + "commandTests: [{name: a, command: [b]}]", '2:35: "command" is one word'),
        (CST + "commandTests: [{name: a, command: b, exitCode: x}]", "2:48: .*whole number"),
        (
            CST + 'commandTests: [{name: a, command: b, expectedOutput: ["(?=a)"]}]',
            "2:55: .*Go has no",
        ),
        (
            CST + "commandTests: [{name: a, command: b, setup: [[]]}]",
            "2:46: a command of setup is empty",
        ),
        (
            CST + "fileExistenceTests: [{name: a, path: /b, permissions: 0644}]",
            "no permission string",
        ),
        (
            CST + "fileExistenceTests: [{name: a, path: /b, isExecutableBy: me}]",
            "write owner, group",
        ),
        (
            CST + "fileExistenceTests: [{name: a, path: /b, shouldExist: false, uid: 0}]",
            "remove them",
        ),
        (CST + "fileContentTests: [{name: a, path: /b}]", "it expects nothing"),
        (CST + "licenseTests: [{debian: false}]", "it names no files"),
        (
            CST + "containerRunOptions: {privileged: true}",
            '"privileged" of .* is not supported here',
        ),
        (CST + "containerRunOptions: {allocateTty: true}", '"allocateTty" of .* is not supported'),
        (
            CST + "containerRunOptions: {envVars: [NO_SUCH_VARIABLE]}",
            "2:33: NO_SUCH_VARIABLE is not set",
        ),
        (CST + "containerRunOptions: {envFile: nope}", "2:32: it cannot be read: No such file"),
        (
            CST + 'containerRunOptions: {bindMounts: ["/etc:/x"]}',
            "/etc is not in the project's folder",
        ),
        (
            CST + "metadataTest: {labels: [{key: a, value: '(', isRegex: true}]}",
            "2:41: .*correct it",
        ),
    ],
)
def test_what_is_not_supported_is_named_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        list(structure.tests(written(tmp_path, text), "t.yaml"))


def test_files_that_are_not_there_or_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^x.yaml:1:1: it cannot be read: No such file"):
        list(structure.tests(tmp_path, "x.yaml"))
    with pytest.raises(ConfigError, match="not in the project's folder"):
        list(structure.tests(tmp_path, "../x.yaml"))
    (tmp_path / "b").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="no text in UTF-8"):
        gossfile.resources(tmp_path, "b")


def test_variables_are_filled_in_as_far_as_they_are_known() -> None:
    assert structure.filled("$A ${B}$C $", {"A": "1", "B": "2"}) == "1 2$C $"


def test_secrets_are_passed_on_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hush")
    (tmp_path / "env").write_text("# a comment\nA=1\nTOKEN\n")
    text = CST + "containerRunOptions: {envFile: env, envVars: [TOKEN]}\nmetadataTest: {user: a}\n"
    written(tmp_path, text + "commandTests: [{name: a, command: b}]\n")
    (command, _) = structure.tests(tmp_path, "t.yaml")
    assert isinstance(command, structure.Command)
    assert "hush" not in repr(command)
    assert structure.passed(command.options, tmp_path) == {"A": "1", "TOKEN": "hush"}


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (Entry("/a", "file", 0o644), "-rw-r--r--"),
        (Entry("/a", "directory", 0o1777), "dtrwxrwxrwx"),
        (Entry("/a", "symlink", 0o777), "Lrwxrwxrwx"),
        (Entry("/a", "file", 0o4755), "urwxr-xr-x"),
        (Entry("/a", "file", 0o6711), "ugrwx--x--x"),
        (Entry("/a", "character device", 0o666), "Dcrw-rw-rw-"),
        (Entry("/a", "block device", 0o600), "Drw-------"),
        (Entry("/a", "pipe", 0o600), "prw-------"),
    ],
)
def test_permissions_as_go_writes_them(entry: Entry, text: str) -> None:
    assert structure_files.permissions(entry) == text


TREE = Tree()
for one in (
    Entry("/a", "file", 0o640, 5, 6, 3, first="/a"),
    Entry("/link", "symlink", 0o777, link="/a"),
    Entry("/dir", "directory"),
):
    TREE.add(one)


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (Existence("n", "/a", True, "-rw-r-----", 5, 6), []),
        (Existence("n", "/link", permissions="Lrwxrwxrwx"), []),
        (Existence("n", "/dir/", executable=0o111), []),
        (Existence("n", "/none", False), []),
        (Existence("n", "/"), []),
        (Existence("n", "/etc/hosts"), []),
        (
            Existence("n", "/etc/hosts", uid=0),
            ["/etc/hosts is made by the engine, and the image's own is not to be seen"],
        ),
        (Existence("n", "/none"), ["nothing is at /none; / is there and holds a, dir, link"]),
        (Existence("n", "/a", False), ["/a is there (file), expected nothing"]),
        (
            Existence("n", "/a", permissions="-rw-r--r--"),
            ["/a has permissions -rw-r-----, expected -rw-r--r--; chmod it"],
        ),
        (
            Existence("n", "/a", executable=0o100),
            ["/a has permissions -rw-r-----, expected executable by its owner"],
        ),
        (
            Existence("n", "/a", uid=0, gid=0),
            [
                "/a belongs to user 5, expected 0; chown it",
                "/a belongs to group 6, expected 0; chown it",
            ],
        ),
    ],
)
def test_what_is_at_a_path(spec: Existence, problems: list[str]) -> None:
    assert list(structure_files.StructureVisitor(spec).found(TREE).problems) == problems


CONFIG = {
    "Env": ["A=b", "C=1=2"],
    "Cmd": ["x"],
    "Labels": {"l": "2024-01"},
    "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
    "Volumes": {"/data": {}},
    "WorkingDir": "/w",
    "User": "web",
}


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (Metadata(env=(("A", "b", False), ("C", "^1=", True)), unset=("D",)), []),
        (
            Metadata(
                labels=(("l", r"^\d{4}", True),),
                cmd=("x",),
                entrypoint=(),
                workdir="/w",
                user="web",
            ),
            [],
        ),
        (
            Metadata(
                ports=("8080", "53/udp"), no_ports=("80",), volumes=("/data",), no_volumes=("/x",)
            ),
            [],
        ),
        (
            Metadata(env=(("A", "c", False),), unset=("A",)),
            ['env A: expected "c", got "b"', "env A is set, expected not to be"],
        ),
        (
            Metadata(labels=(("m", "x", False), ("l", "x$", True))),
            [
                'label m: expected "x", got nothing',
                'label l: expected to match "x$", got "2024-01"',
            ],
        ),
        (
            Metadata(cmd=(), workdir="/"),
            ['cmd: expected [], got ["x"]', 'workdir: expected "/", got "/w"'],
        ),
        (
            Metadata(ports=("80",), no_volumes=("/data",)),
            [
                "port 80 is not declared; the image has 53, 53/udp, 8080, 8080/tcp",
                "volume /data is declared, expected not to be",
            ],
        ),
    ],
)
def test_metadata(spec: Metadata, problems: list[str]) -> None:
    assert list(structure_metadata.compare(CONFIG, spec)) == problems


def test_outputs_are_compared_with_expressions_of_go() -> None:
    wanted: Any = Patterns(("^a$", "b"), ("c",))
    assert output.problems("stdout", wanted, "a\nc") == [
        'stdout: expected to match "^a$", got "a\\nc"',
        'stdout: expected to match "b", got "a\\nc"',
        'stdout: expected no match of "c", got "c"',
    ]


def test_a_file_of_goss_and_those_that_it_takes_in(tmp_path: Path) -> None:
    written(tmp_path, "process: {web: {running: true, skip: true}}", "t/goss.d/a.yaml")
    written(
        tmp_path,
        "gossfile: {goss.d/*.yaml: {}, b: {file: x.yaml, skip: true}}\n"
        "file: {/a: {exists: true, contains: [x], title: t, meta: {a: 1}}}\n"
        "command: {c: {exec: 'echo 1', exit-status: 0, stdout: [], timeout: 100}}",
        "t/goss.yaml",
    )
    written(tmp_path, "port: {'tcp:80': {listening: true}}", "t/goss_wait.yaml")
    found = gossfile.resources(tmp_path, "t/goss.yaml")
    assert found == [
        gossfile.Resource(
            "process", "web", "web", {"running": True}, {}, "t/goss.d/a.yaml says skip"
        ),
        gossfile.Resource("file", "/a", "/a", {"exists": True, "contents": ["x"]}, {}),
        gossfile.Resource("command", "c", "echo 1", {"exit-status": 0}, {"timeout": 100}),
    ]
    checks = expanding.tests("goss", Goss(file="t/goss.yaml"), tmp_path, "g")
    assert [(one.name, bool(one.skip)) for one in checks] == [
        ("process web", True),
        ("file /a", False),
        ("command c", False),
    ]
    assert checks[0].spec.wait[0].kind == "port"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "t.yaml:1:1: it has no test"),
        (
            "service: {a: {running: true}}",
            '1:10: "service" is not supported here: a container has no init system',
        ),
        ("dns: {'MX:a.b': {resolvable: true}}", "addresses are asked for, of a name"),
        ("dns: {a: {resolvable: true, server: 8.8.8.8}}", '"server" of .* is not supported'),
        ("mount: {/: {exists: true, usage: {lt: 95}}}", '"usage" of .* is not supported'),
        ("mount: {data: {exists: true}}", "no path that begins with /"),
        ("kernel-param: {../x: {value: '1'}}", "no parameter"),
        ("kernel-param: {a..b: {value: '1'}}", "no parameter"),
        ("interface: {'a/b': {exists: true}}", "no interface"),
        ("files: {/a: {exists: true}}", 'knows no "files"; did you mean "file"'),
        ("file: {/a: {}}", '1:12: file /a has no "exists"; add it'),
        (
            "file: {/a: {exists: true, moed: x}}",
            '1:33: file /a knows no "moed"; did you mean "mode"',
        ),
        ("file: {a: {exists: true}}", "no path that begins with /"),
        ("file: {/a: {exists: true, mode: {}}}", "a matcher has one word"),
        ("file: {/a: {exists: true, size: {gt: x}}}", '"gt" takes a number'),
        ("file: {/a: {exists: true, mode: {match-regexp: '('}}}", "correct it"),
        ("file: {/a: {exists: true, contents: ['/(?=a)/']}}", "1:38: .*Go has no such group"),
        (
            "file: {/a: {exists: true, size: {semver-constraint: '>1'}}}",
            "semver-constraint.*not supp",
        ),
        ("command: {a: {exit-status: 0, timeout: 0}}", "timeout is in milliseconds"),
        ("http: {'https://localhost': {status: 200}}", "only http://localhost is asked"),
        ("http: {'http://example.com': {status: 200}}", "only http://localhost is asked"),
        (
            "http: {'http://localhost': {status: 200, ca-file: x}}",
            '"ca-file" of .* is not supported',
        ),
        ("addr: {'tcp://localhost': {reachable: true}}", "has no port"),
        ("addr: {'tcp://localhost:99999': {reachable: true}}", "is no address: Port out of range"),
        ("http: {'http://[x/': {status: 200}}", "is no address: Invalid IPv6 URL"),
        ("addr: {'udp://localhost:1': {reachable: true}}", "only tcp://localhost is asked"),
        ("port: {'sctp:1': {listening: true}}", "no port; write it as in tcp:8080"),
        ("matching: {a: {matches: 1}}", 'no "content"'),
        ("gossfile: {'none*.yaml': {}}", r"no file is at none\*.yaml"),
        ("gossfile: {'t.yaml': {}}", "take in each other without end"),
        ("gossfile: {'/etc/passwd': {}}", "not in the project's folder"),
        ("file:\n  {{ .Vars.path }}:\n    exists: true", "2:3: templates are not supported here"),
    ],
)
def test_what_goss_knows_and_we_do_not_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        gossfile.resources(written(tmp_path, text), "t.yaml")


class Box:
    """Answers as a container would."""

    def entry(self, _path: str) -> None:
        return None

    def processes(self) -> list[str]:
        return ["nginx", "a-name-of-fifte"]

    def listening(self, protocol: str) -> dict[int, list[str]]:
        return {80: ["::"]} if protocol == "tcp6" else {}

    def packages(self) -> dict[str, list[str]]:
        return {"curl": ["8.1-2"]}


@pytest.mark.parametrize(
    ("kind", "name", "compared", "problems"),
    [
        ("process", "nginx", {"running": True}, []),
        ("process", "a-name-of-fifteen", {"running": True}, []),
        ("process", "x", {"running": False}, []),
        (
            "process",
            "x",
            {"running": True},
            ["running: expected true, got false", "it runs a-name-of-fifte, nginx"],
        ),
        ("port", "tcp6:80", {"listening": True, "ip": ["::"]}, []),
        (
            "port",
            "80",
            {"listening": True, "ip": ["::"]},
            ["listening: expected true, got false", "tcp6:80 is listened on; write that"],
        ),
        ("package", "curl", {"installed": True, "versions": ["8.1-2"]}, []),
        (
            "package",
            "curl",
            {"installed": True, "versions": ["9"]},
            ['versions: expected ["9"], got ["8.1-2"]'],
        ),
        ("package", "wget", {"installed": False, "versions": ["1"]}, []),
        ("file", "/a", {"exists": False, "mode": "0644"}, []),
        ("file", "/a", {"exists": True, "mode": "0644"}, ["exists: expected true, got false"]),
    ],
)
def test_resources(kind: str, name: str, compared: dict[str, Any], problems: list[str]) -> None:
    box: Any = Box()
    resource = gossfile.Resource(kind, name, name, compared, {})
    assert goss_resources.problems(box, resource) == problems


def test_each_test_of_a_file_is_a_check_of_the_cell(tmp_path: Path) -> None:
    written(tmp_path, CST + "commandTests: [{name: a, command: b}]", "arm64.yaml")
    written(tmp_path, "file: {/a: {exists: true}, /b: {exists: true, skip: true}}", "goss.yaml")
    verify = Verify(
        check=[
            NamedCheck(name="cst", structure_test="{arch}.yaml", skip={"linux/amd64": "no"}),
            NamedCheck(name="both", goss="goss.yaml", structure_test="arm64.yaml"),
        ]
    )
    found = check.of_cell(verify, Cell("app", parse("linux/arm64")), "tag", tmp_path)
    assert [(one.name, one.kind, one.skip) for one in found] == [
        ("cst: a", "structure-test", ""),
        ("both: structure-test: a", "structure-test", ""),
        ("both: goss: file /a", "goss", ""),
        ("both: goss: file /b", "goss", "goss.yaml says skip"),
    ]
    written(tmp_path, CST + "commandTests: [{name: a, command: b}]", "amd64.yaml")
    found = check.of_cell(verify, Cell("app", parse("linux/amd64")), "tag", tmp_path)
    assert found[0].skip == "no"


def test_what_a_file_says_is_part_of_the_verdict_s_hash(tmp_path: Path) -> None:
    verify = Verify(check=[NamedCheck(name="cst", structure_test="t.yaml")])
    hashes = []
    for text in ("a", "a", "b"):
        written(tmp_path, CST + f"commandTests: [{{name: n, command: {text}}}]")
        listed = check.of_cell(verify, Cell("app", parse("linux/arm64")), "tag", tmp_path)
        hashes.append(units.hash_of(listed, units.Mounted(tmp_path)))
    assert hashes[0] == hashes[1] != hashes[2]
    goss = Verify(check=[NamedCheck(name="goss", goss=Goss(file="g.yaml", env={"A": "1"}))])
    for text in ("/a", "/b"):
        written(tmp_path, f"file: {{{text}: {{exists: true}}}}", "g.yaml")
        listed = check.of_cell(goss, Cell("app", parse("linux/arm64")), "tag", tmp_path)
        hashes.append(units.hash_of(listed, units.Mounted(tmp_path)))
    assert len(set(hashes)) == 4
