"""Pauses between attempts, each twice as long as the one before."""

from __future__ import annotations


class Backoff:
    """The pause before the next attempt, in seconds; `first` at first, and `longest` at most."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self.pause = first

    def lengthen(self) -> None:
        """Doubles the pause."""
        self.pause = min(2 * self.pause, self._longest)

    def reset(self) -> None:
        """Goes back to the first pause, after a success."""
        self.pause = self._first
