"""What the compiler says of a mutant, and whether that is what it should say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planted.corpus import Mutant
from planted.sound import Sound, text_of
from routewright.compiler.app_checks import check_app
from routewright.compiler.diagnostics import Diagnostic
from routewright.compiler.pipeline import Compilation, compile_bytes
from routewright.runtime import App
from routewright.runtime.route import Router


def compiled(data: bytes) -> Compilation:
    return compile_bytes("topology.yaml", data, {})


def said(mutant: Mutant, compilation: Compilation) -> list[Diagnostic]:
    """What is reported of a mutant, by `check --app` where there is code."""
    found = list(compilation.diagnostics)
    if mutant.with_code is not None and compilation.topology:
        app = application(mutant.with_code)
        found += check_app(compilation.topology, compilation.routing, app)
    return found


def is_found(mutant: Mutant) -> tuple[bool, set[str]]:
    """Whether the code is reported, of the right thing; and the other codes that are."""
    reported = said(mutant, compiled(mutant.data))
    found = any(it.code == mutant.code and mutant.about in it.message for it in reported)
    return found, {it.code for it in reported} - {mutant.code}


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
