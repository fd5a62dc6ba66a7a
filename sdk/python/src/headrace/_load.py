"""Loading the app file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from headrace._app import App
from headrace._errors import HeadraceError


def load(target: str) -> App:
    """Imports `app.py` or `app.py:name` and returns its App. What the file raises passes through."""
    file, name = split(target)
    path = Path(file).resolve()
    if not path.is_file():
        raise HeadraceError(f"{file} is not a file", code="HR6010", hint="name the app file, for example app.py")
    module_name = path.stem
    if module_name in sys.modules:
        raise HeadraceError(f"{path.name} has the name of a Python module that is already loaded", code="HR6002", hint="rename the file")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise HeadraceError(f"{path.name} is not a Python file", code="HR6010", hint="its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return find(vars(module), path.name, name)


def split(target: str) -> tuple[str, str | None]:
    file, colon, name = target.rpartition(":")
    return (file, name) if colon and name.isidentifier() else (target, None)


def find(names: dict[str, object], file: str, name: str | None) -> App:
    """The App among the names of a module."""
    if name is not None:
        app = names.get(name)
        if not isinstance(app, App):
            found = "is not there" if name not in names else f"is a {type(app).__name__}"
            raise HeadraceError(f"{file}: {name} should be a headrace.App, but {found}", code="HR6002", hint=f"write {name} = hr.App()")
        return app
    apps = {id(value): (key, value) for key, value in names.items() if isinstance(value, App)}
    if not apps:
        raise HeadraceError(f"{file} has no App", code="HR6002", hint="write: import headrace as hr; app = hr.App()")
    if len(apps) > 1:
        keys = sorted(key for key, _ in apps.values())
        raise HeadraceError(f"{file} has {len(apps)} Apps: {', '.join(keys)}", code="HR6002", hint=f"name one of them: {file}:{keys[0]}")
    return next(iter(apps.values()))[1]
