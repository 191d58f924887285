"""The envelope: what goes out is Celery's protocol 2, and what comes in is never trusted."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import RFC_4122, UUID

import pytest

from routewright.runtime.errors import EncodeError, MalformedMessage
from routewright.runtime.messages.message import Envelope, Message, new_id
from routewright.runtime.messages.short_repr import short_repr

JSON = {"application/json"}


def envelope(headers: Any = None, body: Any = "[[1], {}, {}]", **changes: Any) -> Envelope:
    form = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": {"task": "t", "id": "1"} if headers is None else headers,
        "reply_to": "replies",
    }
    return Envelope(body, **{**form, **changes})


def test_the_headers_and_the_body_are_those_of_celery() -> None:
    celery = pytest.importorskip("celery")
    theirs = celery.Celery("theirs").amqp.as_task_v2(
        "some-id", "t.add", args=(2, 3), kwargs={"k": 1}, expires=60, reply_to="replies"
    )
    message = Message(
        "t.add", "some-id", (2, 3), {"k": 1}, datetime.now(UTC) + timedelta(60), reply_to="replies"
    )
    ours = message.encode("json")

    assert {name: type(value) for name, value in ours.headers.items()} == {
        name: type(value) for name, value in theirs.headers.items()
    }
    same = set(ours.headers) - {"expires"}
    assert {name: ours.headers[name] for name in same} == {
        name: theirs.headers[name] for name in same
    }
    assert ours.correlation_id == theirs.properties["correlation_id"]
    assert ours.reply_to == theirs.properties["reply_to"]
    serialization = pytest.importorskip("kombu.serialization")
    assert ours.body == serialization.dumps(theirs.body, "json")[2]


def test_a_message_survives_the_wire() -> None:
    expires = datetime.now(UTC) + timedelta(minutes=1)
    sent = Message("t", "1", (1, "x"), {"k": None}, expires, headers={"tenant": "a"})
    back = Message.decode(sent.encode("json"), JSON)
    assert (back.args, dict(back.kwargs), back.expires) == ((1, "x"), {"k": None}, expires)
    assert back.headers == {"tenant": "a"}
    assert back.root_id == "1"


def test_two_headers_are_enough_for_a_task() -> None:
    assert Message.decode(envelope(), JSON).args == (1,)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (envelope({"id": "1"}), "header `task` is missing"),
        (envelope({"task": "t"}), "header `id` is missing"),
        (envelope({"task": 5, "id": "1"}), "header `task` is 5"),
        (envelope({"task": "t", "id": b"1"}), "header `id` is b'1'"),
        (envelope({"task": "t", "id": "x" * 256}), "header `id` is"),
        (envelope({"task": "t", "id": "1\n2"}), r"header `id` is '1\n2'"),
        (envelope({"task": "t\x1b[2J", "id": "1"}), r"header `task` is 't\x1b[2J'"),
        (envelope(body='[[], {}, {"chain": [5]}]'), "a signature in `chain` is 5"),
        (envelope(body='[[], {}, {"chain": "u"}]'), "`chain` is no list but 'u'"),
        (envelope(body='[[], {}, {"callbacks": [{}]}]'), "the task of a signature in `callbacks`"),
        (envelope(body='[[], {}, {"errbacks": [{}]}]'), "the task of a signature in `errbacks`"),
        (envelope(body='[[], {}, {"chord": {"task": "u"}}]'), "`chord`, which is not supported"),
        (envelope({"task": "t", "id": "1", "timelimit": [3]}), "header `timelimit` is [3]"),
        (envelope({"task": "t", "id": "1", "timelimit": "ab"}), "header `timelimit` is 'ab'"),
        (envelope({"task": "t", "id": "1", "expires": 12}), "header `expires` is 12"),
        (envelope({"task": "t", "id": "1", "expires": "soon"}), "header `expires` is 'soon'"),
        (envelope({"task": "t", "id": "1", "eta": {}}), "header `eta` is {}"),
        (envelope({"task": "t", "id": "1", "retries": "two"}), "header `retries` is 'two'"),
        (envelope("no mapping"), "header `task` is missing"),
        (envelope(body="[[1], {}]"), "the body is not [args, kwargs, embed]"),
        (envelope(body='"abc"'), "the body is not [args, kwargs, embed]"),
        (envelope(body='[1, {}, {}]'), "the arguments are no list"),
        (envelope(body="[[], [], {}]"), "the keyword arguments are no mapping"),
        (envelope(body="[[], {}, 7]"), "the third part"),
        (envelope(body="{"), "the body is no application/json"),
        (envelope(body=b"\xff\xfe"), "the body is no application/json"),
        (envelope(body="[" * 100_000), "the body is no application/json"),
        (envelope(body='[[{"__type__": "gone", "__value__": 1}], {}, {}]'), "the body is no"),
        (envelope(body=""), "the body is not"),
        (envelope(content_type=""), "content type '' is not accepted"),
        (envelope(content_type="application/x-python-serialize"), "is not accepted"),
    ],
)  # fmt: skip
def test_a_malformed_message_is_named_for_what_is_wrong(broken: Envelope, problem: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        Message.decode(broken, JSON)
    assert problem in str(caught.value)


def test_an_eta_in_the_past_and_empty_sequels_are_fine() -> None:
    message = envelope(
        {"task": "t", "id": "1", "eta": "2001-01-01T00:00:00"},
        '[[], {}, {"chain": null, "callbacks": [], "errbacks": null, "chord": null}]',
    )
    assert Message.decode(message, JSON).task == "t"


def test_what_could_be_read_of_a_malformed_message_answers_its_sender() -> None:
    with pytest.raises(MalformedMessage) as caught:
        Message.decode(envelope(body="{"), JSON)
    error = caught.value
    assert (error.task, error.task_id, error.reply_to) == ("t", "1", "replies")


@pytest.mark.parametrize(
    ("message", "serializer"),
    [
        (Message("t", "1", (object(),)), "json"),
        (Message("t", "1"), "morse"),
        (Message("t", "1"), "raw"),
        (Message("t", "1", headers={"id": "2"}), "json"),
        (Message("t", ""), "json"),
        (Message("t", "x" * 256), "json"),
    ],
)
def test_what_cannot_be_sent_is_refused(message: Message, serializer: str) -> None:
    with pytest.raises(EncodeError):
        message.encode(serializer)


def test_a_serializer_may_be_written_as_the_guide_does() -> None:
    assert Message("t", "1").encode("JSON").content_type == "application/json"


def test_an_expiry_in_the_past_or_too_far_is_still_an_expiration() -> None:
    past = Message("t", "1", expires=datetime.now(UTC) - timedelta(1)).encode("json")
    far = Message("t", "1", expires=datetime.now(UTC) + timedelta(3650)).encode("json")
    assert (past.expiration, far.expiration) == ("0", str(2**32 - 1))


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


class Broken:
    def __repr__(self) -> str:
        return "one\ntwo\x1b[2J"


class Odd:
    def __repr__(self) -> str:
        return "\ud800"


@pytest.mark.parametrize(
    ("value", "text"),
    [((1, "a"), "(1, 'a')"), ((1,), "(1,)"), ({"k": [b"x"]}, "{'k': [b'x']}"), (set(), "{}")],
)
def test_a_brief_text_reads_like_a_repr(value: object, text: str) -> None:
    assert short_repr(value) == text


def test_a_brief_text_is_one_printable_line() -> None:
    assert short_repr([Broken()]) == r"[one\ntwo\x1b[2J]"


def test_a_brief_text_is_bounded_and_never_fails() -> None:
    endless: list[object] = []
    endless.append(endless)
    for value in ([0] * 10**7, "x" * 10**7, b"x" * 10**7, endless, Mute(), Odd(), {1: Mute()}):
        assert len(short_repr(value)) <= 1024
        short_repr(value).encode()


def test_a_new_id_is_a_random_uuid() -> None:
    ids = [UUID(new_id()) for _ in range(1000)]
    assert {(it.version, it.variant) for it in ids} == {(4, RFC_4122)}
    assert len(set(ids)) == 1000


@pytest.mark.parametrize("value", [(), [1, None], (True, 2.5), {}, (1,), [10**5000], (1,) * 9])
def test_a_few_plain_values_are_shown_as_any_others_are(value: Any) -> None:
    shown = short_repr(value)
    wrapped = short_repr([value])
    assert wrapped == f"[{shown}]"
