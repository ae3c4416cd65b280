"""``[builder]`` → nothing, or the error: what its driver does not take, nodes in each other's way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from buildx_tasks import platforms
from buildx_tasks.errors import listed, nearest
from buildx_tasks.language.config import Node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.language.buildkitd import Buildkitd
    from buildx_tasks.language.config import Builder
    from buildx_tasks.language.positions import KeyPath
    from buildx_tasks.language.sources import Fail


CERTIFICATE_FILES = ("cacert", "cert", "key")  # options of the remote driver that name files

_TOP: KeyPath = ("builder",)
_DAEMON = ("buildkitd-flags", "buildkitd")  # keys of what configures a node's daemon

_WHOLE = r"[0-9]+"
_SIZE = r"[0-9.]+ ?([kmgtKMGT]i?)?[bB]?"
_QUANTITY = r"[0-9.]+(m|[kKMGTPE]i?)?"  # Kubernetes' own
_FLAG = "true|false|1|0"
_PAIRS = r'[^=,"]+=[^=,]*(,[^=,"]+=[^=,]*)*'
_ANY = ".+"

# What each driver takes: option → pattern of its value. A test asks buildx itself about each.
# Source: https://docs.docker.com/build/builders/drivers/
OPTIONS: dict[str, dict[str, str]] = {
    "docker": {},
    "docker-container": {
        "cgroup-parent": _ANY,
        "cpu-period": _WHOLE,
        "cpu-quota": _WHOLE,
        "cpu-shares": _WHOLE,
        "cpuset-cpus": "[0-9,-]+",
        "cpuset-mems": "[0-9,-]+",
        "default-load": _FLAG,
        "env.": ".*",
        "image": _ANY,
        "memory": _SIZE,
        "memory-swap": f"-1|{_SIZE}",
        "network": _ANY,
        "restart-policy": "no|always|unless-stopped|on-failure(:[0-9]+)?",
    },
    "kubernetes": {
        "annotations": _PAIRS,
        "buildkit-root-volume-memory": _QUANTITY,
        "default-load": _FLAG,
        "env.": ".*",
        "image": _ANY,
        "labels": _PAIRS,
        "limits.cpu": _QUANTITY,
        "limits.ephemeral-storage": _QUANTITY,
        "limits.memory": _QUANTITY,
        "loadbalance": "sticky|random",
        "namespace": "[a-z0-9]([a-z0-9-]*[a-z0-9])?",
        "nodeselector": _PAIRS,
        "qemu.image": _ANY,
        "qemu.install": _FLAG,
        "replicas": _WHOLE,
        "requests.cpu": _QUANTITY,
        "requests.ephemeral-storage": _QUANTITY,
        "requests.memory": _QUANTITY,
        "rootless": _FLAG,
        "schedulername": _ANY,
        "serviceaccount": _ANY,
        "timeout": r"([0-9.]+(ms|s|m|h))+",
        "tolerations": r"(key|operator|value|effect|tolerationSeconds)=.*",
    },
    "remote": {
        "cacert": _ANY,
        "cert": _ANY,
        "default-load": _FLAG,
        "key": _ANY,
        "servername": _ANY,
    },
    "cloud": {"default-load": _FLAG},
}

# Source: docker/buildx, driver/remote/util/endpoint.go; docker contexts take docker's own schemes.
_SCHEMES = {
    "remote": ("docker-container", "kube-pod", "npipe", "ssh", "tcp", "unix"),
    "docker-container": ("npipe", "ssh", "tcp", "unix"),
}

_EXAMPLE = {
    "remote": "tcp://build-arm64:1234",
    "docker-container": "a docker context, or ssh://user@build-arm64",
    "cloud": "ORG/BUILDER",
}


def tables(builder: Builder) -> list[Node]:
    """Return the ``[[builder.node]]`` tables; one that ``[builder]`` stands for where it has none."""
    return builder.node or [Node(endpoint=builder.endpoint, platforms=builder.platforms)]


def check(builder: Builder, fail: Fail) -> None:
    """Refuse what the driver does not take, and nodes that stand in each other's way.

    Raises:
        ConfigError: with the place in the file.

    """
    driver = builder.driver
    if driver == "docker":
        why = "is the engine's own BuildKit, which the engine configures"
        _refuse(builder, ("platforms", "driver-opts", *_DAEMON, "node"), driver, why, _TOP, fail)
        return
    if builder.name == "default" or not builder.name[0].isalpha():
        raise fail(
            (*_TOP, "name"),
            f'a builder with driver "{driver}" cannot be called "{builder.name}"; '
            "start with a letter, and leave default to the engine's own",
            value=True,
        )
    if driver == "cloud":
        _refuse(builder, ("node", "platforms"), driver, "brings its own nodes", _TOP, fail)
    if builder.node:
        for key in ("endpoint", "platforms"):
            if getattr(builder, key):
                raise fail(
                    (*_TOP, key),
                    f"[builder] has nodes, and {key} belongs to one; move it into a [[builder.node]]",
                )
    _check_certificates(builder.buildkitd, (*_TOP, "buildkitd"), fail)
    taken: dict[tuple[str, str], int] = {}
    for number, table in enumerate(tables(builder)):
        where = (*_TOP, "node", number) if builder.node else _TOP
        for options, place in ((builder.driver_opts, _TOP), (table.driver_opts, where)):
            _check_options(driver, options, (*place, "driver-opts"), fail)
        if driver in ("remote", "cloud"):
            for source, place in ((builder, _TOP), (table, where)):
                why = "is configured on its own side"
                _refuse(source, _DAEMON, driver, why, place, fail)
        _check_endpoint(driver, table.endpoint or "", where, fail)
        _check_certificates(table.buildkitd, (*where, "buildkitd"), fail)
        _check_tls(driver, {**builder.driver_opts, **table.driver_opts}, where, fail)
        _check_claims(builder, table, number, where, taken, fail)


def _refuse(
    table: Any, keys: tuple[str, ...], driver: str, why: str, where: KeyPath, fail: Fail
) -> None:
    for key in keys:
        if getattr(table, key.replace("-", "_")):
            raise fail(
                (*where, key),
                f'driver "{driver}" {why}; remove {key}, or use driver = "docker-container"',
            )


def _check_claims(
    builder: Builder,
    table: Node,
    number: int,
    where: KeyPath,
    taken: dict[tuple[str, str], int],
    fail: Fail,
) -> None:
    """Refuse what another node has already: buildx gives names, endpoints and platforms once."""
    claims: list[tuple[str, str, KeyPath]] = [
        ("name", table.name or f"{builder.name}{number}", (*where, "name"))
    ]
    # Nodes of kubernetes are deployments of one cluster: they share its endpoint.
    if builder.driver != "kubernetes":
        claims.append(("endpoint", table.endpoint or "", (*where, "endpoint")))
    for position, text in enumerate(table.platforms):
        place = (*where, "platforms", position)
        try:
            claims.append(("platform", str(platforms.parse(text)), place))
        except ValueError as error:
            raise fail(place, str(error)) from None
    for kind, value, place in claims:
        owner = taken.setdefault((kind, value), number)
        if owner != number:
            what = f'{kind} "{value}"' if value else "the engine's own endpoint"
            raise fail(
                place, f"{what} is already that of node {owner + 1}; give each node one of its own"
            )


def _check_options(driver: str, options: Mapping[str, str], where: KeyPath, fail: Fail) -> None:
    known = OPTIONS[driver]
    for key, value in options.items():
        pattern = known.get("env." if key.startswith("env.") else key)
        if key == "env.":
            pattern = None
        if pattern is None:
            names = [name if name != "env." else "env.NAME" for name in known]
            hint = nearest(key, names) or f"; it takes: {listed(names)}"
            raise fail((*where, key), f'driver "{driver}" has no option "{key}"{hint}')
        if not re.fullmatch(pattern, value):
            raise fail(
                (*where, key),
                f'"{value}" is no value for {key}; {_wanted(pattern)}',
                value=True,
            )


def _wanted(pattern: str) -> str:
    examples = {
        _WHOLE: "write a whole number, as in 2",
        _SIZE: "write a size, as in 512m",
        _QUANTITY: "write a quantity of Kubernetes, as in 500m or 2Gi",
        _PAIRS: "write KEY=VALUE,KEY=VALUE, as in kubernetes.io/arch=arm64",
        _FLAG: "write true or false",
    }
    if pattern in examples:
        return examples[pattern]
    if re.fullmatch("[a-z|-]+", pattern):
        return f"known: {pattern.replace('|', ', ')}"
    return "see https://docs.docker.com/build/builders/drivers/"


def _check_endpoint(driver: str, endpoint: str, where: KeyPath, fail: Fail) -> None:
    if driver == "kubernetes" and endpoint:
        raise fail(
            (*where, "endpoint"),
            'driver "kubernetes" has no endpoint: the current context of the kubeconfig (KUBECONFIG) '
            "counts; remove it",
        )
    example = _EXAMPLE.get(driver, "")
    if not endpoint:
        if driver in ("remote", "cloud"):
            raise fail(where, f'driver "{driver}" needs an endpoint; add endpoint = "{example}"')
        return
    place = (*where, "endpoint")
    if driver == "cloud":
        if not re.fullmatch(r"(cloud://)?[^/]+/[^/]+", endpoint):
            raise fail(place, f'"{endpoint}" is no cloud builder; write {example}', value=True)
        return
    try:
        scheme = urlsplit(endpoint).scheme if "://" in endpoint else ""
    except ValueError as error:
        raise fail(place, f'"{endpoint}" is no endpoint: {error}', value=True) from None
    if not scheme and driver == "docker-container":
        return  # a docker context
    if scheme not in _SCHEMES[driver]:
        known = ", ".join(f"{one}://" for one in _SCHEMES[driver])
        raise fail(
            place,
            f'"{endpoint}" is no endpoint for driver "{driver}"; write {example}; known: {known}',
            value=True,
        )


def _check_certificates(config: Buildkitd | None, where: KeyPath, fail: Fail) -> None:
    """Refuse two files of one name for a registry: buildx would keep only the last of them."""
    for host, registry in (config.registry if config else {}).items():
        seen: dict[str, str] = {}
        for path in (*registry.ca, *(p for k in registry.keypair for p in (k.key, k.cert))):
            other = seen.setdefault(path.rpartition("/")[2], path)
            if other != path:
                raise fail(
                    (*where, "registry", host),
                    f"{other} and {path} have one name, and buildx keeps them in one folder; "
                    "rename one",
                )


def _check_tls(driver: str, options: Mapping[str, str], where: KeyPath, fail: Fail) -> None:
    if driver != "remote" or not {*CERTIFICATE_FILES, "servername"} & options.keys():
        return
    lacking = [] if "cacert" in options else ["cacert"]
    if ("cert" in options) != ("key" in options):
        lacking.append("key" if "cert" in options else "cert")
    if lacking:
        raise fail(
            (*where, "driver-opts"),
            f"TLS needs {' and '.join(lacking)} too; add the file to driver-opts",
        )
