"""The text of ``buildx.lock``: read strictly, written always the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildx_tasks.errors import ConfigError
from buildx_tasks.language import loading, lockfile
from buildx_tasks.language.lockfile import Pin

DIGEST = f"sha256:{'a' * 64}"
COMMIT = "b" * 40
GOOD = f"""# What builds read, as invoke lock found it; invoke lock --update moves it on.
"alpine:3.22" = "{DIGEST}"  # linux/amd64, linux/arm64
"https://example.com/x.git#main" = "{COMMIT}"
"localhost:5000/tools:1" = "{DIGEST}"
"""


def test_what_is_written_is_read_and_written_again() -> None:
    pins = lockfile.parse(GOOD)
    assert pins["alpine:3.22"] == Pin(DIGEST, ("linux/amd64", "linux/arm64"), 2)
    assert lockfile.text_of(pins) == GOOD
    assert lockfile.text_of(dict(reversed(pins.items()))) == GOOD


def test_a_byte_order_mark_and_other_line_ends_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "buildx.lock"
    assert lockfile.read(path) is None
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert lockfile.read(path) == lockfile.parse(GOOD)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f'"alpine:3.22" = "{DIGEST[:-1]}"',
            f'1:17: "{DIGEST[:-1]}" is no digest: sha256: and 64 hexadecimal digits; correct it, or '
            "delete the line and run invoke lock",
        ),
        (f'"alpine" = "{DIGEST}"', '1:1: "alpine" is written "alpine:latest" here; rename it'),
        (
            f'\n"docker.io/library/alpine:3" = "{DIGEST}"',
            '2:1: "docker.io/library/alpine:3" is written "alpine:3" here; rename it',
        ),
        (f'"Alpine:3" = "{DIGEST}"', '1:1: "Alpine:3" is no image reference; write it as in'),
        (f'"a:1@{DIGEST}" = "{DIGEST}"', "has a digest already; take the line out"),
        ('"a:1" = 1', '1:9: the pin of "a:1" must be a string, as in "sha256:…"'),
        (f'[images]\n"a:1" = "{DIGEST}"', '1:2: "images" is a table; write a line for each image'),
        ('"https://x/y.git" = "main"', '1:21: "main" is no commit: 40 hexadecimal digits'),
        (f'"a:1" = "{DIGEST}"\n"a:1" = "{DIGEST}"', "2:82: not valid TOML"),
        ('"a:1" =', "1:8: not valid TOML"),
        (
            f'"a:1" = "{DIGEST}"\n<<<<<<< ours\n"b:1" = "{DIGEST}"\n=======\n>>>>>>> theirs\n',
            "2:1: a merge was not finished here; keep one line for each image, then run invoke lock "
            "--check",
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        lockfile.parse(text)
    assert f"buildx.lock:{message}" in str(error.value) or message in str(error.value)
    assert str(error.value).startswith("buildx.lock:")


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "buildx.lock"
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not valid UTF-8"):
        lockfile.read(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        lockfile.read(path)


NAMES = st.from_regex(r"\A(localhost:5000/)?[a-z]{1,5}(/[a-z]{1,5})?:[a-z0-9][a-z0-9.-]{0,5}\Z")
DIGESTS = st.from_regex(r"\Asha256:[0-9a-f]{64}\Z")
PLATFORMS = st.lists(st.sampled_from(["linux/amd64", "linux/arm/v7"]), unique=True).map(tuple)
PINS = st.builds(Pin, DIGESTS, PLATFORMS, st.just(0))


@given(st.dictionaries(NAMES, PINS, max_size=5))
def test_any_pins_come_back(pins: dict[str, Pin]) -> None:
    pins = {name: pin for name, pin in pins.items() if not name.startswith("library/")}
    text = lockfile.text_of(pins)
    found = lockfile.parse(text)
    assert {name: pin._replace(line=0) for name, pin in found.items()} == pins
    assert lockfile.text_of(found) == text


@given(st.text(max_size=200))
def test_any_text_is_pins_or_one_error(text: str) -> None:
    try:
        lockfile.parse(text)
    except ConfigError as error:
        assert str(error).startswith("buildx.lock:")  # noqa: PT017 - there may be none


def test_renovate_finds_each_image_by_the_manager_of_the_docs() -> None:
    page = (Path(__file__).parents[3] / "docs" / "lock.md").read_text()
    block = page.split("## Renovate")[1].split("```json\n")[1].split("```")[0]
    (manager,) = json.loads(block)["customManagers"]
    (file,) = manager["managerFilePatterns"]
    assert re.search(file.strip("/"), "some/buildx.lock")
    assert not re.search(file.strip("/"), "buildx.lock.bak")
    (pattern,) = manager["matchStrings"]
    found = re.finditer(pattern.replace("(?<", "(?P<"), GOOD)
    assert [match.groupdict() for match in found] == [
        {"depName": "alpine", "currentValue": "3.22", "currentDigest": DIGEST},
        {"depName": "localhost:5000/tools", "currentValue": "1", "currentDigest": DIGEST},
    ]


@pytest.mark.parametrize(("text", "hours"), [("14d", 336), ("12h", 12), ("2w", 336), ("", 0)])
def test_the_table_of_the_lock(tmp_path: Path, text: str, hours: int) -> None:
    path = tmp_path / "buildx.toml"
    table = f'[lock]\nexclude = ["*:dev"]\ncooldown = "{text}"\n' if text else ""
    path.write_text(f"{table}[target.app]\n")
    assert loading.load(path).lock.hours == hours


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('cooldown = "14 days"', '"cooldown" must be'),
        ("cooldown = 14", '"cooldown" must be a string'),
        ('excludes = ["a"]', 'unknown key "excludes" in [lock]; did you mean "exclude"?'),
    ],
)
def test_what_the_table_of_the_lock_cannot_be(tmp_path: Path, table: str, message: str) -> None:
    path = tmp_path / "buildx.toml"
    path.write_text(f"[lock]\n{table}\n[target.app]\n")
    with pytest.raises(ConfigError) as error:
        loading.load(path)
    assert message in str(error.value)
