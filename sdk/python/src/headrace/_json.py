"""JSON out and in: what a function may return, and strict decoding."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from headrace._blob import Blob


class Unencodable(Exception):
    """The value has no JSON."""


def _default(value: Any) -> Any:
    """What the encoder writes instead of a value that it does not know."""
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in _fields(kind)}
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, (UUID, Decimal, PurePath)):
        return str(value)
    if isinstance(value, Blob):
        return value.reference()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError("bytes have no JSON; hand them over with job.blob(data) and return the blob")
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if kind.__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{kind.__module__}.{kind.__qualname__} has no JSON; return plain types, dataclasses, pydantic models or hr.Blob")


def _fields(kind: Any) -> list[str]:
    import dataclasses

    return [field.name for field in dataclasses.fields(kind)]


def _text_keys(value: Any) -> Any:
    """The value with every key a string, for dictionaries keyed by an Enum, UUID or date."""
    if isinstance(value, dict):
        return {_key(k): _text_keys(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_text_keys(v) for v in value]
    if value is None or isinstance(value, (str, int, float, Enum)):
        return value
    return _text_keys(_default(value))


def _key(key: Any) -> Any:
    if isinstance(key, Enum):
        key = key.value
    if isinstance(key, (UUID, date, datetime, Decimal, PurePath)):
        return str(key) if not isinstance(key, (date, datetime)) else key.isoformat()
    return key


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_default).encode


def encode(value: Any) -> bytes:
    """UTF-8 JSON of a value, or Unencodable."""
    if value is None:
        return b"null"
    try:
        try:
            return _encode(value).encode()
        except TypeError as error:
            if "keys must be" not in str(error):
                raise
            return _encode(_text_keys(value)).encode()
    except UnicodeEncodeError:
        raise Unencodable("a string holds a lone surrogate, which UTF-8 cannot carry") from None
    except RecursionError:
        raise Unencodable("the value contains itself or is nested too deeply") from None
    except (TypeError, ValueError) as error:
        text = str(error)
        if "Circular" in text:
            text = "the value contains itself"
        elif "JSON compliant" in text:
            text = "NaN and Infinity have no JSON; return None or a string instead"
        raise Unencodable(text) from None
    except Exception as error:  # from a serializer or property of a user's class
        raise Unencodable(f"{type(error).__name__}: {error}") from error


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_refuse).decode


def decode(data: bytes) -> Any:
    """The value of UTF-8 JSON, or ValueError."""
    if data == b"{}":
        return {}
    return _decode(str(data, "utf-8"))
