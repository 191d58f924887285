"""Replacing a queue whose attributes cannot be changed, without losing what was confirmed.

Another queue stands in. All bindings of the queue move to it, each key in one step (order.py); then
what is left in the queue is moved over, and it is removed, provided that it is empty and unused.
Then it is created as declared, the bindings move back, the messages follow, and the other queue is
removed in the same way. Nothing is remembered: what there is on the broker says how far it has got,
and a new plan goes on from there.

The queue that stands in has none of the limits of the other two: nothing is dropped in it, or
dead-lettered but what its consumers reject.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from routewright.compiler.model.policies import with_policy
from routewright.compiler.model.topology import Policy, Queue, Topology
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.changes import Change
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.runtime.messages.orders import STAND_IN, can_have_stand_in, stand_in_of

_KEPT = (
    "x-queue-type",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-priority",
    "x-single-active-consumer",
)
GOES_WITH_CONSUMERS = (
    "it is deleted with its last consumer (`auto_delete`), and what waits in it with it; have it "
    "emptied and left by its consumers first"
)
LIMITS = ("x-message-ttl", "x-max-length", "x-max-length-bytes", "x-expires", "x-delivery-limit")


def stand_in(queue: Queue, host: VirtualHost) -> Queue:
    """The queue that stands in for another one: the one that is there, or as the other shall be.

    Consumers that follow find what they rely on: where rejected messages go, and who gets which
    first. Limits it has none.
    """
    name = stand_in_of(queue.name)
    own = {} if queue.policy is None else {queue.policy.name: queue.policy}
    policies = {**host.topology.policies, **own}  # those of others too
    effective = with_policy(replace(queue, policy=None), policies.values()).effective
    kept = {it: effective[it] for it in _KEPT if it in effective}
    return host.topology.queues.get(name) or Queue(name, arguments=kept)


def obstacle_to_queue(change: kinds.Replace, host: VirtualHost, declared: Topology) -> str | None:
    """Returns why a queue cannot be replaced, if it cannot."""
    old, new = change.old, change.new
    if not isinstance(old, Queue) or not isinstance(new, Queue):
        return "an exchange is no queue"
    if "stream" in (old.type, new.type):
        return "a stream keeps what was read, and cannot be emptied"
    if not can_have_stand_in(new.name):
        return "its name leaves no room for that of a queue to stand in"
    if old.auto_delete and host.counts_of(old.name).consumers:
        return GOES_WITH_CONSUMERS
    wanted = {it.source.name for it in declared.bindings if it.destination.name == new.name}
    owned = host.owned_by(declared.name)
    for it in host.topology.bindings:
        is_end = isinstance(it.destination, Queue) and it.destination.name == new.name
        source = it.source.name
        known = source.startswith("amq.") or owned.has("exchange", source) or source in wanted
        if is_end and not known:
            return f"it is bound to exchange `{source}`, which is not owned"
    return _limit(old, new, host, declared)


def _limit(old: Queue, new: Queue, host: VirtualHost, declared: Topology) -> str | None:
    """What a policy for many queues would take from the one that stands in, if anything."""
    policies = {**host.topology.policies, **declared.policies}
    other = with_policy(stand_in(new, host), policies.values())
    rejects = old.effective.get("x-overflow", "drop-head") != "drop-head"
    for limit in LIMITS:
        value = other.effective.get(limit)
        # Of a queue that takes nothing over its limit, nothing was ever dropped.
        alike = value == old.effective.get(limit) and not (rejects and "max-length" in limit)
        if other.policy is not None and value is not None and not alike:
            return (
                f"policy `{other.policy.name}` would give the queue that stands in "
                f"`{limit.removeprefix('x-')}`; have its pattern leave out `routewright.`"
            )
    return None


def meanwhile(wanted: Topology, replaced: Collection[kinds.Replace], host: VirtualHost) -> Topology:
    """What shall be there while queues stand in: they are bound, and the old ones are not."""
    old = {it.old.name: it.old for it in replaced if isinstance(it.old, Queue)}
    others = {name: stand_in(wanted.queues[name], host) for name in old}
    bindings = (
        replace(it, destination=others[it.destination.name])
        if isinstance(it.destination, Queue) and it.destination.name in others
        else it
        for it in wanted.bindings
    )
    queues = {**wanted.queues, **old, **{it.name: it for it in others.values()}}
    return replace(wanted, queues=queues, bindings=tuple(bindings))


def emptied(
    replaced: Collection[kinds.Replace], host: VirtualHost, wanted: Topology
) -> Iterator[Change]:
    """What puts a queue as it is declared in the place of one whose bindings have moved."""
    policies = {**host.topology.policies, **wanted.policies}.values()
    for it in replaced:
        if isinstance(it.old, Queue) and isinstance(it.new, Queue):
            other = stand_in(it.new, host)
            yield kinds.Release(it.old, other)
            yield kinds.Move(it.old, other, _dies_by_its_key(other, policies))
            yield kinds.RemoveQueue(it.old)
            yield kinds.DeclareQueue(it.new)


def with_moves(changes: Iterable[Change], host: VirtualHost, wanted: Topology) -> Iterator[Change]:
    """The changes, where a queue that stood in is emptied before it is removed."""
    policies = {**host.topology.policies, **wanted.policies}.values()
    for change in changes:
        if isinstance(change, kinds.RemoveQueue) and is_stand_in_queue(change.queue.name):
            name = change.queue.name.removeprefix(STAND_IN)
            if name in wanted.queues:
                new = wanted.queues[name]
                yield kinds.Release(change.queue, new)
                yield kinds.Move(change.queue, new, _dies_by_its_key(new, policies))
        yield change


def _dies_by_its_key(queue: Queue, policies: Iterable[Policy]) -> bool:
    """Whether the dead letters of a queue have the keys that the messages have."""
    found = with_policy(replace(queue, policy=None), policies)
    return found.dead_letter_exchange is not None and found.dead_letter_routing_key is None


def is_stand_in_queue(name: str) -> bool:
    """Returns True if a queue of this name stands in for another one."""
    return name.startswith(STAND_IN)
