"""A real Celery worker runs what this runtime sends, and its results come back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from private_nodes import Broker

from routewright.runtime import App

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def app(sums: Any, shared_broker: Broker, celery_worker: Any) -> Iterator[App]:
    """An application of this runtime, while a Celery worker consumes both of its queues."""
    with (
        celery_worker(sums, shared_broker.url, "theirs", "safe"),
        App(sums.router, shared_broker.url) as app,
    ):
        yield app


def test_a_result_comes_back(app: App) -> None:
    assert app.send_task("theirs.add", [2], {"y": 2}).get(timeout=120) == 4


def test_a_failure_comes_back_with_its_type_and_traceback(app: App) -> None:
    result = app.send_task("theirs.fail", ["a problem"])
    with pytest.raises(ValueError, match="a problem") as caught:
        result.get(timeout=120)
    assert caught.value.args == ("a problem", 7)
    assert result.failed()
    assert "raise ValueError(problem, 7)" in (result.traceback or "")


def test_a_delayed_task_is_run_and_never_early(app: App) -> None:
    started = time.time()
    assert app.send_task("theirs.now", countdown=1.0).get(timeout=120) >= started + 1.0


def test_an_eta_is_kept_to(app: App) -> None:
    eta = datetime.now(UTC) + timedelta(seconds=0.7)
    assert app.send_task("theirs.now", eta=eta).get(timeout=120) >= eta.timestamp()


@pytest.mark.parametrize(("given", "sent"), [(0, 9), (9, 0), (3, 6)])
def test_a_priority_goes_out_as_the_broker_orders_it(app: App, given: int, sent: int) -> None:
    result = app.send_task("theirs.request", priority=given)
    assert result.get(timeout=120)["priority"] == sent


def test_the_request_is_what_was_sent(app: App) -> None:
    result = app.send_task("theirs.request", expires=3600, task_id="an-id")
    request = result.get(timeout=120)
    assert (request["id"], request["root_id"], request["parent_id"]) == ("an-id", "an-id", None)
    assert datetime.fromisoformat(request["expires"]) > datetime.now(UTC)
    assert (request["retries"], request["ignore_result"]) == (0, False)


def test_a_task_that_has_expired_is_not_run(app: App) -> None:
    """It waits in the broker until after it has expired."""
    result = app.send_task("theirs.now", countdown=0.6, expires=0.1)
    with pytest.raises(Exception, match="expired"):
        result.get(timeout=120)
    assert result.status == "REVOKED"


def test_a_task_that_came_delayed_is_retried_along_its_route(app: App) -> None:
    result = app.send_task("theirs.flaky", [2], countdown=0.3)
    assert result.get(timeout=120) == [2, "theirs.flaky"]


def test_quorum_queues_are_consumed(app: App) -> None:
    assert app.send_task("safe.add", [1, 1]).get(timeout=120) == 2
    assert app.send_task("safe.add", [1, 2], countdown=0.5).get(timeout=120) == 3


def test_the_worker_has_bound_nothing_of_ours(app: App, sums: Any, shared_broker: Broker) -> None:
    """Celery would bind the queues of its settings more widely, once one of them is a quorum."""
    assert app.send_task("theirs.add", [1, 1]).get(timeout=120) == 2  # the worker is there
    topology = sums.compilation.topology
    bound = {
        (row["source"], row["destination"], row["routing_key"])
        for row in shared_broker.bindings()
        if row["destination"] in topology.queues and "delay" not in row["source"] and row["source"]
    }
    assert bound == {(it.source.name, it.destination.name, it.key) for it in topology.bindings}
