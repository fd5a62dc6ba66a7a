from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from supervisor import Process

Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts worker processes that end with the test."""
    processes: list[Process] = []

    def begin(source: str, *, greet: bool = True, zygote: bool = False, name: str = "", file: str = "app.py") -> Process:
        process = Process(tmp_path, "import headrace as hr\n" + "\n".join(line[8:] if line.startswith(" " * 8) else line for line in source.split("\n")),
                          zygote=zygote, name=name, file=file)
        processes.append(process)
        if greet:
            process.greet(str(tmp_path))
            if not zygote:
                process.credit()
        return process

    yield begin
    for process in processes:
        process.__exit__(None, None, None)
