"""``lint --fix`` and ``init --dockerfile``: what is written is checked, built and verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .conftest import ROOT, docker

if TYPE_CHECKING:
    from conftest import Project

TOML = '''
[target.app]
platforms = ["linux/amd64", "linux/arm64", "linux/riscv64"]
tags = ["NAME:v1"]
[target.app.verify]
binaries = { paths = ["/app/hello"], static = true }
run = { stdout = "Hello, {platform}!" }
index = {}
[target.written]
dockerfile-inline = """FROM golang:1.24-alpine AS b
RUN go build -o /x x.go
FROM scratch
COPY --from=b /x /
"""
platforms = ["linux/arm64"]
'''
LANGUAGES = {
    "rust": {"Cargo.toml": '[package]\nname = "tool"\n', "src/main.rs": "fn main() {}\n"},
    "c": {"CMakeLists.txt": "add_executable(tool main.c)\n"},
    "node": {"package.json": '{"scripts": {"build": "tsc"}}'},
    "python": {"pyproject.toml": '[project]\nname = "tool"\n'},
}


def test_what_is_fixed_is_shown_first_then_written_built_and_verified(
    project: Project, name: str
) -> None:
    for file in ("Dockerfile", "go.mod", "main.go"):
        (project.folder / file).write_text((ROOT / "go-sample" / file).read_text())
    project.write(TOML.replace("NAME", name))
    assert "EmulatedCompile" in project.invoke("lint", "-t", "app").stdout
    beside = '[target.dev]\ntarget = "builder"\n[target.here]\ntags = ["here:v1"]\n'
    project.write(beside, "buildx.both.toml")
    said = project.ok("lint", "--fix", "-t", "app", "-o", "both")
    assert "app would have it fixed in another way than dev\n" in said
    shown = project.invoke("lint", "--fix")
    assert shown.returncode == 0, shown.stderr
    assert "+FROM --platform=$BUILDPLATFORM golang:1.24-alpine AS builder" in shown.stdout
    assert (
        "[target.written] dockerfile-inline:1 is left alone: it is in the project's file"
        in shown.stdout
    )
    assert shown.stderr.endswith("nothing is written yet: --yes writes it\n")
    assert "BUILDPLATFORM" not in (project.folder / "Dockerfile").read_text()
    done = project.ok("lint", "--fix", "--yes", "-t", "app")
    assert done.endswith("wrote Dockerfile; now invoke build verify\n")
    assert project.ok("lint", "--fix", "-t", "app") == "nothing to fix\n"
    assert project.ok("lint", "-t", "app") == "nothing found\n"
    done = project.ok("build", "-t", "app", "--progress", "quiet", "verify")
    assert done.endswith("4 of 4 ok\n")
    docker("image", "rm", f"{name}:v1")
    for flags, message in (
        (["--yes"], "--yes writes what --fix shows"),
        (["--fix", "--format", "json"], "--fix shows a diff; leave --format out"),
    ):
        wrong = project.invoke("lint", *flags)
        assert wrong.returncode == 2
        assert message in wrong.stderr


def test_buildkit_finds_nothing_in_what_init_writes(project: Project) -> None:
    """Their bases are not everywhere to be had: another image stands in, for nothing is run."""
    text = ""
    for language, files in LANGUAGES.items():
        folder = project.folder / language
        for file, content in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(content)
        made = project.invoke("init", "--dockerfile", language, "--yes", folder=language)
        assert made.returncode == 0, made.stderr
        lines = (folder / "Dockerfile").read_text().splitlines()
        bases = {
            line.split()[-3] if " AS " in line else line.split()[-1]
            for line in lines
            if line.startswith("FROM")
        }
        named = ", ".join(f'"{base}" = "docker-image://alpine:3.22"' for base in sorted(bases))
        text += (
            f'[target.{language}]\ncontext = "{language}"\n'
            f'platforms = ["linux/amd64", "linux/arm64"]\ncontexts = {{ {named} }}\n'
        )
        (folder / "buildx.toml").unlink()
        (folder / "tasks.py").unlink()
    project.write(text)
    assert project.ok("lint") == "nothing found\n"
