"""Containers, Dockerfiles and git that say what they should not: seen in whole, acting on nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from .conftest import docker

if TYPE_CHECKING:
    from conftest import Project

ACTING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\x1b(?!\\[[0-9;]*m)"
)
COMMAND = re.compile(r"^\s*::|##\[", re.MULTILINE)
SAYS = (
    r"\033]0;title\007 \033[6n \033c \000 \342\200\256over"
    r"\n::error::taken\n##[error]taken\n\r::set-output name=a::b\n</script><script>x</script>\n"
)
TOML = '''
[target.app]
dockerfile-inline = """
FROM alpine:3.22
RUN : {name} && printf '{says}' && printf '{says}' >&2
LABEL title="a\\u202eb"
CMD printf '{says}'; printf '{says}' >&2; touch "$(printf '/a\\\\033]0;b\\\\007')"; exit 3
"""
platforms = ["linux/amd64"]
tags = ["{name}:v1"]
verify.run.stdout = "good"
verify.files."/etc/*" = {{ owner = "nobody" }}
'''

# A process of its own: the most that a child took begins with what its parent had when it started it,
# and one that runs many tests has hundreds of megabytes.
MEASURING = """
import os, pathlib, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, took = os.wait4(process.pid, 0)
pathlib.Path("most").write_text(str(took.ru_maxrss))
sys.exit(os.WEXITSTATUS(status))
"""


def harmless(text: str) -> bool:
    return not ACTING.search(text) and not COMMAND.search(text)


def test_what_a_dockerfile_and_a_container_say_acts_on_nothing(project: Project, name: str) -> None:
    project.write(TOML.format(says=SAYS.replace("\\", "\\\\"), name=name))
    built = project.invoke("build", "--progress", "plain")
    assert built.returncode == 0, built.stderr
    assert "\\u001b]0;title\\u0007" in built.stderr
    # Each of its lines has BuildKit's own words before it.
    assert not ACTING.search(built.stdout + built.stderr.replace("\x1b[6n", ""))
    files = ("--junit", "all.xml", "--json", "all.json", "--html", "all.html")
    found = project.invoke("verify", *files)
    assert found.returncode == 1
    assert harmless(found.stdout + found.stderr)
    assert "::error::taken" in found.stdout
    for file in ("all.xml", "all.html"):
        assert not ACTING.search((project.folder / file).read_text())
    assert (
        "::error::taken"
        in json.loads((project.folder / "all.json").read_text())["results"][0]["checks"][0][
            "stdout"
        ]
    )
    inspected = project.invoke("inspect")
    assert harmless(inspected.stdout + inspected.stderr)
    docker("image", "rm", "--force", f"{name}:v1")


def test_a_gigabyte_in_one_line_fills_no_memory(project: Project, name: str) -> None:
    project.write(f'''
[target.app]
dockerfile-inline = """
FROM alpine:3.22
CMD ["sh", "-c", "head -c 1000000000 /dev/zero; head -c 1000000000 /dev/zero | tr '\\\\0' x"]
"""
platforms = ["linux/amd64"]
tags = ["{name}:v1"]
verify.run.stdout = "good"
''')
    project.ok("build", "--progress", "quiet")
    before = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", MEASURING, *project.command("verify", "--html", "all.html")],
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout
    said = process.stdout.read()
    process.stdout.close()
    assert process.wait() == 1
    assert time.monotonic() - before < 60
    assert len(said) < 100_000
    assert b"\0" not in said
    assert int((project.folder / "most").read_text()) < 200 * 1024  # KiB
    docker("image", "rm", "--force", f"{name}:v1")


def test_git_says_nothing_that_acts_and_starts_nothing(project: Project) -> None:
    """A folder that a stranger made may be a repository itself, whose settings start programs."""
    folder = project.folder
    subprocess.run(["git", "init", "--quiet", "--bare", "."], cwd=folder, check=True)
    (folder / "config").write_text(
        "[core]\n repositoryformatversion = 0\n bare = false\n worktree = .\n"
        f' fsmonitor = "touch {folder}/taken; false"\n'
    )
    project.write(
        '[target.app]\ntags = ["app:${git.describe:-none}", "app:${git.branch:-none}"]\n'
        'metadata.images = ["localhost:5000/app"]\n'
    )
    subprocess.run(["git", "status"], cwd=folder, capture_output=True, check=False)
    assert (folder / "taken").exists()  # or this tries nothing
    (folder / "taken").unlink()
    for command in ("plan", "--dry build"):
        result = project.invoke(*command.split())
        assert harmless(result.stdout + result.stderr)
        assert "Traceback" not in result.stderr
    assert not (folder / "taken").exists()
