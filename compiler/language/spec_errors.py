"""What pydantic refuses, said in words that help."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from routewright.compiler.diagnostics.diagnostic import Diagnostic, did_you_mean
from routewright.compiler.language.yaml_errors import not_text

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from routewright.compiler.diagnostics.source import Path, Source

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "`true` or `false`",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def diagnostics_of(
    errors: list[ErrorDetails], source: Source, model: type[BaseModel], skip: frozenset[Path]
) -> Iterator[Diagnostic]:
    """Yields one diagnostic for each error, but none for the paths in `skip`."""
    told: set[Path] = set()
    for error in errors:
        path = _known(source, error["loc"])
        if path in skip or path in told:
            continue  # a union reports once for each of its members
        told.add(path)
        yield _DIAGNOSTIC_OF.get(error["type"], _other)(source, model, path, error)


def _known(source: Source, loc: tuple[int | str, ...]) -> Path:
    """The path of an error, without what pydantic adds to it (tags of unions, `[key]`)."""
    path = loc
    while path and path not in source.places and path[:-1] not in source.places:
        path = path[:-1]
    return path


def _unknown_key(
    source: Source, model: type[BaseModel], path: Path, _error: ErrorDetails
) -> Diagnostic:
    name, fields = str(path[-1]), _fields_at(model, path[:-1])
    where = f"`{_name(path[:-1])}`" if len(path) > 1 else "a topology"
    return Diagnostic(
        "unknown-key",
        f"{where} has no option `{name}`",
        source.key_span(path),
        help=did_you_mean(name, fields, f"its options are {_listed(fields)}"),
    )


def _missing_key(
    source: Source, _model: type[BaseModel], path: Path, _error: ErrorDetails
) -> Diagnostic:
    parent = path[:-1]
    where = f"`{_name(parent)}`" if parent else "the topology"
    examples = {"topology": "media", "queues": "[video, image]"}
    example = examples.get(str(path[-1]), "...")
    return Diagnostic(
        "missing-key",
        f"{where} lacks `{path[-1]}`",
        source.key_span(parent),
        help=f"add `{path[-1]}: {example}`",
    )


def _wrong_type(
    source: Source, _model: type[BaseModel], path: Path, error: ErrorDetails
) -> Diagnostic:
    wanted, value = _WANTED[error["type"]], error["input"]
    if wanted == "text" and (value is None or isinstance(value, bool | int | float)):
        return not_text(source.span(path), value, source.written(path))
    return Diagnostic(
        "wrong-type",
        f"`{_name(path)}` is {_described(value)}, and {wanted} is expected",
        source.span(path),
        help=_way_out(wanted, value, source.written(path)),
    )


def _missing_value(
    source: Source, _model: type[BaseModel], path: Path, _error: ErrorDetails
) -> Diagnostic:
    return not_text(source.span(path), None, source.written(path))


def _out_of_range(
    source: Source, _model: type[BaseModel], path: Path, error: ErrorDetails
) -> Diagnostic:
    bounds = error.get("ctx", {})
    limit = f"at least {bounds['ge']}" if "ge" in bounds else f"at most {bounds['le']}"
    return Diagnostic(
        "out-of-range",
        f"`{_name(path)}` is {error['input']}, and must be {limit}",
        source.span(path),
        help=f"write a number of {limit}",
    )


def _other(source: Source, _model: type[BaseModel], path: Path, error: ErrorDetails) -> Diagnostic:
    """One of our own validators: its type is the code, and it brings its help along."""
    context = error.get("ctx", {})
    return Diagnostic(error["type"], error["msg"], source.span(path), help=context.get("help"))


_DIAGNOSTIC_OF: dict[str, Callable[[Source, type[BaseModel], Path, ErrorDetails], Diagnostic]] = {
    "extra_forbidden": _unknown_key,
    "missing": _missing_key,
    "missing-value": _missing_value,
    "greater_than_equal": _out_of_range,
    "less_than_equal": _out_of_range,
    **dict.fromkeys(_WANTED, _wrong_type),
}


def _fields_at(model: type[BaseModel], path: Path) -> list[str]:
    """The options that may be written at a path."""
    annotation: Any = model
    for key in path:
        annotation = _unwrapped(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[str(key)].annotation
        else:  # a mapping's values, or a list's items
            annotation = next(arg for arg in get_args(annotation) if arg is not str)
    annotation = _unwrapped(annotation)
    return list(annotation.model_fields)


def _unwrapped(annotation: Any) -> Any:
    """What stands inside `Annotated[...]` and `... | None`."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType):
            annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
        else:
            return annotation


def _name(path: Path) -> str:
    return str(next((key for key in reversed(path) if isinstance(key, str)), "the topology"))


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _described(value: object) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text `{value[:40]}`"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _way_out(wanted: str, value: object, written: str) -> str | None:
    match wanted, value:
        case "a list", str():
            return f"write `[{value[:40]}]`"
        case "text", list() | dict():
            return "write one value"
        case "a whole number" | "a number" | "`true` or `false`", str() if "${" in written:
            kind = "bool" if wanted.startswith("`") else "int"
            return f"write `!!{kind} {written}`; quotes alone make it text"
        case "a whole number", str() if value.isdigit():
            return "take the quotes away"
        case "a mapping", None:
            return "write what belongs here, or take the key away"
        case _:
            return None
