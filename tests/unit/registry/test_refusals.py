"""What a registry says no to for good, in the words of different registries."""

from __future__ import annotations

import json

import pytest
import requests

from buildx_tasks.errors import RefusalError, RegistryError
from buildx_tasks.registry import faults
from buildx_tasks.registry.faults import PassingError


def answer(status: int, code: str, message: str, **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made._content = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    made.headers.update({key.replace("_", "-"): value for key, value in headers.items()})
    return made


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "TAG_INVALID", "The image tag already exists … because the repository is immutable."),
        (400, "MANIFEST_INVALID", "manifest invalid: tag v1 is immutable"),
        (412, "PRECONDITION", "Failed to process request due to 'v1' configured as immutable."),
        (409, "CONFLICT", "tag v1 cannot be overwritten"),
        (405, "UNSUPPORTED", "The operation is disallowed: the image is locked"),
        (400, "UNKNOWN", "Repository does not allow updating assets: x"),
        (423, "DENIED", "immutable tag"),
    ],
)
def test_a_tag_that_may_not_be_moved(status: int, code: str, message: str) -> None:
    with pytest.raises(RefusalError, match="push another tag") as caught:
        faults.check(answer(status, code, message), "localhost:5000/a:v1", "localhost:5000")
    assert "run this again" not in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "DENIED", "quota exceeded"),
        (400, "LimitExceededException", "the maximum number of images has been reached"),
        (403, "DENIED", "adding 5 MiB of storage will exceed the limit of this project"),
        (413, "SIZE", "too much"),
        (402, "DENIED", "payment required"),
        (507, "UNKNOWN", ""),
    ],
)
def test_no_room_is_left(status: int, code: str, message: str) -> None:
    with pytest.raises(RefusalError, match="raise the quota or remove old images") as caught:
        faults.check(answer(status, code, message), "localhost:5000/a:v1", "localhost:5000")
    assert "run this again" not in str(caught.value)


def test_a_limit_of_requests() -> None:
    said = "You have reached your unauthenticated pull rate limit."
    with pytest.raises(RefusalError, match="its limit of requests is reached; docker login") as no:
        faults.check(answer(429, "TOOMANYREQUESTS", said), "alpine:3", "docker.io")
    assert "run this again" not in str(no.value)
    # For a moment only, for the registry says how long.
    with pytest.raises(PassingError) as caught:
        faults.check(answer(429, "TOOMANYREQUESTS", said, Retry_After="2"), "a", "docker.io")
    assert (caught.value.pause, caught.value.final) == (2, RefusalError)
    assert "run this again" not in caught.value.fix


def test_what_may_pass_is_tried_again() -> None:
    with pytest.raises(PassingError) as caught:
        faults.check(answer(503, "UNAVAILABLE", "starting"), "a", "b")
    assert caught.value.final is RegistryError
