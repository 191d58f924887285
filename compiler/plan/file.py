"""A plan as JSON, and back. It has everything that an apply needs, and no credentials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, assert_never

from routewright.compiler.definitions import rows
from routewright.compiler.keys.header_sets import printed
from routewright.compiler.model.topology import Binding, Exchange, Policy, Queue
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.changes import Change
from routewright.compiler.plan.fingerprint import Concerns
from routewright.compiler.plan.plan import Plan, Step
from routewright.compiler.plan.text import verdict

FORMAT = 1


class MalformedPlan(ValueError):
    """A file is no plan, or one of another release; one line says why."""


def to_json(plan: Plan) -> str:
    """The plan for a file, and for programs.

    It ends with a digest of all the rest, by which a file that was changed since is known.
    """
    found = _fields(plan)
    return json.dumps({**found, "digest": _digest(found)}, indent=2, default=rows.plain)


def _digest(found: Mapping[str, Any]) -> str:
    rest = {name: it for name, it in found.items() if name != "digest"}
    text = json.dumps(rest, sort_keys=True, default=rows.plain)
    return "sha256:" + sha256(text.encode()).hexdigest()


def _fields(plan: Plan) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "topology": plan.topology,
        "vhost": plan.vhost,
        "verdict": verdict(plan),
        "fingerprint": plan.fingerprint,
        "needs": list(plan.codes),
        "steps": [_step(it) for it in plan.steps],
        **({"held": [_step(it) for it in plan.held]} if plan.held else {}),
        "differences": [
            {**it.fields, **({"headers": printed(it.headers)} if it.headers else {})}
            for it in plan.differences
        ],
        "violations": [
            {
                "harm": it.harm,
                "exchange": it.exchange,
                "witness": it.witness,
                "before": it.before,
                "meanwhile": it.meanwhile,
                "after": it.after,
                **({"headers": printed(it.headers)} if it.headers else {}),
            }
            for it in plan.violations
        ],
        "conflicts": [str(it) for it in plan.conflicts],
        "foreign": list(plan.foreign),
        "in_use": list(plan.in_use),
        "undecided": list(plan.undecided),
        "notes": list(plan.notes),
        "concerns": {
            "exchanges": sorted(plan.concerns.exchanges),
            "queues": sorted(plan.concerns.queues),
        },
    }


def from_json(name: str, data: bytes) -> Plan:
    """The plan in a file: what an apply needs of it.

    Raises:
        MalformedPlan: it is none, of a format that is not known here, or not as it was made.
    """
    try:
        found = json.loads(data)
        _need_whole(found, name)
        return Plan(
            str(found["topology"]),
            str(found["vhost"]),
            str(found["fingerprint"]),
            Concerns(
                frozenset(found["concerns"]["exchanges"]), frozenset(found["concerns"]["queues"])
            ),
            tuple(_read_step(it) for it in found["steps"]),
            foreign=tuple(found["foreign"]),
            in_use=tuple(found["in_use"]),
        )
    except MalformedPlan:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedPlan(f"{name} is no plan of routewright's: {error}") from None


def _need_whole(found: Any, name: str) -> None:
    if not isinstance(found, dict) or "format" not in found:
        raise MalformedPlan(f"{name} is no plan of routewright's")
    if found["format"] != FORMAT:
        raise MalformedPlan(
            f"{name} is a plan of format {found['format']}, and this release reads {FORMAT}: "
            "make a new plan"
        )
    if "digest" not in found:
        raise MalformedPlan(f"{name} is no plan of routewright's: it has no digest")
    if found["digest"] != _digest(found):
        raise MalformedPlan(f"{name} was changed after the plan was made: make a new plan")


def _step(step: Step) -> dict[str, Any]:
    return {
        **_change(step.change),
        "why": step.why,
        **({"destroys": step.destroys} if step.destroys else {}),
        **({"code": step.code} if step.code else {}),
        **({"withheld": True} if step.withheld else {}),
    }


def _read_step(row: Mapping[str, Any]) -> Step:
    return Step(
        _read_change(row),
        str(row["why"]),
        str(row.get("destroys", "")),
        row.get("code"),
        bool(row.get("withheld", False)),
    )


def _change(change: Change) -> dict[str, Any]:
    match change:
        case kinds.DeclareExchange(exchange):
            return {"do": "create", "exchange": rows.write_exchange(exchange)}
        case kinds.DeclareQueue(queue):
            return {"do": "create", "queue": rows.write_queue(queue)}
        case kinds.Bind(binding, new):
            return {
                "do": "add",
                "binding": rows.write_binding(binding),
                **({} if new else {"again": True}),
            }
        case kinds.Unbind(binding):
            return {"do": "remove", "binding": rows.write_binding(binding)}
        case kinds.RemoveQueue(queue):
            return {"do": "remove", "queue": rows.write_queue(queue)}
        case kinds.RemoveExchange(exchange, with_bindings):
            row = {"do": "remove", "exchange": rows.write_exchange(exchange)}
            return {**row, "with_bindings": True} if with_bindings else row
        case kinds.SetPolicy(policy):
            return {"do": "set", "policy": _write_policy(policy)}
        case kinds.RemovePolicy(policy):
            return {"do": "remove", "policy": _write_policy(policy)}
        case kinds.Own(topology, kind, name):
            return {"do": "mark", "owner": topology, "kind": kind, "name": name}
        case kinds.Disown(topology, kind, name):
            return {"do": "unmark", "owner": topology, "kind": kind, "name": name}
        case kinds.Replace(old, new):
            return {"do": "replace", **_replacement(old, new)}
        case kinds.Move(source, destination, keeps_keys):
            keys = {"keys": "kept"} if keeps_keys else {}
            return {
                "do": "move",
                "queue": rows.write_queue(source),
                "to": rows.write_queue(destination),
                **keys,
            }
        case kinds.Release(queue, destination):
            return {
                "do": "release",
                "queue": rows.write_queue(queue),
                "to": rows.write_queue(destination),
            }
        case _:
            assert_never(change)


def _replacement(old: Exchange | Queue, new: Exchange | Queue) -> dict[str, Any]:
    if isinstance(old, Queue) and isinstance(new, Queue):
        return {"queue": rows.write_queue(old), "with": rows.write_queue(new)}
    if isinstance(old, Exchange) and isinstance(new, Exchange):
        return {"exchange": rows.write_exchange(old), "with": rows.write_exchange(new)}
    raise AssertionError(f"a replacement of one kind by another: {old}, {new}")


def _read_change(row: Mapping[str, Any]) -> Change:
    do = row["do"]
    if do in ("mark", "unmark"):
        return (kinds.Own if do == "mark" else kinds.Disown)(row["owner"], row["kind"], row["name"])
    match do, row:
        case "create", {"exchange": it}:
            return kinds.DeclareExchange(rows.read_exchange(it))
        case "create", {"queue": it}:
            return kinds.DeclareQueue(rows.read_queue(it))
        case "add", {"binding": it}:
            return kinds.Bind(_read_binding(it), new=not row.get("again", False))
        case "remove", {"binding": it}:
            return kinds.Unbind(_read_binding(it))
        case "remove", {"queue": it}:
            return kinds.RemoveQueue(rows.read_queue(it))
        case "remove", {"exchange": it}:
            return kinds.RemoveExchange(
                rows.read_exchange(it), bool(row.get("with_bindings", False))
            )
        case "set", {"policy": it}:
            return kinds.SetPolicy(_read_policy(it))
        case "remove", {"policy": it}:
            return kinds.RemovePolicy(_read_policy(it))
        case "move", {"queue": source, "to": destination}:
            return kinds.Move(
                rows.read_queue(source), rows.read_queue(destination), row.get("keys") == "kept"
            )
        case "release", {"queue": queue, "to": destination}:
            return kinds.Release(rows.read_queue(queue), rows.read_queue(destination))
        case "replace", {"queue": old, "with": new}:
            return kinds.Replace(rows.read_queue(old), rows.read_queue(new))
        case "replace", {"exchange": old, "with": new}:
            return kinds.Replace(rows.read_exchange(old), rows.read_exchange(new))
    raise MalformedPlan(f"a plan has a step that is not known here: {do}")


def _read_binding(row: Mapping[str, Any]) -> Binding:
    """Reads a binding whose ends have only their names, which is all that an apply needs."""
    read = rows.read_binding(row)
    end = Exchange if read.to_exchange else Queue
    return Binding(Exchange(read.source), end(read.destination), read.key, read.arguments)


def _write_policy(policy: Policy) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in rows.write_policy(policy).items()}


def _read_policy(row: Mapping[str, Any]) -> Policy:
    return rows.read_policy({name.replace("_", "-"): value for name, value in row.items()})
