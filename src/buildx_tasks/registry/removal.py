"""A manifest of a repository in; it is gone, out, or the registry's reason why it is not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from buildx_tasks.errors import MissingError, RefusalError
from buildx_tasks.registry.connection import Request

if TYPE_CHECKING:
    from buildx_tasks.registry.repository import Repository


def remove(repository: Repository, digest: str) -> None:
    """Remove a manifest, and all tags that hold it; one that is gone already is none to remove.

    Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#deleting-manifests

    Raises:
        RefusalError: this registry deletes nothing, or not for this account.
        RegistryError: it does not come back.

    """
    what = f"{repository.named(digest)} cannot be deleted"
    scope = f"repository:{repository.name}:pull,push,delete"
    path = f"/v2/{repository.name}/manifests/{digest}"
    request = Request("DELETE", path, what, scope)
    try:
        repository.insist(what, partial(repository.registry.ask, request))
    except MissingError:
        return
    except RefusalError as error:
        raise RefusalError(
            f"{error}; a registry may have to be told that it may delete (Distribution: "
            "REGISTRY_STORAGE_DELETE_ENABLED=true), others delete on their own pages only"
        ) from None
