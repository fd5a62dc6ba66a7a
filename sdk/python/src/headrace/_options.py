"""Options of decorators and of enqueue: checked where they are written, durations turned into seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from headrace._duration import seconds

Duration = str | timedelta
Priority = Literal["low", "normal", "high", "critical"]
AfterPolicy = Literal["stop", "continue"]
UniquePolicy = Literal["oldest", "newest"]

_DURATIONS = {"backoff", "backoff_max", "timeout", "queue_timeout", "expires", "wait", "delay"}
_CHOICES = {
    "priority": ("low", "normal", "high", "critical"),
    "unique_policy": ("oldest", "newest"),
    "missed": ("skip", "once", "all"),
}
_LEAST = {"retries": 0, "key_limit": 1, "size": 1, "bytes": 1, "concurrency": 1}
_ROUTE = re.compile(r"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /\S*")
_ARGUMENT = {"key", "unique"}


def check(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The options that were given, as JSON values. `where` begins the text of an error."""
    return {name: _one(name, value, f"{where}: {name}") for name, value in given.items() if value is not None}


def _one(name: str, value: Any, where: str) -> Any:
    if name in _DURATIONS:
        return seconds(value, where)
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ValueError(f"{where} is {value!r}, must be one of {', '.join(_CHOICES[name])}")
    elif name in _LEAST:
        if type(value) is not int:
            raise TypeError(f"{where} is {value!r}, must be an integer")
        if value < _LEAST[name]:
            raise ValueError(f"{where} is {value}, must be at least {_LEAST[name]}")
    elif name in ("tags", "policies"):
        if isinstance(value, str) or not all(isinstance(tag, str) for tag in value):
            raise TypeError(f"{where} must be a list of strings")
        return list(value)
    elif not isinstance(value, str) or not value:
        raise TypeError(f"{where} is {value!r}, must be a string that is not empty")
    elif name == "route" and not _ROUTE.fullmatch(value):
        raise ValueError(f'{where} is {value!r}, must be a method and a path such as "POST /reports"')
    elif name == "cron" and len(value.split()) != 5:
        raise ValueError(f'{where} is {value!r}, must have five fields such as "0 6 * * mon-fri"')
    return value


def moment(value: datetime) -> str:
    """RFC 3339 in UTC. A time without a zone is local time."""
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def check_arguments(options: Mapping[str, Any], parameters: Mapping[str, Any], where: str) -> None:
    """`key` and `unique` name arguments of the function."""
    for name in _ARGUMENT & options.keys():
        value = options[name]
        if value not in parameters and not (name == "unique" and value == "args"):
            raise ValueError(f"{where}: {name}={value!r} names no argument; the arguments are {', '.join(parameters) or 'none'}")


def followed(after: Sequence[str] | None, policy: AfterPolicy | None) -> dict[str, str]:
    """The options of a job that comes after others."""
    options: dict[str, str] = {}
    if after:
        options["after"] = ",".join(after)
    if policy is not None:
        options["after_policy"] = policy
    return options
