"""Kills the broker, or a worker's processes, while tasks are sent and run, and counts what ran.

Every task whose send returned must have run. One may have run twice, under its one id: its message
comes back when a broker or a process dies before the acknowledgement.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from private_nodes import RabbitMQ, until
from project import Project
from sender_crash import THREADS, WAIT, Found, Sent, await_sent, compare, send_batches

from routewright.runtime import App

TOPOLOGY = """
topology: shop
target: rabbitmq-3.10
exchanges: {{tasks: {{type: topic}}}}
queues:
  work: {{type: {queue_type}, exchange: tasks, binding_key: "work.#"}}
tasks:
  crash.task: {{exchange: tasks, routing_key: work.crash}}
workers:
  all: {{queues: [work], processes: 2, concurrency: 4, prefetch: 100}}
"""

CODE = """
import os
from pathlib import Path
from routewright.runtime import App
from shop_routing import router

app = App(router, retry_budget=%d)
file = os.open(Path(__file__).with_name("ran"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@app.task(name="crash.task", bind=True)
def task(self):
    os.write(file, f"{self.request.id}\\n".encode())
"""


def crash(node: RabbitMQ, queue_type: str, count: int, victim: str, kills: int = 2) -> Found:
    """Send so many tasks and have them run while the victim, `broker` or `worker`, is killed."""
    with tempfile.TemporaryDirectory() as folder:
        topology = TOPOLOGY.format(queue_type=queue_type)
        project = Project(Path(folder), node.url(node.fresh_vhost()), topology, CODE % WAIT)
        if queue_type == "quorum":
            vhost = project.url.rpartition("/")[2]
            until(lambda: node.has_written("work", vhost))
        with project.worker() as process, project.client() as jobs:
            until(lambda: len(project.pids(process)) == 2)
            sent = Sent()
            threads = _senders(jobs.app, sent, count)
            for kill in range(kills):
                await_sent(threads, sent, count * (kill + 1) // (kills + 1))
                if victim == "broker":
                    node.kill()
                    node.start()
                else:
                    for pid in project.pids(process):
                        with suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
            for thread in threads:
                thread.join(WAIT)
            with suppress(AssertionError):  # what is missing then is in the account
                until(lambda: not set(sent.confirmed) - set(project.lines("ran")), WAIT)
        return compare(sent, Counter(project.lines("ran")))


def _senders(app: App, sent: Sent, count: int) -> Sequence[threading.Thread]:
    threads = [
        threading.Thread(target=send_batches, args=(app, sent, f"sender{number}", share))
        for number, share in enumerate([count // THREADS] * THREADS)
    ]
    for thread in threads:
        thread.start()
    return threads
