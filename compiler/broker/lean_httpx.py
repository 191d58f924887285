"""httpx without its command line, which imports rich and pygments and takes longer than the rest.

httpx takes it for not installed where it cannot be imported.
"""

from __future__ import annotations

import sys
from typing import Any

_modules: dict[str, Any] = sys.modules
_modules.setdefault("httpx._main", None)

import httpx  # noqa: E402

if _modules["httpx._main"] is None:  # so that whoever wants it can have it
    del _modules["httpx._main"]

__all__ = ["httpx"]
