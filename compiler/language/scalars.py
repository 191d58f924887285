"""A YAML scalar becomes a value, or a trap that YAML laid is named.

The rules are YAML 1.1's, as PyYAML resolves them: `on` is a boolean, `1:30` is 90, `010` is 8.
"""

from __future__ import annotations

import math
import re
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

TAG = "tag:yaml.org,2002:"

_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1  # what an AMQP table carries
_BOOLEANS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


class Trap(ValueError):
    """A scalar that YAML reads as something nobody means; `code` is its diagnostic's."""

    def __init__(self, code: str, message: str, help_: str) -> None:
        super().__init__(message)
        self.code = code
        self.help = help_


def value_of(tag: str, text: str) -> Scalar:
    """The value of a scalar whose tag YAML has resolved.

    Raises:
        Trap: the value is not what its writer means, or cannot be one.
    """
    match tag.removeprefix(TAG):
        case "str" | "timestamp" | "value" | "merge":
            return text  # a date is taken as it is written
        case "null":
            return None
        case "bool":
            return _boolean(text)
        case "int":
            return _integer(text)
        case "float":
            return _float(text)
        case _:
            raise Trap(
                "unknown-tag",
                f"`{_short(text)}` has a tag that means nothing here: `{tag.replace(TAG, '!!')}`",
                "take the tag away; quotes make any value text",
            )


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise _malformed(text, "boolean") from None


def _integer(text: str) -> int:
    if _SEXAGESIMAL.fullmatch(text):
        raise Trap(
            "sexagesimal-number",
            f"`{_short(text)}` is a number to base 60 in YAML: {_base_60(text):g}",
            f'write a duration as `90s` or `5m`, or quote text: `"{_short(text)}"`',
        )
    if _OCTAL.fullmatch(text):
        number = int(text.replace("_", ""), 8)
        meaning = f": {number}" if _SMALLEST <= number <= _LARGEST else ""
        raise Trap(
            "octal-number",
            f"`{_short(text)}` is an octal number in YAML{meaning}",
            f'write it without the leading zero, or quote text: `"{_short(text)}"`',
        )
    digits = text.replace("_", "")
    try:
        number = int(digits, 0)
    except ValueError:
        if digits.lstrip("+-").isdecimal():  # Python refuses to convert thousands of digits
            raise _too_large(text) from None
        raise _malformed(text, "number") from None
    if not _SMALLEST <= number <= _LARGEST:
        raise _too_large(text)
    return number


def _float(text: str) -> float:
    if _SEXAGESIMAL.fullmatch(text):
        return _integer(text)
    plain = text.replace("_", "").lower()
    try:
        number = float(plain.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        raise _malformed(text, "number") from None
    if not math.isfinite(number):
        raise _too_large(text)
    return number


def _base_60(text: str) -> float:
    total = 0.0
    for part in text.lstrip("+-").replace("_", "").split(":"):
        total = total * 60 + float(part)
    return -total if text.startswith("-") else total


def _too_large(text: str) -> Trap:
    return Trap(
        "number-too-large",
        f"`{_short(text)}` is not a number that a broker's argument can hold",
        "numbers are whole and fit into 64 bits, or are finite fractions",
    )


def _malformed(text: str, wanted: str) -> Trap:
    return Trap("malformed-value", f"`{_short(text)}` is no {wanted}", "take the tag away")


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."  # noqa: PLR2004
