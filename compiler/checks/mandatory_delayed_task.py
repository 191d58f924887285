from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Task, Topology
from routewright.compiler.rabbitmq.exchange_types import DELAY, DELAYED
from routewright.compiler.routing.routing import Routing


def mandatory_delayed_task(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A task is to wait in an `x-delayed-message` exchange, and its messages are mandatory.

    While a message with the header `x-delay` waits, it is in no queue. So the broker returns it at
    once, and each call that sends the task raises, though the task will run. The plugin's
    documentation says that it does not support mandatory messages. After the delay a message that
    no queue takes is lost without a word.
    """
    for task in topology.tasks.values():
        if task.exchange.type == DELAYED and task.mandatory and _waits(task):
            yield Diagnostic(
                "mandatory-delayed-task",
                f"the messages of task `{task.name}` are mandatory, and exchange "
                f"`{task.exchange.name}` returns them before it delays them",
                task.span_of("mandatory"),
                help="say `mandatory: false` on the task",
                witness=task.routing_key,
            )


def _waits(task: Task) -> bool:
    delay = task.headers.get(DELAY)
    return isinstance(delay, int | float) and not isinstance(delay, bool) and delay > 0
