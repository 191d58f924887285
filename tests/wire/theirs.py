"""The Celery application whose worker the tests start; it is imported there alone."""

import os
import time
from typing import Any

from celery import Celery

app = Celery("theirs", broker=os.environ["WIRE_BROKER"], backend="rpc://")
app.config_from_object(os.environ["WIRE_SETTINGS"])


@app.task(name="theirs.add")
def add(x: int, y: int) -> int:
    return x + y


@app.task(name="theirs.fail")
def fail(problem: str) -> None:
    raise ValueError(problem, 7)


@app.task(name="theirs.now")
def now() -> float:
    return time.time()


@app.task(name="theirs.request", bind=True)
def request(self: Any) -> dict[str, Any]:
    wanted = ("id", "root_id", "parent_id", "expires", "eta", "retries", "ignore_result", "origin")
    priority = self.request.delivery_info["priority"]
    return {**{name: getattr(self.request, name) for name in wanted}, "priority": priority}


@app.task(name="theirs.flaky", bind=True, max_retries=5)
def flaky(self: Any, times: int) -> tuple[int, str]:
    if self.request.retries < times:
        raise self.retry(countdown=0.2)
    return self.request.retries, self.request.delivery_info["routing_key"]


@app.task(name="safe.add")
def safe_add(x: int, y: int) -> int:
    return x + y
