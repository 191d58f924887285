"""A plan as a value: `planner` makes it, and `executor` carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from routewright.compiler.plan.changes import Bind, Change
from routewright.compiler.plan.fingerprint import Concerns
from routewright.compiler.plan.virtual_host import Conflict

if TYPE_CHECKING:  # a plan that is read from a file has none of these
    from routewright.compiler.analysis.compare import Difference
    from routewright.compiler.plan.approvals import Code
    from routewright.compiler.plan.violation import Violation


@dataclass(frozen=True, slots=True)
class Step:
    """A change, why it is made, what it could destroy, and the code that allows it if it needs one.

    One that is `withheld` needs something else first, and is not carried out.
    """

    change: Change
    why: str
    destroys: str = ""
    code: Code | None = None
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done to a broker, and what was seen of it when that was decided."""

    topology: str
    vhost: str
    fingerprint: str
    concerns: Concerns
    steps: tuple[Step, ...] = ()
    held: tuple[Step, ...] = ()  # left out: each needs an approval
    differences: tuple[Difference, ...] = ()
    violations: tuple[Violation, ...] = ()  # the first of each kind
    undecided: tuple[str, ...] = ()
    carried_over: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    foreign: tuple[str, ...] = ()
    in_use: tuple[str, ...] = ()  # what stays for others' sake, a sentence for each
    notes: tuple[str, ...] = ()
    blind: bool = False  # bindings and marks could not be seen: nothing is proved

    @property
    def pending(self) -> tuple[Step, ...]:
        """The steps that an apply carries out."""
        return tuple(it for it in self.steps if not it.withheld)

    @property
    def changing(self) -> tuple[Step, ...]:
        """The steps that change something, or would; bindings made once more do not."""
        return tuple(
            it for it in self.steps if not (isinstance(it.change, Bind) and not it.change.new)
        )

    @property
    def codes(self) -> tuple[Code, ...]:
        """What has to be allowed for all of it."""
        return tuple(sorted({it.code for it in self.pending if it.code}))

    @property
    def replacements(self) -> tuple[Step, ...]:
        """What cannot be changed, and is not carried out."""
        return tuple(it for it in self.steps if it.withheld)

    @property
    def obstacles(self) -> bool:
        """Whether something is left that no apply of this plan does, or does without harm."""
        return bool(self.replacements or self.foreign or self.in_use or self.violations)
