"""Values as texts by which one is the same as another: 1, 1.0 and true are three."""

from __future__ import annotations

import json
from typing import Any


def canonical(value: Any) -> str:
    """The text of a value that a broker or a topology file can say."""
    return _encode(value)


def _plain(value: Any) -> Any:
    """Any mapping or sequence as json's own."""
    return dict(value) if hasattr(value, "keys") else list(value)


_encode = json.JSONEncoder(sort_keys=True, default=_plain).encode  # made once: it is asked often
