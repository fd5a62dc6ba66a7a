"""Shapes: one pass over an annotation gives its JSON Schema (2020-12) and the decoder of its JSON."""

from __future__ import annotations

import collections.abc
import sys
import types
import typing
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, NamedTuple
from uuid import UUID

from headrace._blob import Blob
from headrace._event import Request

if typing.TYPE_CHECKING:
    from headrace._record import Open

Schema = dict[str, Any]
Decode = Callable[[Any], Any]

SCALARS: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
WORDS: dict[type, str] = {dict: "an object", list: "a list", str: "a string", int: "an integer", float: "a number", bool: "a boolean",
                          type(None): "null"}
_LISTS = (list, collections.abc.Sequence, collections.abc.MutableSequence, collections.abc.Iterable, collections.abc.Collection)
_SETS = (set, frozenset, collections.abc.Set, collections.abc.MutableSet)
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_BLOB: Schema = {
    "type": "object",
    "title": "Blob",
    "properties": {"$blob": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}, "size": {"type": "integer"}, "type": {"type": "string"},
                   "name": {"type": "string"}},
    "required": ["$blob"],
}


class Mismatch(Exception):
    """JSON that does not fit its annotation. `path` grows while it leaves nested values."""

    def __init__(self, expected: str, value: Any, path: str = "") -> None:
        super().__init__(expected)
        self.path = path
        self.text = f"expected {expected}, got {WORDS.get(type(value), type(value).__name__)}" + (
            f" {value!r:.60}" if isinstance(value, (str, int, float)) and not isinstance(value, bool) else "")

    def under(self, step: str) -> Mismatch:
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


class Unsupported(TypeError):
    """An annotation that has no JSON."""


class Shape(NamedTuple):
    """`decode` is None where the JSON value is already the Python value."""

    schema: Schema
    decode: Decode | None
    blob: bool = False


class Shapes:
    """Shapes that share one `$defs`. `output` gives the schema of results: what is always written is required."""

    def __init__(self, *, output: bool = False) -> None:
        self.output = output
        self.defs: dict[str, Schema] = {}
        self.records: dict[type[Any], Open] = {}  # those being made, and the recursive ones

    def of(self, hint: Any) -> Shape:
        if hint is Any or hint is object:
            return Shape({}, None)
        if hint is None:
            hint = type(None)
        if isinstance(hint, type) and hint in SCALARS:
            return Shape({"type": SCALARS[hint]}, _SCALAR_DECODERS[hint])
        if isinstance(hint, typing.NewType):
            return self.of(hint.__supertype__)
        if hasattr(hint, "__value__") and type(hint).__name__ == "TypeAliasType":
            return self.of(hint.__value__)
        origin = typing.get_origin(hint)
        if origin is typing.Annotated:
            return self._annotated(hint)
        if origin is typing.Union or origin is types.UnionType:
            return self._union(typing.get_args(hint))
        if origin is typing.Literal:
            return self._choice(list(typing.get_args(hint)), {value: value for value in typing.get_args(hint)})
        plain = origin or hint
        if plain in _LISTS:
            return self._list(self._item(hint))
        if plain in _SETS:
            return self._set(self._item(hint), frozenset if plain is frozenset else set)
        if plain is tuple:
            return self._tuple(typing.get_args(hint), hint)
        if plain in _DICTS:
            return self._dict(typing.get_args(hint))
        if isinstance(hint, type) and origin is None:
            return self._class(hint)
        raise Unsupported(f"{_name(hint)} has no JSON")

    def _item(self, hint: Any) -> Shape:
        args = typing.get_args(hint)
        return self.of(args[0]) if args else Shape({}, None)

    def _annotated(self, hint: Any) -> Shape:
        inner, *notes = typing.get_args(hint)
        shape = self.of(inner)
        text = next((note for note in notes if isinstance(note, str)), None)
        return shape._replace(schema={**shape.schema, "description": text}) if text else shape

    def _union(self, members: tuple[Any, ...]) -> Shape:
        shapes = [self.of(member) for member in members]
        exact = {member for member in members if member in SCALARS} | ({type(None)} if None in members else set())
        blob = any(shape.blob for shape in shapes)
        schema: Schema = {"anyOf": [shape.schema for shape in shapes]}
        if all(set(shape.schema) == {"type"} for shape in shapes):
            schema = {"type": [shape.schema["type"] for shape in shapes]}
        rest = [shape.decode for shape in shapes]
        words = " or ".join(_name(member) for member in members)

        def decode(value: Any) -> Any:
            if type(value) in exact:
                return value
            for one in rest:
                if one is None:
                    return value
                try:
                    return one(value)
                except Mismatch as mismatch:
                    if len(rest) - len(exact) == 1 and one not in _SCALAR_DECODERS.values():
                        raise mismatch
            raise Mismatch(words, value)

        return Shape(schema, decode, blob)

    def _choice(self, values: list[Any], members: dict[Any, Any]) -> Shape:
        if not all(value is None or type(value) in (str, int, bool, float) for value in values):
            raise Unsupported("a choice whose values are not plain strings or numbers has no JSON")
        table = {(type(value), value): member for value, member in members.items()}
        words = "one of " + ", ".join(repr(value) for value in values)

        def decode(value: Any) -> Any:
            if isinstance(value, (str, int, float, type(None))):
                found = table.get((type(value), value), table)
                if found is not table:
                    return found
            raise Mismatch(words, value)

        return Shape({"enum": values}, decode)

    def _list(self, item: Shape) -> Shape:
        return Shape({"type": "array", "items": item.schema} if item.schema else {"type": "array"}, _list_decoder(item.decode), item.blob)

    def _set(self, item: Shape, make: type[Any]) -> Shape:
        each = _list_decoder(item.decode)
        schema: Schema = {"type": "array", "uniqueItems": True}
        if item.schema:
            schema["items"] = item.schema

        def decode(value: Any) -> Any:
            try:
                return make(each(value))
            except TypeError:
                raise Mismatch("a list of plain values", value) from None

        return Shape(schema, decode, item.blob)

    def _tuple(self, args: tuple[Any, ...], hint: Any) -> Shape:
        if hint is tuple or (len(args) == 2 and args[1] is Ellipsis):
            shape = self._list(self.of(args[0]) if args else Shape({}, None))
            each = typing.cast(Decode, shape.decode)
            return shape._replace(decode=lambda value: tuple(each(value)))
        shapes = [self.of(arg) for arg in args]
        return Shape(positional(shapes, len(shapes)), lambda value: tuple(decode_positional(shapes, len(shapes), value)),
                     any(shape.blob for shape in shapes))

    def _dict(self, args: tuple[Any, ...]) -> Shape:
        key, item = args or (str, Any)
        shape = self.of(item)
        if key not in (str, int, Any):
            raise Unsupported(f"a dictionary with {_name(key)} keys has no JSON; use str or int keys")
        each = shape.decode

        def decode(value: Any) -> Any:
            if type(value) is not dict:
                raise Mismatch("an object", value)
            if each is None and key is not int:
                return value
            made = {}
            for name, one in value.items():
                try:
                    made[int(name) if key is int else name] = one if each is None else each(one)
                except Mismatch as mismatch:
                    raise mismatch.under(f".{name}") from None
                except ValueError:
                    raise Mismatch("an integer as key", name) from None
            return made

        schema: Schema = {"type": "object"}
        if shape.schema:
            schema["additionalProperties"] = shape.schema
        if key is int:
            schema["propertyNames"] = {"pattern": "^-?[0-9]+$"}
        return Shape(schema, decode, shape.blob)

    def _class(self, kind: type[Any]) -> Shape:
        from headrace import _record

        if issubclass(kind, Blob):
            return Shape(_BLOB, _blob, True)
        if issubclass(kind, Request):
            return Shape({"type": "object", "title": kind.__name__}, kind.of)
        if issubclass(kind, Enum):
            values = [member.value for member in kind]
            return self._choice(values, {member.value: member for member in kind})
        text = _TEXTS.get(kind)
        if text is not None:
            return Shape({"type": "string", "format": text[0]}, _text_decoder(kind, *text))
        if issubclass(kind, (bytes, bytearray)):
            raise Unsupported("bytes have no JSON; take or return an hr.Blob")
        pydantic = sys.modules.get("pydantic")
        if pydantic is not None and issubclass(kind, pydantic.BaseModel):
            return _record.pydantic_shape(self, kind)
        shape = _record.shape(self, kind)
        if shape is None:
            raise Unsupported(f"{kind.__module__}.{kind.__qualname__} has no JSON; use plain types, a dataclass, a TypedDict, a NamedTuple, "
                              "a pydantic model or hr.Blob")
        return shape


def _name(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")


def positional(shapes: list[Shape], least: int) -> Schema:
    return {"type": "array", "prefixItems": [shape.schema for shape in shapes], "items": False, "minItems": least, "maxItems": len(shapes)}


def decode_positional(shapes: list[Shape], least: int, value: Any) -> list[Any]:
    if type(value) is not list or not least <= len(value) <= len(shapes):
        raise Mismatch(f"a list of {len(shapes)} items", value)
    made = []
    for at, (shape, one) in enumerate(zip(shapes, value)):
        try:
            made.append(one if shape.decode is None else shape.decode(one))
        except Mismatch as mismatch:
            raise mismatch.under(f"[{at}]") from None
    return made


def _list_decoder(each: Decode | None) -> Decode:
    exact = next((kind for kind, decode in _SCALAR_DECODERS.items() if decode is each), None)
    only = {exact}

    def decode(value: Any) -> Any:
        if type(value) is not list:
            raise Mismatch("a list", value)
        if each is None or (exact is not None and set(map(type, value)) <= only):
            return value
        try:
            return [each(one) for one in value]
        except Mismatch:
            for at, one in enumerate(value):
                try:
                    each(one)
                except Mismatch as mismatch:
                    raise mismatch.under(f"[{at}]") from None
            raise

    return decode


def _scalar(kind: type[Any]) -> Decode:
    def decode(value: Any) -> Any:
        if type(value) is kind:
            return value
        raise Mismatch(WORDS[kind], value)

    return decode


def _int(value: Any) -> Any:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():  # JSON Schema and JavaScript hold 5.0 to be an integer
        return int(value)
    raise Mismatch("an integer", value)


def _float(value: Any) -> Any:
    if type(value) is float:
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            pass
    raise Mismatch("a number", value)


def _blob(value: Any) -> Blob:
    if type(value) is not dict or not isinstance(value.get("$blob"), str):
        raise Mismatch('a blob, {"$blob": "sha256:…"}', value)
    return Blob.of(value)


def _text_decoder(kind: type[Any], form: str, parse: Decode) -> Decode:
    def decode(value: Any) -> Any:
        if type(value) is str:
            try:
                return parse(value)
            except (ValueError, InvalidOperation):
                pass
        raise Mismatch(f"a string of format {form}", value)

    return decode


_SCALAR_DECODERS: dict[Any, Decode] = {bool: _scalar(bool), int: _int, float: _float, str: _scalar(str), type(None): _scalar(type(None))}
_TEXTS: dict[type, tuple[str, Decode]] = {
    datetime: ("date-time", datetime.fromisoformat), date: ("date", date.fromisoformat), time: ("time", time.fromisoformat),
    UUID: ("uuid", UUID), Decimal: ("decimal", Decimal), Path: ("path", Path), PurePath: ("path", PurePath),
}
