"""Carries out the changes of a plan one after the other, each confirmed before the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from time import sleep
from typing import Any, assert_never

from amqp import spec
from amqp.exceptions import PreconditionFailed

from routewright.compiler.broker.amqp_calls import (
    PRECONDITION_FAILED,
    bind,
    declare,
    declare_exchange,
    declare_queue,
    refusal,
    unbind,
)
from routewright.compiler.broker.errors import BrokerError, PermissionRefused, StillInUse
from routewright.compiler.broker.inspect import unacknowledged
from routewright.compiler.broker.management import Management
from routewright.compiler.broker.session import ERRORS, Session
from routewright.compiler.definitions.rows import write_policy
from routewright.compiler.executor.bulk import Early, SideBySide, created_at_once, rounds
from routewright.compiler.executor.consumers import Consumers
from routewright.compiler.executor.move_messages import move
from routewright.compiler.executor.rehearse import rehearse
from routewright.compiler.model.topology import Binding, Policy, Queue
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.changes import Change
from routewright.compiler.plan.ownership import mark, ownership_binding
from routewright.compiler.plan.progress import WAIT, OnStep, OnWait
from routewright.compiler.plan.standin_names import is_stand_in
from routewright.compiler.planner.draining import removed

_REMOVING = (spec.Exchange.Delete, spec.Queue.Delete)
_PATIENCE = 20  # times that a queue is emptied again
_LAG = 0.1  # seconds until that is done, where there was nothing to empty it of


class Executor:
    """Carries out changes over the channel of a session and its management API.

    Args:
        session: with a broker whose virtual host is locked.
        api: the session's management API.
        wait: seconds that the consumers of a queue which is replaced have to leave it.
        on_wait: called repeatedly while they are waited for.
    """

    def __init__(
        self, session: Session, api: Management, wait: float = WAIT, on_wait: OnWait | None = None
    ) -> None:
        self._channel, self._api, self._another = session.channel, api, session.another
        self._consumers = Consumers(session.channel, api, wait, on_wait)
        self._marked: set[str] = set()  # topologies whose mark is there
        self._drained: dict[str, Queue] = {}  # queues to remove that were not yet seen empty

    def prepare(self, changes: Sequence[Change]) -> None:
        """Sees beforehand to all that could stop some changes half-way; nothing is changed.

        Raises:
            StillInUse: somebody but workers consumes a queue that is to be replaced.
            BrokerError: policies may not be set, or the broker refuses what is to be re-created.
        """
        if any(isinstance(change, (kinds.SetPolicy, kinds.RemovePolicy)) for change in changes):
            _need_policymaker(self._api)
        rehearse(changes, self._another, ERRORS)
        released = [change.queue for change in changes if isinstance(change, kinds.Release)]
        self._consumers.wait_for_others(released)

    def carry_out(
        self,
        changes: Sequence[Change],
        alternates: frozenset[str] = frozenset(),
        on_step: OnStep | None = None,
    ) -> None:
        """Carries out changes in their order, each confirmed before the next.

        Where many things are created that nothing leads to yet, the broker makes many at a time.

        Args:
            changes: as `order` gives them.
            alternates: the alternate exchanges that are named by what is there.
            on_step: called after each change.

        Raises:
            BrokerError: a change was refused, or the connection lost; it says how many were made.
        """
        total = len(changes)
        told = on_step or (lambda _phase, _done, _total: None)
        self._drained = removed(changes)
        before: Change | None = None
        left = self._create_at_once(changes, alternates, lambda done: told("apply", done, total))
        done = total - len(left)
        while left:
            change, following = left[0], kinds.recreated_with(left)
            try:
                self._carry_out(change, following, before)
            except ERRORS as error:
                raise _stopped(_explained(error, change, following), done, total) from error
            except BrokerError as error:
                raise _stopped(error, done, total) from error
            before, left = change, left[1 + len(following) :]
            for _ in (change, *following):
                done += 1
                told("apply", done, total)

    def _create_at_once(
        self,
        changes: Sequence[Change],
        alternates: frozenset[str],
        told: Callable[[int], None],
    ) -> Sequence[Change]:
        """Creates what can be created at once, and returns the changes that are left.

        An error here occurs again, and is reported, when what is left is carried out one by one.
        """
        together = created_at_once(changes, alternates)
        if not together:
            return changes
        made: set[int] = set()
        with suppress(BrokerError, *ERRORS), self._another() as connection:
            for topology in {
                change.topology for change in together if isinstance(change, kinds.Own)
            }:
                declare_exchange(self._channel, mark(topology))
            side_by_side = SideBySide(connection)
            for some in rounds(together):
                side_by_side.each(some, _create_without_waiting)
                made.update(id(change) for change in some)
                told(len(made))
        return [change for change in changes if id(change) not in made]

    def _carry_out(
        self, change: Change, following: Sequence[Change], before: Change | None
    ) -> None:
        """Carries out one change, and with a removal what re-creates the thing.

        Args:
            change: the change.
            following: what `recreated_with` gives for it.
            before: the change before it.
        """
        match change:
            case kinds.DeclareExchange() | kinds.DeclareQueue() | kinds.Bind():
                declare(self._channel, change)
            case kinds.Unbind(binding):
                self._unbind(binding)
            case kinds.RemoveQueue() if isinstance(before, kinds.Move):
                self._empty_and_remove(before, change, following)
            case kinds.RemoveQueue(queue):
                if queue.name in self._drained:
                    self._need_empty([*self._drained.values()])
                    self._drained = {}
                self._remove_queue(queue, following)
            case kinds.RemoveExchange():
                self._remove_exchange(change, following)
            case kinds.Own(topology, kind, name):
                if topology not in self._marked:
                    declare_exchange(self._channel, mark(topology))
                    self._marked.add(topology)
                bind(self._channel, ownership_binding(topology, kind, name))
            case kinds.Disown(topology, kind, name):
                unbind(self._channel, ownership_binding(topology, kind, name))
            case kinds.Release():
                self._consumers.release(change)
            case kinds.Move():
                self._move(change)
            case kinds.SetPolicy(policy):
                self._api.put("policies", policy.name, _body(policy))
            case kinds.RemovePolicy(policy):
                self._api.delete("policies", policy.name)
            case kinds.Replace():
                raise AssertionError(f"never among the steps to carry out: {change}")
            case _:
                assert_never(change)

    def _empty_and_remove(
        self, moved: kinds.Move, change: kinds.RemoveQueue, following: Sequence[Change]
    ) -> None:
        """Removes an emptied queue.

        If messages or consumers have arrived since, moves them and tries again, up to 20 times.
        """
        for _ in range(_PATIENCE):
            try:
                self._remove_queue(change.queue, following)
            except (StillInUse, PreconditionFailed):
                came = self._consumers.release(kinds.Release(moved.source, moved.destination))
                if not self._move(moved) and not came:
                    sleep(_LAG)  # a quorum queue counts what was just acknowledged for a moment
            else:
                return
        self._remove_queue(change.queue, following)

    def _move(self, change: kinds.Move) -> int:
        """Moves messages between queues; returns how many."""
        rows: list[Any] = []
        if change.keeps_keys:
            rows = self._api.of_vhost("queues", columns="name", disable_stats="true")
        names = frozenset(row["name"] for row in rows)
        return move(self._channel.connection, change, names)

    def _need_empty(self, queues: Sequence[Queue]) -> None:
        """Checks that queues are empty and unused before the first of them is removed.

        The messages of one may be on their way through another, and come back.
        """
        found = [self._channel.queue_declare(queue.name, passive=True) for queue in queues]
        staying = [_stays(it) for it in found if it.message_count or it.consumer_count]
        if not staying:
            left = unacknowledged(self._api, queues[0].name if len(queues) == 1 else None)
            staying = [
                f"queue `{queue.name}` stays: {count} of its messages are not acknowledged"
                for queue in queues
                if (count := left.get(queue.name, 0))
            ]
        if staying:
            raise StillInUse("; ".join(staying))

    def _remove_queue(self, queue: Queue, following: Sequence[Change]) -> None:
        """Removes a queue that is empty and unused, and may re-create it at once.

        A classic queue checks that itself as it is deleted. Others refuse to check, so that the
        broker is asked just before.
        """
        classic = queue.type == "classic"
        if not classic:
            found = self._channel.queue_declare(queue.name, passive=True)
            if found.message_count or found.consumer_count:
                raise StillInUse(_stays(found))
        self._channel.queue_delete(
            queue.name, if_unused=classic, if_empty=classic, nowait=bool(following)
        )
        for change in following:
            if isinstance(change, kinds.DeclareQueue):
                declare_queue(self._channel, change.queue)

    def _remove_exchange(self, change: kinds.RemoveExchange, following: Sequence[Change]) -> None:
        """Removes an exchange, and may re-create it with its first bindings at once.

        Where it may go with its bindings, only those to what stands in do.
        """
        name, channel = change.exchange.name, self._channel
        if change.with_bindings and not is_stand_in(name):
            for row in self._api.of_vhost("exchanges", name, "bindings", "source"):
                if not is_stand_in(row["destination"]):
                    end = f"{row['destination_type']} `{row['destination']}`"
                    raise StillInUse(f"{change} stays: {end} is bound to it")
        channel.exchange_delete(name, if_unused=not change.with_bindings, nowait=bool(following))
        for each in following:
            if isinstance(each, (kinds.DeclareExchange, kinds.DeclareQueue, kinds.Bind)):
                declare(channel, each, nowait=True)
        if following:  # what went wrong before is said in answer to this
            channel.exchange_declare(name, "direct", passive=True)  # of whatever type it is

    def _unbind(self, binding: Binding) -> None:
        """Removes a binding; one with arguments by the name that the broker has for it.

        AMQP finds it only by arguments of the same types, which differ by who made it.
        """
        if not binding.arguments:
            unbind(self._channel, binding)
            return
        for path in _paths(binding, self._api):
            self._api.delete("bindings", *path)


def _need_policymaker(api: Management) -> None:
    """Checks that policies may be set, before anything is changed."""
    tags = api.get("whoami").get("tags") or ()
    tags = tags.split(",") if isinstance(tags, str) else tags  # as RabbitMQ before 3.9 has them
    if not {"policymaker", "administrator"}.intersection(tags):
        raise PermissionRefused(
            f"{api.where} lets user `{api.where.user}` set no policy, which this plan needs: "
            "nothing was changed; give that user the tag `policymaker`"
        )


def _create_without_waiting(change: Early, channel: Any) -> None:
    if isinstance(change, kinds.Own):
        binding = ownership_binding(change.topology, change.kind, change.name)
        bind(channel, binding, nowait=True)
    else:
        declare(channel, change, nowait=True)


def _explained(error: Exception, change: Change, following: Sequence[Change]) -> BrokerError:
    """Returns what an exception of the channel means for a change and what follows at once."""
    code = getattr(error, "reply_code", None)
    removing = isinstance(change, (kinds.RemoveQueue, kinds.RemoveExchange))
    if following and getattr(error, "method_sig", None) not in _REMOVING:
        return refusal(error, following[0])
    if removing and code == PRECONDITION_FAILED:
        text = str(getattr(error, "reply_text", error)).partition(" - ")[2]
        return StillInUse(f"{change} stays, for the broker says: {text}")
    return refusal(error, change)


def _stopped(error: BrokerError, done: int, total: int) -> BrokerError:
    said = f"{done} of {total} steps were done before that, and planning again goes on from there"
    return type(error)(f"{error}; {said}")


def _stays(found: Any) -> str:
    return (
        f"queue `{found.queue}` stays: it has {found.message_count} messages "
        f"and {found.consumer_count} consumers"
    )


def _body(policy: Policy) -> dict[str, Any]:
    """Returns a policy as the management API takes it."""
    body = {**write_policy(policy), "definition": dict(policy.definition)}
    del body["name"]  # the path has it
    return body


def _paths(binding: Binding, api: Management) -> Iterator[tuple[str, ...]]:
    """Yields the paths in the management API of all bindings that are the same as one."""
    kind = "q" if isinstance(binding.destination, Queue) else "e"
    ends = ("e", binding.source.name, kind, binding.destination.name)
    for row in api.of_vhost("bindings", *ends):
        same = Binding(binding.source, binding.destination, row["routing_key"], row["arguments"])
        if same.identity == binding.identity:
            yield (*ends, row["properties_key"])
