"""The envelope of a task: a Celery protocol 2 message, and nothing else knows its wire form.

The form is that of `celery/app/amqp.py:AMQP.as_task_v2`. A worker may rely on less than a client
sends: `decode` takes whatever comes, and gives a `Message` or says what is wrong.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from json import JSONDecoder
from typing import Any, cast

from kombu import serialization
from kombu.exceptions import EncodeError as KombuEncodeError
from kombu.exceptions import SerializerNotInstalled
from kombu.utils.json import JSONEncoder, object_hook

from routewright.runtime.errors import (
    EncodeError,
    InvalidOption,
    MalformedMessage,
    UnsupportedSequel,
)
from routewright.runtime.messages.amqp_values import printable, short_string
from routewright.runtime.messages.compression import decompressed
from routewright.runtime.messages.sequels import NO_SEQUELS, Sequels
from routewright.runtime.messages.short_repr import short_repr
from routewright.runtime.router.limits import MAX_SHORT_STRING

PROTOCOL_HEADERS = frozenset(
    (
        *("lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries"),
        *("timelimit", "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin"),
        *("ignore_result", "replaced_task_nesting", "stamped_headers", "stamps"),
    )
)
MAX_EXPIRATION = 2**32 - 1  # milliseconds; RabbitMQ closes the channel on more
JSON, UTF_8 = "application/json", "utf-8"
BODY_PARTS = 3  # args, kwargs, embed


def new_id() -> str:
    """A random UUID (version 4) as text; the `uuid` module takes three times as long."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as a transport carries it; `priority` is 0 (the highest) to 9, None if unset."""

    body: bytes | str
    content_type: str
    content_encoding: str
    headers: Mapping[str, Any]
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None  # milliseconds, in digits
    priority: int | None = None

    def answered_to(self, queue: str) -> Envelope:
        """The same message, its result wanted in a queue."""
        return replace(self, reply_to=queue)


@dataclass(frozen=True, slots=True)
class Message:
    """One task to run. Times are aware."""

    task: str
    id: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    expires: datetime | None = None
    eta: datetime | None = None
    retries: int = 0
    root_id: str | None = None
    parent_id: str | None = None
    ignore_result: bool = False
    reply_to: str | None = None
    timelimit: tuple[float | None, float | None] = (None, None)  # hard and soft, in seconds
    headers: Mapping[str, Any] = field(default_factory=dict)  # the user's own
    sequels: Sequels = NO_SEQUELS
    group: str | None = None  # the id of the group of tasks that it is one of
    group_index: int | None = None

    def encode(self, serializer: str, priority: int | None = None) -> Envelope:
        """The message as it goes out.

        Raises:
            EncodeError: the arguments cannot be serialised, or the id or a header cannot be sent.
        """
        self._check()
        content_type, content_encoding, body = self._dump(
            (self.args, self.kwargs, self.sequels.embed()), serializer
        )
        return Envelope(
            body,
            content_type,
            content_encoding,
            self._wire_headers(),
            correlation_id=self.id,
            reply_to=self.reply_to,
            # Counted anew in each queue that delays the message, it would shorten the delay.
            expiration=_expiration(self.expires) if self.eta is None else None,
            priority=priority,
        )

    def _wire_headers(self) -> dict[str, Any]:
        return {
            "lang": "py",
            "task": self.task,
            "id": self.id,
            "shadow": None,
            "eta": self.eta and self.eta.isoformat(),
            "expires": self.expires and self.expires.isoformat(),
            "group": self.group,
            "group_index": self.group_index,
            "retries": self.retries,
            "timelimit": list(self.timelimit),
            "root_id": self.root_id or self.id,
            "parent_id": self.parent_id,
            "argsrepr": short_repr(self.args),
            "kwargsrepr": short_repr(self.kwargs),
            "origin": _origin(os.getpid()),
            "ignore_result": self.ignore_result,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
            **self.headers,
        }

    def _check(self) -> None:
        if short_string(self.id) is None:
            raise EncodeError(
                f"a task id is a printable text of 1 to {MAX_SHORT_STRING} bytes,"
                f" not {short_repr(self.id, 80)}"
            )
        if clash := PROTOCOL_HEADERS.intersection(self.headers):
            raise EncodeError(f"task `{self.task}`: header `{min(clash)}` is the protocol's own")

    def _dump(self, body: object, serializer: str) -> tuple[str, str, bytes | str]:
        name = (
            serializer if serializer in serialization.registry.name_to_type else serializer.lower()
        )
        if name == "raw":  # kombu's name for "do not serialise"
            raise EncodeError(f"task `{self.task}`: `raw` cannot carry arguments")
        try:
            return _dumps(body, name)
        except SerializerNotInstalled:
            raise EncodeError(f"task `{self.task}`: no serializer `{serializer}`") from None
        except (KombuEncodeError, RecursionError) as error:
            raise EncodeError(
                f"task `{self.task}`: the arguments cannot be sent as {name}: {error}"
            ) from error

    @classmethod
    def decode(cls, envelope: Envelope, accept: Collection[str]) -> Message:
        """The message in an envelope, whose content type must be one of `accept`.

        Raises:
            MalformedMessage: it is not a task; the error carries what could be read of it.
        """
        headers = envelope.headers if isinstance(envelope.headers, Mapping) else {}
        known = _Known(
            task=printable(headers.get("task")),
            task_id=short_string(headers.get("id")),
            reply_to=None if ignores_result(headers) else short_string(envelope.reply_to),
        )
        for name, value in (("task", known.task), ("id", known.task_id)):
            if value is None:
                _refuse_protocol_1(envelope, headers, accept, known)
                raise known.malformed(f"header `{name}` is {_found(headers, name)}")
        args, kwargs, sequels = _body(envelope, accept, known)
        retries = headers.get("retries") or 0
        if type(retries) is not int:
            raise known.malformed(f"header `retries` is {_found(headers, 'retries')}")
        return cls(
            task=known.task or "",
            id=known.task_id or "",
            args=args,
            kwargs=kwargs,
            expires=_time(headers, "expires", known),
            eta=_time(headers, "eta", known),
            retries=retries,
            root_id=printable(headers.get("root_id")),
            parent_id=printable(headers.get("parent_id")),
            ignore_result=ignores_result(headers),
            reply_to=known.reply_to,
            timelimit=_timelimit(headers, known),
            headers={k: v for k, v in headers.items() if k not in PROTOCOL_HEADERS},
            sequels=sequels,
            group=printable(headers.get("group")),
            group_index=_whole(headers.get("group_index")),
        )


def ignores_result(headers: object) -> bool:
    """Whether the headers of a message say that nobody wants the result."""
    return isinstance(headers, Mapping) and headers.get("ignore_result") is True


#: The message whose task this thread is running; what the task sends is its child.
running: ContextVar[Message | None] = ContextVar("routewright_running", default=None)


def request() -> Message:
    """The message whose task this thread is running.

    Raises:
        InvalidOption: no worker is running it.
    """
    message = running.get()
    if message is None:
        raise InvalidOption("there is a request only while a worker runs the task")
    return message


@dataclass(frozen=True, slots=True)
class _Known:
    """What could be read of a message so far."""

    task: str | None
    task_id: str | None
    reply_to: str | None

    def malformed(self, problem: str) -> MalformedMessage:
        return MalformedMessage(
            problem, task=self.task, task_id=self.task_id, reply_to=self.reply_to
        )


def _body(
    envelope: Envelope, accept: Collection[str], known: _Known
) -> tuple[tuple[Any, ...], dict[str, Any], Sequels]:
    body = _loaded(envelope, accept, known)
    if not isinstance(body, (list, tuple)) or len(body) != BODY_PARTS:
        raise known.malformed(f"the body is not [args, kwargs, embed] but {short_repr(body, 80)}")
    args, kwargs, embed = body
    if not isinstance(args, (list, tuple)):
        raise known.malformed(f"the arguments are no list but {short_repr(args, 80)}")
    if not isinstance(kwargs, dict) or not all(isinstance(key, str) for key in kwargs):
        raise known.malformed(f"the keyword arguments are no mapping but {short_repr(kwargs, 80)}")
    if embed is not None and not isinstance(embed, dict):
        raise known.malformed(f"the third part of the body is {short_repr(embed, 80)}")
    try:
        return tuple(args), kwargs, Sequels.read(embed)
    except UnsupportedSequel as error:
        raise known.malformed(str(error)) from None


def _loaded(envelope: Envelope, accept: Collection[str], known: _Known) -> Any:
    content_type = envelope.content_type
    if content_type not in accept:
        raise known.malformed(f"content type {content_type!r} is not accepted here")
    headers = envelope.headers if isinstance(envelope.headers, Mapping) else {}
    data, compression = envelope.body, headers.get("compression")
    try:
        if compression is not None:
            data = decompressed(bytes(data) if not isinstance(data, str) else b"", compression)
        if content_type == JSON and envelope.content_encoding == UTF_8 and isinstance(data, bytes):
            return _decode_json(data.decode())
        return serialization.loads(data, content_type, envelope.content_encoding, accept=accept)
    except Exception as error:
        raise known.malformed(f"the body is no {content_type}: {short_repr(error, 200)}") from error


def _refuse_protocol_1(
    envelope: Envelope, headers: Mapping[str, Any], accept: Collection[str], known: _Known
) -> None:
    """Tell the sender of a message of Celery's first protocol, which has all in the body."""
    if "task" in headers or "id" in headers:
        return
    body = _loaded(envelope, accept, known)
    if isinstance(body, dict) and "task" in body and "id" in body:
        told = replace(known, task=printable(body["task"]), task_id=short_string(body["id"]))
        raise told.malformed(
            "it is of Celery's protocol 1, which is not supported; send with `task_protocol = 2`"
        )


def _timelimit(headers: Mapping[str, Any], known: _Known) -> tuple[float | None, float | None]:
    limit = headers.get("timelimit")
    if limit is None:
        return None, None
    pair = isinstance(limit, (list, tuple)) and len(limit) == len(("hard", "soft"))
    if not pair or not all(part is None or isinstance(part, (int, float)) for part in limit):
        raise known.malformed(f"header `timelimit` is {_found(headers, 'timelimit')}")
    hard, soft = (part if part and part > 0 else None for part in limit)
    return hard, soft


def _time(headers: Mapping[str, Any], name: str, known: _Known) -> datetime | None:
    value = headers.get(name)
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value)
        # A time without a zone is UTC, as a Celery worker reads it by default.
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise known.malformed(f"header `{name}` is {_found(headers, name)}") from None


def _dumps(body: object, name: str) -> tuple[str, str, bytes | str]:
    """What kombu makes of it; with an encoder that is kept, JSON takes half the time."""
    if name != "json":
        return cast("tuple[str, str, bytes | str]", serialization.dumps(body, name))
    try:
        return JSON, UTF_8, _encode_json(body)
    except Exception as error:  # the value's own code runs in here
        raise KombuEncodeError(str(error)) from error


_encode_json: Callable[[object], str] = JSONEncoder().encode
_decode_json: Callable[[str], Any] = JSONDecoder(object_hook=object_hook).decode


def _found(headers: Mapping[str, Any], name: str) -> str:
    return short_repr(headers[name], 80) if name in headers else "missing"


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _expiration(expires: datetime | None) -> str | None:
    if expires is None:
        return None
    seconds = (expires - datetime.now(UTC)).total_seconds()
    return str(min(max(int(seconds * 1000), 0), MAX_EXPIRATION))


@lru_cache(maxsize=4)  # a fork changes the process id
def _origin(pid: int) -> str:
    return f"gen{pid}@{socket.gethostname()}"
