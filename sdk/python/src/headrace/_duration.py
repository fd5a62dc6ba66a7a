"""Durations: "5ms", "10s", "10m", "2h", "7d", "1h30m", or a timedelta. A bare number has no unit and is refused."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")


def seconds(value: str | timedelta, what: str) -> float:
    """Seconds of a duration that is not negative. `what` names it in the error."""
    if isinstance(value, timedelta):
        if value < timedelta(0):
            raise ValueError(f"{what}: a duration cannot be negative")
        return value.total_seconds()
    if not isinstance(value, str):
        raise TypeError(f'{what}: {value!r} has no unit; write a duration such as "10s" or a timedelta')
    if not _WHOLE.fullmatch(value):
        raise ValueError(f'{what}: {value!r} is not a duration; write for example "5ms", "10s", "10m", "2h" or "7d"')
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
