"""Sends one call, from its options to the broker's confirm.

`Sender.send` tells it step by step. How a message is published, confirmed and published again after
a lost connection is in `stream.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from routewright.runtime.errors import InvalidOption
from routewright.runtime.messages.events import task_sent
from routewright.runtime.messages.message import Envelope, Message, new_id, running
from routewright.runtime.results.async_result import AsyncResult
from routewright.runtime.results.stores import Results
from routewright.runtime.router.rerouting import route_of
from routewright.runtime.router.route import Route, Router
from routewright.runtime.sending.connection import Connection
from routewright.runtime.sending.delaying import delayed_route
from routewright.runtime.sending.dispatch import Dispatch
from routewright.runtime.sending.options import After, Call, Chosen, choose
from routewright.runtime.sending.pipeline import pipeline_of
from routewright.runtime.sending.publisher import Publisher, deliver
from routewright.runtime.sending.stream import Source
from routewright.runtime.transport.broker import seconds
from routewright.runtime.transport.envelopes import check_headers


class Sender:
    """Sends calls along the compiled routes; any thread may use it.

    Args:
        router: the compiled routes.
        publisher: the connections to send on.
        results: where the outcomes of tasks come from.
    """

    def __init__(self, router: Router[Any], publisher: Publisher, results: Results) -> None:
        self._router = router
        self._publisher = publisher
        self._results = results

    def send(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], call: Call
    ) -> AsyncResult[Any]:
        """Sends a call, and returns when the broker has confirmed it; see `App.send`.

        Everything that can be wrong with the call itself is found before any network is used: such
        a call leaves no trace.
        """
        named = self._router.resolve(name)
        route = route_of(self._router, named, call.declared, call.options, kwargs)
        options = choose(route, call.declared, call.options)
        if options.headers:
            check_headers(dict(options.headers))
        self._delayed(route, call.due)  # raises if no delay leads there
        source, connect_timeout = self.source(call.connection, call.connect_timeout)
        message = _message(name, args, kwargs, route, options, call)
        envelope = message.encode(options.serializer, options.priority)
        # From here on, the network may be used.
        result, envelope = self._expect(message, envelope, call.after, connect_timeout)
        event = task_sent(envelope, route) if self._router.events else None
        route = self._delayed(route, call.due)  # now: connecting took time, which counts
        dispatch = Dispatch(route, envelope, options.mandatory, options.immediate, event)
        pipeline = pipeline_of(self._publisher) if call.connection is None else None
        if pipeline is None:
            deliver(source, dispatch, connect_timeout)  # until it is confirmed, or fails by itself
        else:
            pipeline.send(dispatch, result)  # the end of its block waits for the confirm
        return result

    def source(
        self, connection: Connection | None, connect_timeout: float | None
    ) -> tuple[Source, float | None]:
        """Returns what a call is sent on, and the seconds that it may wait for a connection.

        Raises:
            InvalidOption: the connection is not to this broker, or the time is no number.
        """
        if connect_timeout is not None:
            connect_timeout = seconds("connect_timeout", connect_timeout)
        if connection is None:
            return self._publisher, connect_timeout
        if not isinstance(connection, Connection) or connection.broker != self._publisher.broker:
            raise InvalidOption(
                "connection is what `establish_connection()` of the same app returns, not"
                f" {connection!r}"
            )
        return connection, connect_timeout

    def _delayed(self, route: Route, due: datetime | None) -> Route:
        if due is None:
            return route
        return delayed_route(self._router, self._publisher.broker, route, due)

    def _expect(
        self,
        message: Message,
        envelope: Envelope,
        after: After | None,
        connect_timeout: float | None,
    ) -> tuple[AsyncResult[Any], Envelope]:
        """Registers the result that is expected; the envelope then says where it is to go."""
        if message.ignore_result:
            reason = "the task ignores its result"
        elif after is not None:
            reason = "it goes to who asked for it"
        else:
            queue = self._results.reply_to(connect_timeout)
            if queue is not None:
                envelope = envelope.answered_to(queue)
            result: AsyncResult[Any] = AsyncResult(message.id, message.task, self._results)
            self._results.expect(result)
            return result, envelope
        return AsyncResult.without(message.id, message.task, reason), envelope


def _message(
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    route: Route,
    options: Chosen,
    call: Call,
) -> Message:
    """The message of a call; what a task sends while it runs is its child."""
    parent = running.get()
    message = Message(
        task=name,
        id=call.task_id if call.task_id is not None else new_id(),
        args=tuple(args),
        kwargs=kwargs,
        expires=options.expires,
        eta=call.due,
        root_id=None if parent is None else parent.root_id or parent.id,
        parent_id=None if parent is None else parent.id,
        ignore_result=options.ignore_result,
        timelimit=(route.time_limit, route.soft_time_limit),
        headers=options.headers,
    )
    return message if call.after is None else _following(message, call.after)


def _following(message: Message, after: After) -> Message:
    """A message that is sent because another task is done."""
    (hard, soft), (routed_hard, routed_soft) = after.timelimit, message.timelimit
    return replace(
        message,
        timelimit=(
            routed_hard if hard is None else hard,
            routed_soft if soft is None else soft,
        ),
        reply_to=None if message.ignore_result else after.reply_to,
        sequels=after.sequels,
        group=after.group,
        group_index=after.group_index,
    )
