"""Blobs: files that travel by digest, not inside JSON."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, Literal, overload

from headrace._errors import HeadraceError


class Blob:
    """A stored file. As an argument it has a `path` on this machine; as a result it is named by its digest."""

    __slots__ = ("_path", "digest", "name", "size", "type")

    def __init__(self, digest: str, *, size: int = 0, type: str = "application/octet-stream", name: str = "",
                 path: str | Path | None = None) -> None:
        self.digest = digest
        self.size = size
        self.type = type
        self.name = name
        self._path = None if path is None else Path(path)

    @classmethod
    def local(cls, path: str | Path, *, type: str = "application/octet-stream") -> Blob:
        """A blob around any file, to call a function directly in a test."""
        path = Path(path)
        return cls("", size=path.stat().st_size, type=type, name=path.name, path=path)

    @property
    def path(self) -> Path:
        """The file. Do not change it: other jobs may read the same one."""
        if self._path is None:
            raise HeadraceError("this blob has no file here", hint="pass it to a function; there it has a path")
        return self._path

    @overload
    def open(self, mode: Literal["rb"] = "rb", *, encoding: None = None) -> IO[bytes]: ...
    @overload
    def open(self, mode: Literal["r", "rt"], *, encoding: str | None = None) -> IO[str]: ...
    def open(self, mode: str = "rb", *, encoding: str | None = None) -> IO[Any]:
        """Opens the file for reading, as bytes or ("r") as text, UTF-8 unless told otherwise."""
        if mode not in ("rb", "r", "rt"):
            raise ValueError(f"a blob is read only; mode {mode!r} is not")
        return self.path.open(mode, encoding=None if mode == "rb" else encoding or "utf-8")

    def reference(self) -> dict[str, object]:
        """What stands for it in JSON."""
        if not self.digest:
            raise TypeError("a local blob is not stored; hand it over with job.blob(path)")
        return {"$blob": self.digest, "size": self.size, "type": self.type, "name": self.name}

    @classmethod
    def of(cls, value: Any) -> Blob:
        """The blob that a JSON reference stands for."""
        return cls(value["$blob"], size=value.get("size", 0), type=value.get("type") or "application/octet-stream",
                   name=value.get("name") or "", path=value.get("path"))

    def __repr__(self) -> str:
        return f"Blob({self.digest!r}, size={self.size}, type={self.type!r}, name={self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and bool(self.digest) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)
