"""Every message has an outcome of its own, whatever the order in which the broker settles them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from routewright.runtime.errors import Nacked, Unroutable
from routewright.runtime.messages.message import Message
from routewright.runtime.router.route import Route
from routewright.runtime.sending.dispatch import Dispatch
from routewright.runtime.sending.ledger import Ledger


def dispatch(task_id: str) -> Dispatch:
    return Dispatch(Route("t", "tasks", "k", ("q",)), Message("t", task_id).encode("json"))


def filled(count: int) -> tuple[Ledger, list[Dispatch]]:
    ledger, sent = Ledger(), [dispatch(str(number)) for number in range(count)]
    for each in sent:
        ledger.add(each, 10)
    return ledger, sent


def returned(ledger: Ledger, task_id: str) -> None:
    error = SimpleNamespace(reply_code=312, reply_text="NO_ROUTE")
    message: Any = SimpleNamespace(properties={"correlation_id": task_id})
    ledger.returned(error, "tasks", "k", message)


def fate(each: Dispatch) -> object:
    return type(each.error) if each.error else each.confirmed


def test_one_ack_may_be_for_many() -> None:
    ledger, sent = filled(4)
    ledger.acked(3, True)
    assert [fate(each) for each in sent] == [True, True, True, False]
    assert (len(ledger), ledger.size, ledger.settled) == (1, 10, 3)


def test_a_nack_of_many_spares_those_that_are_settled_already() -> None:
    ledger, sent = filled(4)
    ledger.acked(2, False)
    ledger.nacked(3, True)
    assert [fate(each) for each in sent] == [Nacked, True, Nacked, False]


def test_a_returned_message_is_not_confirmed_by_its_ack() -> None:
    ledger, sent = filled(3)
    returned(ledger, "1")
    ledger.acked(3, True)
    assert [fate(each) for each in sent] == [True, Unroutable, True]


def test_an_ack_for_nothing_and_a_return_of_nothing_are_ignored() -> None:
    ledger, sent = filled(1)
    returned(ledger, "unknown")
    ledger.acked(1, False)
    ledger.acked(1, False)
    ledger.nacked(1, True)
    assert (fate(sent[0]), ledger.settled) == (True, 1)


def test_what_a_broken_link_leaves_behind_keeps_its_order_and_no_outcome_is_repeated() -> None:
    ledger, sent = filled(4)
    ledger.acked(2, False)
    returned(ledger, "2")
    assert ledger.close() == [sent[0], sent[3]]
    assert len(ledger) == 0
    assert not ledger.holds("0")
