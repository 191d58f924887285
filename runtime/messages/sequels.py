"""What a Celery client wants done after a task: callbacks, errbacks and the rest of a chain.

They travel in the third part of a message's body as Celery's signatures,
`{"task", "args", "kwargs", "options", "subtask_type", "immutable"}`. Reading them says early what
cannot be done; `plan` turns one into the tasks to send, as `celery/canvas.py` would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from routewright.runtime.errors import UnsupportedSequel
from routewright.runtime.messages.amqp_values import short_string
from routewright.runtime.messages.short_repr import short_repr

MAX_DEPTH = 20  # signatures within signatures
MAX_TOGETHER = 10_000  # signatures that one message may carry

Signature: TypeAlias = Mapping[str, Any]

_LISTS = ("callbacks", "errbacks", "chain")


@dataclass(frozen=True, slots=True)
class Sequels:
    """The signatures that a message carries; of `chain` the last is the next to run."""

    callbacks: tuple[Signature, ...] = ()
    errbacks: tuple[Signature, ...] = ()
    chain: tuple[Signature, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.callbacks or self.errbacks or self.chain)

    def embed(self) -> dict[str, Any]:
        """The third part of a body."""
        if not self:
            return {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
        parts = {name: list(getattr(self, name)) or None for name in _LISTS}
        return {**parts, "chord": None}

    @classmethod
    def read(cls, embed: Mapping[str, Any] | None) -> Sequels:
        """The signatures in the third part of a body.

        Raises:
            UnsupportedSequel: one of them cannot be read, or wants what is not supported.
        """
        if not embed:
            return NO_SEQUELS
        if embed.get("chord"):
            raise UnsupportedSequel("the body has a `chord`, which is not supported")
        read = _Reading()
        found = cls(*(read.listed(embed.get(name), f"`{name}`") for name in _LISTS))
        read.chain(found.chain)
        return found or NO_SEQUELS


NO_SEQUELS = Sequels()


class _Reading:
    """Looks through the signatures of one message, however deep, and counts them."""

    def __init__(self) -> None:
        self._count = 0

    def listed(self, found: object, where: str, depth: int = 0) -> tuple[Signature, ...]:
        if found is None:
            return ()
        if isinstance(found, Mapping):
            found = [found]  # Celery takes one for a list of one
        if not isinstance(found, list | tuple):
            raise UnsupportedSequel(f"{where} is no list but {short_repr(found, 80)}")
        return tuple(self._signature(each, where, depth) for each in found)

    def _signature(self, found: object, where: str, depth: int) -> Signature:
        self._count += 1
        if depth > MAX_DEPTH or self._count > MAX_TOGETHER:
            raise UnsupportedSequel(
                f"{where} has more than {MAX_TOGETHER:,} signatures, or more than {MAX_DEPTH} one"
                " within another"
            )
        if not isinstance(found, Mapping):
            raise UnsupportedSequel(f"a signature in {where} is {short_repr(found, 80)}")
        _check_form(found, where)
        if found.get("subtask_type") == "chord" or _options(found).get("chord"):
            raise UnsupportedSequel(f"{where} has a chord, which is not supported")
        for name in ("link", "link_error"):
            self.listed(_options(found).get(name), f"`{name}` in {where}", depth + 1)
        if found.get("subtask_type") in ("group", "chain"):
            members = self.listed(_members(found), where, depth + 1)
            if found["subtask_type"] == "chain":
                self.chain(members[::-1])
        return found

    def chain(self, remaining: Sequence[Signature]) -> None:
        if any(each.get("subtask_type") == "group" for each in remaining[1:]):
            raise UnsupportedSequel(
                "a chain has a group that something follows, which makes it a chord, and chords"
                " are not supported"
            )


def _check_form(found: Signature, where: str) -> None:
    task = found.get("task")
    if not isinstance(task, str) or not task or not task.isprintable():
        raise UnsupportedSequel(f"the task of a signature in {where} is {short_repr(task, 80)}")
    args, kwargs = found.get("args"), found.get("kwargs")
    if args is not None and not isinstance(args, list | tuple):
        raise UnsupportedSequel(f"`args` of `{task}` in {where} is {short_repr(args, 80)}")
    for name, mapping in (("kwargs", kwargs), ("options", found.get("options"))):
        if mapping is not None and not (
            isinstance(mapping, Mapping) and all(isinstance(key, str) for key in mapping)
        ):
            raise UnsupportedSequel(f"`{name}` of `{task}` in {where} is {short_repr(mapping, 80)}")
    if found.get("subtask_type") in ("group", "chain") and not _members(found):
        raise UnsupportedSequel(f"`{task}` in {where} has no tasks")


@dataclass(frozen=True, slots=True)
class Sequel:
    """One task to send after another; `options` are those of its signature, as Celery has them."""

    task: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any]
    sequels: Sequels = NO_SEQUELS
    group: str | None = None
    group_index: int | None = None


@dataclass(frozen=True, slots=True)
class _Around:
    """What stands around a signature that is to be sent."""

    leading: tuple[Any, ...]  # arguments that go before its own, unless it is immutable
    rest: tuple[Signature, ...] = ()  # of the chain, the last being the next
    group: str | None = None
    group_index: int | None = None


def plan(
    signature: Signature, *leading: object, rest: Sequence[Signature] = ()
) -> Iterator[Sequel]:
    """The tasks that a signature stands for: one, the first of a chain, or all of a group.

    Args:
        signature: as it was read.
        leading: what stands before its own arguments, unless it is immutable.
        rest: what follows it in its chain, the last being the next.
    """
    return _plan(signature, _Around(leading, tuple(rest)))


def _plan(signature: Signature, around: _Around) -> Iterator[Sequel]:
    own = tuple(signature.get("args") or ())
    args = own if signature.get("immutable") else (*around.leading, *own)
    match signature.get("subtask_type"):
        case "chain":
            first, *others = _linked(signature)
            rest = (*around.rest, *reversed(others))
            yield from _plan(first, _Around(args, rest))
        case "group":
            group = _text(_options(signature).get("task_id")) or around.group
            for index, member in enumerate(_members(signature)):
                yield from _plan(member, _Around(args, group=group, group_index=index))
        case _:
            yield _sequel(signature, args, around)


def _sequel(signature: Signature, args: tuple[Any, ...], around: _Around) -> Sequel:
    options = _options(signature)
    index = options.get("group_index")
    return Sequel(
        signature["task"],
        args,
        signature.get("kwargs") or {},
        options,
        Sequels(_several(options.get("link")), _several(options.get("link_error")), around.rest),
        _text(options.get("group_id")) or around.group,
        index if type(index) is int else around.group_index,
    )


def _linked(chain: Signature) -> list[Signature]:
    """The tasks of a chain, with what its own options say of the last of them, or of each."""
    options = _options(chain)
    *others, last = (dict(each) for each in _members(chain))
    kept = _options(last)
    last["options"] = {
        **{name: options[name] for name in ("task_id", "reply_to") if name in options},
        **kept,
        "link": [*_several(kept.get("link")), *_several(options.get("link"))],
    }
    for each in (*others, last):
        errbacks = [
            *_several(_options(each).get("link_error")),
            *_several(options.get("link_error")),
        ]
        each["options"] = {**_options(each), "link_error": errbacks}
    return [*others, last]


def unreached(sequels: Sequels) -> Iterator[tuple[str, str, str | None]]:
    """Task, id and `reply_to` of all in a chain that will not run now, for who waits for them."""
    pending = list(sequels.chain)
    while pending:
        signature = pending.pop()
        options = _options(signature)
        task_id = short_string(options.get("task_id"))
        if signature.get("subtask_type") in ("chain", "group"):
            pending += _members(signature)
        elif task_id is not None:
            yield signature["task"], task_id, short_string(options.get("reply_to"))


def _members(signature: Signature) -> Sequence[Signature]:
    members = (signature.get("kwargs") or {}).get("tasks")
    return members if isinstance(members, list | tuple) else ()


def _options(signature: Signature) -> Mapping[str, Any]:
    return signature.get("options") or {}


def _several(found: object) -> tuple[Signature, ...]:
    if isinstance(found, Mapping):
        return (found,)
    return tuple(found) if isinstance(found, list | tuple) else ()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
