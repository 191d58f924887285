"""The ways to a broker's plans that its tests go."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from private_nodes import Broker

from routewright.compiler import compile_text
from routewright.compiler.broker.errors import ConnectionLost
from routewright.compiler.broker.open_session import open_session
from routewright.compiler.broker.session import Session
from routewright.compiler.emit.write import write
from routewright.compiler.executor.deploy import Deployed, deploy, plan_for
from routewright.compiler.executor.over_amqp import apply_topology
from routewright.compiler.model.topology import Topology
from routewright.runtime import Router


@contextmanager
def session(broker: Broker, user: str = "guest", password: str = "guest") -> Iterator[Session]:
    """A session with a broker and its management API."""
    url = broker.node.url(broker.vhost, user, password)
    with open_session(url, 10, broker.node.management_url) as found:
        yield found


def apply(wanted: Topology, broker: Broker, *, adopt: bool = False, **options: Any) -> Deployed:
    """Plan and carry out, with `options` as of `deploy`; the broker is as declared then."""
    with session(broker) as opened_:
        done = deploy(wanted, opened_, adopt=adopt, **options)
    assert not done.differs
    return done


def apply_killed_once(wanted: Topology, broker: Broker, on_step: Callable[[int], bool]) -> None:
    """Plans and carries out, is killed when `on_step` says so of a step, and does it again."""

    def cut(_phase: str, done: int, _total: int) -> None:
        if on_step(done):
            raise ConnectionLost("killed")

    with suppress(ConnectionLost):
        apply(wanted, broker, on_step=cut)
    apply(wanted, broker)
    with session(broker) as opened_:
        assert not plan_for(wanted, opened_).steps


def declared_router(
    text: str, broker: Broker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Router[Any]:
    """Compiles a topology, declares it and imports its router, for the time of a test."""
    compilation = compile_text(text)
    assert compilation.topology
    apply_topology(compilation.topology, broker.url)
    write(folder / "declared_routing", compilation.files)
    monkeypatch.syspath_prepend(folder)
    router: Router[Any] = importlib.import_module("declared_routing").router
    for module in [name for name in sys.modules if name.startswith("declared_routing")]:
        del sys.modules[module]  # another test has a package of this name
    return router
