"""Brings each delivery of a worker from the wire to its acknowledgement.

Three methods of `Deliveries` tell the whole way, in this order:

- `receive`, in the network thread: recognise a message that came back; park one that the broker
  would drop soon; hold one that is not due; hand it to a task thread.
- `handle`, in a task thread: decode the message; find its task; ask whether it is due, has expired
  or has killed processes; run it within its limits; decide what becomes of it (`verdicts.py`), and
  act on that (`settler.py`).
- `settle`, in the network thread: reply; acknowledge.

The network thread alone uses the connection, so that a long task never costs it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from routewright.runtime.api.app import App
from routewright.runtime.errors import NotRegistered, TimeLimitExceeded, WorkerLost
from routewright.runtime.messages.delivery_limit import DELIVERY_LIMIT, times_given_back
from routewright.runtime.messages.message import Message
from routewright.runtime.results.progress import Progress, reporting
from routewright.runtime.sending.delaying import early
from routewright.runtime.sending.resending import Resender
from routewright.runtime.sending.retrying import Retrier
from routewright.runtime.transport.consumer import Consumer, Delivery
from routewright.runtime.worker.announcer import Announcer, NoEvents
from routewright.runtime.worker.crash_counts import CrashWatch, NoCrashWatch
from routewright.runtime.worker.handover import Handover
from routewright.runtime.worker.limits import Limited, Limits
from routewright.runtime.worker.not_yet_due import NotYetDue
from routewright.runtime.worker.redeliveries import Redeliveries
from routewright.runtime.worker.runner import Runner, terms_of
from routewright.runtime.worker.settler import LOOK_AGAIN, Settler
from routewright.runtime.worker.verdicts import (
    Disposition,
    Failed,
    GiveUp,
    Settlement,
    TimedOut,
    Verdict,
    after_failure,
    deadly,
    give_up,
    unreadable,
    untimely,
)

HOLD = timedelta(seconds=5)  # what is due within it is held here; clocks differ by less
LONG_HOLD = timedelta(minutes=10)  # the same without a broker that delays; Redis gives us an hour

LAST_TRIES = DELIVERY_LIMIT - 2  # deliveries of a quorum queue; two more may fail before it drops

logger = logging.getLogger("routewright.worker")


class Deliveries:
    """The deliveries of a worker, from the network thread to the task threads and back.

    Args:
        app: whose tasks to run.
        accept: the content types that are read.
        events: is told what becomes of each message.
        limits: watches how long tasks run.
        crash_watch: is told what runs, in case the process dies of it.
        progress: what tasks say of their progress.
        handover: takes deliveries to the task threads, and what is owed for them back.
    """

    def __init__(
        self,
        app: App,
        accept: Collection[str],
        *,
        events: Announcer | NoEvents,
        limits: Limits,
        crash_watch: CrashWatch | NoCrashWatch,
        progress: Progress,
        handover: Handover,
    ) -> None:
        self._app = app
        self._accept = accept
        self._events = events
        self._crash_watch = crash_watch
        self._progress = progress
        self._handover = handover
        self._hold = HOLD if app.broker.is_amqp else LONG_HOLD
        self._runner = Runner(limits)
        resender = Resender(app.router, app.publisher)
        self._retrier = Retrier(app.router, resender)
        self._settler = Settler(app, events, resender, self._retrier)
        self._not_yet_due = NotYetDue()
        self._allowed = 0  # deliveries that may be held beyond the prefetch
        self._redeliveries = Redeliveries()

    def receive(self, delivery: Delivery) -> None:
        """Takes a delivery in: recognises one that came back, holds one that is early."""
        if delivery.redelivered and (self._is_known(delivery) or self._is_exhausted(delivery)):
            return
        self._events.received(delivery.envelope.headers)
        if not self._is_held(delivery):
            self._hand_over(delivery)

    def handle(self, delivery: Delivery, thread: int) -> Settlement | None:
        """Runs the task of a delivery, unless it is not to run, and acts on what becomes of it.

        Returns:
            What the broker and the sender are to be told; None if the task was given up at its
            time limit, and another thread has seen to that.
        """
        if delivery.source.lost:  # the broker gives it to somebody else
            return Settlement(delivery, Disposition.NOT_BEGUN)
        message = self._decoded(delivery)
        if isinstance(message, GiveUp):
            return self._settler.settle_unreadable(delivery, message)
        crashes = self._crash_watch.count(message.id) if delivery.redelivered else 0
        objection = self._no_code(message) or untimely(message)
        if objection is None and crashes:
            objection = deadly(message, crashes)
        if objection is not None:
            return self._settler.settle(delivery, message, objection)
        with self._crash_watch.watching(thread, message.id, alone=crashes > 0):
            terms = terms_of(self._app.router, message)
            if terms.early:
                delivery = self._acknowledged(delivery)
            self._events.started(message.id)
            task = self._app.tasks[message.task]
            ended = self._runner.run(task, delivery, message, terms, thread)
            if ended is None:
                return None
            verdict: Verdict = ended
            if isinstance(ended, Failed):
                verdict = after_failure(self._retrier, message, ended)
            return self._settler.settle(delivery, message, verdict)

    def settle(self, consumer: Consumer) -> None:
        """Replies, then acknowledges: the other way round, a crash between them loses the result.

        Raises:
            LinkLost: the connection broke.
        """
        for reply_to, envelope in self._progress.due():
            if reply_to is not None:
                consumer.publish(reply_to, envelope)
        for settlement in self._handover.settlements():
            if settlement.disposition is Disposition.NOT_BEGUN:
                copy = self._redeliveries.withdrawn(settlement.delivery)
                if copy is not None:
                    self._hand_over(copy)
                continue
            # Remembered first: if the reply is lost with the connection, the message comes back.
            settlements = self._redeliveries.settled(settlement)
            if settlement.reply is not None and settlement.reply_to is not None:
                consumer.publish(settlement.reply_to, settlement.reply)
            for each in settlements:
                self._tell(consumer, each)

    # What `receive` consists of.

    def _is_known(self, delivery: Delivery) -> bool:
        """Returns True if the task of a message runs here or has ended here: it does not run."""
        if self._redeliveries.is_running(delivery):
            return True
        owed = self._redeliveries.owed(delivery)
        if owed is not None:
            self._handover.unsettled += 1
            self._handover.owe(owed)
        return owed is not None

    def _is_exhausted(self, delivery: Delivery) -> bool:
        """Parks a message that the broker would drop after a few more deliveries."""
        failed = times_given_back(delivery.envelope.headers, redelivered=True)
        if failed < LAST_TRIES or delivery.queue in self._app.router.limited:
            return False
        reason = f"delivery-limit: delivered {failed + 1} times and never acknowledged"

        def park() -> None:
            message = self._decoded(delivery)
            if isinstance(message, GiveUp):
                self._handover.owe(self._settler.settle_unreadable(delivery, message))
            else:
                verdict = give_up(message, WorkerLost(reason))
                self._handover.owe(self._settler.settle(delivery, message, verdict))

        self._handover.unsettled += 1
        # At once, whatever the task threads are busy with; there are no more than the prefetch.
        threading.Thread(target=park, name="parking", daemon=True).start()
        return True

    def _is_held(self, delivery: Delivery) -> bool:
        """Holds a delivery that is due soon, or later where the broker cannot delay it."""
        due = early(delivery.envelope.headers)
        if due is None:
            return False
        longest = datetime.now(UTC) + self._hold
        if due > longest and self._app.broker.is_amqp:
            return False
        self._not_yet_due.hold(delivery, min(due, longest))
        return True

    def _hand_over(self, delivery: Delivery) -> None:
        """Hands a delivery to the task threads."""
        self._redeliveries.started(delivery)
        self._handover.start(delivery)

    # What `handle` consists of.

    def _decoded(self, delivery: Delivery) -> Message | GiveUp:
        try:
            return Message.decode(delivery.envelope, self._accept)
        except BaseException as error:  # noqa: BLE001  a pickle runs code, which may do anything
            return unreadable(error)

    def _no_code(self, message: Message) -> GiveUp | None:
        """Returns the verdict on a message whose task this worker cannot run."""
        if message.task in self._app.tasks:
            return None
        return give_up(message, NotRegistered(f"no task `{message.task}` in this worker"))

    def _acknowledged(self, delivery: Delivery) -> Delivery:
        """Has a delivery acknowledged before its task begins."""
        self._handover.owe(Settlement(delivery, Disposition.ACK, ends=False))
        return replace(delivery, acknowledged=True)

    # What `settle` consists of.

    def _tell(self, consumer: Consumer, settlement: Settlement) -> None:
        """Tells the broker what becomes of a message, unless its connection was lost."""
        delivery = settlement.delivery
        match settlement.disposition:
            case Disposition.ACK:
                consumer.ack(delivery)
            case Disposition.REJECT:
                consumer.reject(delivery, requeue=False)
            case Disposition.HOLD if delivery.source is consumer and consumer.has_left(delivery):
                consumer.reject(delivery, requeue=True)
            case Disposition.HOLD if delivery.source is consumer and settlement.until is not None:
                self._not_yet_due.hold(delivery, settlement.until)

    # What the worker's threads need besides.

    def work(self, thread: int) -> None:
        """Does what a task thread does, until it is to end or its task is given up."""
        reporting.set(self._progress)
        while (delivery := self._handover.take()) is not None:
            try:
                settlement = self.handle(delivery, thread)
            except BaseException:
                logger.exception("a message of queue `%s` could not be handled", delivery.queue)
                until = datetime.now(UTC) + LOOK_AGAIN
                settlement = Settlement(delivery, Disposition.HOLD, until=until)
            if settlement is None:
                return  # another thread has taken its place
            self._handover.owe(settlement)

    def give_up(self, late: Limited) -> None:
        """Settles a task that has run for too long, by a thread that may wait for the network."""
        error = TimeLimitExceeded(f"it still ran after its time limit, on thread {late.thread}")

        def settle() -> None:
            self._handover.owe(self._settler.settle(late.delivery, late.message, TimedOut(error)))

        threading.Thread(target=settle, name="given-up", daemon=True).start()

    def patience(self, longest: float) -> float:
        """Returns the seconds until a delivery that is held is due; at most `longest`."""
        return self._not_yet_due.patience(longest)

    def release(self, consumer: Consumer) -> None:
        """Lets the tasks run whose time has come, and makes room for as many as are still held."""
        for delivery in self._not_yet_due.take_due():
            self._hand_over(delivery)
        if len(self._not_yet_due) != self._allowed:
            self._allowed = len(self._not_yet_due)
            consumer.allow(self._allowed)

    def hand_back(self, consumer: Consumer, queue: str | None = None) -> int:
        """Gives back what has not begun, of one queue or of all. Returns how many messages."""

        def is_meant(delivery: Delivery) -> bool:
            return queue is None or consumer.is_from(queue, delivery)

        meant = self._handover.withdraw(is_meant)
        for delivery in meant:
            self._redeliveries.withdrawn(delivery)
        meant += self._not_yet_due.take(is_meant)
        for delivery in meant:
            consumer.reject(delivery, requeue=True)
        return len(meant)

    def forget_unbegun(self) -> None:
        """Forgets what has not begun: its connection is lost, and the broker delivers it again."""
        self._not_yet_due = NotYetDue()
        self._allowed = 0
        for delivery in self._handover.withdraw(lambda _delivery: True):
            self._redeliveries.withdrawn(delivery)
