"""The way of a plan, from the topology that is wanted to a virtual host that was looked at again.

    look             reads the virtual host, and reads it again in the end
    make_plan        decides the steps, and leaves out those whose approval is missing
    lock             keeps other applies away
    _need_unchanged  compares the fingerprint of what the plan saw with what is there
    prepare          sees beforehand to all that could stop the plan half-way
    carry_out        carries out the steps, each confirmed before the next
    _differing       compares what is there with what the plan says

`deploy` is all of it. A plan may wait in a file between the two halves, for someone to approve it:
`plan_for` is the first half and `execute` the second.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from routewright.compiler.broker.errors import BrokerError, Outdated, Unsupported
from routewright.compiler.broker.inspect import look
from routewright.compiler.broker.management import Management
from routewright.compiler.garbage import collector_paused
from routewright.compiler.model.topology import Topology
from routewright.compiler.plan.approvals import Code
from routewright.compiler.plan.fingerprint import fingerprint, seen
from routewright.compiler.plan.plan import Plan
from routewright.compiler.plan.progress import WAIT, OnStep, OnWait
from routewright.compiler.plan.virtual_host import VirtualHost

if TYPE_CHECKING:
    from routewright.compiler.broker.session import Session


@dataclass(frozen=True, slots=True)
class Deployed:
    """A plan that was carried out, and in what the broker differs from it nevertheless."""

    plan: Plan
    differs: tuple[str, ...] = ()


def deploy(
    topology: Topology,
    session: Session,
    *,
    adopt: bool = False,
    allowed: Collection[Code] | None = None,
    on_step: OnStep | None = None,
    wait: float = WAIT,
    on_wait: OnWait | None = None,
) -> Deployed:
    """Makes a virtual host match a topology, as far as that is allowed.

    Arguments and exceptions: see `plan_for` and `execute`.
    """
    plan = plan_for(topology, session, adopt=adopt, allowed=allowed, on_step=on_step)
    return execute(plan, session, on_step, wait=wait, on_wait=on_wait)


@collector_paused()
def plan_for(
    topology: Topology,
    session: Session,
    *,
    adopt: bool = False,
    allowed: Collection[Code] | None = None,
    on_step: OnStep | None = None,
) -> Plan:
    """Reads a virtual host, and plans the way from it to a topology.

    Args:
        topology: what shall be there, as it is declared on a broker.
        session: with the broker.
        adopt: take over what is there under a declared name.
        allowed: leave out the steps that need other approvals; None leaves out none.
        on_step: called after each object that is looked for, where AMQP alone can be asked.

    Raises:
        BrokerError: the broker cannot be looked at.
    """
    # `execute` needs nothing of the planner.
    from routewright.compiler.planner.make_plan import make_plan  # noqa: PLC0415

    return make_plan(topology, session.look(topology, on_step), adopt=adopt, allowed=allowed)


def execute(
    plan: Plan,
    session: Session,
    on_step: OnStep | None = None,
    *,
    wait: float = WAIT,
    on_wait: OnWait | None = None,
) -> Deployed:
    """Carries out a plan, if the virtual host is still as the plan saw it.

    Args:
        plan: with every code in it approved.
        session: with the broker.
        on_step: called after each step.
        wait: seconds that the consumers of a queue which is replaced have to leave it.
        on_wait: called repeatedly while they are waited for.

    Raises:
        StillInUse: they have not left; where the first are waited for, nothing was changed.
        Busy: another apply is at work.
        Outdated: the virtual host has changed.
        BrokerError: anything else; it says what was done by then.
    """
    api = _management(session)
    if not plan.pending:
        _need_unchanged(plan, session.look_at_all(api))
        return Deployed(plan)
    # To have nothing to do is the most frequent case, and needs none of this.
    from routewright.compiler.executor.carry_out import Executor  # noqa: PLC0415

    session.lock(plan.topology)
    before = look(api)
    _need_unchanged(plan, before)
    changes = [step.change for step in plan.pending]
    executor = Executor(session, api, wait, on_wait)
    executor.prepare(changes)
    executor.carry_out(changes, _alternates(before.topology), on_step)
    return Deployed(plan, tuple(_differing(plan, before, _look_again(plan, api))))


def _management(session: Session) -> Management:
    if session.api is None:
        raise Unsupported(
            f"carrying out a plan needs the management API: {session.without_api}; "
            "`routewright compile --apply` declares what is missing over AMQP alone"
        )
    return session.api


def _need_unchanged(plan: Plan, host: VirtualHost) -> None:
    """Checks that all that a plan depends on is as the plan saw it."""
    if fingerprint(host, plan.topology, plan.concerns) != plan.fingerprint:
        raise Outdated(
            f"the broker is not as it was when the plan for `{plan.topology}` was made: "
            "nothing was changed; make a new plan"
        )


def _alternates(topology: Topology) -> frozenset[str]:
    return frozenset(it.alternate_exchange or "" for it in topology.every_exchange()) - {""}


def _look_again(plan: Plan, api: Management) -> VirtualHost:
    try:
        return look(api)
    except BrokerError as error:
        said = f"all {len(plan.pending)} steps were done, and could not be looked at afterwards"
        raise type(error)(f"{said}: {error}") from error


def _differing(plan: Plan, before: VirtualHost, now: VirtualHost) -> Iterator[str]:
    """Yields what is there and was not expected, and what was expected and is not there."""
    from routewright.compiler.planner.simulated_host import after  # noqa: PLC0415

    expected = after(before, (step.change for step in plan.pending), plan.topology)
    should = {*seen(expected, plan.topology, plan.concerns)}
    there = {*seen(now, plan.topology, plan.concerns)}
    yield from (f"not there: {line}" for line in sorted(should - there))
    yield from (f"there nevertheless: {line}" for line in sorted(there - should))
