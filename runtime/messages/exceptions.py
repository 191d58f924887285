"""Exceptions as JSON, in Celery's form: `{exc_type, exc_message, exc_module}`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import BuiltinMethodType, WrapperDescriptorType
from typing import Any

from kombu.utils import json

from routewright.runtime.errors import TaskFailed
from routewright.runtime.messages.naming import public_module
from routewright.runtime.messages.short_repr import short_repr


def encode_exception(error: BaseException) -> dict[str, Any]:
    """An exception as data; an argument that JSON cannot carry goes as its repr."""
    kind = type(error)
    args = error.args
    if isinstance(error, OSError) and error.filename is not None:  # which `args` leaves out
        second = () if error.filename2 is None else (None, error.filename2)
        args = (error.errno, error.strerror, error.filename, *second)
    return {
        "exc_type": kind.__qualname__,
        "exc_message": [_portable(arg) for arg in args],
        "exc_module": public_module(kind.__module__),
    }


def decode_exception(data: object) -> Exception:
    """The exception again: of its own type if that can be found here, else a `TaskFailed`.

    Only a subclass of `Exception` is ever called (a result may not call `os.system`, nor end the
    process by a `SystemExit`), and only a module of a package in use here is ever imported.
    """
    if not isinstance(data, Mapping):
        return TaskFailed("unknown", short_repr(data, 200))
    name, module = data.get("exc_type"), data.get("exc_module")
    message = data.get("exc_message", ())
    args = tuple(message) if isinstance(message, (list, tuple)) else (message,)
    kind = _find(module, name)
    rebuilt = _rebuild(kind, args) if kind is not None else None
    if rebuilt is not None:
        return rebuilt
    full = name if module in (None, "builtins") else f"{module}.{name}"
    return TaskFailed(str(full), ", ".join(str(arg) for arg in args))


def _portable(value: Any) -> Any:
    try:
        json.dumps(value)
    except Exception:  # noqa: BLE001  whatever an encoder may raise
        return short_repr(value)
    return value


def _find(module: object, name: object) -> type[Exception] | None:
    if not isinstance(module, str) or not isinstance(name, str) or not module:
        return None
    # What the worker imports as `media`, a client may be running as `__main__`.
    home = "__main__" if module == public_module("__main__") else module
    try:
        found: Any = sys.modules.get(home)
        if found is None:
            if home.partition(".")[0] not in sys.modules:
                return None  # importing runs code, and this would be of the sender's choosing
            found = import_module(home)
        for part in name.split("."):
            found = getattr(found, part)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  importing runs code, which may do anything
        return None
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _rebuild(kind: type[Exception], args: tuple[Any, ...]) -> Exception | None:
    """An exception with these `args`: by its constructor, if that leaves them as they are.

    One written in Python may make others of them, and would do so a second time.
    """
    for build in (_constructed, _bare):
        try:
            error = build(kind, args)
        except Exception:  # noqa: BLE001, S112  a constructor of other arguments
            continue
        if isinstance(error, Exception):
            return error
    return None


def _constructed(kind: type[Exception], args: tuple[Any, ...]) -> Exception | None:
    error = kind(*args)
    faithful = isinstance(kind.__init__, WrapperDescriptorType) or error.args == args
    return error if faithful else None


def _bare(kind: type[Exception], args: tuple[Any, ...]) -> Exception:
    """As the nearest class that is not written in Python would make it."""
    makers = (base.__dict__.get("__new__") for base in kind.__mro__)
    make: Any = next(maker for maker in makers if isinstance(maker, BuiltinMethodType))
    starters = (base.__dict__.get("__init__") for base in kind.__mro__)
    start: Any = next(one for one in starters if isinstance(one, WrapperDescriptorType))
    error: Exception = make(kind, *args)
    start(error, *args)
    return error
