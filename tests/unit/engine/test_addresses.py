"""What is asked without docker's library is what that library would have asked."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from docker.utils import parse_host

from buildx_tasks.engine import addresses
from buildx_tasks.engine.connection import reach
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

LOG_IN = base64.b64encode(b"me:secret").decode()
PLAIN = [
    "unix:///var/run/docker.sock",
    "unix:///a/b c/d.sock",
    "tcp://127.0.0.1:2375",
    "tcp://engine.example:2375",
    "tcp://engine.example:2375/",
]
NOT_PLAIN = [
    "ssh://me@host",
    "unix://relative/docker.sock",
    "unix://",
    "unix:///a/",
    "npipe:////./pipe/docker_engine",
    "fd://",
    "http://127.0.0.1:2375",
    "https://127.0.0.1:2376",
    "tcp://127.0.0.1",
    "tcp://127.0.0.1:0",
    "tcp://127.0.0.1:65536",
    "tcp://127.0.0.1:2375/v1",
    "tcp://me:secret@127.0.0.1:2375",
    "tcp://[::1]:2375",
    "tcp://:2375",
    "127.0.0.1:2375",
    "nonsense",
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def configured(home: Path, config: Any) -> None:
    text = config if isinstance(config, str) else json.dumps(config)
    (home / "config.json").write_text(text)


def context(home: Path, meta: Any) -> Path:
    configured(home, {"currentContext": "other"})
    name = hashlib.sha256(b"other").hexdigest()
    folder = home / "contexts" / "meta" / name
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(meta if isinstance(meta, str) else json.dumps(meta))
    return home / "contexts" / "tls" / name


@pytest.mark.parametrize("host", PLAIN)
def test_a_plain_address_is_the_one_that_docker_s_library_takes(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    found = addresses.plain()
    as_url = (
        f"http+unix://{found}" if isinstance(found, str) else "http://{}:{}".format(*found or ())
    )
    assert as_url == parse_host(host)


@pytest.mark.parametrize("host", NOT_PLAIN)
def test_all_else_is_left_to_it(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    assert addresses.plain() is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/certs"), ("HTTP_PROXY", "http://p:1")],
)
def test_so_is_tls_and_a_proxy(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    assert addresses.plain() == ("127.0.0.1", 2375)
    monkeypatch.setenv(name, "")
    monkeypatch.setenv(name, value)
    assert addresses.plain() is None


def test_without_anything_it_is_docker_s_own_socket() -> None:
    assert addresses.plain() == "/var/run/docker.sock"


def test_a_context_says_where_the_engine_is(home: Path) -> None:
    tls = context(home, {"Name": "other", "Endpoints": {"docker": {"Host": "unix:///x.sock"}}})
    assert addresses.plain() == "/x.sock"
    tls.mkdir(parents=True)
    assert addresses.plain() is None


@pytest.mark.parametrize("meta", ["", "[]", "{}", {"Endpoints": {}}, {"Endpoints": {"docker": 1}}])
def test_a_context_that_is_damaged_is_left_to_the_library(home: Path, meta: Any) -> None:
    context(home, meta)
    assert addresses.plain() is None


def test_a_context_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "nope")
    with pytest.raises(EngineError, match='docker context "nope" does not exist'):
        addresses.plain()


@pytest.mark.parametrize(
    "config",
    [
        "",
        "no json",
        {},
        {"auths": {}},
        {"auths": {"x": {}}},
        {"auths": {"x": {"auth": LOG_IN}}, "credsStore": "pass"},
        {"auths": {"x": {"identitytoken": "t"}}},
        {"credHelpers": {"x": "pass"}, "plugins": {"buildx": {"k": "v"}}},
    ],
)
def test_a_configuration_that_changes_nothing(home: Path, config: Any) -> None:
    configured(home, config)
    assert addresses.plain() == "/var/run/docker.sock"


@pytest.mark.parametrize(
    "config",
    [
        "[]",
        "5",
        {"HttpHeaders": {"X-Me": "1"}},
        {"proxies": {"default": {}}},
        {"auths": []},
        {"auths": ["x"]},
        {"auths": {"x": {"auth": "?"}}},
        {"auths": {"x": {"auth": 5}}},
        {"auths": {"x": {"auth": base64.b64encode(b"no colon").decode()}}},
        {"x": {"auth": "?"}},
    ],
)
def test_one_that_matters_or_is_damaged_is_left_to_the_library(home: Path, config: Any) -> None:
    configured(home, config)
    assert addresses.plain() is None


def test_a_log_in_that_cannot_be_read_is_told_as_ever(home: Path) -> None:
    configured(home, {"auths": {"x": {"auth": 5}}})
    with pytest.raises(EngineError) as caught:
        reach()
    assert "config.json cannot be understood; correct it, or docker login anew" in str(caught.value)
