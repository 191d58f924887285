"""What became of a task, as it travels: Celery's result meta, in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kombu.utils import json

from routewright.runtime.errors import MalformedMessage
from routewright.runtime.messages.exceptions import encode_exception
from routewright.runtime.messages.message import Envelope
from routewright.runtime.messages.short_repr import short_repr

PENDING = "PENDING"
STARTED = "STARTED"
PROGRESS = "PROGRESS"
RETRY = "RETRY"
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
REVOKED = "REVOKED"

READY = frozenset({SUCCESS, FAILURE, REVOKED})
EXCEPTIONS = frozenset({RETRY, FAILURE, REVOKED})  # in which the result is an exception


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state of a task; `result` is its value, or an exception as data.

    A Celery worker's task may have states of its own, with any result.
    """

    task_id: str
    status: str
    result: Any = None
    traceback: str | None = None
    date_done: datetime | None = None

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
        return cls.read(envelope.body, envelope.correlation_id)

    @classmethod
    def read(cls, body: bytes | str, task_id: str | None) -> Outcome:
        """The outcome in the text of a result; the id is that of a text which names none.

        Raises:
            MalformedMessage: it is not a result.
        """
        try:
            meta = json.loads(body)
        except Exception as error:
            raise MalformedMessage(f"a result that is no JSON: {short_repr(error, 200)}") from error
        if not isinstance(meta, Mapping) or not isinstance(meta.get("status"), str):
            raise MalformedMessage("a result without a status")
        found = meta.get("task_id") or task_id
        if not isinstance(found, str):
            raise MalformedMessage("a result without a task id")
        trace = meta.get("traceback")
        return cls(
            found,
            meta["status"],
            meta.get("result"),
            trace if isinstance(trace, str) else None,
            _time(meta.get("date_done")),
        )


def _time(found: object) -> datetime | None:
    """A time as Celery writes it, which is UTC unless it says otherwise."""
    if isinstance(found, str):
        try:
            found = datetime.fromisoformat(found)
        except ValueError:
            return None
    if not isinstance(found, datetime):  # JSON of kombu's may have made one already
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
