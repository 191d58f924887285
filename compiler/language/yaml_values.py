"""YAML nodes become plain values, each with its place in the file.

Nothing is ever built that the file names by a tag. The nodes have been measured before: they end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note
from routewright.compiler.diagnostics.source import Extent, Path, Place, Source
from routewright.compiler.language.scalars import TAG, Scalar, Trap, value_of
from routewright.compiler.language.variables import VariableError, substitute
from routewright.compiler.language.yaml_errors import hash_starts_comment, not_text
from routewright.compiler.language.yaml_limits import extent_of

_RESOLVER = yaml.resolver.Resolver()
_TEXT = f"{TAG}str"


class Builder:
    """Turns nodes into values, writing down where each one stands."""

    def __init__(
        self,
        source: Source,
        environment: Mapping[str, str],
        found: list[Diagnostic],
        mended: set[tuple[int, int]],
    ) -> None:
        self._source = source
        self._environment = environment
        self._found = found
        self._mended = mended
        self.unreadable: set[Path] = set()

    def build(self, node: yaml.Node, path: Path = (), key: Extent | None = None) -> Any:
        self._source.places[path] = Place(key, extent_of(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, key)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        self._expect_tag(node, "seq")
        return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        self._expect_tag(node, "map")
        first: dict[str, Extent] = {}
        values: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for name, place, value_node in self._entries(node, path, merged):
            if name in first:
                self._found.append(_duplicate(self._source, name, place, first[name]))
                continue
            first[name] = place
            values[name] = self.build(value_node, (*path, name), place)
        for value_node in merged:
            self._merge(value_node, path, values)
        return values

    def _merge(self, node: yaml.Node, path: Path, values: dict[str, Any]) -> None:
        """`<<: *other`: what is not written here is taken from there; the first one wins."""
        for other in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(other, yaml.MappingNode):
                self._report(
                    "wrong-type",
                    "`<<` takes a mapping, or a list of them",
                    extent_of(node),
                    "name an anchor that stands on a mapping: `<<: *defaults`",
                )
                continue
            inherited: list[yaml.Node] = []
            for name, place, value_node in self._entries(other, path, inherited):
                if name not in values:
                    values[name] = self.build(value_node, (*path, name), place)
            for value_node in inherited:
                self._merge(value_node, path, values)

    def _entries(
        self, node: yaml.MappingNode, path: Path, merged: list[yaml.Node]
    ) -> Iterator[tuple[str, Extent, yaml.Node]]:
        """Yields each key of a mapping, its place, and its value; values of `<<` go to `merged`."""
        for key_node, value_node in node.value:
            if key_node.tag == f"{TAG}merge":
                merged.append(value_node)
            else:
                place = extent_of(key_node)
                yield self._key(key_node, place, path), place, value_node

    def _key(self, node: yaml.Node, place: Extent, path: Path) -> str:
        """The name that a mapping's key is; where it is none, that is reported."""
        if not isinstance(node, yaml.ScalarNode):
            self._report("wrong-type", "a key is one name, not a list or a mapping", place)
            return f"line {place.line + 1}"  # to read on, and find what is wrong inside
        if (path[-1:], node.value) == (("retry",), "on"):
            return "on"  # an option of ours, which YAML takes for a boolean
        readable, value = self._value(node, place)
        if isinstance(value, str):
            return value
        if readable:
            self._found.append(not_text(self._source.mark(place), value, node.value))
        return str(node.value)

    def _scalar(self, node: yaml.ScalarNode, path: Path, key: Extent | None) -> Scalar:
        place = self._source.places[path].value
        readable, value = self._value(node, place)
        if value is None and not node.value and self._comment_follows(path, key or place):
            readable = False
        if not readable:
            self.unreadable.add(path)
        return value

    def _value(self, node: yaml.ScalarNode, place: Extent) -> tuple[bool, Scalar]:
        """Whether a scalar can be read, and its value; what is wrong with it is reported."""
        if (place.line, place.column) in self._mended:
            return False, node.value  # reported already
        try:
            text = substitute(node.value, self._environment)
            tag = node.tag
            if text != node.value and not node.style:  # a plain scalar means what it says now
                tag = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) if text else _TEXT
            return True, value_of(tag, text)
        except (Trap, VariableError) as error:
            self._report(error.code, str(error), place, error.help)
            return False, None

    def _comment_follows(self, path: Path, before: Extent) -> bool:
        """Report `binding_key: #`, where the value that was meant has become a comment."""
        if before.end_line >= len(self._source.lines):
            return False  # the end of a last line that has none
        line = self._source.lines[before.end_line]
        rest = line[before.end_column :].lstrip(" \t:-?")
        pattern_wanted = path[-1:] in (("binding_key",), ("routing_key",))
        glued = len(rest) > 1 and not rest[1].isspace()
        if not rest.startswith("#") or not (pattern_wanted or glued):
            return False
        column = len(line) - len(rest)
        self._found.append(hash_starts_comment(self._source, before.end_line, column))
        return True

    def _expect_tag(self, node: yaml.Node, kind: str) -> None:
        if node.tag != TAG + kind:
            self._report(
                "unknown-tag",
                f"the tag `{node.tag.replace(TAG, '!!')}` means nothing here",
                extent_of(node),
                "take it away",
            )

    def _report(self, code: str, message: str, place: Extent, help_: str | None = None) -> None:
        self._found.append(Diagnostic(code, message, self._source.mark(place), help=help_))


def _duplicate(source: Source, name: str, place: Extent, first: Extent) -> Diagnostic:
    return Diagnostic(
        "duplicate-key",
        f"`{name}` is here a second time, and YAML would keep only the last",
        source.mark(place),
        help="take one away, or give it another name",
        notes=(Note(f"`{name}` stands here first", source.mark(first)),),
    )
