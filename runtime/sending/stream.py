"""Messages sent one after the other, with a window of those that the broker has yet to settle."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic, sleep
from typing import Protocol

from amqp.exceptions import NotFound

from routewright.runtime.connect.backoff import Backoff
from routewright.runtime.errors import BrokerUnreachable, Refused, SendError, Unroutable
from routewright.runtime.sending.dispatch import Dispatch
from routewright.runtime.sending.links import Link
from routewright.runtime.transport.broker import PAUSES, Broker, LinkLost, Objection


class Source(Protocol):
    """Where a stream gets its link from, and gives it back to."""

    @property
    def broker(self) -> Broker:
        """Whom its links lead to."""
        ...

    def take(self, connect_timeout: float | None) -> Link:
        """A link that nobody else uses; `give` must follow."""
        ...

    def give(self, link: Link) -> None:
        """Take a link back, or throw it away if something on it is in doubt."""

    def lost(self) -> None:
        """A link broke."""


class Stream:
    """One link at a time, on which up to `window` messages are unsettled.

    A link that breaks is replaced, and what the broker had not settled goes out again under the
    same ids, for as long as the retry budget allows. When the broker closes a channel over one of
    several messages, they go out again one by one, so that the error is that message's alone.
    """

    def __init__(
        self, source: Source, *, window: int = 1, connect_timeout: float | None = None
    ) -> None:
        self.source = source
        self._window = window
        self._connect_timeout = connect_timeout
        self._link: Link | None = None
        self._todo: deque[Dispatch] = deque()
        self._one_by_one = False
        self._deadline: float | None = None  # of the retry budget, once a link has broken
        self._backoff = Backoff(*PAUSES)

    def push(self, dispatch: Dispatch) -> None:
        """Send a message; it may be settled only later."""
        self._todo.append(dispatch)
        self._work(self._post_all)

    def settle(self) -> None:
        """Wait until every message is settled."""
        self._work(self._settle_all)

    def close(self) -> None:
        """Give the link back."""
        link, self._link = self._link, None
        if link is not None:
            self.source.give(link)

    def _work(self, step: Callable[[], None]) -> None:
        while True:
            try:
                step()
            except Objection as error:
                self._find_culprit(error)
            except LinkLost as error:
                self._retry(error)
            except BrokerUnreachable as error:
                self._fail(type(error), str(error), error)
            else:
                return

    def _settle_all(self) -> None:
        self._post_all()
        if self._link is not None:
            self._link.settle(0)

    def _post_all(self) -> None:
        while self._todo:
            link, dispatch = self._connected(), self._todo[0]
            link.make_room(dispatch, 1 if dispatch.immediate else self._window)
            if link.in_doubt:
                continue  # it settled nothing for too long
            if dispatch.immediate:
                link.check_consumers(dispatch)
            self._todo.popleft()
            if not dispatch.settled:
                link.post(dispatch)
            if self._one_by_one:
                link.settle(0)
        self._one_by_one = False

    def _connected(self) -> Link:
        if self._link is not None and (self._link.in_doubt or self._link.stale):
            self.close()
        if self._link is None:
            self._link = self.source.take(self._connect_timeout)
        return self._link

    def _leave(self) -> list[Dispatch]:
        """Let go of a broken link; what was unsettled on it."""
        unsettled = [] if self._link is None else self._link.unsettled()
        self.close()
        return unsettled

    def _find_culprit(self, error: Objection) -> None:
        """Blame the message that the broker closed the channel over, if there is but one."""
        suspects = self._leave()
        if len(suspects) == 1:
            kind = Unroutable if isinstance(error.cause, NotFound) else Refused
            suspects.pop().fail(kind, str(error), error.cause)
        self._one_by_one = bool(suspects)
        self._todo.extendleft(reversed(suspects))

    def _retry(self, error: LinkLost) -> None:
        """Send what was unsettled on a broken link again, as long as the budget allows."""
        broker = self.source.broker
        self.source.lost()
        now = monotonic()
        if self._link is not None and self._link.settled:  # it was a good one, and the wait is over
            self._deadline = None
        self._todo.extendleft(reversed(self._leave()))
        if self._deadline is None:
            self._deadline = now + broker.retry_budget
            self._backoff.reset()
        elif now < self._deadline:
            sleep(self._backoff.pause)
            self._backoff.lengthen()
        else:
            problem = f"the connection to {broker.name} broke again and again: {error}"
            self._fail(BrokerUnreachable, problem, error)

    def _fail(self, kind: type[SendError], problem: str, cause: Exception) -> None:
        for dispatch in self._todo:
            in_doubt = "; the task may or may not be queued" if dispatch.posted else ""
            dispatch.fail(kind, problem + in_doubt, cause)
        self._todo.clear()
