"""Files of container-structure-test and goss, as they are, on two platforms of one image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Project

TOML = """
[target.{name}]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/{name}:v1"]
dockerfile-inline = '''
FROM alpine:3.22
RUN <<EOF
echo 'web:x:1000:1000::/home/web:/bin/sh' > /etc/passwd
echo 'web:x:1000:' > /etc/group
mkdir -p /www /var/lib/dpkg
echo hello > /www/index.html
chown 1000:1000 /www/index.html
printf '#!/bin/sh\ngrep -w "$2" /etc/hosts || exit 2\n' > /bin/getent
chmod 755 /bin/getent
ln -s /www/index.html /link
printf 'Package: curl\nStatus: install ok installed\nVersion: 8.1\n' > /var/lib/dpkg/status
EOF
ENV MODE=prod
LABEL made="2024-01-02"
EXPOSE 8080
VOLUME /data
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
'''
[[target.{name}.verify.check]]
name = "cst"
structure-test = "tests/cst.yaml"
[[target.{name}.verify.check]]
name = "goss"
goss = "tests/goss.yaml"
"""
WRONG = """
[[target.{name}.verify.check]]
name = "bad"
only = ["linux/amd64"]
structure-test = "bad.json"
[[target.{name}.verify.check]]
name = "worse"
only = ["linux/amd64"]
goss = {{ file = "worse.yaml", ready-within = 0.1 }}
[[target.{name}.verify.check]]
name = "ended"
only = ["linux/amd64"]
goss = {{ file = "worse.yaml", entrypoint = ["sh", "-c", "exit 3"] }}
"""
CST = r"""
schemaVersion: 2.0.0
globalEnvVars: [{key: GREETING, value: "hi $MODE"}]
containerRunOptions: {user: web, capabilities: [NET_ADMIN], bindMounts: ["tests:/mnt:ro"], envFile: env}
commandTests:
  - name: after its setup
    setup: [[sh, -c, "echo $GREETING > /tmp/made; ls /mnt >> /tmp/made"]]
    command: sh
    args: [-c, "cat /tmp/made; uname -m >&2; exit 3"]
    expectedOutput: ["^hi prod\ncst.yaml\n"]
    expectedError: ["^(x86_64|aarch64)\n$"]
    excludedError: [riscv]
    exitCode: 3
fileExistenceTests:
  - {name: page, path: /www/index.html, permissions: "-rw-r--r--", uid: 1000, gid: 1000}
  - {name: link, path: /link, permissions: "Lrwxrwxrwx"}
  - {name: none, path: /none, shouldExist: false}
fileContentTests: [{name: text, path: /link, expectedContents: ["^hello\n$"], excludedContents: [bye]}]
metadataTest:
  envVars: [{key: MODE, value: prod}]
  labels: [{key: made, value: "^\\d{4}-", isRegex: true}]
  exposedPorts: ["8080"]
  volumes: [/data]
  cmd: [httpd, -f, -p, "8080", -h, /www]
"""
GOSS = """
file:
  /www/index.html:
    {exists: true, mode: "0644", owner: web, group: web, filetype: file, contents: [hello, "!bye"],
     size: 6, sha256: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03}
  /link: {exists: true, filetype: symlink, linked-to: /www/index.html}
  /none: {exists: false}
process: {httpd: {running: true}, nginx: {running: false}}
port: {"tcp6:8080": {listening: true, ip: ["::"]}, "tcp:81": {listening: false}}
command:
  uname -m >&2; exit 3: {exit-status: 3, stdout: [], stderr: ["/^(x86_64|aarch64)$/"]}
user: {web: {exists: true, uid: 1000, groups: [web], home: /home/web, shell: /bin/sh}}
group: {web: {exists: true, gid: 1000}}
http: {"http://localhost:8080/": {status: 200, body: [hello], headers: ["Content-type: text/html"]}}
addr: {"tcp://localhost:8080": {reachable: true}}
dns: {localhost: {resolvable: true, addrs: [127.0.0.1]}, nobody.invalid: {resolvable: false}}
interface: {lo: {exists: true, mtu: 65536, addrs: [127.0.0.1/8]}, eth7: {exists: false}}
kernel-param: {kernel.ostype: {value: Linux}}
mount: {/proc: {exists: true, filesystem: proc, opts: [rw, nosuid]},
  /data: {exists: true}, /none: {exists: false}}
package: {curl: {installed: true, versions: ["8.1"]}, wget: {installed: false}}
"""
BAD = {
    "schemaVersion": "2.0.0",
    "containerRunOptions": {"envFile": "env"},
    "commandTests": [
        {
            "name": "prints",
            "command": "sh",
            "args": ["-c", "echo $TOKEN"],
            "expectedOutput": ["b"],
        },
        {"name": "setup", "setup": [["sh", "-c", "exit 4"]], "command": "true"},
    ],
    "fileExistenceTests": [{"name": "gone", "path": "/www/indx.html"}],
    "metadataTest": {"user": "web"},
}
WORSE = """
file: {/none: {exists: true, mode: "0600"}}
port: {"tcp:8080": {listening: true}}
command: {sleep 9: {exit-status: 0, timeout: 100}}
http: {"http://localhost:81/": {status: 200}}
interface: {wlan0: {exists: true}}
kernel-param: {net.none: {value: "1"}}
mount: {/data: {exists: false}}
"""


def test_files_of_other_programs_are_read_as_they_are(
    project: Project, name: str, registry: str
) -> None:
    (project.folder / "tests").mkdir()
    (project.folder / "tests" / "cst.yaml").write_text(CST)
    (project.folder / "tests" / "goss.yaml").write_text(GOSS)
    (project.folder / "env").write_text("TOKEN=s3cr3t-value\n")
    declared = TOML.format(name=name, registry=registry)
    project.write(declared)
    project.ok("build", "--progress", "quiet")
    project.ok("verify", "--json", "all.json")
    said = json.loads((project.folder / "all.json").read_text())["results"]
    assert [len(cell["checks"]) for cell in said] == [28, 28]
    assert {check["status"] for cell in said for check in cell["checks"]} == {"ok"}
    assert project.ok("verify").count(" known") == 2

    (project.folder / "bad.json").write_text(json.dumps(BAD))
    (project.folder / "worse.yaml").write_text(WORSE)
    first, _, _ = declared.partition("[[")
    project.write(first + WRONG.format(name=name))
    assert project.invoke("verify", "-p", "linux/amd64", "--json", "2.json").returncode == 1
    text = (project.folder / "2.json").read_text()
    assert "s3cr3t-value" not in text
    checks = {one["name"]: one["problems"] for one in json.loads(text)["results"][0]["checks"]}
    assert checks["bad: prints"] == ['stdout: expected to match "b", got "${TOKEN}\\n"']
    assert checks["bad: setup"] == ['setup "sh -c exit 4": exit code: expected 0, got 4']
    assert "did you mean /www/index.html?" in checks["bad: gone"][0]
    assert checks["bad: metadata"] == ['user: expected "web", got ""']
    assert checks["worse: file /none"] == ["exists: expected true, got false"]
    assert "tcp6:8080 is listened on; write that" in checks["worse: port tcp:8080"]
    assert checks["worse: command sleep 9"] == ["it still runs after 0.1 s"]
    assert "nothing listens there" in checks["worse: http http://localhost:81/"][0]
    assert checks["worse: interface wlan0"][0] == "exists: expected true, got false"
    assert "/proc/sys/net/none cannot be read" in checks["worse: kernel-param net.none"][0]
    assert checks["worse: mount /data"] == ["exists: expected false, got true"]
    assert checks["ended: file /none"][0].startswith("the container ended with exit code 3, and")

    (project.folder / "worse.yaml").write_text("service: {a: {running: true}}\n")
    result = project.invoke("verify", "-p", "linux/amd64")
    assert result.returncode == 2
    assert 'worse.yaml:1:10: "service" is not supported here' in result.stderr
