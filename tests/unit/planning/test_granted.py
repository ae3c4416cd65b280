"""What a stranger's buildx.toml would be given is seen before anything is built."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Project

TOML = """
[target.quiet]
tags = ["quiet:v1"]
[target.base]
entitlements = ["security.insecure"]
[target.app]
context = "../elsewhere"
contexts = { base = "target:base" }
entitlements = ["network.host"]
secret = ["id=token,env=TOKEN", "id=key,src=key.txt"]
ssh = ["default", "deploy=id_deploy"]
output = ["type=local,dest=../out"]
"""


def test_plan_prints_what_build_grants(project: Project) -> None:
    project.write(TOML)
    (project.folder / "key.txt").write_text("never to be seen")
    (project.folder / "id_deploy").write_text("nor this")
    (project.folder.parent / "elsewhere").mkdir(exist_ok=True)
    env = {"TOKEN": "nor that", "DOCKER_HOST": "unix:///nowhere"}
    text = project.ok("plan", env=env)
    above = project.folder.parent
    wanted = {
        "base": ["security.insecure"],
        "app": [
            "network.host",
            "security.insecure",
            f"fs.read={above}/elsewhere",
            f"fs.read={above}/elsewhere/Dockerfile",
            f"fs.write={above}",
            "secret token (variable TOKEN)",
            "secret key (file key.txt)",
            "ssh default (the agent of SSH_AUTH_SOCK)",
            "ssh deploy (id_deploy)",
        ],
    }
    lines = sorted(line for line in text.splitlines() if line.startswith("build grants"))
    expected = [f"build grants {name}: {', '.join(words)}" for name, words in wanted.items()]
    assert lines == sorted(expected)
    printed = project.ok("plan", "--format", "json", env=env)
    assert json.loads(printed)["grants"] == wanted
    for said in (text, printed):
        assert not any(one in said for one in ("never to be", "nor this", "nor that"))


def test_what_links_two_sources_of_a_secret_has_neither(project: Project) -> None:
    # BuildKit asks any build that waits for a step: with one of the two, it is the wrong one for some.
    text = (
        '[target.app]\nplatforms = ["linux/amd64", "linux/arm64"]\nsecret = ["id=same,env=SAME"]\n'
    )
    for name in ("amd64", "arm64"):
        text += f'[target.app.platform."linux/{name}"]\nsecret = ["id=tok,env={name}"]\n'
    project.write(text)
    made = json.loads(project.ok("plan", "--format", "bake"))["target"]
    assert made["app"]["secret"] == [{"id": "same", "env": "SAME"}]
    assert {made[f"app--linux-{n}"]["secret"][-1]["env"] for n in ("amd64", "arm64")} == {
        "amd64",
        "arm64",
    }
    hosts = [set(made[f"app--linux-{n}"]["extra-hosts"]) for n in ("amd64", "arm64")]
    assert not hosts[0] & hosts[1]
