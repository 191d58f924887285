"""A broker that is being looked at or changed, over AMQP and its management API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from amqp.exceptions import AMQPError
from kombu.connection import Connection

from routewright.compiler.broker.amqp_calls import RESOURCE_LOCKED, refusal
from routewright.compiler.broker.errors import Busy
from routewright.compiler.broker.inspect import look
from routewright.compiler.broker.inspect_over_amqp import inspect
from routewright.compiler.broker.management import Management
from routewright.compiler.model.topology import Topology
from routewright.compiler.plan.progress import OnStep
from routewright.compiler.plan.virtual_host import VirtualHost

ERRORS = (AMQPError, OSError)

_BLIND = (
    "over AMQP alone, bindings, policies, message counts and what is owned cannot be seen: nothing "
    "stale is found, nothing is proved of the moments between, and nothing is marked as owned"
)


@dataclass(frozen=True, slots=True)
class Session:
    """An open channel to a broker, and its management API where that can be asked.

    `another` opens one more connection to the broker.
    """

    channel: Any
    vhost: str
    api: Management | None
    another: Callable[[], AbstractContextManager[Connection]]
    without_api: str = ""  # why there is none, if one was expected
    looks: list[Callable[[], VirtualHost]] = field(default_factory=list)  # those under way

    def look(self, wanted: Topology, on_step: OnStep | None = None) -> VirtualHost:
        """What is there: everything, or what AMQP can tell of a topology."""
        if self.api is not None:
            return self.look_at_all(self.api)
        present = inspect(wanted, self.channel, on_step)
        conflicting = {(it.kind, it.name) for it in present.conflicts}
        there = replace(
            wanted,
            exchanges={
                name: it
                for name, it in wanted.exchanges.items()
                if name in present.exchanges or ("exchange", name) in conflicting
            },
            queues={
                name: it
                for name, it in wanted.queues.items()
                if name in present.queues or ("queue", name) in conflicting
            },
            bindings=(),
            vhost=self.vhost,
        )
        why = f"{self.without_api}; " if self.without_api else ""
        return VirtualHost(there, conflicts=present.conflicts, unseen=(why + _BLIND,))

    def look_at_all(self, api: Management) -> VirtualHost:
        """Reads everything; at the first call, that was started as the session opened."""
        return self.looks.pop()() if self.looks else look(api)

    def lock(self, topology: str) -> None:
        """Keep other applies to the virtual host away for as long as the connection lasts.

        Those of other topologies too: they may share an exchange, and what is proved of the moments
        between holds only if nobody else changes what is bound to it.

        Raises:
            Busy: there is one already.
        """
        whose = (f"another apply of `{topology}`", "an apply of another topology")
        for lock, other in zip(_locks(topology), whose, strict=True):
            try:
                self.channel.queue_declare(lock, exclusive=True)
            except ERRORS as error:
                if getattr(error, "reply_code", None) == RESOURCE_LOCKED:
                    said = f"{other} is at work on virtual host `{self.vhost}`: nothing was changed"
                    raise Busy(said) from None
                raise refusal(error, f"lock `{lock}`") from error

    def unlock(self, topology: str) -> None:
        """Let others apply before the connection ends."""
        for lock in _locks(topology):
            try:
                self.channel.queue_delete(lock)
            except ERRORS as error:
                raise refusal(error, f"lock `{lock}`") from error


def _locks(topology: str) -> tuple[str, str]:
    """The exclusive queues that an apply holds: of its topology, and of the virtual host."""
    return f"routewright.lock.{topology}", "routewright.lock"


def session(
    connection: Connection,
    another: Callable[[], AbstractContextManager[Connection]],
    api: Management | None = None,
    looks: Sequence[Callable[[], VirtualHost]] = (),
    without_api: str = "",
) -> Session:
    """A session on an open connection; what is not told here is as of `Session`.

    Raises:
        BrokerError: there is no channel to be had.
    """
    try:
        channel = connection.channel()
    except ERRORS as error:
        raise refusal(error, "opening a channel") from error
    return Session(channel, connection.virtual_host, api, another, without_api, [*looks])
