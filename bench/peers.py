"""Other task queues, each sending the same task to the same queue as well as it can.

Each is imported when it is asked for; `pip install routewright[bench]` brings them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeAlias

from kombu.connection import Connection
from kombu.messaging import Producer

from routewright.runtime.messages.message import Message

EXCHANGE, KEY, QUEUE = "bench", "bench.do", "bench"
TASK, ARGS = "bench.add", (2, 3)


def add(x: int, y: int) -> int:
    """The task."""
    return x + y


Send: TypeAlias = Callable[[int], None]  # so many tasks, one after the other


@contextmanager
def kombu(url: str, *, confirmed: bool) -> Iterator[Send]:
    """A bare producer, given a task's headers, which are not made anew for each message."""
    headers = dict(Message(TASK, "an-id", ARGS, ignore_result=True).encode("json").headers)
    options = {"confirm_publish": confirmed}
    with Connection(url, transport_options=options) as connection:
        producer = Producer(connection.channel())

        def send(count: int) -> None:
            for _ in range(count):
                producer.publish(
                    [ARGS, {}, {}],
                    exchange=EXCHANGE,
                    routing_key=KEY,
                    headers=headers,
                    correlation_id="an-id",
                    mandatory=confirmed,
                )

        yield send


@contextmanager
def celery(url: str, *, confirmed: bool) -> Iterator[Send]:
    """`apply_async` of a task that ignores its result, over Celery's pool."""
    app: Any = import_module("celery").Celery("bench", broker=url, set_as_current=False)
    app.conf.broker_transport_options = {"confirm_publish": confirmed}
    app.conf.task_queues = [
        import_module("kombu").Queue(
            QUEUE, import_module("kombu").Exchange(EXCHANGE, "topic"), routing_key="bench.#"
        )
    ]
    app.conf.task_default_queue, app.conf.task_default_routing_key = QUEUE, KEY
    app.conf.task_default_exchange, app.conf.task_default_exchange_type = EXCHANGE, "topic"
    task = app.task(add, name=TASK, ignore_result=True)

    def send(count: int) -> None:
        for _ in range(count):
            task.apply_async(ARGS, exchange=EXCHANGE, routing_key=KEY, mandatory=confirmed)

    yield send
    app.close()


@contextmanager
def dramatiq(url: str, *, confirmed: bool) -> Iterator[Send]:
    """`send`, to a queue of the same kind with the name and the arguments that dramatiq gives."""
    module: Any = import_module("dramatiq")
    brokers: Any = import_module("dramatiq.brokers.rabbitmq")
    broker = brokers.RabbitmqBroker(url=url, confirm_delivery=confirmed)
    actor = module.actor(add, actor_name="add", broker=broker, queue_name=f"dramatiq-{confirmed}")

    def send(count: int) -> None:
        for _ in range(count):
            actor.send(*ARGS)

    yield send
    broker.close()


@contextmanager
def taskiq(url: str) -> Iterator[Send]:
    """`kiq` by taskiq-aio-pika, which always confirms; it declares what it needs first."""
    pika: Any = import_module("taskiq_aio_pika")
    exchange = pika.Exchange(name=EXCHANGE, type=import_module("aio_pika").ExchangeType.TOPIC)
    queue = pika.Queue(name="taskiq", routing_key="taskiq")
    broker = pika.AioPikaBroker(url, exchange=exchange, task_queues=[queue])
    task = broker.task(task_name=TASK)(add)

    async def send(count: int) -> None:
        for _ in range(count):
            await task.kiq(*ARGS)

    with asyncio.Runner() as runner:
        runner.run(broker.startup())
        yield lambda count: runner.run(send(count))
        runner.run(broker.shutdown())
