"""Bad files, each with the whole line that a person gets: place, what, nearest right thing, fix."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from support.corpus import GOOD

from buildx_tasks.errors import BuildxTasksError, ConfigError
from buildx_tasks.language import loading
from buildx_tasks.planning.selection import make_plan

if TYPE_CHECKING:
    from pathlib import Path

BASE = '[target.a]\nplatforms = ["linux/arm64"]\n'

# What is written, and the whole line that a person gets.
BAD = [
    ("a = [1,\n", "2:1: not valid TOML: Invalid value"),
    ("a = \n", "1:5: not valid TOML: Invalid value"),
    (BASE + "a = 1\na = 2\n", "4:6: not valid TOML: Cannot overwrite a value"),
    ("targt = 1", '1:1: unknown key "targt" in the file; did you mean "target"?'),
    (BASE + "tgas = []", '3:1: unknown key "tgas" in [target.a]; did you mean "tags"?'),
    (
        BASE + "[target.a.verify.run]\nstdut = ''",
        '4:1: unknown key "stdut" in [target.a.verify.run]; did you mean "stdout"?',
    ),
    (
        BASE + "lint.ignore = ['EmulatedRuns']",
        '3:16: invoke lint has no code "EmulatedRuns"; did you mean "EmulatedRun"?',
    ),
    (
        BASE + 'verify.check = [{ name = "x", run = {}, fresh = "24h" }]',
        '3:41: fresh is of a command, and check "x" has none; remove it',
    ),
    (
        BASE + 'verify.check = [{ name = "x", command = ["scan", "{report}"] }]',
        '3:31: {report} is a file for a report; write report = "sarif", "junit" or "json"',
    ),
    (
        BASE + 'push.drop = ["linux/arm64"]',
        "3:14: [target.a] declares linux/arm64 and drops it; take it out of platforms, or out of drop",
    ),
    (
        BASE + 'push.drop = ["linux/amd46"]',
        '3:14: "linux/amd46" is no platform: unknown architecture "amd46"; did you mean "amd64"?',
    ),
    (
        BASE + '[ci]\nrunners = { "linux/arm46" = "x" }',
        '4:13: "linux/arm46" is no platform: unknown architecture "arm46"; did you mean "arm64"?',
    ),
    (
        BASE + '[ci]\nstaging = "localhost:5000/x:v1"',
        '4:11: "localhost:5000/x:v1" is no repository; write it without a tag, as in localhost:5000/staging',
    ),
    (
        BASE + '[cache]\nto = "localhost:5000/x:v1"',
        '4:6: "localhost:5000/x:v1" is no repository; write it without a tag, as in localhost:5000/cache',
    ),
    (
        BASE + '[cache]\nmounts = ["a", "go-{Arch}"]',
        '4:16: {Arch} is no placeholder; did you mean "arch"?',
    ),
    (
        BASE + '[cache]\nmounts = ["go-build,target=/x"]',
        '4:11: "go-build,target=/x" is no id of a cache mount; write it without spaces, commas, quotes, $ and \\, as in go-build-{arch}',
    ),
    (
        BASE + '[cache]\nhelper = "alpine\\nRUN x"',
        '4:10: "alpine\nRUN x" is no image; write it as in alpine:3.22',
    ),
    (BASE + '[cache]\nwhen = "never"', '4:8: "when" cannot be "never"; known: always, ci'),
    (
        BASE + '[target.a.platform."linux/amd64"]\noptional = "no runner"',
        '3:20: [target.a] has overrides for linux/amd64, which is none of its platforms; did you mean "linux/arm64"?',
    ),
    (
        BASE + 'push.mirrors = ["ghcr.io/org/app:v1"]',
        '3:17: "ghcr.io/org/app:v1" is no repository; write it without a tag, as in ghcr.io/org/app',
    ),
    (BASE + "tags = [3]", "3:9: item 1 must be a string, not a whole number"),
    (BASE + 'tags = [""]', "3:9: item 1 must be a string that is not empty"),
    (BASE + "verify.run.timeout = 0", '3:22: "timeout" must be a number above 0'),
    ("target = 3", '1:10: "target" must be a table, not a whole number'),
    ("", "1:1: no [target.NAME] is declared; add one with platforms and tags"),
    ("[target]", "1:2: no [target.NAME] is declared; add one with platforms and tags"),
    (
        '[target.a]\nplatforms = ["linux/arm46"]',
        '2:14: "linux/arm46" is no platform: unknown architecture "arm46"; did you mean "arm64"?',
    ),
    ("[target.a]\nplatforms = []", '2:13: "platforms" must be a list that is not empty'),
    (
        '[target.a]\nplatforms = ["linux/arm64", "arm64"]',
        '2:29: "arm64" is the same platform as "linux/arm64"; keep one',
    ),
    (
        BASE + 'tags = ["X"]',
        '3:9: "X" is no image reference; write [registry/]repository[:tag] in lower case, '
        "as in localhost:5000/app:v1",
    ),
    (
        BASE + 'tags = ["x"]\n[target.b]\ntags = ["x:latest"]',
        '5:9: tag "x:latest" is already the one of target "a"; give each target tags of its own, '
        "or select one of them with -t",
    ),
    (
        '[target."x.y"]\nplatforms = ["linux/amd64"]',
        '1:9: target name "x.y" may only have letters, digits, "_" and "-"; rename it',
    ),
    (
        BASE + 'dockerfile = "x"\ndockerfile-inline = "y"',
        "4:1: [target.a] has both dockerfile and dockerfile-inline; keep one",
    ),
    (
        BASE + 'contexts = { x = "target:aa" }',
        '3:18: [target.a] builds on unknown target "aa"; did you mean "a"?',
    ),
    (
        BASE + '[group.g]\ntargets = ["h"]\n[group.h]\ntargets = ["g", "a"]',
        "3:8: groups contain each other: g → h → g; remove one of these members",
    ),
    (BASE + '[group.g]\ntargets = ["b"]', '4:12: [group.g] names unknown target "b"; declare it'),
    (
        BASE + '[group.a]\ntargets = ["a"]',
        '3:8: "a" is a target and a group; rename one of them',
    ),
    (BASE + "[group.g]", '3:8: [group.g] lacks "targets"; add it'),
    (BASE + "[builder]", '3:2: [builder] lacks "name"; add it'),
    (
        BASE + '[builder]\nname = "b"\ndriver = "dokcer"',
        '5:10: "driver" cannot be "dokcer"; did you mean "docker"? '
        "known: cloud, docker, docker-container, kubernetes, remote",
    ),
    ("[target.a\n", "1:10: not valid TOML: Expected ']' at the end of a table declaration"),
    ('[target.a]\ntags = ["x"\n', "3:1: not valid TOML: Unclosed array"),
    (
        "[target.a]\nx = 1_\n",
        "2:6: not valid TOML: Expected newline or end of document after a statement",
    ),
    (
        '[target.a]\nplatforms = "a" "b"\n',
        "2:17: not valid TOML: Expected newline or end of document after a statement",
    ),
    ("[target.a]\n[target.a]\n", "2:10: not valid TOML: Cannot declare [target.a] twice"),
    ("a.b = 1\na.b.c = 2\n", "2:10: not valid TOML: Cannot overwrite a value"),
    ('x = "\n', "1:6: not valid TOML: Illegal character '\\n'"),
    (
        '[defalts]\npull = true\n[target.a]\nplatforms = ["linux/arm64"]\n',
        '1:2: unknown key "defalts" in the file; did you mean "defaults"?',
    ),
    (
        BASE + '[target.a.platform."linux/arm64"]\ntags = []\n',
        '4:1: "tags" belongs to the whole image and not to one platform; move it to [target.a]',
    ),
    (
        BASE + '[variable.X]\ndefalt = "x"\n',
        '4:1: unknown key "defalt" in [variable.X]; did you mean "default"?',
    ),
    (
        BASE + '[builder]\nname = "b"\ndrivr = "docker"\n',
        '5:1: unknown key "drivr" in [builder]; did you mean "driver"?',
    ),
    (
        BASE + '[emulators]\nfrom_ = "host"\n',
        '4:1: unknown key "from_" in [emulators]; did you mean "from"?',
    ),
    (
        BASE + '[group.g]\ntarget = ["a"]\n',
        '4:1: unknown key "target" in [group.g]; did you mean "targets"?',
    ),
    (
        BASE + 'secret = [{ id = "x", enf = "Y" }]\n',
        '3:23: unknown key "enf" in [[target.a.secret]]; did you mean "env"?',
    ),
    (
        BASE + 'ssh = [{ id = "x", path = "y" }]\n',
        '3:20: unknown key "path" in [[target.a.ssh]]; did you mean "paths"?',
    ),
    (
        BASE + '[target.a.metadata]\nimage = ["x"]\n',
        '4:1: unknown key "image" in [target.a.metadata]; did you mean "images"?',
    ),
    (
        BASE + '[variable.X]\nvalidation = { patern = "x" }\n',
        '4:16: unknown key "patern" in [variable.X.validation]; did you mean "pattern"?',
    ),
    (
        BASE + '[target.a.resources]\nmemroy = "1g"\n',
        '4:1: unknown key "memroy" in [target.a.resources]; did you mean "memory"?',
    ),
    (
        BASE + 'policy = [{ filname = "x" }]\n',
        '3:13: unknown key "filname" in [[target.a.policy]]; did you mean "filename"?',
    ),
    (
        BASE + "cache_from = []\n",
        '3:1: unknown key "cache_from" in [target.a]; did you mean "cache-from"?',
    ),
    (
        BASE + "no_cache = true\n",
        '3:1: unknown key "no_cache" in [target.a]; did you mean "no-cache"?',
    ),
    (BASE + 'tags = "x"\n', '3:8: "tags" must be a list, not a string'),
    (BASE + "description = 3\n", '3:15: "description" must be a string, not a whole number'),
    (BASE + 'args = ["A=1"]\n', '3:8: "args" must be a table, not a list'),
    (
        BASE + "args = { A = 1.5 }\n",
        '3:14: "A" must be true or false or a whole number or a string or a table, not a number',
    ),
    (
        BASE + "labels = { l = [1] }\n",
        '3:16: "l" must be true or false or a whole number or a string or a table, not a list',
    ),
    (BASE + 'dockerfile = ""\n', '3:14: "dockerfile" must be a string that is not empty'),
    (BASE + "output = [3]\n", "3:11: item 1 must be a string or a table, not a whole number"),
    (BASE + 'output = "dist"\n', '3:10: "output" must be a list, not a string'),
    (BASE + "contexts = { x = 1 }\n", '3:18: "x" must be a string, not a whole number'),
    (BASE + "shm-size = 128\n", '3:12: "shm-size" must be a string, not a whole number'),
    (BASE + 'pull = "yes"\n', '3:8: "pull" must be true, false or one variable, as in ${NAME}'),
    (BASE + "matrix = { v = [] }\n", '3:16: "v" must be a list that is not empty'),
    (BASE + 'matrix = { v = "1" }\n', '3:16: "v" must be a list, not a string'),
    (
        BASE + "[target.a.verify.run]\nexit-code = 300\n",
        '4:13: "exit-code" must be a whole number of at most 255',
    ),
    (
        BASE + '[target.a.verify.run]\nexit-code = "0"\n',
        '4:13: "exit-code" must be a whole number, not a string',
    ),
    (BASE + '[target.a.verify.run]\nargs = "x"\n', '4:8: "args" must be a list, not a string'),
    (BASE + 'inherits = "b"\n', '3:12: "inherits" must be a list, not a string'),
    (BASE + "ulimits = { nofile = 1 }\n", '3:11: "ulimits" must be a list, not a table'),
    (
        BASE + "[variable.X]\ndefault = { a = 1 }\n",
        '4:13: unknown key "a" in [variable.X.default]; [variable.X.default] knows: file, match',
    ),
    (
        BASE + '[variable.X]\ntype = "str"\n',
        '4:8: "type" cannot be "str"; did you mean "string"? known: bool, list, number, string',
    ),
    (
        BASE + "[target.a.metadata]\nimages = []\n",
        '4:10: "images" must be a list that is not empty',
    ),
    (
        BASE + '[target.a.metadata]\nimages = ["x"]\ntags = ["semvr"]\n',
        '5:9: item 1 cannot be "semvr"; did you mean "semver"? known: branch, latest, semver, semver-major, semver-minor, sha',
    ),
    (
        BASE + '[target.a.metadata]\ntags = ["sha"]\n',
        '3:11: [target.a.metadata] lacks "images"; add it',
    ),
    (
        BASE + '[emulators]\nfrom = "hosts"\n',
        '4:8: "from" cannot be "hosts"; did you mean "host"? known: host, image, never',
    ),
    (
        BASE + '[builder]\nname = "-b"\n',
        "4:8: \"name\" must be a string that matches '^[a-zA-Z0-9][a-zA-Z0-9_.-]*$'",
    ),
    (BASE + "[builder]\nname = 3\n", '4:8: "name" must be a string, not a whole number'),
    (BASE + "[group.g]\ntargets = []\n", '4:11: "targets" must be a list that is not empty'),
    (
        BASE + 'contexts.lib = "https://me:t0ken@example.com/lib.git"\n',
        '3:16: contexts.lib holds a log-in, which would be in the bake file for all to read; take it out of the address, and give it as secret = ["id=GIT_AUTH_TOKEN,env=…"]',
    ),
    (
        BASE + "when = 2026-01-01\n",
        '3:1: unknown key "when" in [target.a]; [target.a] knows: annotations, args, attest, cache-from, cache-to, call, context, contexts, description, dockerfile, dockerfile-inline, entitlements, extra-hosts, files, inherits, labels, lint, matrix, metadata, name, network, no-cache, no-cache-filter, output, platform, platforms, policy, pull, push, resources, secret, shm-size, ssh, tags, target, ulimits, verify',
    ),
    (
        BASE + 'secret = [{ id = "x", type = "fil" }]\n',
        '3:30: "type" cannot be "fil"; did you mean "file"? known: env, file',
    ),
    (
        'group = 1\n[target.a]\nplatforms = ["linux/arm64"]\n',
        '1:9: "group" must be a table, not a whole number',
    ),
    ('[[target]]\nname = "a"\n', '1:3: "target" must be a table, not a list'),
    (
        '[target."a b"]\nplatforms = ["linux/amd64"]\n',
        '1:9: target name "a b" may only have letters, digits, "_" and "-"; rename it',
    ),
    (
        BASE + '[group."g.h"]\ntargets = ["a"]\n',
        '3:8: group name "g.h" may only have letters, digits, "_" and "-"; rename it',
    ),
    (
        BASE + '[variable."A-B"]\ndefault = "x"\n',
        '3:11: variable name "A-B" may only have letters, digits and "_", no digit first; rename it',
    ),
    (
        BASE + '[variable.1A]\ndefault = "x"\n',
        '3:11: variable name "1A" may only have letters, digits and "_", no digit first; rename it',
    ),
    (
        BASE + 'output = ["type=local,dest"]\n',
        '3:11: output: "dest" in "type=local,dest" is no KEY=VALUE',
    ),
    (BASE + 'output = ["dest=x,foo=y"]\n', '3:11: output: "dest=x,foo=y" lacks type=…'),
    (BASE + 'output = [{ dest = "x" }]\n', '3:11: output: lacks "type"; add it'),
    (
        BASE + 'cache-from = ["type=registry,ref"]\n',
        '3:15: cache-from: "ref" in "type=registry,ref" is no KEY=VALUE',
    ),
    (BASE + 'cache-to = ["ref=x"]\n', '3:13: cache-to: "ref=x" lacks type=…'),
    (BASE + 'attest = ["sbom"]\n', '3:11: attest: "sbom" in "sbom" is no KEY=VALUE'),
    (BASE + 'attest = ["mode=max"]\n', '3:11: attest: "mode=max" lacks type=…'),
    (
        BASE + 'attest = ["type=sbom,disabled=maybe"]\n',
        '3:11: attest: disabled cannot be "maybe"; write true or false',
    ),
    (BASE + 'secret = ["token"]\n', '3:11: secret: "token" in "token" is no KEY=VALUE'),
    (
        BASE + 'secret = ["id=x,file=y"]\n',
        '3:11: secret: "id=x,file=y": a secret knows id, src, env and type, not "file"',
    ),
    (
        BASE + 'secret = ["type=vault,id=x"]\n',
        '3:11: secret: a secret\'s type is file or env, not "vault"',
    ),
    (
        BASE + "output = ['type=local,\"dest=x']\n",
        '3:11: output: "type=local,"dest=x" is not CSV: unexpected end of data',
    ),
    (
        BASE + 'annotations = ["x"]\n',
        '3:16: "x" is no annotation; write KEY=VALUE, or manifest:KEY=VALUE',
    ),
    (
        BASE + 'policy = ["file=x"]\n',
        '3:11: policy: "file=x": a policy knows filename, reset, disabled, strict and log-level',
    ),
    (BASE + 'policy = ["reset=2"]\n', '3:11: policy: reset cannot be "2"; write true or false'),
    (
        BASE + "args = { A = { unset = false } }\n",
        "3:10: args: unset can only be true; remove it to keep the value",
    ),
    (
        '[target.a]\nplatforms = ["linux"]\n',
        '2:14: "linux" is no platform; write os/architecture[/variant], as in linux/arm64',
    ),
    (
        '[target.a]\nplatforms = ["linux/amd64/v9"]\n',
        '2:14: "linux/amd64/v9" is no platform: amd64 has no variant "v9"; known: v1, v2, v3, v4',
    ),
    (
        '[target.a]\nplatforms = ["linx/amd64"]\n',
        '2:14: "linx/amd64" is no platform: unknown operating system "linx"; did you mean "linux"?',
    ),
    (
        '[defaults]\nplatforms = ["x"]\n[target.a]\ntags = ["x"]\n',
        '2:14: "x" is no platform; write os/architecture[/variant], as in linux/arm64',
    ),
    (
        BASE + '[target.a.platform."linux/amd64"]\ntarget = "x"\n',
        '3:20: [target.a] has overrides for linux/amd64, which is none of its platforms; did you mean "linux/arm64"?',
    ),
    (
        BASE + '[target.a.platform."linux/arm46"]\ntarget = "x"\n',
        '3:20: "linux/arm46" is no platform: unknown architecture "arm46"; did you mean "arm64"?',
    ),
    (
        BASE + '[target.a.files]\n"linux/amd64" = "x"\n',
        "3:11: [target.a.files] has no file for linux/arm64; add one",
    ),
    (
        '[target.a]\n[target.a.files]\n"linux/amd64" = "x"\n',
        "2:11: [target.a] has files but no platforms; declare them",
    ),
    (
        BASE + '[target.a.files]\n"linux/arm64" = "../x"\n',
        '4:1: "../x" must be a path below the project\'s folder, without quotes',
    ),
    (
        BASE + 'contexts = { files = "." }\n[target.a.files]\n"linux/arm64" = "x"\n',
        '3:14: [target.a] has files and a context called "files"; rename the context',
    ),
    (
        BASE + '[target.a.files]\n"linux/arm64" = "target:aa/x"\n',
        '4:17: [target.a] builds on unknown target "aa"; did you mean "a"?',
    ),
    (
        BASE + 'tags = ["a/b:"]\n',
        '3:9: "a/b:" is no image reference: there is no tag after ":"; write [registry/]repository[:tag] in lower case, as in localhost:5000/app:v1',
    ),
    (
        BASE + 'tags = ["a@sha256:0"]\n',
        '3:9: "a@sha256:0" is no image reference; write [registry/]repository[:tag] in lower case, as in localhost:5000/app:v1',
    ),
    (
        '[defaults]\ntags = ["x"]\n[target.a]\nplatforms = ["linux/arm64"]\n[target.b]\n',
        '2:9: tag "x" is already the one of target "a"; give each target tags of its own, '
        "or select one of them with -t",
    ),
    (BASE + 'inherits = ["b"]\n', '3:13: [target.a] inherits from unknown target "b"; declare it'),
    (
        BASE + 'inherits = ["a"]\n',
        "3:13: targets inherit from each other: a → a; remove one of these",
    ),
    (
        BASE + 'inherits = ["b"]\n[target.b]\ninherits = ["c"]\n[target.c]\ninherits = ["a"]\n',
        "7:13: targets inherit from each other: a → b → c → a; remove one of these",
    ),
    (
        BASE + 'contexts = { x = "target:b" }\n[target.b]\ncontexts = { y = "target:a" }\n',
        "3:14: targets build on each other: a → b → a; remove one link",
    ),
    (
        '[target.a]\nplatforms = ["linux/arm64", "linux/amd64"]\ncontexts = { x = "target:b" }\n[target.b]\nplatforms = ["linux/arm64", "linux/riscv64"]\n',
        '3:18: [target.a] builds on "b", which has no linux/amd64; add it there',
    ),
    (
        BASE
        + 'dockerfile = "a"\n[target.a.platform."linux/arm64"]\ndockerfile = "x"\ndockerfile-inline = "y"\n',
        "6:1: [target.a.platform.linux/arm64] has both dockerfile and dockerfile-inline; keep one",
    ),
    (BASE + 'name = "x"\n', "3:1: [target.a] has a name but no matrix; remove it, or add a matrix"),
    (
        BASE + 'matrix = { exclude = [{ v = "1" }] }\n',
        '3:1: [target.a] has a matrix without axes; add one, as in go = ["1.24"]',
    ),
    (
        BASE + 'matrix = { v = ["1", "2"] }\nname = "b"\n',
        '4:1: two targets of the matrix are called "b"; name all axes, as in name = "a-${v}"',
    ),
    (
        BASE + 'matrix = { v = ["1"] }\nname = "a"\n',
        '4:1: a target of the matrix is called "a", as the matrix is; name its axes too',
    ),
    (
        BASE + 'matrix = { v = ["1"], exclude = [{ w = "1" }] }\n',
        '3:36: "w" is no axis of the matrix; axes: v',
    ),
    (
        BASE + 'matrix = { v = ["1"], exclude = [{ v = "2" }] }\n',
        "3:34: excludes no combination of the matrix; correct or remove it",
    ),
    (
        BASE + 'matrix = { v = ["1"], exclude = [{ v = "1" }] }\n',
        "3:1: [target.a] excludes every combination; remove an exclude",
    ),
    (
        BASE + 'matrix = { v = ["1"], w = ["2"], include = [{ v = "2" }] }\n',
        "3:45: this combination lacks w; give every axis a value",
    ),
    (
        BASE + 'matrix = { v = ["1"], include = ["2"] }\n',
        "3:34: include holds tables, as in { v = … }",
    ),
    (
        BASE + 'matrix = { v = ["1"] }\ntags = ["x:${w}"]\n',
        "4:9: ${w} is no variable; declare [variable.w]; or write $${w} for the text itself",
    ),
    (
        BASE + 'matrix = { v = [{ n = "1" }] }\ntags = ["x:${v}"]\n',
        "4:9: ${v} is a table; name one of its keys, as in ${v.n}",
    ),
    (
        BASE + 'matrix = { v = ["1"] }\n[target.a-1]\n',
        '4:9: [target.a-1] makes a target "a-1", which [target.a] makes already; change one of the names',
    ),
    (
        BASE + 'matrix = { v = ["1"] }\n[group.a]\ntargets = ["a-1"]\n',
        '4:8: "a" is a target and a group; rename one of them',
    ),
    (
        BASE + 'tags = ["x:${VERSON}"]\n[variable.VERSION]\ndefault = "1"\n',
        '3:9: ${VERSON} is no variable; did you mean "VERSION"?; or write $${VERSON} for the text itself',
    ),
    (
        BASE + 'dockerfile-inline = "FROM ${BASE}"\n',
        "3:21: ${BASE} is no variable; declare [variable.BASE]; or write $${BASE} for the text itself",
    ),
    (
        BASE + 'tags = ["x:${V"]\n',
        '3:9: "${" is not closed; write ${NAME}, or $${ for the characters',
    ),
    (
        BASE + 'tags = ["x:${}"]\n',
        '3:9: "${}" names no variable; write ${NAME}, or $${ for the characters',
    ),
    (
        BASE + '[variable.A]\ndefault = "${B}"\n[variable.B]\ndefault = "${A}"\n',
        "4:11: variables hang on each other: A → B → A; give one of them a value of its own",
    ),
    (
        BASE + 'tags = ["x:${A}"]\n[variable.A]\ndefault = "${A}"\n',
        "5:11: variables hang on each other: A → A; give one of them a value of its own",
    ),
    (
        BASE + 'tags = ["x:${A}"]\n[variable.A]\n',
        "3:9: [variable.A] has no value; give it a default, --set A=… or set it in the environment",
    ),
    (
        BASE + '[variable.A]\ntype = "number"\ndefault = "x"\n',
        '3:11: [variable.A] must be a number, not "x"; correct its default',
    ),
    (
        BASE + '[variable.A]\ntype = "string"\ndefault = 3\n',
        '5:11: the default of [variable.A] is no string; give it one or change its type to "number"',
    ),
    (
        BASE + '[variable.A]\ntype = "bool"\ndefault = "maybe"\n',
        '3:11: [variable.A] must be true or false, not "maybe"; correct its default',
    ),
    (
        BASE + '[variable.A]\ndefault = "x"\nvalidation = { pattern = "[0-9]+" }\n',
        '3:11: [variable.A] cannot be "x": it does not match [0-9]+; correct its default',
    ),
    (
        BASE + '[variable.A]\ndefault = "x"\nvalidation = { choices = ["y", "xx"] }\n',
        '3:11: [variable.A] cannot be "x": it is none of y, xx; did you mean "xx"?; correct its default',
    ),
    (
        BASE + "[variable.A]\ndefault = 3\nvalidation = { max = 2 }\n",
        '3:11: [variable.A] cannot be "3": it is above 2; correct its default',
    ),
    (
        BASE
        + '[variable.A]\ndefault = 3\n[[variable.A.validation]]\nmin = 1\n[[variable.A.validation]]\nmin = 5\nmessage = "at least five"\n',
        '3:11: [variable.A] cannot be "3": at least five; correct its default',
    ),
    (
        BASE + '[variable.A]\ndefault = "x"\nvalidation = { pattern = "[" }\n',
        '5:26: "[" is no regular expression: unterminated character set at position 0; correct it',
    ),
    (
        BASE + 'target = "x${L}"\n[variable.L]\ndefault = ["a"]\n',
        "3:10: ${L} is a list and cannot stand inside a text; use it as an element of a list",
    ),
    (
        BASE + 'description = "${L}"\n[variable.L]\ndefault = ["a"]\n',
        "3:15: ${L} is a list and cannot stand inside a text; use it as an element of a list",
    ),
    (
        BASE + 'tags = ["x:${git.comit}"]\n',
        '3:9: ${git.comit} is no variable; did you mean "git.commit"?; or write $${git.comit} for the text itself',
    ),
    (
        BASE + 'tags = ["x:${git.tag}"]\n',
        "3:9: ${git.tag} cannot be had: there is no git repository here; write ${git.tag:-text} for a value to use then",
    ),
    (
        BASE + 'pull = "${P}"\n[variable.P]\ndefault = "x"\n',
        '3:8: "pull" must be true or false, not "x"; give the variable type = "bool"',
    ),
    (
        BASE + '[target.a.metadata]\nimages = ["x"]\n',
        '3:11: there is no git commit here; add fallback = "dev" to [target.a.metadata], or another kind of tag',
    ),
    (
        BASE + '[target.a.metadata]\nimages = ["X"]\nfallback = "v"\n',
        '4:11: "X:v" is no image reference; write [registry/]repository[:tag] in lower case, as in localhost:5000/app:v1',
    ),
    (
        BASE + 'context = "target:a"\n',
        '3:11: a context cannot be another target; name it in contexts, as in contexts = { base = "target:a" }, and say FROM base',
    ),
    (
        BASE + 'no-cache = "x"\n',
        '3:12: "no-cache" must be true, false or one variable, as in ${NAME}',
    ),
    (
        BASE + 'args = { pull = "${P}" }\npull = "${P}"\n[variable.P]\ndefault = "x"\n',
        '4:8: "pull" must be true or false, not "x"; give the variable type = "bool"',
    ),
    (
        BASE + 'verify.check = [{ name = "x: size", run = {} }, { name = "x", run = {}, size = '
        "{ unpacked = 1 } }]\n",
        '3:51: there is another check "x: size", which is what the size of "x" is called; give each a name of its own',
    ),
    (
        BASE + '[[target.a.verify.check]]\nname = "run"\nrun = {}\n[defaults.verify.run]\n',
        '4:1: there is another check "run"; give each a name of its own',
    ),
    (
        BASE + 'verify = { run = {}, only = ["arm64", "linux/arm/v7"] }\n',
        '3:39: [target.a] has no platform linux/arm/v7 to verify; did you mean "linux/arm64"?',
    ),
    (
        BASE + '[[target.a.verify.check]]\nname = "x"\nrun = {}\nskip = { "windows/386" = "no" }\n',
        "6:10: [target.a] has no platform windows/386 to verify; its platforms: linux/arm64",
    ),
    (
        BASE + 'inherits = ["b"]\n[target.b.verify]\nrun = {}\nxfail = { amd64 = "no" }\n'
        '[target.b]\nplatforms = ["linux/s390x"]\n',
        '6:11: [target.b] has no platform amd64 to verify; did you mean "linux/arm64"?',
    ),
    (
        BASE + '[target.a.files]\n"linux/arm64" = "x"\n[target.a--files]\n',
        '5:9: "a--files" is the name of a helper of target "a"; rename this one',
    ),
    (
        BASE + '[target.a.verify]\nfiles = { exist = ["/x"] }\n',
        '4:11: "exist" is no path in the image; write it as in "/exist"',
    ),
    (
        BASE + '[[target.a.verify.check]]\nname = "x"\n[target.a.verify.check.files]\napp = {}\n',
        '6:1: "app" is no path in the image; write it as in "/app"',
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "buildx.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        make_plan(loading.load(path, environment={}))
    assert str(caught.value) == f"buildx.toml:{message}"
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "text",
    [
        '[defaults]\nverify = { run = {}, skip = { "linux/s390x" = "no" } }\n' + BASE,
        # What an inherited table names is what one of those who have it is for.
        BASE + 'inherits = ["_b"]\n[target._b]\nplatforms = ["linux/386"]\n'
        'verify = { run = {}, only = ["linux/arm64"] }\n',
        '[target.m]\nmatrix = { p = ["linux/386", "linux/arm64"] }\nplatforms = ["${p}"]\n'
        'verify = { run = {}, only = ["linux/386"] }\n',
        # This machine's own platform, whichever that is.
        '[target.a]\nverify = { run = {}, only = ["linux/386"] }\n',
    ],
)
def test_platforms_that_not_all_targets_have_may_be_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "buildx.toml"
    path.write_text(text)
    loading.load(path, environment={})


def test_there_are_many() -> None:
    assert len(BAD) >= 140


# Pieces that mean something to the reader of the file, so that changes reach deep.
PIECES = [
    *'[]{}"=.,#\\\n'.split(),
    *(
        "${",
        "}",
        "$${",
        "${V}",
        "${git.tag}",
        "target:",
        "a",
        "b",
        "linux/arm64",
        "\x00",
        "ä",
        "\n",
    ),
    *("[target.a]\n", "[defaults]\n", "matrix", "inherits", "name", "files", "platform", "= 1\n"),
    *('= "x"\n', "= []\n", "= {}\n", "= true\n", "args", "tags", "[variable.V]\n", "default"),
]


def mutated(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + chance.randint(1, 20) :]
        elif kind == 2:
            lines = text.split("\n")
            chance.shuffle(lines)
            text = "\n".join(lines)
        else:
            other = chance.randrange(len(text) + 1)
            text = text[:at] + text[other : other + chance.randint(1, 40)] + text[at:]
    return text


@pytest.mark.slow
def test_10_000_mutated_files_never_give_a_traceback(tmp_path: Path) -> None:
    chance = random.Random(3)
    path = tmp_path / "buildx.toml"
    errors = 0
    for number in range(10_000):
        text = mutated(chance.choice(GOOD), chance)
        path.write_bytes(text.encode())
        try:
            loading.load(path, environment={})
        except BuildxTasksError as error:
            errors += 1
            assert str(error).startswith("buildx.toml:"), (number, text)  # noqa: PT017
        except Exception as error:
            raise AssertionError(f"mutation {number}:\n{text}") from error
    assert errors > 5_000
