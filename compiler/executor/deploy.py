"""A plan, made and carried out: under a lock, on the broker it was made for, looked at after."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from routewright.compiler.broker.errors import Outdated, Unsupported
from routewright.compiler.broker.inspect import look
from routewright.compiler.garbage import collector_paused
from routewright.compiler.model.topology import Topology
from routewright.compiler.plan.approvals import Code
from routewright.compiler.plan.changes import WAIT, OnStep, OnWait
from routewright.compiler.plan.fingerprint import fingerprint
from routewright.compiler.plan.plan import Plan

if TYPE_CHECKING:
    from routewright.compiler.broker.session import Session


@dataclass(frozen=True, slots=True)
class Deployed:
    """What was carried out, and in what the broker differs from what the plan says nevertheless."""

    plan: Plan
    differs: tuple[str, ...] = ()


@collector_paused()
def plan_for(
    topology: Topology,
    session: Session,
    *,
    adopt: bool = False,
    allowed: Collection[Code] | None = None,
    on_step: OnStep | None = None,
) -> Plan:
    """Reads a virtual host, and plans the way from it to a topology; see `make_plan`.

    Raises:
        BrokerError: the broker cannot be looked at.
    """
    # An apply of a plan that is made already needs none of these.
    from routewright.compiler.lowering.delays import with_delays  # noqa: PLC0415
    from routewright.compiler.planner.make_plan import make_plan  # noqa: PLC0415

    wanted = with_delays(topology)
    return make_plan(wanted, session.look(wanted, on_step), adopt=adopt, allowed=allowed)


def deploy(
    plan: Plan,
    session: Session,
    on_step: OnStep | None = None,
    *,
    wait: float = WAIT,
    on_wait: OnWait | None = None,
) -> Deployed:
    """Carry a plan out, if the broker is still as the plan saw it.

    Args:
        plan: with every code in it allowed.
        session: with the broker.
        on_step: told of progress.
        wait: seconds that the consumers of a queue which is replaced have to leave it.
        on_wait: told of whom that is waited for.

    Raises:
        StillInUse: they have not; where the first are waited for, nothing was changed.
        Busy: another apply is at work.
        Outdated: the broker has changed.
        BrokerError: anything else; what was done by then is said.
    """
    api = session.api
    if api is None:
        raise Unsupported(
            f"carrying out a plan needs the management API: {session.without_api}; "
            "`routewright compile --apply` declares what is missing over AMQP alone"
        )
    if plan.pending:
        session.lock(plan.topology)
        live = look(api)
    else:
        live = session.look_at_all(api)
    if fingerprint(live, plan.topology, plan.concerns) != plan.fingerprint:
        raise Outdated(
            f"the broker is not as it was when the plan for `{plan.topology}` was made: "
            "nothing was changed; make a new plan"
        )
    if not plan.pending:
        return Deployed(plan)
    # Nothing to do is what there is most often, and needs little of all that can be done.
    from routewright.compiler.executor.carrying_out import carried_out  # noqa: PLC0415

    return Deployed(plan, carried_out(plan, live, session, api, on_step, wait, on_wait))
