"""Every code a diagnostic can have, with the text that explains it.

The checks explain themselves in their docstrings; what reading and resolving a file can find is
explained here.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType

from routewright.compiler.checks import CHECKS, DEAD_LETTER_CHECKS, LOWERING_CHECKS

_READING = {
    "file-too-large": "The file is larger than Routewright reads (16 MB).",
    "not-utf-8": "The file holds bytes that are no UTF-8 text. It may be in another encoding, "
    "or no text at all.",
    "unprintable-character": "The file holds a character that YAML does not allow, such as NUL.",
    "empty-file": "The file has no content besides white space and comments.",
    "yaml-syntax": "The file is not YAML. What the parser expected is in the message; where a "
    "bracket or a quote was left open, the place is where it was opened.",
    "tab-indentation": "YAML allows no tabs in indentation.",
    "several-documents": "A line `---` begins a second YAML document, and a topology is one.",
    "star-starts-alias": "A value begins with `*`. In YAML that makes it an alias, so that the "
    "binding key `*.created` must be quoted.",
    "unknown-alias": "A YAML alias has no anchor of its name before it. A binding key that begins "
    "with `*` must be quoted.",
    "hash-starts-comment": "A value begins with `#` after a space. In YAML that begins a comment, "
    "so that `binding_key: #` is empty; the binding key `#` must be quoted.",
    "unquoted-variable": "`${NAME}` stands without quotes within `{...}` or `[...]`, where YAML "
    "takes its brace for the beginning of a mapping. Quoted it is text; `!!int` or `!!bool` before "
    "the quotes make it a number or a boolean.",
    "duplicate-key": "A mapping has the same key twice. Most YAML parsers keep the last one "
    "without a word.",
    "sexagesimal-number": "A value such as `1:30` is a number to base 60 in YAML 1.1: 90.",
    "octal-number": "A number that begins with 0 is octal in YAML 1.1: `010` is 8.",
    "number-too-large": "A number does not fit into the 64 bits of an AMQP argument, or is "
    "infinite.",
    "boolean-for-text": "A value or a name such as `on`, `no` or `yes` is a boolean in YAML 1.1, "
    "where text is expected.",
    "number-for-text": "A value or a name is a number in YAML, where text is expected: `1.10` "
    "would become 1.1.",
    "missing-value": "There is nothing behind a key, or YAML's `null` or `~`.",
    "unknown-tag": "A value has a YAML tag (`!something`). No tag means anything in a topology, "
    "and nothing is ever built from one.",
    "malformed-value": "A value does not fit the YAML tag that it is given, as in `!!int abc`.",
    "nested-too-deeply": "Values stand inside one another more than 40 deep.",
    "recursive-alias": "A YAML alias stands inside the value that it stands for.",
    "too-many-values": "With its aliases filled in, the file has more values than Routewright "
    "reads (a million).",
    "unset-variable": "`${NAME}` names an environment variable that is not set, without a default.",
    "malformed-variable": "`${...}` is neither `${NAME}` nor `${NAME:-default}`, or the variable "
    "holds what a name cannot.",
    "too-many-errors": "There are more errors than are shown (a thousand), or than it is sensible "
    "to look for.",
}

_SHAPE = {
    "unknown-key": "An option does not exist. Options are spelt as in the documentation of the "
    "language, with `_` between words.",
    "missing-key": "An option that must be given is not there.",
    "wrong-type": 'A value is of another type than its option takes. Nothing is converted: `"5"` '
    "is text and no number.",
    "out-of-range": "A number is smaller or larger than its option allows.",
    "malformed-duration": "A duration is not written as `500ms`, `60s`, `5m`, `24h` or `7d`.",
    "duration-without-unit": "A duration is a bare number, which could be seconds or milliseconds.",
    "malformed-name": "The topology's name cannot be the name of a Python package, which it is the "
    "first part of.",
    "malformed-assertion": "An assertion makes several claims at once, or none.",
    "malformed-policy": "A policy says nothing, applies to nothing that has policies, or its "
    "pattern is no regular expression that Perl's, which RabbitMQ has, and Python's read alike.",
    "malformed-acknowledge": "`acknowledge` says something else than `late`, when the task is "
    "over, or `early`, before it runs.",
    "malformed-delays": "The `delays` cannot be: their resolution is nothing or longer than the "
    "longest delay, or that is longer than a queue of RabbitMQ can hold a message.",
    "unknown-target": "`target` is nothing that Routewright compiles for.",
}

_RESOLVING = {
    "unknown-exchange": "An exchange is named that the file does not declare and that no broker "
    "has of itself.",
    "unknown-queue": "A queue is named that the file does not declare.",
    "duplicate-binding": "The same queue or exchange is bound to the same exchange with the same "
    "key and arguments twice.",
    "two-binding-forms": "A queue has both the short form of one binding (`exchange` and "
    "`binding_key`) and a list of `bindings`.",
    "binding-without-exchange": "A queue has a `binding_key`, and nothing says to which exchange.",
    "default-exchange-binding": "A binding names the default exchange, which has a binding for "
    "every queue already and takes no other.",
    "missing-binding-key": "A binding to a direct or topic exchange has no key. The empty key can "
    'be written as `""`.',
    "argument-given-twice": "An argument stands under `arguments` and as an option of its own.",
    "task-without-exchange": "A task has no exchange, and there is none in `defaults`.",
    "task-without-routing-key": "A task goes to a direct or topic exchange without a routing key.",
    "assertion-without-exchange": "An assertion says nothing of the exchange whose keys it is "
    "about, and there is none in `defaults`.",
    "malformed-carve-out": "A carve-out does not say which keys, or of which exchange. It takes "
    "`carve_out_of` and `binding_key`, and `exchange` where the original queue is bound to more "
    "than one.",
    "impossible-carve-out": "A carve-out cannot be made of exchanges and bindings, or would not do "
    "what it says: keys that the original queue does not get, keys that two carve-outs want, or a "
    "binding beside them that matches a part of the keys. What is declared is proved for all keys.",
    "ambiguous-task-name": "A name matches two patterns among the names of tasks, of which neither "
    "is more specific: each matches names that the other does not. A task of just that name "
    "decides it.",
    "malformed-placeholder": "A routing key has a placeholder as a part of a word. A placeholder "
    "is a whole word: `orders.{region}.created`. Where the task's name is a pattern, `{task}` "
    "stands in its key once.",
    "unused-parameter": "A task lists values for a placeholder that its routing key does not have.",
    "malformed-parameter": "A value of a placeholder cannot be one word of a routing key: it is "
    "empty, has a dot, or is a wildcard.",
    "repeated-queue": "A worker group lists a queue twice.",
}


_OF_APPS = {
    "unrouted-task": "With `check --app`: the application registers a task that the topology does "
    "not declare. Sending it raises `UnknownTask`.",
    "unregistered-task": "With `check --app`: the topology declares a task, and no code of the "
    "application has its name. A worker would refuse its messages.",
    "group-without-code": "With `check --app`: a worker group gets tasks that no code of the "
    "application has the name of. It refuses their messages.",
    "contradicting-attribute": "With `check --app`: an attribute of a task's code says otherwise "
    "than the topology. The code wins.",
}


def _of_checks() -> dict[str, str]:
    return {
        check.__name__.replace("_", "-"): inspect.getdoc(check) or ""
        for check in (*CHECKS, *DEAD_LETTER_CHECKS, *LOWERING_CHECKS)
    }


CODES: Mapping[str, str] = MappingProxyType(
    {**_READING, **_SHAPE, **_RESOLVING, **_of_checks(), **_OF_APPS}
)
"""What each code means, in the order of the stages that find it."""
