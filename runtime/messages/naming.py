"""The name a task has when none is given: its module and its qualified name."""

from __future__ import annotations

import sys
from pathlib import Path


def default_name(module: str, qualname: str) -> str:
    """`module.QualName`; a class or function inside a function goes by its inner name."""
    return f"{public_module(module)}.{qualname.rpartition('<locals>.')[2]}"


def public_module(module: str) -> str:
    """The name under which others import a module: `media` for a script `media.py`.

    A worker imports the module that a client runs as `__main__`; both must mean one task by it.
    """
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # python -m package.module
        return str(spec.name).removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    return Path(file).stem if file else module
