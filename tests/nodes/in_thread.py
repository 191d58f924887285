"""A worker in a thread of the test's own process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from routewright.runtime import Worker

PATIENCE = 120  # seconds


@contextmanager
def running(worker: Worker) -> Iterator[Worker]:
    """Runs a worker until the block ends."""
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()
