"""When a task that failed is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What the topology says of a task's retries; times are in seconds.

    The first pause is `backoff`, and each is twice the one before, up to `max_backoff`. With
    `jitter` a pause is a random one between half of that and all of it, so that tasks that failed
    together do not come back together. `on` names the exceptions after which a task is tried again,
    as `ConnectionError` or `requests.exceptions.Timeout`; none names all of them.
    """

    max: int = 3
    backoff: float = 1.0
    max_backoff: float = 600.0
    jitter: bool = True
    on: tuple[str, ...] = ()

    @property
    def pause_at_most(self) -> float:
        """The longest pause there can be, in seconds."""
        return min(self.backoff * 2.0 ** min(max(self.max - 1, 0), 64), self.max_backoff)

    def pause(self, retries: int) -> float:
        """Seconds to wait before the next try, after so many retries."""
        whole = min(self.backoff * 2.0 ** min(retries, 64), self.max_backoff)
        return whole * random.uniform(0.5, 1.0) if self.jitter else whole  # noqa: S311

    def covers(self, error: BaseException) -> bool:
        """Whether a task that raised this is to be tried again."""
        if not isinstance(error, Exception):
            return False  # `SystemExit` and the like
        return not self.on or not _names(type(error)).isdisjoint(self.on)


def _names(kind: type) -> set[str]:
    """What a topology may call an exception: by its own name, or that of a class it derives of."""
    names = set()
    for one in kind.__mro__:
        names.add(f"{one.__module__}.{one.__qualname__}")
        if one.__module__ == "builtins":
            names.add(one.__qualname__)
    return names
