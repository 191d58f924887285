"""What happened to a task or to a worker, in the form of Celery's events.

Flower and `celery events` read them from a topic exchange; see `celery/events/event.py`.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from itertools import count
from json import JSONEncoder
from typing import Any

from routewright.runtime.messages.message import Envelope
from routewright.runtime.messages.short_repr import short_repr
from routewright.runtime.router.limits import MAX_SHORT_STRING
from routewright.runtime.router.route import Route

EXCHANGE = "celeryev"
SENT, SENT_KEY = "task-sent", "task.sent"
TASKS_KEY = "task.multi"  # the routing key of several in one message
MAX_TEXT = 1024  # characters of a representation
MAX_TRACEBACK = 8_000  # characters, the last ones

Event = dict[str, Any]

_encode = JSONEncoder().encode  # kombu's takes longer, for types that no event has
_clock = count(1)  # orders the events of a process; Celery's clock is a number that only grows


def node_name(name: str) -> str:
    """A worker's name among those that publish events."""
    return f"{name}@{socket.gethostname()}"


def event(kind: str, hostname: str, **fields: Any) -> Event:
    """An event that happens now."""
    return {
        "type": kind,
        "hostname": hostname,
        "timestamp": time.time(),
        "utcoffset": _utc_offset(),
        "pid": os.getpid(),
        "clock": next(_clock),
        **fields,
    }


def task_sent(envelope: Envelope, route: Route) -> Envelope:
    """The message that says a task is sent along a route."""
    hostname = node_name(f"gen{os.getpid()}")  # as Celery names what is no worker
    fields = _task_fields(envelope.headers)
    queue = route.queues[0] if len(route.queues) == 1 else None
    told = event(
        SENT,
        hostname,
        **fields,
        queue=queue,
        exchange=route.exchange,
        routing_key=route.routing_key,
    )
    return packed(told, hostname)


def received(headers: object) -> Event | None:
    """The fields of `task-received`; None if the message does not say which task it is."""
    if not isinstance(headers, Mapping):
        return None
    fields = _task_fields(headers)
    return fields if fields["uuid"] and fields["name"] else None


def _task_fields(headers: Mapping[str, Any]) -> Event:
    """What headers say of a task, which may be anything where the sender is not ours."""
    retries = headers.get("retries")
    return {
        "uuid": _text(headers, "id", MAX_SHORT_STRING),
        "name": _text(headers, "task", MAX_TEXT),
        "args": _text(headers, "argsrepr", MAX_TEXT),
        "kwargs": _text(headers, "kwargsrepr", MAX_TEXT),
        "root_id": _text(headers, "root_id", MAX_SHORT_STRING),
        "parent_id": _text(headers, "parent_id", MAX_SHORT_STRING),
        "retries": retries if type(retries) is int else 0,
        "eta": _text(headers, "eta", MAX_TEXT),
        "expires": _text(headers, "expires", MAX_TEXT),
    }


def _text(headers: Mapping[str, Any], name: str, limit: int) -> str | None:
    value = headers.get(name)
    return value[:limit] if isinstance(value, str) else None


def shown(value: object) -> str:
    """A value as text, whatever its own code does when it is asked for it."""
    try:
        return short_repr(value, MAX_TEXT)
    except BaseException:  # noqa: BLE001  a `__repr__` may even exit
        return f"<{type(value).__qualname__} without a repr>"


def packed(events: Event | Sequence[Event], hostname: str) -> Envelope:
    """The message of an event, or of several."""
    return Envelope(_encode(events), "application/json", "utf-8", {"hostname": hostname})


def routing_key(kind: str) -> str:
    """The routing key of one event."""
    return kind.replace("-", ".")


def _utc_offset() -> float:
    """Hours west of UTC, as Celery counts them."""
    return (time.altzone if time.localtime().tm_isdst else time.timezone) / 3600
