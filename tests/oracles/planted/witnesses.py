"""Whether what a diagnostic says of its key is so, by brute force.

Names are read from the message, as a user reads them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TypeAlias

from brute_force import BruteForce, topic_matches
from kombu.transport.virtual.exchange import TopicExchange

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Task, Topology

_NOT_PLAIN = frozenset("*#")  # words of a pattern, which is no key unless it is written as one
_NAMES = re.compile(r"`([^`]*)`")

Claim: TypeAlias = Callable[[Diagnostic, str, Topology], bool]


def is_so(found: Diagnostic, topology: Topology) -> bool | None:
    """Whether the key of a diagnostic does what is said of it; None where nothing can be checked.

    A key that meets headers is published with those of a task that the diagnostic may be about.
    """
    claim = _CLAIMS.get(found.code)
    if claim is None or found.witness is None:
        return None
    written = {task.routing_key for task in topology.tasks.values()}
    written |= {it.key for it in topology.bindings if it.source.type == "direct"}
    plain = found.witness in written or _NOT_PLAIN.isdisjoint(found.witness.split("."))
    return plain and claim(found, found.witness, topology)


def _is_lost(found: Diagnostic, key: str, topology: Topology) -> bool:
    tasks = [it for it in topology.tasks.values() if it.key_span == found.span]
    return any(not _queues(topology, it, key) for it in tasks)


def _runs_twice(found: Diagnostic, key: str, topology: Topology) -> bool:
    name = _NAMES.findall(found.message)[-1]
    works = _works(topology, _queues(topology, topology.tasks[name], key))
    return len(works) > 1 and f"reaches {len(works)} work queues" in found.message


def _is_only_watched(found: Diagnostic, key: str, topology: Topology) -> bool:
    _, name, *taps = _NAMES.findall(found.message)
    queues = _queues(topology, topology.tasks[name], key)
    return queues == set(taps) and not _works(topology, queues)


def _is_caught(found: Diagnostic, key: str, topology: Topology) -> bool:
    task = topology.tasks[_NAMES.findall(found.message)[1]]
    where = (task.exchange.name, key, _headers(task))
    return BruteForce(topology).by_alternate(*where) and bool(_queues(topology, task, key))


def _reaches_both(found: Diagnostic, key: str, topology: Topology) -> bool:
    _, exchange, *pair = _NAMES.findall(found.message)
    queues = BruteForce(topology).queues(exchange, key, found.headers)
    return set(pair) <= _works(topology, queues)


def _breaks_the_claim(found: Diagnostic, key: str, topology: Topology) -> bool:
    reached, _, wanted = found.message.partition(", and should ")
    _, exchange, *queues = _NAMES.findall(reached)
    named = set(_NAMES.findall(wanted))
    breaks: Mapping[str, bool] = {
        "reach just": named != set(queues),
        "never reach": bool(named & set(queues)),
        "reach one": not queues,
        "reach no two": len(named & set(queues)) > 1,
    }
    broken = next(is_broken for claim, is_broken in breaks.items() if wanted.startswith(claim))
    return broken and BruteForce(topology).queues(exchange, key, found.headers) == set(queues)


def _comes_to_the_group(found: Diagnostic, key: str, topology: Topology) -> bool:
    name, group, _, queue = _NAMES.findall(found.message)
    in_group = {it.name for it in topology.groups[group].queues}
    return queue in _queues(topology, topology.tasks[name], key) & in_group


def _comes_to_the_queue(found: Diagnostic, key: str, topology: Topology) -> bool:
    name, _, queue, _ = _NAMES.findall(found.message)
    return queue in _queues(topology, topology.tasks[name], key)


def _comes_to_one_of_the_group(found: Diagnostic, key: str, topology: Topology) -> bool:
    group, name, *_ = _NAMES.findall(found.message)
    in_group = {it.name for it in topology.groups[group].queues if not it.tap}
    return not in_group.isdisjoint(_queues(topology, topology.tasks[name], key))


def _is_lost_when_dead(found: Diagnostic, key: str, topology: Topology) -> bool:
    return not BruteForce(topology).queues(_NAMES.findall(found.message)[-1], key, {})


def _is_a_key(_found: Diagnostic, key: str, _topology: Topology) -> bool:
    return "{" not in key


def _goes_round(found: Diagnostic, key: str, topology: Topology) -> bool:
    """Whether each queue of the round is reached by the dead letters of the one before."""
    _, *round_ = _NAMES.findall(found.message)
    slow = BruteForce(topology)
    for here, following in pairwise(round_):
        queue = topology.queues[here]
        exchange, own = queue.dead_letter_exchange, queue.dead_letter_routing_key
        key = key if own is None else own
        if exchange is None or following not in slow.queues(exchange, key, {}):
            return False
    return round_[0] == round_[-1]


def _waits(found: Diagnostic, key: str, topology: Topology) -> bool:
    name = _NAMES.findall(found.message)[0]
    slow = BruteForce(topology)
    return any(name in slow.queues(exchange, key, {}) for exchange in topology.exchanges)


def _is_missed_by_kombu(found: Diagnostic, key: str, _topology: Topology) -> bool:
    pattern = _NAMES.findall(found.message)[0]
    theirs = TopicExchange.key_to_pattern(TopicExchange(None), pattern)
    return topic_matches(pattern, key) and re.match(theirs, key) is None


def _queues(topology: Topology, task: Task, key: str) -> set[str]:
    return BruteForce(topology).queues(task.exchange.name, key, _headers(task))


def _headers(task: Task) -> dict[str, object]:
    return dict(task.headers)


def _works(topology: Topology, queues: set[str]) -> set[str]:
    return {name for name in queues if not topology.queues[name].tap}


_CLAIMS: Mapping[str, Claim] = {
    "unroutable-task": _is_lost,
    "task-delivered-more-than-once": _runs_twice,
    "task-without-work-queue": _is_only_watched,
    "task-only-by-alternate-exchange": _is_caught,
    "overlapping-work-queues": _reaches_both,
    "failed-assertion": _breaks_the_claim,
    "serializer-not-accepted": _comes_to_the_group,
    "priority-without-effect": _comes_to_the_queue,
    "group-without-code": _comes_to_one_of_the_group,
    "dead-letter-goes-nowhere": _is_lost_when_dead,
    "endless-dead-letter-loop": _goes_round,
    "dead-letter-loop-drops": _goes_round,
    "wait-without-end": _waits,
    "undecided-route": _is_a_key,
    "unsupported-by-target": _is_missed_by_kombu,
}
