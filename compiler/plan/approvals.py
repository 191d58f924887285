"""What a step of a plan may take away, and is therefore done only with leave: `--allow CODE`."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Code: TypeAlias = Literal[
    "drop-messages",  # a limit gets lower, and the broker drops what is over it
    "lose-keys",  # a binding or an alternate goes, and with it the only way of keys
    "name-gap",  # what is sent to a thing by its name while it is made anew
    "remove-exchange",
    "remove-policy",
    "remove-queue",
    "replace-exchange",
    "replace-queue",
]

CODES: tuple[Code, ...] = get_args(Code)
