"""The worker of one group: its threads, and the connection that it consumes over.

The thread that calls `run` is the only one to touch the network: it receives, replies,
acknowledges and keeps the heartbeats going. The task threads run tasks and nothing else, so that a
long one never costs the connection. What happens to each delivery is told in `deliveries.py`.
"""

from __future__ import annotations

import logging
import threading
from time import monotonic

from routewright.runtime.api.app import App
from routewright.runtime.connect.backoff import Backoff
from routewright.runtime.errors import BrokerUnreachable, LoginRefused, MissingQueue
from routewright.runtime.messages.events import node_name
from routewright.runtime.router.route import Group
from routewright.runtime.transport.broker import LinkLost
from routewright.runtime.transport.consumer import Consumer
from routewright.runtime.transport.waker import Waker
from routewright.runtime.worker.announcer import announcer_of
from routewright.runtime.worker.crash_counts import CrashWatch, NoCrashWatch
from routewright.runtime.worker.deliveries import Deliveries
from routewright.runtime.worker.departures import Departures
from routewright.runtime.worker.group_queues import GroupQueues
from routewright.runtime.worker.handover import Handover
from routewright.runtime.worker.limits import Limited, Limits
from routewright.runtime.worker.startup_checks import accepted, check_code

BACKOFF = (0.5, 30.0)  # seconds; the first pause between two attempts at connecting, and the last
STEADY = 5.0  # seconds; after a connection that lasted as long, the pauses begin with the first

logger = logging.getLogger("routewright.worker")


class Worker:
    """Runs the tasks that arrive in the queues of one group.

    A message is acknowledged when its task is over and its result is sent; a worker that dies
    before that leaves the message to another, so a task may run more than once.

    Args:
        app: whose tasks to run, and whose broker to consume from.
        group: the queues, how many tasks to run at a time, and how many messages each queue's
            consumer holds.
        grace: seconds that running tasks are given to finish after `stop`.
        crash_watch: where to report what runs, in a process whose death is looked into.
        patient: wait for what is missing at the start, as after a lost connection.
        node: its name in events, `NAME@HOST`; the group's name at this host unless it is given.
    """

    def __init__(
        self,
        app: App,
        group: Group,
        *,
        grace: float = 30.0,
        crash_watch: CrashWatch | None = None,
        patient: bool = False,
        node: str | None = None,
    ) -> None:
        accept = accepted(group)  # first: it may raise
        self.app = app
        self.group = group
        self.grace = grace
        self.wants_successor = False  # a task that was given up may still take up a thread
        self._is_replaceable = crash_watch is not None
        self._stopping = False
        self._deadline: float | None = None  # when running tasks are cut off, once we stop
        self._connected_once = patient
        self._backoff = Backoff(*BACKOFF)
        self._waker = Waker()
        self._limits = Limits(self._give_up, self._waker.wake)
        self._events = announcer_of(
            app.broker, node or node_name(group.name), events=app.router.events
        )
        self._handover = Handover(self._waker.wake)
        self._deliveries = Deliveries(
            app,
            accept,
            events=self._events,
            limits=self._limits,
            crash_watch=crash_watch or NoCrashWatch(),
            progress=app.results.progress(self._waker.wake, track_started=app.track_started),
            handover=self._handover,
        )
        self._departures = Departures(self._deliveries.hand_back)
        self._queues = GroupQueues(
            group.queues,
            on_order=self._departures.tell if app.broker.is_amqp else None,
            patient=patient,
        )

    def stop(self) -> None:
        """Makes `run` stop consuming, wait for the running tasks and return.

        It may be called from another thread or from a signal handler.
        """
        self._stopping = True
        self._waker.wake()

    def run(self) -> None:
        """Consumes until `stop` is called; reconnects for as long as it takes.

        Raises:
            WorkerUsageError: the app has the code of no task that comes to the group.
            MissingQueue: a queue does not exist at the start. (Later, it is waited for.)
            LoginRefused: the broker refuses the user or the virtual host at the start. (Likewise.)
        """
        logger.info(
            "group %s: queues %s; %d at a time; broker %s",
            self.group.name,
            ", ".join(self.group.queues),
            self.group.concurrency,
            self.app.broker.name,
        )
        try:
            check_code(self.app, self.group)
            self._events.start()
            for number in range(self.group.concurrency):
                self._start_thread(number)
            while not self._stopping:
                consumer = self._connect()
                if consumer is None:
                    break
                connected = monotonic()
                self._use(consumer)
                if monotonic() - connected >= STEADY:
                    self._backoff.reset()
                else:
                    self._back_off()
            self._outlast()
        finally:
            self._handover.end_threads(self.group.concurrency)
            self._waker.close()
            self._events.stop()
        logger.info("group %s: stopped", self.group.name)

    def _connect(self) -> Consumer | None:
        """Returns a consumer, when there is a connection; None if the worker was stopped first."""
        while not self._stopping:
            try:
                consumer = Consumer(
                    self.app.broker,
                    self._deliveries.receive,
                    self._queues.subscribe,
                    waker=self._waker,
                    prefetch=self.group.prefetch,
                )
            except (BrokerUnreachable, MissingQueue, LinkLost) as error:
                if isinstance(error, (LoginRefused, MissingQueue)) and not self._connected_once:
                    raise
                logger.error("%s; next attempt in %g s", error, self._backoff.pause)  # noqa: TRY400  one line each
                self._back_off()
            else:
                self._connected_once = True
                logger.info("connected to %s", self.app.broker.name)
                if missing := self._queues.missing:
                    logger.error("without queue %s, which is missing", ", ".join(missing))
                return consumer
        return None

    def _back_off(self) -> None:
        """Pauses, the next time for longer; task threads that finish do not cut it short."""
        deadline = monotonic() + self._backoff.pause
        self._backoff.lengthen()
        while not self._stopping and (remaining := deadline - monotonic()) > 0:
            self._limits.look()
            self._waker.wait(self._limits.patience(remaining))

    def _use(self, consumer: Consumer) -> None:
        """Serves until told to stop, then winds down; or until the connection is lost."""
        try:
            while not self._stopping:
                self._serve(consumer)
            self._wind_down(consumer)
        except LinkLost as error:
            # What it delivered will be delivered again; tasks that run on cannot be acknowledged.
            self._deliveries.forget_unbegun()
            self._departures.forget()
            logger.warning(
                "lost the connection to %s with %d messages unsettled: %s",
                self.app.broker.name,
                self._handover.unsettled,
                error,
            )
            consumer.discard()
        except BaseException:
            consumer.discard()
            raise
        else:
            consumer.close()

    def _serve(self, consumer: Consumer) -> None:
        """Does what there is to do, then waits for the network, a task thread or a time limit."""
        self._settle(consumer)
        self._deliveries.release(consumer)
        self._queues.look_for_missing()
        self._limits.look()
        patience = consumer.patience(busy=self._handover.unsettled > 0)
        patience = self._limits.patience(self._deliveries.patience(patience))
        self._handover.wait(consumer, patience)

    def _wind_down(self, consumer: Consumer) -> None:
        """Hands back what has not begun, and lets the running tasks finish."""
        # First what waits in here, lest a task thread start it; then the same for what arrives
        # until the broker has heard that we stop. Only then is there time to wait.
        handover = self._handover
        handed_back = self._deliveries.hand_back(consumer)
        consumer.cancel()
        handed_back += self._deliveries.hand_back(consumer)
        self._settle(consumer)
        logger.info(
            "stopping: %d messages handed back, %d tasks running", handed_back, handover.unsettled
        )
        while handover.unsettled and (remaining := self._left()) > 0:
            self._limits.look()
            patience = self._limits.patience(consumer.patience(busy=True))
            handover.wait(consumer, min(patience, remaining))
            self._settle(consumer)
        if handover.unsettled:
            logger.warning(
                "%d tasks still run after %g s; they will run again elsewhere",
                handover.unsettled,
                self.grace,
            )

    def _settle(self, consumer: Consumer) -> None:
        """Settles what is done, and carries on with what the worker was told to leave."""
        self._deliveries.settle(consumer)
        if self._departures:
            self._departures.look(self._queues)

    def _left(self) -> float:
        """Returns the seconds left of the grace period, which begins with the first call."""
        if self._deadline is None:
            self._deadline = monotonic() + self.grace
        return self._deadline - monotonic()

    def _outlast(self) -> None:
        """Without a connection, lets the running tasks finish: some were acknowledged early."""
        while True:
            self._handover.count_off()
            if not self._handover.unsettled or (remaining := self._left()) <= 0:
                return
            self._limits.look()
            self._waker.wait(self._limits.patience(remaining))

    def _start_thread(self, number: int) -> None:
        # A daemon: a task that outlives the grace period must not keep the process.
        threading.Thread(
            target=self._deliveries.work, args=(number,), name=f"task-{number}", daemon=True
        ).start()

    def _give_up(self, late: Limited) -> None:
        """Gives up a task that has run for too long: another thread takes the place of its own."""
        self._deliveries.give_up(late)
        self.wants_successor = True
        if self._is_replaceable:
            self.stop()
        self._start_thread(late.number)
