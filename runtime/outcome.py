"""What became of a task, as it travels: Celery's result meta, in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kombu.utils import json

from routewright.runtime.brief import brief
from routewright.runtime.errors import MalformedMessage
from routewright.runtime.message import Envelope
from routewright.runtime.remote import encode_exception

PENDING = "PENDING"
STARTED = "STARTED"
RETRY = "RETRY"
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
REVOKED = "REVOKED"

STATES = frozenset({PENDING, STARTED, RETRY, SUCCESS, FAILURE, REVOKED})
READY = frozenset({SUCCESS, FAILURE, REVOKED})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state of a task; `result` is its value, or an exception as data."""

    task_id: str
    status: str
    result: Any = None
    traceback: str | None = None

    @classmethod
    def error(
        cls, task_id: str, error: BaseException, traceback: str | None = None, status: str = FAILURE
    ) -> Outcome:
        """The outcome of a task that raised, or that was not run."""
        return cls(task_id, status, encode_exception(error), traceback)

    def encode(self) -> Envelope:
        """The result message, of the form of `celery/backends/base.py:_get_result_meta`.

        Raises:
            TypeError, ValueError, RecursionError: JSON cannot carry the result.
        """
        meta = {
            "task_id": self.task_id,
            "status": self.status,
            "result": self.result,
            "traceback": self.traceback,
            "children": [],
            "date_done": datetime.now(UTC).isoformat() if self.status in READY else None,
        }
        return Envelope(
            json.dumps(meta), "application/json", "utf-8", {}, correlation_id=self.task_id
        )

    @classmethod
    def decode(cls, envelope: Envelope) -> Outcome:
        """The outcome in a result message.

        Raises:
            MalformedMessage: it is not a result.
        """
        if envelope.content_type != "application/json":
            raise MalformedMessage(f"a result of content type {envelope.content_type!r}")
        try:
            meta = json.loads(envelope.body)
        except Exception as error:
            raise MalformedMessage(f"a result that is no JSON: {brief(error, 200)}") from error
        if not isinstance(meta, Mapping) or meta.get("status") not in STATES:
            raise MalformedMessage("a result without a known status")
        task_id = meta.get("task_id") or envelope.correlation_id
        if not isinstance(task_id, str):
            raise MalformedMessage("a result without a task id")
        return cls(task_id, meta["status"], meta.get("result"), meta.get("traceback"))
