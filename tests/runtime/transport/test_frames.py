"""What is written to the socket is what py-amqp would write."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from amqp import spec
from amqp.basic_message import Message as AmqpMessage
from amqp.method_framing import frame_writer
from amqp.serialization import dumps
from header_values import SHORT, SIMPLE
from hypothesis import given, settings
from hypothesis import strategies as st

from routewright.runtime.errors import EncodeError
from routewright.runtime.messages.message import Envelope, Message
from routewright.runtime.transport.encode import publish_address, publish_frames, publish_properties
from routewright.runtime.transport.envelopes import check_headers


class Socket:
    """Where py-amqp writes to; it asks for the largest frame as well."""

    frame_max = 4096
    bytes_sent = 0

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)


def by_py_amqp(envelope: Envelope, priority: int | None, address: tuple[str, str, bool]) -> bytes:
    exchange, key, mandatory = address
    socket = Socket()
    body: Any = envelope.body  # which may be bytes, whatever py-amqp is annotated with
    message = AmqpMessage(
        body,
        content_type=envelope.content_type,
        content_encoding=envelope.content_encoding,
        application_headers=dict(envelope.headers),
        delivery_mode=2,
        priority=priority,
        correlation_id=envelope.correlation_id,
        reply_to=envelope.reply_to,
        expiration=envelope.expiration,
    )
    arguments = dumps("Bssbb", (0, exchange, key, mandatory, False))
    frame_writer(socket, socket)(1, 1, spec.Basic.Publish, arguments, message)
    return socket.written


VALUES = st.recursive(
    SIMPLE | st.sampled_from([Decimal("1.5"), datetime(2026, 1, 1, tzinfo=UTC)]),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(SHORT, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    headers=st.dictionaries(SHORT, VALUES, max_size=6),
    body=st.binary(min_size=1, max_size=10_000),
    optional=st.tuples(*[st.none() | st.text(min_size=1, max_size=60)] * 3),
    priority=st.none() | st.integers(0, 9),
    address=st.tuples(SHORT, SHORT, st.booleans()),
)
def test_any_message_is_framed_as_py_amqp_frames_it(
    headers: Any, body: bytes, optional: Any, priority: int | None, address: Any
) -> None:
    envelope = Envelope(body, "application/json", "utf-8", headers, *optional)
    exchange, key, mandatory = address
    framed = publish_frames(
        1,
        Socket.frame_max,
        publish_address(exchange, key, mandatory=mandatory),
        publish_properties(envelope, priority),
        body,
    )
    assert framed == by_py_amqp(envelope, priority, address)


def test_a_task_is_framed_as_py_amqp_frames_it() -> None:
    envelope = Message("media.crop", "an-id", (1, "x"), {"y": None}, headers={"x": 2**40}).encode(
        "json"
    )
    assert isinstance(envelope.body, str)
    framed = publish_frames(
        1,
        131072,
        publish_address("tasks", "image.crop", mandatory=True),
        publish_properties(envelope, 9),
        envelope.body.encode(),
    )
    assert framed == by_py_amqp(envelope, 9, ("tasks", "image.crop", True))


@pytest.mark.parametrize("value", [object(), 2**80, {"k" * 300: 1}])
def test_what_amqp_cannot_carry_is_found_before_it_is_framed(value: object) -> None:
    with pytest.raises(EncodeError):
        check_headers({"x": value})
