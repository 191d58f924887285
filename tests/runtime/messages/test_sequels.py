"""What a message wants done after its task: read whatever it is, and planned as Celery would."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.runtime import MalformedMessage, UnsupportedSequel
from routewright.runtime.messages.message import Envelope, Message
from routewright.runtime.messages.sequels import (
    MAX_DEPTH,
    MAX_TOGETHER,
    NO_SEQUELS,
    Sequels,
    plan,
    unreached,
)

JSON = {"application/json"}


def signature(task: str, *args: Any, **more: Any) -> dict[str, Any]:
    return {"task": task, "args": list(args), "kwargs": {}, "options": {}, **more}


def several(kind: str, *members: Any, **more: Any) -> dict[str, Any]:
    return signature(f"celery.{kind}", subtask_type=kind, kwargs={"tasks": members}, **more)


def test_what_is_read_goes_out_again() -> None:
    sequels = Sequels((signature("a", 1),), (signature("b"),), (signature("c"), signature("d")))
    message = Message("t", "1", (1,), {"k": 2}, sequels=sequels, group="g", group_index=3)
    again = Message.decode(message.encode("json"), JSON)
    assert again.sequels == sequels
    assert (again.group, again.group_index) == ("g", 3)


def test_a_message_without_sequels_says_what_celery_says_of_none() -> None:
    body = json.loads(Message("t", "1").encode("json").body)
    assert body[2] == {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    assert Sequels.read(body[2]) is NO_SEQUELS
    assert Sequels.read(None) is NO_SEQUELS


def test_a_result_goes_before_the_arguments_unless_the_signature_is_immutable() -> None:
    assert [it.args for it in plan(signature("t", 1, 2), "result")] == [("result", 1, 2)]
    assert [it.args for it in plan(signature("t", 1, immutable=True), "result")] == [(1,)]


def test_of_a_chain_the_first_is_sent_and_carries_the_rest() -> None:
    link, errback = signature("link"), signature("errback")
    nested = several(
        "chain",
        signature("a"),
        signature("b"),
        signature("c"),
        options={"link": [link], "link_error": [errback]},
    )
    (first,) = plan(nested, "result", rest=[signature("z")])
    assert (first.task, first.args) == ("a", ("result",))
    assert first.sequels.errbacks == (errback,)
    assert [it["task"] for it in first.sequels.chain] == ["z", "c", "b"]
    last = first.sequels.chain[1]
    assert last["options"] == {"link": [link], "link_error": [errback]}


def test_of_a_group_all_are_sent() -> None:
    together = several("group", signature("a"), several("chain", signature("b"), signature("c")))
    sent = list(plan({**together, "options": {"task_id": "the-group"}}, 5))
    assert [(it.task, it.args, it.group) for it in sent] == [
        ("a", (5,), "the-group"),
        ("b", (5,), None),
    ]
    assert sent[0].group_index == 0


def test_who_waits_for_what_will_not_run_is_known() -> None:
    def waited(task: str) -> dict[str, Any]:
        return signature(task, options={"task_id": f"id-{task}", "reply_to": "queue"})

    chain = (several("group", waited("c"), waited("d")), signature("nobody waits"), waited("b"))
    assert sorted(unreached(Sequels(chain=chain))) == [
        ("b", "id-b", "queue"),
        ("c", "id-c", "queue"),
        ("d", "id-d", "queue"),
    ]


def nested(depth: int) -> dict[str, Any]:
    found = signature("t")
    for _ in range(depth):
        found = signature("t", options={"link": [found]})
    return found


@pytest.mark.parametrize(
    ("embed", "problem"),
    [
        ({"chord": signature("t")}, "`chord`, which is not supported"),
        ({"callbacks": [signature("t", subtask_type="chord")]}, "has a chord"),
        ({"chain": [signature("t", options={"chord": signature("u")})]}, "has a chord"),
        ({"chain": [signature("t"), several("group", signature("u"))]}, "which makes it a chord"),
        (
            {"callbacks": [several("chain", several("group", signature("u")), signature("t"))]},
            "which makes it a chord",
        ),
        ({"callbacks": [several("group")]}, "`celery.group` in `callbacks` has no tasks"),
        ({"chain": [signature("t\n")]}, "the task of a signature in `chain`"),
        ({"chain": [signature("t") | {"args": 5}]}, "`args` of `t` in `chain` is 5"),
        ({"chain": [signature("t") | {"kwargs": {1: 2}}]}, "`kwargs` of `t`"),
        ({"chain": [signature("t") | {"options": []}]}, "`options` of `t`"),
        ({"errbacks": [nested(MAX_DEPTH + 1)]}, "one within another"),
        ({"callbacks": [signature("t")] * (MAX_TOGETHER + 1)}, "more than 10,000 signatures"),
    ],
)
def test_what_is_not_supported_is_said_before_the_task_runs(
    embed: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UnsupportedSequel, match=problem):
        Sequels.read(embed)


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
forms = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["task", "args", "kwargs", "options", "subtask_type", "link", "tasks"]),
            inner | st.sampled_from(["t", "group", "chain", "chord"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(["callbacks", "errbacks", "chain", "chord"]), forms, max_size=4)
)
def test_whatever_is_found_is_refused_or_can_be_planned(embed: dict[str, Any]) -> None:
    envelope = Envelope(
        json.dumps([[], {}, embed]), "application/json", "utf-8", {"task": "t", "id": "1"}
    )
    try:
        message = Message.decode(envelope, JSON)
    except MalformedMessage:
        return
    sequels = message.sequels
    for each in (*sequels.callbacks, *sequels.errbacks, *sequels.chain[-1:]):
        assert all(isinstance(it.task, str) for it in plan(each, 1, rest=sequels.chain[:-1]))
    list(unreached(sequels))
