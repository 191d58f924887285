"""Replacing a queue whose attributes cannot be changed, without losing what was confirmed.

Another queue stands in. All bindings of the queue move to it, each key in one step (order.py); then
what is left in the queue is moved over, and it is removed, provided that it is empty and unused.
Then it is created as declared, the bindings move back, the messages follow, and the other queue is
removed in the same way. Nothing is remembered: what there is on the broker says how far it has got,
and a new plan goes on from there.

The queue that stands in has none of the limits of the other two, so that nothing is dropped or
dead-lettered in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from routewright.compiler.broker.changes import DeclareQueue
from routewright.compiler.broker.live import Live
from routewright.compiler.broker.steps import Change, Move, Release, RemoveQueue, Replace
from routewright.compiler.topology import Queue, Topology
from routewright.runtime.orders import STAND_IN as PREFIX
from routewright.runtime.orders import stand_in_of

_LONGEST = 255 - len(PREFIX)


def stand_in(queue: Queue) -> Queue:
    """The queue that stands in for another one."""
    arguments = {} if queue.type == "classic" else {"x-queue-type": queue.type}
    return Queue(stand_in_of(queue.name), arguments=arguments)


def obstacle(change: Replace, live: Live, declared: Topology) -> str | None:
    """Why something cannot be replaced this way, if it cannot."""
    old, new = change.old, change.new
    if not isinstance(old, Queue) or not isinstance(new, Queue):
        return "an exchange is no queue"
    if "stream" in (old.type, new.type):
        return "a stream keeps what was read, and cannot be emptied"
    if len(new.name.encode()) > _LONGEST:
        return "its name leaves no room for that of a queue to stand in"
    wanted = {it.source.name for it in declared.bindings if it.destination.name == new.name}
    owned = live.owned_by(declared.name)
    for it in live.topology.bindings:
        is_end = isinstance(it.destination, Queue) and it.destination.name == new.name
        source = it.source.name
        known = source.startswith("amq.") or owned.has("exchange", source) or source in wanted
        if is_end and not known:
            return f"it is bound to exchange `{source}`, which is not owned"
    return None


def meanwhile(wanted: Topology, replaced: Collection[Replace]) -> Topology:
    """What shall be there while queues stand in: they are bound, and the old ones are not."""
    old = {it.old.name: it.old for it in replaced if isinstance(it.old, Queue)}
    others = {name: stand_in(wanted.queues[name]) for name in old}
    bindings = (
        replace(it, destination=others[it.destination.name])
        if isinstance(it.destination, Queue) and it.destination.name in others
        else it
        for it in wanted.bindings
    )
    queues = {**wanted.queues, **old, **{it.name: it for it in others.values()}}
    return replace(wanted, queues=queues, bindings=tuple(bindings))


def emptied(replaced: Collection[Replace]) -> Iterator[Change]:
    """What puts a queue as it is declared in the place of one whose bindings have moved."""
    for it in replaced:
        if isinstance(it.old, Queue) and isinstance(it.new, Queue):
            yield Release(it.old, stand_in(it.new))
            yield Move(it.old, stand_in(it.new))
            yield RemoveQueue(it.old)
            yield DeclareQueue(it.new)


def with_moves(changes: Iterable[Change], wanted: Topology) -> Iterator[Change]:
    """The changes, where a queue that stood in is emptied before it is removed."""
    for change in changes:
        if isinstance(change, RemoveQueue) and change.queue.name.startswith(PREFIX):
            name = change.queue.name.removeprefix(PREFIX)
            if name in wanted.queues:
                yield Release(change.queue, wanted.queues[name])
                yield Move(change.queue, wanted.queues[name])
        yield change


def is_stand_in(name: str) -> bool:
    """Whether a queue of this name stands in for another one."""
    return name.startswith(PREFIX)
