"""Files on their way into the blob store."""

from __future__ import annotations

import mimetypes
import os
import shutil
from pathlib import Path


def put(spool: Path, data: bytes | bytearray | memoryview | str | Path, name: str | None, move: bool) -> tuple[Path, str]:
    """Puts a copy of bytes or a file under spool; returns where, and its name."""
    target = spool / f"{os.getpid()}-{os.urandom(8).hex()}"
    if isinstance(data, (bytes, bytearray, memoryview)):
        target.write_bytes(data)
        return target, name or ""
    source = Path(data)
    if move:
        shutil.move(source, target)
    else:
        shutil.copyfile(source, target)
    return target, source.name if name is None else name


def content_type(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
