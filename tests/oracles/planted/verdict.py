"""What the compiler says of a mutant, and whether that is what it should say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from planted.corpus import Mutant
from planted.sound import Sound, text_of
from planted.witnesses import is_so
from routewright.compiler.checks.application import check_app
from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.pipeline import Compilation, compile_bytes
from routewright.runtime import App
from routewright.runtime.router.route import Router


def compiled(data: bytes) -> Compilation:
    return compile_bytes("topology.yaml", data, {})


def said(mutant: Mutant, compilation: Compilation) -> list[Diagnostic]:
    """What is reported of a mutant, by `check --app` where there is code."""
    found = list(compilation.diagnostics)
    if mutant.with_code is not None and compilation.topology:
        app = application(mutant.with_code)
        found += check_app(compilation.topology, compilation.routing, app)
    return found


@dataclass(frozen=True)
class Verdict:
    """Whether the code is reported, of the right thing; the other codes that are; and the keys.

    Each key that some diagnostic shows, and that brute force can judge, comes as the code of the
    diagnostic and whether what it says of the key is so.
    """

    is_found: bool
    others: frozenset[str]
    keys: tuple[tuple[str, bool], ...]


def verdict(mutant: Mutant) -> Verdict:
    compilation = compiled(mutant.data)
    reported = said(mutant, compilation)
    found = any(it.code == mutant.code and mutant.about in it.message for it in reported)
    others = frozenset(it.code for it in reported) - {mutant.code}
    return Verdict(found, others, tuple(_judged(reported, compilation)))


def _judged(reported: list[Diagnostic], compilation: Compilation) -> Iterator[tuple[str, bool]]:
    if compilation.topology is None:
        return
    for it in reported:
        so = is_so(it, compilation.topology)
        if so is not None:
            yield it.code, so


def alarms(base: Sound) -> list[str]:
    """What is said of a sound topology, as it is and with its bindings written out."""
    return [
        f"{base.name}: {found.code}: {found.message}"
        for text in (base.text, text_of(base.whole), text_of(base.document))
        for found in compiled(text.encode()).diagnostics
    ]


def application(tasks: Mapping[str, Mapping[str, Any]]) -> App:
    """An application with code for some tasks, which is never run."""
    router = Router(topology="t", source="", target="memory", vhost=None, routes=(), groups=())
    app = App(router, "memory://")
    for name, attributes in tasks.items():
        app.task(name=name, **attributes)(_code(name))
    return app


def _code(name: str) -> Any:
    def code() -> None: ...

    code.__name__ = name.rpartition(".")[2]
    return code
