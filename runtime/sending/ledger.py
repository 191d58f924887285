"""What a channel in confirm mode has published and the broker has not settled yet."""

from __future__ import annotations

from collections import OrderedDict

from routewright.runtime.errors import Nacked, Unroutable
from routewright.runtime.sending.dispatch import Dispatch


class Ledger:
    """The unsettled messages of one channel, by delivery tag, in the order they were published."""

    def __init__(self) -> None:
        self._tag = 0
        self._open: OrderedDict[int, tuple[Dispatch, int]] = OrderedDict()
        self._by_id: dict[str | None, Dispatch] = {}
        self.settled = 0
        self.size = 0  # bytes

    def __len__(self) -> int:
        return len(self._open)

    def add(self, dispatch: Dispatch, size: int) -> None:
        """Note a message that was published; none of its id may be unsettled still."""
        self._tag += 1
        self.size += size
        self._open[self._tag] = dispatch, size
        self._by_id[dispatch.id] = dispatch

    def holds(self, task_id: str | None) -> bool:
        """Whether a message of that id is unsettled."""
        return task_id in self._by_id

    def acked(self, tag: int, multiple: bool) -> None:
        """The broker has taken a message, or all up to it."""
        for dispatch in self._take(tag, multiple=multiple):
            dispatch.confirmed = dispatch.error is None

    def nacked(self, tag: int, multiple: bool) -> None:
        """The broker has refused a message, or all up to it."""
        for dispatch in self._take(tag, multiple=multiple):
            dispatch.fail(Nacked, "the broker refused it, as a full queue does")

    def returned(self, error: object, _exchange: str, _key: str, message: object) -> None:
        """The broker has sent a message back; that it is settled follows separately."""
        properties: dict[str, str] = getattr(message, "properties", {})
        dispatch = self._by_id.get(properties.get("correlation_id"))
        if dispatch is not None:
            code, text = getattr(error, "reply_code", "?"), getattr(error, "reply_text", "?")
            dispatch.fail(Unroutable, f"the broker returned it, {code} {text}")

    def close(self) -> list[Dispatch]:
        """Those still unsettled, in order; nothing more will be heard of them."""
        left = [dispatch for dispatch, _ in self._open.values() if not dispatch.settled]
        self._open.clear()
        self.size = 0
        self._by_id.clear()
        return left

    def _take(self, tag: int, *, multiple: bool) -> list[Dispatch]:
        taken = []
        if multiple:
            while self._open and next(iter(self._open)) <= tag:
                taken.append(self._open.popitem(last=False)[1])
        elif tag in self._open:
            taken.append(self._open.pop(tag))
        for dispatch, size in taken:
            del self._by_id[dispatch.id]
            self.size -= size
        self.settled += len(taken)
        return [dispatch for dispatch, _ in taken]
