"""70 Dockerfiles after public patterns, each finding judged: no false one, every planted one."""

from __future__ import annotations

import pytest
from support.judged import Judged, corpus

JUDGED = corpus()


@pytest.mark.parametrize("one", JUDGED, ids=lambda one: one.name)
def test_what_is_found_is_what_is_true(one: Judged) -> None:
    assert one.found() == one.true


def test_there_are_enough_of_them() -> None:
    assert len({one.name for one in JUDGED}) >= 60
    assert sum(not one.true for one in JUDGED) >= 15
