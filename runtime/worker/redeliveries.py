"""Messages that come back to a worker whose task still runs here, or has ended here.

The broker delivers a message again when its connection was lost, or when its acknowledgement took
longer than the broker allows: RabbitMQ's `consumer_timeout`, Redis's visibility timeout. Its task
must not run a second time for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from routewright.runtime.messages.message import Envelope
from routewright.runtime.parking.parked_message import REQUEUED
from routewright.runtime.sending.retrying import HISTORY
from routewright.runtime.transport.consumer import Delivery
from routewright.runtime.worker.verdicts import Disposition, Settlement

MOST_REMEMBERED = 2_000  # messages; no more than the prefetch can come back at once
MOST_BYTES = 8 * 2**20  # of their replies

_Key: TypeAlias = tuple[str, str, int, object, bool, int]
_Ended: TypeAlias = tuple[Disposition, str | None, Envelope | None]  # and where its reply went


class Redeliveries:
    """Recognises messages that came back; used by the network thread alone.

    A message is recognised by its queue, its task's id, the number of the try and its body; one
    that was parked and put back is another one. The last few thousand tasks that ended are
    remembered, with the replies that were sent for them.
    """

    def __init__(self) -> None:
        self._running: dict[_Key, Delivery] = {}
        self._copies: dict[_Key, list[Delivery]] = {}  # that came back of those that run
        # Two generations: the older is forgotten as a whole when the newer is full.
        self._ended: dict[_Key, _Ended] = {}
        self._ended_before: dict[_Key, _Ended] = {}
        self._bytes = 0

    def started(self, delivery: Delivery) -> None:
        """Notes a delivery that is handed to the task threads."""
        key = _key_of(delivery)
        if key is not None:
            self._running.setdefault(key, delivery)

    def withdrawn(self, delivery: Delivery) -> Delivery | None:
        """Forgets a delivery whose task did not begin. Returns the copy that came back, if any."""
        copies = self._pop(_key_of(delivery), delivery)
        return copies[-1] if copies else None

    def is_running(self, copy: Delivery) -> bool:
        """Returns True if the task still runs here; the copy is then settled when it ends."""
        key = _key_of(copy)
        if key is None or key not in self._running:
            return False
        others = [other for other in self._copies.get(key, ()) if not other.source.lost]
        self._copies[key] = [*others, copy]
        return True

    def owed(self, copy: Delivery) -> Settlement | None:
        """The settlement of a message whose task has ended here, for a copy that came back."""
        key = _key_of(copy)
        if key is None:
            return None
        found = self._ended.get(key) or self._ended_before.get(key)
        return found and Settlement(copy, *found)

    def settled(self, settlement: Settlement) -> list[Settlement]:
        """Takes note of a settlement. Returns it, and those of the copies that came back.

        What is only held is settled later: the newest copy alone is held.
        """
        if not settlement.ends:
            return [settlement]
        delivery = settlement.delivery
        key = _key_of(delivery)
        copies = self._pop(key, delivery)
        if settlement.disposition is Disposition.HOLD:
            return [replace(settlement, delivery=copies[-1]) if copies else settlement]
        disposition = settlement.disposition
        if disposition is Disposition.ACKED_EARLY:
            disposition = Disposition.ACK
        if key is not None and settlement.final:
            self._remember(key, (disposition, settlement.reply_to, settlement.reply))
        # Redis delivers a message again under the same tag.
        others = (
            other
            for other in copies
            if other.source is not delivery.source or other.tag != delivery.tag
        )
        return [settlement, *(Settlement(copy, disposition, ends=False) for copy in others)]

    def _pop(self, key: _Key | None, delivery: Delivery) -> list[Delivery]:
        """Forgets a task that runs. Returns the copies of its message that came back."""
        found = self._running.get(key) if key is not None else None
        if key is None or found is None:
            return []
        if found.source is not delivery.source or found.tag != delivery.tag:
            return []  # another message with the same id
        del self._running[key]
        return self._copies.pop(key, [])

    def _remember(self, key: _Key, ended: _Ended) -> None:
        self._ended[key] = ended
        reply = ended[-1]
        if reply is not None:
            self._bytes += len(reply.body)
        if len(self._ended) >= MOST_REMEMBERED or self._bytes >= MOST_BYTES:
            self._ended_before, self._ended, self._bytes = self._ended, {}, 0


def _key_of(delivery: Delivery) -> _Key | None:
    headers = delivery.envelope.headers
    if not isinstance(headers, Mapping):
        return None
    task_id, tries = headers.get("id"), headers.get("retries")
    if not isinstance(task_id, str):
        return None
    return (
        delivery.queue,
        task_id,
        tries if isinstance(tries, int) else 0,
        str(headers.get(REQUEUED)),
        HISTORY in headers,  # put back by a release that has not the header before
        hash(delivery.envelope.body),
    )
