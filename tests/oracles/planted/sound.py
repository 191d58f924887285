"""The topologies that nothing is wrong with, before anything is planted in them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from routewright.compiler.language.load import decode, load
from routewright.compiler.lowering.carving import carve
from routewright.compiler.model.topology import Task, Topology
from routewright.compiler.resolver.resolve import resolve

ROOT = Path(__file__).parents[3]
FILES = (
    ROOT / "topology.yaml",
    *sorted((ROOT / "tests" / "oracles" / "sound").glob("*.yaml")),
    *sorted((Path(__file__).parent / "topologies").glob("*.yaml")),
)

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the one in C is quicker

Document: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Sound:
    """A topology that nothing is wrong with."""

    name: str
    text: str

    @cached_property
    def whole(self) -> Document:
        """All that the file says, every section there."""
        document = yaml.safe_load(self.text)
        for section in ("exchanges", "queues", "tasks", "workers"):
            document[section] = {k: v or {} for k, v in (document.get(section) or {}).items()}
        return document

    @cached_property
    def document(self) -> Document:
        """The same with the bindings of each queue listed, where any of them may be missing.

        A carve-out or an assertion may need a binding, so there are none.
        """
        document = copy.deepcopy(self.whole)
        document.pop("assertions", None)
        queues = document["queues"]
        carved = {name for name, queue in queues.items() if "carve_out_of" in queue}
        document["queues"] = {name: it for name, it in queues.items() if name not in carved}
        for group in document["workers"].values():
            group["queues"] = [name for name in group["queues"] if name not in carved]
        document["workers"] = {k: it for k, it in document["workers"].items() if it["queues"]}
        for queue in document["queues"].values():
            short = {it: queue.pop(it) for it in ("exchange", "binding_key") if it in queue}
            queue["bindings"] = [*queue.get("bindings", ()), *([short] if short else [])]
        return document

    @cached_property
    def topology(self) -> Topology:
        return topology_of(self.document)

    @property
    def is_virtual(self) -> bool:
        """Whether kombu plays the broker."""
        return self.topology.target in ("redis", "memory")

    def changed(self) -> Document:
        return copy.deepcopy(self.document)

    def changed_whole(self) -> Document:
        return copy.deepcopy(self.whole)

    def bindings(self, *types: str) -> Iterator[tuple[str, str, int, Any]]:
        """Those of exchanges of some types: where each stands in the document, and itself."""
        for section in ("exchanges", "queues"):
            for name, thing in self.document[section].items():
                for place, binding in enumerate(thing.get("bindings", ())):
                    source = self.topology.exchange(binding["exchange"])
                    if source and source.type in types:
                        yield section, name, place, binding

    def tasks(self) -> Iterator[Task]:
        """Those that are routed by a key that is written out."""
        for task in self.topology.tasks.values():
            keyed = task.exchange.type in ("topic", "direct") and task.exchange.name
            if keyed and "{" not in task.routing_key:
                yield task

    def consumed(self) -> Iterator[tuple[str, Document]]:
        """The queues that a worker group consumes."""
        for group in self.document["workers"].values():
            for name in group["queues"]:
                yield name, self.document["queues"][name]


def text_of(document: Document) -> str:
    return yaml.dump(document, Dumper=_DUMPER, sort_keys=False, allow_unicode=True)


def topology_of(document: Document) -> Topology:
    return _topology(text_of(document))


@lru_cache(256)
def _topology(text: str) -> Topology:
    """What a text resolves to, before anything is checked."""
    source, found = decode("topology.yaml", text.encode())
    spec, more = load(source, {})
    topology, rest = resolve(spec, source) if spec else (None, [])
    if topology is None:
        raise ValueError(f"no topology comes of this: {[*found, *more, *rest][0].message}")
    return carve(topology)[0]


def sound() -> list[Sound]:
    """Those that somebody wrote."""
    return [Sound(path.stem, path.read_text()) for path in FILES]
