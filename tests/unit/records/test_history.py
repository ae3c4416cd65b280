from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.errors import UsageError
from buildx_tasks.records import release_notes, table

if TYPE_CHECKING:
    from conftest import Project

INDEX, OLDER, AMD, ARM = (f"sha256:{digit * 64}" for digit in "1234")
BOTH = {"linux/amd64": AMD, "linux/arm64": ARM}
REPOSITORY = "localhost:5000/hello"
TOML = """
[target.hello]
tags = ["localhost:5000/hello:v1", "localhost:5000/hello:latest"]
[target.other]
tags = ["localhost:5000/other:v1"]
"""


def entry(event: str, second: int = 0, **more: Any) -> dict[str, Any]:
    return {"event": event, "at": f"2026-11-25T08:00:{second:02}+00:00", **more}


def push(second: int, tag: str, digest: str = INDEX, **more: Any) -> dict[str, Any]:
    fields = {"target": "hello", "tag": f"{REPOSITORY}:{tag}", "digest": digest, **more}
    return entry("pushed", second, **fields)


NEW: dict[str, Any] = {"manifests": BOTH, "verified": "passed", "way": "image store"}
ENTRIES = [
    entry("created", 1, builder="b", driver="docker"),
    entry("built", 2, target="hello", platforms=list(BOTH), digest=INDEX, tags=[]),
    entry("verified", 3, cell="hello@linux/amd64", digest=AMD, checks="x"),
    entry("verified", 3, cell="hello@linux/arm64", digest=ARM, checks="x"),
    entry("failed", 4, cell="other@linux/arm64", digest=OLDER, checks="x"),
    push(5, "v1", was=OLDER, versions={"Docker Engine": "28.5"}, **NEW),
    push(6, "latest", was=INDEX, **{**NEW, "verified": "no"}),
    entry(
        "promoted",
        7,
        **{"from": f"{REPOSITORY}@{INDEX}", "tag": "prod/hello:stable", "digest": INDEX},
    ),
]


def test_rows_newest_first_with_the_cells_of_one_verification_together() -> None:
    rows = table.rows(table.chosen(ENTRIES, None, ()))
    assert [row[0] for row in rows] == [f"2026-11-25T08:00:0{n}Z" for n in (7, 6, 5, 4, 3, 2, 1)]
    assert [row[1:] for row in rows] == [
        ("promoted", "prod/hello:stable", INDEX, f"from {REPOSITORY}"),
        (
            "pushed",
            f"{REPOSITORY}:latest",
            INDEX,
            "not verified (--no-verify), image store, as before",
        ),
        (
            "pushed",
            f"{REPOSITORY}:v1",
            INDEX,
            "verified passed, image store, was sha256:222222222222…",
        ),
        ("failed", "other@linux/arm64", OLDER, ""),
        ("verified", "hello: 2 cells", "", "linux/amd64, linux/arm64"),
        ("built", "hello", INDEX, "linux/amd64, linux/arm64"),
        ("created", "b", "", "docker"),
    ]
    every = table.rows(table.chosen(ENTRIES, None, ()), every=True)
    assert [row[2:4] for row in every if row[1] == "verified"] == [
        ("hello@linux/arm64", ARM),
        ("hello@linux/amd64", AMD),
    ]
    assert every[2][4].endswith("Docker Engine 28.5")


def test_a_target_has_its_cells_its_tags_and_what_was_promoted_of_it() -> None:
    events = [one["event"] for one in table.chosen(ENTRIES, {"hello"}, ())]
    assert events == "promoted pushed pushed verified verified built".split()
    assert table.chosen(ENTRIES, {"other"}, ["failed", "pushed"]) == [ENTRIES[4]]
    with pytest.raises(UsageError, match='unknown event "pushd"; did you mean "pushed"'):
        table.chosen(ENTRIES, None, ["pushd"])
    with pytest.raises(UsageError, match='unknown event "xxxxxx"; known: artifact, built, chosen'):
        table.chosen(ENTRIES, None, ["xxxxxx"])


@pytest.mark.parametrize("event", sorted(table.EVENTS | {"\x1b[2J"}))
@pytest.mark.parametrize("value", [None, 1, [], {}, "\x1b[2J", [1], {"a": 1}])
def test_nothing_is_relied_on_and_nothing_acts_on_the_terminal(event: str, value: Any) -> None:
    keys = "target cell tag reference builder driver digest from was way verified platforms"
    fields = dict.fromkeys([*keys.split(), "manifests", "versions", "sizes", "staged"], value)
    for odd in ({"event": event, "at": "\x1b", **fields}, {"event": event, "at": ""}):
        for every in (False, True):
            rows = table.rows(table.chosen([odd, *ENTRIES, odd], None, ()), every=every)
            assert all(text.isprintable() for row in rows for text in row)
        table.chosen([odd, *ENTRIES], {"hello"}, ())
        assert release_notes.released([odd, *ENTRIES], ["hello"], strangers=True)["hello"]


def test_times_of_any_zone_are_shown_in_utc() -> None:
    for at in ("2026-11-25T09:00:00+01:00", "2026-11-25T08:00:00Z", "2026-11-25T08:00:00"):
        assert table.rows([{"event": "x", "at": at}])[0][0] == "2026-11-25T08:00:00Z"


def test_the_last_push_is_the_tags_that_still_hold_its_digest() -> None:
    stranger = entry("promoted", 9, tag="prod/third:v1", digest=ARM, manifests={})
    entries = [
        push(0, "v0", OLDER),
        push(1, "moved"),
        *ENTRIES,
        push(8, "moved", OLDER, target="other"),
        stranger,
    ]
    found = release_notes.released(entries, ["hello", "nothing"], strangers=True)
    assert {name: [one.tag for one in tags] for name, tags in found.items()} == {
        "hello": [f"{REPOSITORY}:v1", f"{REPOSITORY}:latest", "prod/hello:stable"],
        "": ["prod/third:v1"],
    }
    assert [one.verified for one in found["hello"]] == ["passed", "no", "passed"]
    assert found["hello"][2].manifests == BOTH
    assert "" not in release_notes.released(entries, ["hello"], strangers=False)


def test_older_entries_have_the_platforms_of_their_build() -> None:
    one = release_notes.released([ENTRIES[1], push(1, "v1")], ["hello"], strangers=True)["hello"][0]
    assert (one.platforms, one.manifests, one.repository) == (tuple(BOTH), {}, REPOSITORY)


def test_release_notes_are_a_table_of_what_docker_pulls() -> None:
    tags = release_notes.released(ENTRIES[:-1], ["hello"], strangers=True)["hello"]
    v1, latest = f"{REPOSITORY}:v1", f"{REPOSITORY}:latest"
    assert release_notes.release_notes(tags).splitlines() == [
        "| image | platforms | by digest | verified |",
        "| --- | --- | --- | --- |",
        f"| `{v1}` | linux/amd64, linux/arm64 | `{v1}@{INDEX}` | passed |",
        f"| `{latest}` | linux/amd64, linux/arm64 | `{latest}@{INDEX}` | no (`--no-verify`) |",
        f"| | linux/amd64 | `{REPOSITORY}@{AMD}` | |",
        f"| | linux/arm64 | `{REPOSITORY}@{ARM}` | |",
    ]
    odd = release_notes.Released("a|`b\x1b", INDEX, ("<x>|",), {}, "*")
    assert release_notes.release_notes([odd]).splitlines()[2] == (
        rf"| `` a\|`b\x1b `` | \<x\>\| | `` a\|`b\x1b@{INDEX} `` | \* |"
    )


def test_log(project: Project) -> None:
    project.write(TOML)
    assert project.ok("log") == "nothing recorded\n"
    nothing = project.invoke("log", "--release-notes", "-t", "other")
    assert nothing.returncode == 1
    assert "was pushed yet; run invoke push -t other" in nothing.stderr
    (project.folder / ".buildx").mkdir()
    (project.folder / ".buildx" / "ledger.json").write_text(json.dumps(ENTRIES))
    lines = project.invoke("log", "-t", "hel*", "--number", "2")
    assert [line.split()[1] for line in lines.stdout.splitlines()[1:]] == ["promoted", "pushed"]
    assert lines.stderr == "3 earlier ones are not shown; show all with --number 0\n"
    told = json.loads(project.ok("log", "--format", "json", "--event", "verified"))
    assert told == [ENTRIES[3], ENTRIES[2]]
    notes = project.invoke("log", "--release-notes")
    assert "| `prod/hello:stable` |" in notes.stdout
    assert notes.stderr == "not pushed, or replaced since: other\n"
    for args, message in (
        (["--event", "pushd"], 'did you mean "pushed"?'),
        (["-t", "hallo"], 'unknown target "hallo"; did you mean "hello"?'),
        (["--number=-1"], "--number: -1 is no number of rows"),
        (["--release-notes", "--all"], "--all does not go with --release-notes; leave it out"),
        (["--version", "v1"], "the list of what happened; add --release-notes, or leave it out"),
        (["--diff-published", "--release-notes"], "are tables of their own; leave one out"),
        (["--diff-published", "--format", "xml"], 'unknown kind "xml"; known: table, text'),
    ):
        wrong = project.invoke("log", *args)
        assert wrong.returncode == 2, wrong.stderr
        assert message in wrong.stderr
