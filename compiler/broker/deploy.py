"""A plan, carried out: under a lock, on the broker it was made for, and looked at afterwards."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from routewright.compiler.broker.apply import Hands, carry_out
from routewright.compiler.broker.changes import OnStep
from routewright.compiler.broker.consumers import WAIT, Consumers, OnWait
from routewright.compiler.broker.errors import (
    BrokerError,
    Outdated,
    PermissionRefused,
    Unsupported,
)
from routewright.compiler.broker.fingerprint import fingerprint, seen
from routewright.compiler.broker.live import Live, look
from routewright.compiler.broker.management import Management
from routewright.compiler.broker.ownership import Owned
from routewright.compiler.broker.planning import Plan, expected, make_plan
from routewright.compiler.broker.rehearse import rehearse
from routewright.compiler.broker.session import ERRORS, Session
from routewright.compiler.broker.steps import Disown, Own, Release, RemovePolicy, SetPolicy
from routewright.compiler.collector import collector_paused
from routewright.compiler.delays import with_delays
from routewright.compiler.leave import Code
from routewright.compiler.topology import Topology


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
    """The plan from what a broker has to a topology.

    Raises:
        BrokerError: the broker cannot be looked at.
    """
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
    session.lock(plan.topology)
    live = look(api)
    if fingerprint(live, plan.topology, plan.concerns) != plan.fingerprint:
        raise Outdated(
            f"the broker is not as it was when the plan for `{plan.topology}` was made: "
            "nothing was changed; make a new plan"
        )
    pending = [it.change for it in plan.pending]
    if not pending:
        return Deployed(plan)
    if any(isinstance(it, (SetPolicy, RemovePolicy)) for it in pending):
        _need_policymaker(api)
    rehearse(pending, session.another, ERRORS)
    consumers = Consumers(session.channel, api, wait, on_wait)
    consumers.wait_for_others([it.queue for it in pending if isinstance(it, Release)])
    hands = Hands(session.channel, api, ERRORS, consumers.release, session.another)
    finished = 0

    def note(done: int) -> None:
        nonlocal finished
        finished = done

    try:
        carry_out(pending, hands, _alternates(live.topology), on_step, note)
    except BrokerError as error:
        done = f"{finished} of {len(pending)} steps were done before that"
        raise type(error)(f"{error}; {done}, and planning again goes on from there") from error
    try:
        now = look(api)
    except BrokerError as error:
        said = f"all {len(pending)} steps were done, and could not be looked at afterwards"
        raise type(error)(f"{said}: {error}") from error
    return Deployed(plan, tuple(_differing(plan, live, now)))


def _need_policymaker(api: Management) -> None:
    """See that policies may be set, before anything is changed."""
    tags = api.get("whoami").get("tags") or ()
    tags = tags.split(",") if isinstance(tags, str) else tags  # as RabbitMQ before 3.9 has them
    if not {"policymaker", "administrator"}.intersection(tags):
        raise PermissionRefused(
            f"{api.where} lets user `{api.where.user}` set no policy, which this plan needs: "
            "nothing was changed; give that user the tag `policymaker`"
        )


def _differing(plan: Plan, before: Live, now: Live) -> list[str]:
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
    wanted = Live(expected(plan, before), {plan.topology: Owned(frozenset(names), marked=True)})
    should = {*seen(wanted, plan.topology, plan.concerns)}
    is_ = {*seen(now, plan.topology, plan.concerns)}
    return [
        *(f"not there: {it}" for it in sorted(should - is_)),
        *(f"there nevertheless: {it}" for it in sorted(is_ - should)),
    ]


def _alternates(topology: Topology) -> frozenset[str]:
    return frozenset(it.alternate_exchange or "" for it in topology.every_exchange()) - {""}
