"""Carries the steps of a plan out, on a broker that is as the plan saw it, and looks again."""

from __future__ import annotations

from routewright.compiler.broker.errors import BrokerError, PermissionRefused
from routewright.compiler.broker.inspect import look
from routewright.compiler.broker.management import Management
from routewright.compiler.broker.session import ERRORS, Session
from routewright.compiler.executor.apply import Executor, carry_out
from routewright.compiler.executor.consumers import Consumers
from routewright.compiler.executor.rehearse import rehearse
from routewright.compiler.model.topology import Topology
from routewright.compiler.plan.changes import OnStep, OnWait
from routewright.compiler.plan.fingerprint import seen
from routewright.compiler.plan.ownership import Owned
from routewright.compiler.plan.plan import Plan
from routewright.compiler.plan.steps import Disown, Own, Release, RemovePolicy, SetPolicy
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.compiler.planner.simulated_host import SimulatedHost


def carried_out(
    plan: Plan,
    before: VirtualHost,
    session: Session,
    api: Management,
    on_step: OnStep | None,
    wait: float,
    on_wait: OnWait | None,
) -> tuple[str, ...]:
    """Carry a plan out on the broker as it was just seen, which is locked.

    What is not told here, and what is raised, is as of `deploy`.

    Returns:
        In what the broker differs afterwards from what the plan says.
    """
    pending = [it.change for it in plan.pending]
    if any(isinstance(it, (SetPolicy, RemovePolicy)) for it in pending):
        _need_policymaker(api)
    rehearse(pending, session.another, ERRORS)
    consumers = Consumers(session.channel, api, wait, on_wait)
    consumers.wait_for_others([it.queue for it in pending if isinstance(it, Release)])
    hands = Executor(session.channel, api, ERRORS, consumers.release, session.another)
    finished = 0

    def note(done: int) -> None:
        nonlocal finished
        finished = done

    try:
        carry_out(pending, hands, _alternates(before.topology), on_step, note)
    except BrokerError as error:
        done = f"{finished} of {len(pending)} steps were done before that"
        raise type(error)(f"{error}; {done}, and planning again goes on from there") from error
    try:
        now = look(api)
    except BrokerError as error:
        said = f"all {len(pending)} steps were done, and could not be looked at afterwards"
        raise type(error)(f"{said}: {error}") from error
    return tuple(_differing(plan, before, now))


def _need_policymaker(api: Management) -> None:
    """See that policies may be set, before anything is changed."""
    tags = api.get("whoami").get("tags") or ()
    tags = tags.split(",") if isinstance(tags, str) else tags  # as RabbitMQ before 3.9 has them
    if not {"policymaker", "administrator"}.intersection(tags):
        raise PermissionRefused(
            f"{api.where} lets user `{api.where.user}` set no policy, which this plan needs: "
            "nothing was changed; give that user the tag `policymaker`"
        )


def _differing(plan: Plan, before: VirtualHost, now: VirtualHost) -> list[str]:
    """What is there and was not expected, or the other way round."""
    names = set(before.owned_by(plan.topology).names)
    for step in plan.pending:
        match step.change:
            case Own(_, kind, name):
                names.add((kind, name))
            case Disown(_, kind, name):
                names.discard((kind, name))
            case _:
                pass
    wanted = VirtualHost(
        _expected(plan, before), {plan.topology: Owned(frozenset(names), marked=True)}
    )
    should = {*seen(wanted, plan.topology, plan.concerns)}
    is_ = {*seen(now, plan.topology, plan.concerns)}
    return [
        *(f"not there: {it}" for it in sorted(should - is_)),
        *(f"there nevertheless: {it}" for it in sorted(is_ - should)),
    ]


def _alternates(topology: Topology) -> frozenset[str]:
    return frozenset(it.alternate_exchange or "" for it in topology.every_exchange()) - {""}


def _expected(plan: Plan, live: VirtualHost) -> Topology:
    """What the broker has once a plan was carried out on what it was made for."""
    state = SimulatedHost(live.topology)
    for step in plan.pending:
        state.take(step.change)
    return state.topology()
