"""What is read of a message's properties is what py-amqp reads, or is left to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from amqp.basic_message import Message as AmqpMessage
from header_values import SHORT, SIMPLE
from hypothesis import given
from hypothesis import strategies as st

from routewright.runtime.messages.message import Envelope, Message
from routewright.runtime.transport.decode import Uncommon, read_envelope
from routewright.runtime.transport.encode import publish_properties
from routewright.runtime.transport.envelopes import envelope_of

VALUES = st.recursive(
    SIMPLE | st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)),  # noqa: DTZ001  as AMQP has them
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SHORT, inner, max_size=4),
    max_leaves=12,
)
ENVELOPES = st.builds(
    Envelope,
    st.just(b"{}"),
    SHORT,
    SHORT,
    st.dictionaries(SHORT, VALUES, max_size=6),
    correlation_id=st.none() | SHORT,
    reply_to=st.none() | SHORT,
    expiration=st.none() | st.integers(0, 10**9).map(str),
    priority=st.none() | st.integers(0, 9),
)


def by_py_amqp(properties: bytes) -> Envelope:
    message: Any = AmqpMessage()
    message._load_properties(60, properties, 0)
    message.body = b"{}"
    return envelope_of(message)


@given(ENVELOPES)
def test_properties_are_read_as_py_amqp_reads_them(envelope: Envelope) -> None:
    properties = publish_properties(envelope, envelope.priority)
    wanted = by_py_amqp(properties)
    try:
        found = read_envelope(properties, b"{}")
    except Uncommon:
        return
    assert found == wanted


@given(st.binary(max_size=200), st.integers(0, 400), ENVELOPES)
def test_broken_properties_raise_nothing_else(noise: bytes, cut: int, envelope: Envelope) -> None:
    whole = publish_properties(envelope, envelope.priority)
    for data in (noise, whole[:cut], whole[:cut] + noise):
        try:
            read_envelope(data, b"")
        except Uncommon:
            continue


def test_what_a_task_has_is_common() -> None:
    envelope = Message("t", "1", (1, "a"), {"b": None}, timelimit=(1.5, None)).encode("json")
    properties = publish_properties(envelope, 5)
    assert read_envelope(properties, b"{}") == by_py_amqp(properties)
    with pytest.raises(Uncommon):
        read_envelope(properties[:-1], b"{}")
