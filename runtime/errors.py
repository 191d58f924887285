"""What the runtime raises, under one base; each error says what happened and the way out."""

from __future__ import annotations

from difflib import get_close_matches


class RoutewrightError(Exception):
    """The base of everything the runtime raises on purpose."""


class UnknownTask(RoutewrightError, LookupError):
    """A task name that the compiled topology does not declare."""

    def __init__(self, task: str, topology: str, known: tuple[str, ...]) -> None:
        super().__init__(f"topology `{topology}` declares no task `{task}`{_near(task, known)}")
        self.task = task


class UnknownGroup(RoutewrightError, LookupError):
    """A worker group that the compiled topology does not declare."""

    def __init__(self, group: str, topology: str, known: tuple[str, ...]) -> None:
        super().__init__(
            f"topology `{topology}` declares no worker group `{group}`{_near(group, known)}"
        )
        self.group = group


def _near(name: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(name, known, 1)
    return f"; did you mean `{near[0]}`?" if near else ""
