"""The ways to a broker's plans that its tests go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from private_nodes import Broker

from routewright.compiler.broker.open_session import opened
from routewright.compiler.broker.session import Session
from routewright.compiler.executor.deploy import Deployed, deploy, plan_for
from routewright.compiler.model.topology import Topology


@contextmanager
def session(broker: Broker, user: str = "guest", password: str = "guest") -> Iterator[Session]:
    """A session with a broker and its management API."""
    url = broker.node.url(broker.vhost, user, password)
    with opened(url, 10, broker.node.management_url) as found:
        yield found


def apply(wanted: Topology, broker: Broker, *, adopt: bool = False, **options: Any) -> Deployed:
    """Plan and carry out, with `options` as of `deploy`; the broker is as declared then."""
    with session(broker) as opened_:
        done = deploy(plan_for(wanted, opened_, adopt=adopt), opened_, **options)
    assert not done.differs
    return done
