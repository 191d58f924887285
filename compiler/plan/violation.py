"""A key that goes wrong between two steps of a plan, and the rule by which that is decided.

A message that was delivered before and is delivered after must reach some queue at every moment; a
queue that gets it before and after must get it; it must reach as many queues as before or as after,
whichever are fewer; and no others than those of before, or no others than those of after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from routewright.compiler.keys.header_sets import printed
from routewright.compiler.routing.delivery import Reach, listed

Harm: TypeAlias = Literal["unroutable", "short", "doubled"]


@dataclass(frozen=True, slots=True)
class Violation:
    """A key that goes wrong for a while, and where it goes before, then and after."""

    harm: Harm
    exchange: str
    witness: str
    before: Reach
    meanwhile: Reach
    after: Reach
    headers: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        headers = f" with headers {printed(self.headers)}" if self.headers else ""
        what = {
            "unroutable": "reaches no queue",
            "short": f"reaches only {listed(self.meanwhile)}",
            "doubled": f"reaches {listed(self.meanwhile)}",
        }[self.harm]
        return (
            f"`{self.witness}` on exchange `{self.exchange}`{headers} {what} for a while: "
            f"{listed(self.before)} before, {listed(self.after)} after"
        )


def harm(before: Reach, meanwhile: Reach, after: Reach) -> Harm | None:
    """Returns what is wrong with where a message goes between two states, if anything."""
    if meanwhile in (before, after):
        return None
    if () in meanwhile and () not in before and () not in after:
        return "unroutable"
    always = set.intersection(*map(set, before), *map(set, after))
    fewest = min(len(set(queues)) for queues in (*before, *after))
    if any(always - set(queues) or len(set(queues)) < fewest for queues in meanwhile):
        return "short"
    sides = [set(queues) for queues in (*before, *after)]
    if all(any(set(queues) <= side for side in sides) for queues in meanwhile):
        return None
    return "doubled"
