"""Shapes of classes with named fields: dataclasses, TypedDict, NamedTuple, and pydantic models where the app uses pydantic."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from headrace._shape import Mismatch, Schema, Shape, Shapes, Unsupported, decode_positional, positional


class Open:
    """A record whose shape is being made. If a field leads back to it, it gets a definition to refer to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.used = False
        self.made: Shape | None = None

    def refer(self) -> Shape:
        self.used = True

        def decode(value: Any) -> Any:
            made = self.made
            assert made is not None and made.decode is not None
            return made.decode(value)

        return Shape({"$ref": f"#/$defs/{self.name}"}, decode)


def shape(shapes: Shapes, kind: type[Any]) -> Shape | None:
    """The shape of a record class; None if the class is no record."""
    named_tuple = issubclass(kind, tuple) and hasattr(kind, "_fields")
    typed_dict = typing.is_typeddict(kind)
    if not (named_tuple or typed_dict or dataclasses.is_dataclass(kind)):
        return None
    known = shapes.records.get(kind)
    if known is not None:
        return known.refer()
    name = kind.__name__
    while name in shapes.defs or any(other.name == name for other in shapes.records.values()):
        name += "_"
    record = shapes.records[kind] = Open(name)
    try:
        make = _named_tuple if named_tuple else _typed_dict if typed_dict else _dataclass
        made = record.made = make(shapes, kind, _hints(kind))
    except BaseException:
        del shapes.records[kind]
        raise
    if not record.used:
        del shapes.records[kind]
        return made
    shapes.defs[name] = made.schema
    return made._replace(schema={"$ref": f"#/$defs/{name}"})


def _hints(kind: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except NameError as error:
        raise Unsupported(f"{kind.__qualname__} has an annotation that cannot be resolved: {error}") from None


def _field(shapes: Shapes, kind: type[Any], name: str, hint: Any) -> Shape:
    try:
        return shapes.of(hint)
    except Unsupported as error:
        raise Unsupported(f"{kind.__qualname__}.{name}: {error}") from None


def _object(fields: dict[str, Shape], required: list[str]) -> Schema:
    schema: Schema = {"type": "object", "properties": {name: one.schema for name, one in fields.items()}}
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    return schema


def _decode_fields(fields: dict[str, Shape], required: list[str], value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise Mismatch("an object", value)
    made = {}
    for name, one in value.items():
        field = fields.get(name)
        if field is None:
            raise Mismatch(f"no property {name!r}; the properties are {', '.join(fields)}", one, f".{name}")
        try:
            made[name] = one if field.decode is None else field.decode(one)
        except Mismatch as mismatch:
            raise mismatch.under(f".{name}") from None
    for name in required:
        if name not in made:
            raise Mismatch(f"a property {name!r}", value)
    return made


def _dataclass(shapes: Shapes, kind: type[Any], hints: dict[str, Any]) -> Shape:
    fields, required = {}, []
    for field in dataclasses.fields(kind):
        if not field.init and not shapes.output:
            continue
        fields[field.name] = _field(shapes, kind, field.name, hints[field.name])
        if shapes.output or (field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING):
            required.append(field.name)

    def decode(value: Any) -> Any:
        made = _decode_fields(fields, required, value)
        try:
            return kind(**made)
        except (ValueError, TypeError) as error:  # __post_init__ may refuse
            raise Mismatch(f"a valid {kind.__name__} ({error})", value) from error

    return Shape(_object(fields, required), decode, any(one.blob for one in fields.values()))


def _typed_dict(shapes: Shapes, kind: type[Any], hints: dict[str, Any]) -> Shape:
    fields = {}
    for name, hint in hints.items():
        while typing.get_origin(hint) in (typing.Required, typing.NotRequired):
            hint = typing.get_args(hint)[0]
        fields[name] = _field(shapes, kind, name, hint)
    # __required_keys__ is wrong where annotations are strings, so the qualifiers are read from the resolved hints.
    required = []
    for name, hint in hints.items():
        origin = typing.get_origin(hint)
        if origin is typing.Required or (origin is not typing.NotRequired and name in getattr(kind, "__required_keys__")):
            required.append(name)
    return Shape(_object(fields, required), lambda value: _decode_fields(fields, required, value), any(one.blob for one in fields.values()))


def _named_tuple(shapes: Shapes, kind: type[Any], hints: dict[str, Any]) -> Shape:
    names: tuple[str, ...] = getattr(kind, "_fields")
    parts = [_field(shapes, kind, name, hints.get(name, Any)) for name in names]
    least = len(names) if shapes.output else len(names) - len(getattr(kind, "_field_defaults"))
    return Shape(positional(parts, least), lambda value: kind(*decode_positional(parts, least, value)), any(part.blob for part in parts))


def pydantic_shape(shapes: Shapes, kind: Any) -> Shape:
    """pydantic makes the schema and validates; its definitions move to the shared $defs."""
    from pydantic import ValidationError

    schema = kind.model_json_schema(ref_template="#/$defs/{model}", mode="serialization" if shapes.output else "validation")
    shapes.defs.update(schema.pop("$defs", {}))

    def decode(value: Any) -> Any:
        try:
            return kind.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"])
            raise Mismatch(f"a valid {kind.__name__} ({first['msg']})", first["input"], path) from None

    return Shape(schema, decode)
