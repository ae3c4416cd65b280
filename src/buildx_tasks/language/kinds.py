"""Values of variables: their kind, their text, and what ``validation`` says of them."""

from __future__ import annotations

import re
from typing import Any

from buildx_tasks.errors import nearest


def text_of(value: Any) -> str:
    """Return a value as the text that stands in a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def kind_of(value: Any) -> str:
    """Return the type of a variable with this default."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "list" if isinstance(value, list) else "string"


def breaks(rule: dict[str, Any], value: Any) -> str | None:
    """Return how a value breaks a rule of ``validation``; None where it does not."""
    text = text_of(value)
    if "pattern" in rule and not re.fullmatch(rule["pattern"], text):
        return f"it does not match {rule['pattern']}"
    if "choices" in rule and text not in [text_of(choice) for choice in rule["choices"]]:
        choices = [text_of(choice) for choice in rule["choices"]]
        return f"it is none of {', '.join(choices)}{nearest(text, choices)}"
    if "min" in rule and (not isinstance(value, (int, float)) or value < rule["min"]):
        return f"it is below {rule['min']}"
    if "max" in rule and (not isinstance(value, (int, float)) or value > rule["max"]):
        return f"it is above {rule['max']}"
    return None
