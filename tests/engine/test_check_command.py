from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Project

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64")
TOML = """
[target.{name}]
platforms = {platforms}
tags = ["{registry}/{name}:v1"]
dockerfile-inline = '''
FROM scratch
ARG TARGETPLATFORM
COPY $TARGETPLATFORM /file
'''
[[target.{name}.verify.check]]
name = "layout"
command = ["python3", "scan.py", "{{oci}}", "{{ref}}", "{{platform}}", "{{report}}"]
report = "sarif"
fresh = "24h"
[[target.{name}.verify.check]]
name = "files"
command = ["sh", "-c", "test $(cat {{rootfs}}/file) = {{platform}} && test $(ls {{rootfs}} | wc -l) = 1"]
"""
FAILING = """
[[target.{name}.verify.check]]
name = "gone"
only = ["linux/amd64"]
command = ["no-such-tool"]
[[target.{name}.verify.check]]
name = "slow"
only = ["linux/amd64"]
command = ["sleep", "60"]
timeout = 0.3
[[target.{name}.verify.check]]
name = "wordy"
only = ["linux/amd64"]
command = ["sh", "-c", "echo no SARIF; exit 7"]
report = "sarif"
[[target.{name}.verify.check]]
name = "finds"
only = ["linux/amd64"]
command = ["sh", "-c", "cat many.sarif; exit 1"]
report = "sarif"
"""
SCAN = """
import json, sys
from pathlib import Path
oci, ref, platform, report = sys.argv[1:]
(entry,) = json.loads(Path(oci, "index.json").read_text())["manifests"]
blob = lambda digest: Path(oci, "blobs", *digest.split(":")).read_bytes()
manifest = json.loads(blob(entry["digest"]))
config = json.loads(blob(manifest["config"]["digest"]))
assert all(blob(layer["digest"]) for layer in manifest["layers"])
assert ref.endswith("@" + entry["digest"]), ref
assert platform.split("/")[:2] == [config["os"], config["architecture"]]
result = {"ruleId": "SEEN", "level": "note", "message": {"text": entry["digest"]}}
run = {"tool": {"driver": {"name": "scan"}}, "results": [result]}
Path(report).write_text(json.dumps({"version": "2.1.0", "runs": [run]}))
"""


def seen(project: Project, file: str) -> dict[str, str]:
    """Return the digest that each run of a merged file saw, by its id."""
    runs = json.loads((project.folder / file).read_text())["runs"]
    return {
        run["automationDetails"]["id"]: run["results"][0]["message"]["text"]
        for run in runs
        if run["results"][0]["ruleId"] == "SEEN"
    }


def test_each_cell_s_tool_sees_exactly_that_cell(
    project: Project, name: str, registry: str
) -> None:
    for platform in PLATFORMS:
        place = project.folder / platform
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(platform)
    (project.folder / "scan.py").write_text(SCAN)
    declared = TOML.format(name=name, registry=registry, platforms=json.dumps(PLATFORMS))
    project.write(declared)
    project.ok("build", "--progress", "quiet")
    assert "4 of 4 ok" in project.ok("verify", "--sarif", "all.sarif")
    saw = seen(project, "all.sarif")
    assert list(saw) == [f"{name}@{platform}/layout/" for platform in PLATFORMS]
    # Known verdicts have their reports still, and old ones are asked for again.
    assert project.ok("verify", "--sarif", "known.sarif").count(" known") == 4
    assert seen(project, "known.sarif") == saw
    ledger = project.folder / ".buildx" / "ledger.json"
    entries = json.loads(ledger.read_text())
    for entry in entries:
        entry["at"] = entry["at"].replace("20", "19", 1)
    ledger.write_text(json.dumps(entries))
    assert " known" not in project.ok("verify")

    project.ok("push")
    (pushed,) = [e for e in json.loads(ledger.read_text()) if e["event"] == "pushed"]
    assert sorted(pushed["manifests"].values()) == sorted(saw.values())
    assert len(set(saw.values())) == 4

    results = [{"ruleId": f"R{n}", "message": {"text": "bad"}} for n in range(10_000)]
    run = {"tool": {"driver": {"name": "many"}}, "results": results}
    many = json.dumps({"version": "2.1.0", "runs": [run]})
    (project.folder / "many.sarif").write_text(many)
    project.write(declared + FAILING.format(name=name))
    files = ("--html", "page.html", "--json", "all.json", "--sarif", "2.sarif")
    assert project.invoke("verify", *files).returncode == 1
    said = json.loads((project.folder / "all.json").read_text())
    checks = {check["name"]: check["problems"] for check in said["results"][0]["checks"]}
    assert checks["gone"][0].startswith("no-such-tool cannot be run: No such file or directory;")
    assert checks["slow"][0].startswith("it did not end within 0.3 s;")
    assert checks["wordy"][0].startswith("exit code 7; its report cannot be used: it is no JSON")
    assert (len(checks["finds"]), checks["finds"][-1]) == (1001, "and 9,000 more")
    assert "warning R0: bad" in (project.folder / "page.html").read_text()
    merged = json.loads((project.folder / "2.sarif").read_text())["runs"]
    assert max(len(run["results"]) for run in merged) == 10_000
    assert not list((project.folder / ".buildx").glob("tool-*"))
