"""When a build began, by the engine's clock."""

from __future__ import annotations

import datetime as dt
import time

from buildx_tasks.building.leftovers import by_clock

HOUR = dt.timedelta(hours=1)


def test_a_slow_answer_makes_no_moment_earlier() -> None:
    began = time.monotonic()
    true = dt.datetime.now(dt.timezone.utc) + HOUR  # the engine's clock is another one

    def slow() -> str:
        time.sleep(0.05)
        shown = (dt.datetime.now(dt.timezone.utc) + HOUR).isoformat()
        time.sleep(0.05)
        return shown

    found = by_clock(slow, began)
    assert true <= found < true + dt.timedelta(seconds=30)
