from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildx_tasks import platforms
from buildx_tasks.platforms import Platform, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/aarch64", "linux/arm64"),
        ("arm64", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("Linux/RISCV64", "linux/riscv64"),
        ("linux/i386", "linux/386"),
        ("macos/arm64", "darwin/arm64"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_normalises_as_containerd_does(text: str, expected: str) -> None:
    assert str(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "os/architecture"),
        ("linux", "os/architecture"),
        ("linux/", "os/architecture"),
        ("linux//v7", "os/architecture"),
        ("linux/arm/v7/x", "os/architecture"),
        ("linx/arm64", 'did you mean "linux"'),
        ("linux/arm46", 'did you mean "arm64"'),
        ("linux/arm/v9", "known: v5, v6, v7, v8"),
        ("linux/riscv64/v1", "leave it out"),
    ],
)
def test_says_what_is_wrong(text: str, part: str) -> None:
    with pytest.raises(ValueError, match=".") as caught:
        parse(text)
    assert part in str(caught.value)


@given(
    st.sampled_from(sorted(platforms.SYSTEMS)),
    st.sampled_from(sorted(platforms.ARCHITECTURES)),
    st.sampled_from(["", "/v6", "/v7", "/v8", "/v2"]),
)
def test_parsing_what_was_written_changes_nothing(
    system: str, architecture: str, variant: str
) -> None:
    try:
        parsed = parse(f"{system}/{architecture}{variant}")
    except ValueError:
        return
    assert parse(str(parsed)) == parsed


@given(st.text(max_size=30))
def test_any_text_is_a_platform_or_a_clear_error(text: str) -> None:
    try:
        parse(text)
    except ValueError as error:
        assert "is no platform" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("wanted", "machine", "native"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/386", "linux/amd64", True),
        ("linux/amd64/v3", "linux/amd64", True),
        ("linux/arm64", "linux/amd64", False),
        ("linux/arm/v6", "linux/arm/v7", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm/v7", "linux/arm64", False),
        ("windows/amd64", "linux/amd64", False),
    ],
)
def test_native(wanted: str, machine: str, native: bool) -> None:
    assert platforms.runs_natively(parse(wanted), parse(machine)) is native


def test_the_host_is_a_linux_platform() -> None:
    assert isinstance(platforms.host_platform(), Platform)
    assert platforms.host_platform().os == "linux"
