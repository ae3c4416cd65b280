from __future__ import annotations

import hashlib
from typing import Any

import pytest

from buildx_tasks.language.expectations import File
from buildx_tasks.verification.checks.files import FilesVisitor
from buildx_tasks.verification.walk import look

from .test_filesystem import ENGINE_MADE, archive, chunks, folder, hard_link, symlink

OS_RELEASE = b'NAME="Tiny"\nVERSION=1.2\n'
IMAGE: dict[str, Any] = {
    **ENGINE_MADE,
    "app": folder(0o700),
    "app/big": b"x" * 200_000 + b"needle" + b"y" * 100_000,
    "app/empty": b"",
    "app/hello": {"content": b"\x7fELF\x02", "mode": 0o4755, "uid": 65532, "gid": 65532},
    "app/link": symlink("hello"),
    "app/nowhere": symlink("/none"),
    "app/twin": hard_link("app/big"),
    "bin": symlink("usr/bin"),
    "etc/group": b"root:x:0:\nnonroot:x:65532:\nusers:x:100:me\n",
    "etc/os-release": symlink("../usr/lib/os-release"),
    "etc/passwd": b"root:x:0:0::/:/bin/sh\nnonroot:x:65532:65532::/:\nnonroot:x:1:1::/:\nodd\n",
    "usr": folder(),
    "usr/bin": folder(),
    "usr/bin/tool": {"content": b"tool", "mode": 0o755},
    "usr/lib": folder(),
    "usr/lib/os-release": OS_RELEASE,
}
ARCHIVE = archive(IMAGE)


def found_in(spec: dict[str, File], data: bytes = ARCHIVE) -> Any:
    (found,) = look(lambda: chunks(data, 7000), [FilesVisitor(spec)])
    return found


def problems(path: str, data: bytes = ARCHIVE, **said: Any) -> list[str]:
    return list(found_in({path: File(**said)}, data).problems)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/app/hello", {}),
        ("/app/hello", {"type": "file", "mode": "4755", "owner": "65532", "size": "5B"}),
        ("/app/hello", {"owner": "nonroot", "size": 5}),
        ("/app/hello", {"owner": "nonroot:nonroot"}),
        ("/app/hello", {"owner": "nonroot:65532"}),
        ("/app/hello", {"owner": ":nonroot"}),
        ("/app/hello", {"sha256": sha256(b"\x7fELF\x02"), "contains": ["ELF"]}),
        ("/app", {"type": "directory", "mode": "0700", "owner": "root:root"}),
        ("/app/link", {"type": "symlink", "link": "hello", "mode": "4755", "owner": "nonroot"}),
        ("/app/link", {"sha256": sha256(b"\x7fELF\x02")}),
        ("/app/nowhere", {"type": "symlink"}),
        ("/app/nowhere", {"link": "/none"}),
        ("/app/helo", {"exists": False}),
        ("/app/*.conf", {"exists": False}),
        ("/app/empty", {"size": 0, "sha256": sha256(b""), "matches": "^$"}),
        ("/app/twin", {"contains": ["needle", "xxneedleyy"]}),
        ("/app/*i*", {}),
        ("/bin/tool", {"contains": ["tool"], "mode": "755"}),
        ("/bin/t*", {"contains": ["tool"], "type": "file"}),
        ("/etc/os-release", {"contains": ['NAME="Tiny"'], "matches": r"(?m)^VERSION=1\.\d$"}),
        ("/usr/**", {"owner": "root"}),
    ],
)
def test_what_is_as_expected(path: str, said: dict[str, Any]) -> None:
    assert problems(path, **said) == []


@pytest.mark.parametrize(
    ("path", "said", "problem"),
    [
        ("/app/helo", {}, "nothing is at /app/helo; did you mean /app/hello?"),
        ("/app/*.so", {}, "nothing matches /app/*.so; /app is there and holds big, empty, hello, "),
        ("/app/hello", {"exists": False}, "/app/hello is there (file), expected nothing"),
        ("/app/nowhere", {"exists": False}, "/app/nowhere is there (symlink), expected nothing"),
        ("/app/nowhere", {}, "/app/nowhere links to /none, which is not in the image"),
        (
            "/app/nowhere",
            {"type": "symlink", "contains": ["x"]},
            "/app/nowhere links to /none, which is not in the image",
        ),
        ("/app/hello", {"type": "directory"}, "/app/hello is a file, expected a directory"),
        ("/app/link", {"type": "file"}, "/app/link is a symlink to hello, expected a file"),
        (
            "/app/hello",
            {"mode": "0755"},
            "/app/hello has mode 4755, expected 0755; chmod it, or COPY --chmod=0755",
        ),
        (
            "/app/link",
            {"mode": "755"},
            "/app/link (a link to /app/hello) has mode 4755, expected 0755; "
            "chmod it, or COPY --chmod=0755",
        ),
        (
            "/app/hello",
            {"owner": "root"},
            "/app/hello belongs to user nonroot (65532), expected root (0); "
            "chown it, or COPY --chown",
        ),
        (
            "/app/hello",
            {"owner": "65532:users"},
            "/app/hello belongs to group nonroot (65532), expected users (100); ",
        ),
        (
            "/app/hello",
            {"owner": "7:65532"},
            "/app/hello belongs to user 65532, expected 7; ",
        ),
        (
            "/app/hello",
            {"owner": "me"},
            "/app/hello: expected user me, which is not in the image's /etc/passwd (nonroot, root); "
            "write its number",
        ),
        (
            "/app/hello",
            {"owner": "0:me"},
            "/app/hello belongs to user nonroot (65532), expected root (0); ",
        ),
        ("/app/link", {"link": "/app/hello"}, "/app/link links to hello, expected /app/hello"),
        ("/app/hello", {"link": "x"}, "/app/hello is a file, expected a symbolic link to x"),
        (
            "/app/big",
            {"size": "0.3MB"},
            "/app/big has 300.0 kB (300,006 bytes), expected 300.0 kB at most",
        ),
        ("/app", {"size": 1}, "/app is a directory, expected a file of 1 at most"),
        (
            "/usr/bin/tool",
            {"sha256": "0" * 64},
            f"/usr/bin/tool has sha256 {sha256(b'tool')}, expected {'0' * 64}",
        ),
        ("/app", {"contains": ["x"]}, "/app is a directory, which has no content to compare; "),
        (
            "/etc/os-release",
            {"contains": ["Tiny", "Huge"]},
            '/etc/os-release (a link to /usr/lib/os-release) does not contain "Huge"; '
            'it begins "NAME="Tiny""',
        ),
        (
            "/app/hello",
            {"matches": "x+"},
            '/app/hello has no match of "x+"; it begins "\\x7fELF\\x02"',
        ),
        ("/app/empty", {"contains": ["x"]}, '/app/empty does not contain "x"; it is empty'),
        (
            "/etc/hosts",
            {"contains": ["localhost"]},
            "/etc/hosts cannot be checked: the engine makes it in every container, so the image's "
            "own is not to be seen; remove it from files, or look at it in a run",
        ),
        ("/proc/", {"exists": False}, "/proc cannot be checked: "),
    ],
)
def test_each_reason(path: str, said: dict[str, Any], problem: str) -> None:
    assert problems(path, **said)[0].startswith(problem)


def test_each_reason_comes_alone() -> None:
    spec = {
        "/app/hello": File(type="file", mode="0755", owner="nonroot", size="1MB", contains=["ELF"]),
        "/app/none": File(exists=False),
    }
    assert found_in(spec).problems == (
        "/app/hello has mode 4755, expected 0755; chmod it, or COPY --chmod=0755",
    )
    spec["/app/hello"] = File(mode="4755")
    assert found_in(spec).facts == ("2 paths as expected",)


def test_all_paths_of_a_glob_are_looked_at() -> None:
    got = problems("/app/*", owner="nonroot")
    assert [problem.split()[0] for problem in got] == [
        "/app/big",
        "/app/empty",
        "/app/nowhere",
        "/app/twin",
    ]
    many = archive({f"f{number:02}": b"" for number in range(30)})
    got = problems("/**", many, exists=False)
    assert len(got) == 11
    assert got[-1] == "20 more problems in the 30 paths of /**"


def test_users_are_found_through_links() -> None:
    image = {
        "etc": folder(),
        "etc/passwd": symlink("../usr/passwd"),
        "x": {"content": b"", "uid": 5},
        "usr": folder(),
        "usr/passwd": b"five:x:5:5\n",
    }
    assert problems("/x", archive(image), owner="five") == []
    assert problems("/x", archive({"x": b""}), owner="root:root") == []
    (problem,) = problems("/x", archive({"x": b""}), owner="five")
    assert problem.startswith(
        "/x: expected user five, which is not in the image's /etc/passwd (root);"
    )


def test_one_content_answers_many_questions() -> None:
    spec = {
        "/etc/os-release": File(contains=["Tiny"]),
        "/usr/lib/os-release": File(sha256=sha256(OS_RELEASE)),
        "/usr/lib/*": File(matches="VERSION"),
        "/usr/**": File(size="1kB", type=None),
    }
    assert found_in({**spec, "/usr/**": File(owner="root")}).problems == ()


def test_a_text_is_found_wherever_it_is_cut() -> None:
    image = archive({"x": bytes(65530) + b"needle-and-thread" + bytes(65530)})
    assert problems("/x", image, contains=["needle-and-thread", "thread", "needle"]) == []
    assert len(problems("/x", image, contains=["needle-and-threads"])) == 1


def test_regular_expressions_are_not_searched_in_huge_files() -> None:
    image = archive({"x": bytes(17_000_000) + b"end"})
    assert problems("/x", image, contains=["end"]) == []
    assert problems("/x", image, matches="end") == [
        "/x has 17.0 MB, and matches searches files of 16.0 MB at most; use contains or sha256"
    ]


def test_marks_of_lines_and_expressions_that_a_placeholder_spoiled() -> None:
    # As in output: ^ and $ match at lines.
    assert problems("/etc/os-release", matches="^VERSION=1.2$") == []
    spec = {"/etc/*": File(matches="linux/[("), "/app": File(mode="0700")}
    assert found_in(spec).problems[0] == (
        '/etc/*: "linux/[(" is no regular expression: unterminated character set at position 6; '
        "correct it"
    )
    assert sum("regular" in problem for problem in found_in(spec).problems) == 1
    assert not any("no match" in problem for problem in found_in(spec).problems)
