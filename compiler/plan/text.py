"""A plan as a person reads it before anything happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from routewright.compiler.plan.changes import Bind, Disown, Own, verb
from routewright.compiler.plan.plan import Plan, Step

MOST_SHOWN = 100  # steps; a file has them all
_WIDTH = 60  # columns of what a step does, before its reason


def as_text(plan: Plan) -> str:
    """The steps, where keys go in the end, what stands in the way, and the verdict."""
    parts = [
        _table(plan.changing),
        _section("Left out, for want of leave:", _table(plan.held)),
        _section("Where keys go when it is done:", _differences(plan)),
        _section("Keys that go wrong meanwhile:", "\n".join(f"  {it}" for it in plan.violations)),
        _section(
            "There with other attributes:", "\n".join(f"  conflict: {it}" for it in plan.conflicts)
        ),
        "\n".join(f"note: {it}" for it in plan.notes),
        f"{verdict(plan)}.",
    ]
    return "\n\n".join(it for it in parts if it)


def verdict(plan: Plan) -> str:
    """One line of what there is to know, without its full stop."""
    steps = [it for it in plan.changing if not it.withheld]
    said = [f"{len(steps)} step{'' if len(steps) == 1 else 's'}"] if steps else []
    if plan.violations:
        said.append(
            f"no order was found in which no key goes wrong, for example {plan.violations[0]}; "
            "pause publishing to it, or publish to another exchange meanwhile"
        )
    elif steps and not plan.undecided and not plan.blind:
        said.append("no key is lost or doubled at any moment between (proved)")
    if plan.codes:
        said.append("needs " + " ".join(f"--allow {it}" for it in plan.codes))
    if plan.held:
        codes = sorted({it.code for it in plan.held if it.code})
        said.append("left out without " + " ".join(f"--allow {it}" for it in codes))
    if plan.replacements:
        listed = ", ".join(str(it.change) for it in plan.replacements)
        said.append(f"not carried out, for it cannot be replaced: {listed}")
    said += plan.in_use
    if plan.foreign:
        said.append(f"not owned and otherwise than declared: {', '.join(plan.foreign)}")
    text = "; ".join(said) or "nothing to do: everything that is declared is there"
    return text[0].upper() + text[1:]


def _table(steps: Sequence[Step]) -> str:
    """A line for each step; marks are counted, for they are many and harmless."""
    lines = [*_lines(steps)]
    more = len(lines) - MOST_SHOWN
    if more > 0:
        lines = [*lines[:MOST_SHOWN], f"         and {more:,} more, which --format json shows"]
    return "\n".join(lines)


def _lines(steps: Sequence[Step]) -> Iterator[str]:
    marks = 0
    for number, step in enumerate(steps, 1):
        if isinstance(step.change, (Own, Disown)):
            marks += 1
            following = steps[number] if number < len(steps) else None
            if following is None or type(following.change) is not type(step.change):
                first = f"{number - marks + 1}-{number}" if marks > 1 else str(number)
                yield _line(first, verb(step.change), _marks(marks), step.why)
                marks = 0
            continue
        yield _line(str(number), verb(step.change), str(step.change), step.why)
        if step.code or step.destroys:
            code = f"[{step.code}] " if step.code else ""
            yield f"                {code}{step.destroys}"


def _line(number: str, verb: str, what: str, why: str) -> str:
    return f"{number:>7}  {verb:<7} {what:<{_WIDTH}}  {why}".rstrip()


def _marks(count: int) -> str:
    return "1 thing as owned" if count == 1 else f"{count:,} things as owned"


def _differences(plan: Plan) -> str:
    if not plan.differences:
        return ""
    from routewright.compiler.analysis import compare  # noqa: PLC0415  most often nothing is to be told

    text = compare.as_text(compare.Comparison(plan.differences[:MOST_SHOWN]))
    more = len(plan.differences) - MOST_SHOWN
    lines = [f"  {line}" for line in text.splitlines()]
    return "\n".join([*lines, *([f"  and {more:,} more"] if more > 0 else [])])


def _section(title: str, text: str) -> str:
    return f"{title}\n{text}" if text else ""


def summary(plan: Plan) -> str:
    """What was done, in one sentence without its full stop."""
    again = sum(isinstance(it.change, Bind) and not it.change.new for it in plan.pending)
    done = len(plan.pending) - again
    return f"{done:,} step{'' if done == 1 else 's'} carried out"
