"""Transports that kombu plays the broker for: declared without a look, or refused with a reason."""

import pytest
from private_nodes import Redis

from routewright.compiler.broker.errors import CredentialsRefused, Unreachable, Unsupported
from routewright.compiler.executor.over_amqp import apply_topology
from routewright.compiler.model.topology import PREDECLARED, Binding, Exchange, Queue, Topology

TASKS = Exchange("tasks", "topic")
VIDEO = Queue("video")
PLAIN = Topology(
    "t",
    vhost="/elsewhere",  # these transports have none
    exchanges={"tasks": TASKS},
    queues={"video": VIDEO},
    bindings=(Binding(TASKS, VIDEO, "video.#"),),
)


def test_memory_is_declared_and_says_that_it_cannot_tell() -> None:
    for _ in range(2):
        applied = apply_topology(PLAIN, "memory://")
        assert not applied.inspected
        assert str(applied) == (
            "declared 1 exchange, 1 queue and 1 binding; "
            "what was there before, this transport cannot tell"
        )


def test_everything_a_transport_lacks_is_told_at_once() -> None:
    routes = Exchange("routes", "headers")
    amq = PREDECLARED["amq.topic"]
    topology = Topology(
        "t",
        exchanges={"tasks": TASKS, "routes": routes},
        queues={"video": VIDEO},
        bindings=(Binding(TASKS, routes), Binding(amq, VIDEO, "a")),
    )
    with pytest.raises(Unsupported) as caught:
        apply_topology(topology, "memory://")
    assert str(caught.value) == (
        "the transport `memory` has no exchange type `headers` (exchange `routes`), "
        "no bindings of exchanges (`routes` to `tasks`), no predeclared exchange `amq.topic`"
    )


@pytest.mark.redis
def test_redis_is_declared(redis_server: Redis) -> None:
    assert apply_topology(PLAIN, redis_server.url).queues == ("video",)


@pytest.mark.redis
def test_redis_refuses_a_wrong_password(redis_server: Redis) -> None:
    url = redis_server.url.replace("redis://", "redis://nobody:secret@")
    with pytest.raises(CredentialsRefused, match=r"refuses user `nobody` or the password$"):
        apply_topology(PLAIN, url)


def test_redis_is_not_there() -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1 cannot be reached"):
        apply_topology(PLAIN, "redis://:secret@127.0.0.1:1/0")
