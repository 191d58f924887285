"""The names under which generated packages of the release before import the runtime.

`import routewright.runtime.route` has no module to find any more. Instead of Python's own error
there is one that says what to do.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType

from routewright.runtime.errors import OutdatedPackage

_RUNTIME = "routewright.runtime"
_FORMER = ("celery_settings", "delays", "exchanges", "retries", "route")
MODULES = frozenset(f"{_RUNTIME}.{name}" for name in _FORMER)


class _Finder:
    """The last finder that Python asks; it knows the former modules alone."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        del path, target
        if fullname in MODULES:
            raise OutdatedPackage(fullname)


def refuse_former_names() -> None:
    """Has the import of a former module raise `OutdatedPackage`."""
    if _Finder not in sys.meta_path:
        sys.meta_path.append(_Finder)
