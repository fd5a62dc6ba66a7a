"""Functions: what a decorator learns from a signature, and how JSON arguments become Python ones."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Literal

from headrace import _event, _json
from headrace._event import Event
from headrace._job import Job
from headrace._options import check, check_arguments
from headrace._shape import Decode, Mismatch, Shape, Shapes, Unsupported

Kind = Literal["job", "call", "batch"]
_STREAMS = (collections.abc.Iterator, collections.abc.Iterable, collections.abc.Generator, collections.abc.AsyncIterator,
            collections.abc.AsyncIterable, collections.abc.AsyncGenerator)
_BATCHES = (list, collections.abc.Sequence)


class ArgumentError(Exception):
    """JSON arguments that do not fit the signature."""


class Function:
    """A registered function. Everything that a task needs is computed here, once."""

    __slots__ = ("args_schema", "asynchronous", "blobs", "call", "decoders", "doc", "event", "job_parameter", "kind", "name", "names", "options", "quick",
                 "required", "result_schema", "stream")

    def __init__(self, call: Callable[..., Any], kind: Kind, options: dict[str, Any], event: tuple[Event, str] | None = None) -> None:
        if not inspect.isfunction(call):
            raise TypeError(f"@app.{f'on_{event[0]}' if event else kind} decorates a function, not {call!r}")
        self.call: Callable[..., Any] = call
        self.kind: Kind = kind
        self.name = call.__name__
        where = f"{self.name}()"
        self.options = check(options, where)
        generator = inspect.isgeneratorfunction(call)
        async_generator = inspect.isasyncgenfunction(call)
        self.stream = generator or async_generator
        self.asynchronous = async_generator or inspect.iscoroutinefunction(call)
        self.doc = (inspect.getdoc(call) or "").partition("\n")[0]
        self.quick = False  # the last run took far less than the 2 ms that a result may wait
        if self.stream and kind == "batch":
            raise TypeError(f"{where}: a batch function returns a list; it cannot be a generator")
        if "concurrency" in self.options and not self.asynchronous:
            raise ValueError(f"{where}: concurrency is for async functions; for others the pool's size is the concurrency")
        self.event = event  # which one it answers, and of which channels
        self._read_signature(where)
        check_arguments(self.options, dict.fromkeys(self.names), where)
        if event is not None:
            self._answer(event, where)

    def _read_signature(self, where: str) -> None:
        try:
            hints = typing.get_type_hints(self.call, include_extras=True)
        except NameError as error:
            raise TypeError(f"{where}: an annotation cannot be resolved: {error}; define the type above the function") from None
        shapes = Shapes()
        properties: dict[str, Any] = {}
        self.names: list[str] = []
        self.required: list[str] = []
        self.blobs: list[str] = []
        self.decoders: list[tuple[str, Decode]] = []
        self.job_parameter: str | None = None
        for name, parameter in inspect.signature(self.call).parameters.items():
            hint = hints.get(name, Any)
            if hint is Any and self.event is not None:
                hint = self._asked()
            if hint is Job or hint == Job | None:
                if self.kind == "batch":
                    raise TypeError(f"{where}: parameter {name!r}: a batch serves many tasks, so it has no hr.Job")
                self.job_parameter = name
                continue
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise TypeError(f"{where}: parameter {name!r}: arguments come by name, so *args, **kwargs and positional-only ones are not possible")
            try:
                shape = shapes.of(self._element(hint) if self.kind == "batch" else hint)
            except Unsupported as error:
                raise TypeError(f"{where}: parameter {name!r}: {error}") from None
            self._add(name, parameter, shape, properties)
        if self.kind == "batch" and not self.names:
            raise TypeError(f"{where}: a batch function needs a list parameter")
        self.args_schema: dict[str, Any] = {"type": "object", "properties": properties}
        if self.required:
            self.args_schema["required"] = self.required
        self.args_schema["additionalProperties"] = False
        if shapes.defs:
            self.args_schema["$defs"] = shapes.defs
        shapes = Shapes(output=True)
        try:
            result = shapes.of(self._result(hints.get("return", Any) if self.event is None else Any))
        except Unsupported as error:
            raise TypeError(f"{where}: return type: {error}") from None
        self.result_schema = {**result.schema, "$defs": shapes.defs} if shapes.defs else result.schema

    def _asked(self) -> Any:
        """The type of the parameter of a function that answers an event."""
        assert self.event is not None
        request: Any = _event.REQUESTS[self.event[0]]
        return list[request] if self.kind == "batch" else request

    def _answer(self, event: tuple[Event, str], where: str) -> None:
        """Makes it answer an event."""
        kind, channels = event
        name = _event.REQUESTS[kind].__name__
        if self.stream:
            raise TypeError(f"{where}: an on_{kind} function answers once; it cannot be a generator")
        properties = self.args_schema["properties"]
        if len(self.names) != 1 or properties[self.names[0]].get("title") != name:
            raise TypeError(f"{where}: an on_{kind} function has one parameter, " + (f"a list[hr.{name}]" if self.kind == "batch" else f"an hr.{name}"))
        self.options["on"] = {"event": kind, "argument": self.names[0], **({"channels": channels} if channels else {})}
        self.call = _event.answering(kind, self.name, self.call, self.kind == "batch")

    def _add(self, name: str, parameter: inspect.Parameter, shape: Shape, properties: dict[str, Any]) -> None:
        schema = shape.schema
        if parameter.default is parameter.empty:
            self.required.append(name)
        elif self.kind == "batch":
            raise TypeError(f"{self.name}(): parameter {name!r}: a batch function's lists have no default")
        else:
            try:
                schema = {**schema, "default": _json.decode(_json.encode(parameter.default))}
            except _json.Unencodable:
                pass
        properties[name] = schema
        self.names.append(name)
        if shape.blob:
            self.blobs.append(name)
        if shape.decode is not None:
            self.decoders.append((name, shape.decode))

    def _element(self, hint: Any) -> Any:
        """The type of one item of a batch function's list parameter."""
        if hint is list or hint is Any:
            return Any
        if typing.get_origin(hint) not in _BATCHES:
            raise Unsupported("each parameter of a batch function is a list with one element per task, such as list[str]")
        return typing.get_args(hint)[0]

    def _result(self, hint: Any) -> Any:
        """The type of a result, of a generator's items, or of one element of a batch's results."""
        args = typing.get_args(hint)
        if self.stream and typing.get_origin(hint) in _STREAMS:
            return args[0]
        if self.kind == "batch" and hint is not Any:
            element = self._element(hint)
            if typing.get_origin(element) in (typing.Union, types.UnionType):
                rest = [one for one in typing.get_args(element) if not (isinstance(one, type) and issubclass(one, BaseException))]
                return typing.Union[tuple(rest)]
            return element
        return hint

    def decode(self, data: bytes) -> dict[str, Any]:
        """The named arguments of one task."""
        try:
            args = _json.decode(data)
        except (ValueError, RecursionError) as error:
            raise ArgumentError(f"{self.name}(): the arguments are not JSON: {error}") from None
        if type(args) is not dict:
            raise ArgumentError(f"{self.name}(): the arguments must be one JSON object")
        for name, decode in self.decoders:
            if name in args:
                try:
                    args[name] = decode(args[name])
                except Mismatch as mismatch:
                    raise ArgumentError(f"{self.name}(): {mismatch.under(name)}") from None
                except Exception as error:  # from a validator of a user's class
                    raise ArgumentError(f"{self.name}(): {name}: {type(error).__name__}: {error}") from error
        return args

    def misfit(self, args: dict[str, Any]) -> str | None:
        """Why the arguments' names do not fit the signature, or None."""
        for name in args:
            if name not in self.names:
                return f"{self.name}(): unknown argument {name!r}; the arguments are {', '.join(self.names) or 'none'}"
        for name in self.required:
            if name not in args:
                return f"{self.name}(): argument {name!r} is missing"
        return None

    def describe(self) -> dict[str, Any]:
        """What hello tells of it."""
        return {"name": self.name, "kind": self.kind, "async": self.asynchronous, "stream": self.stream, "doc": self.doc, "args": self.args_schema,
                "result": self.result_schema, "blobs": self.blobs, "options": self.options}
