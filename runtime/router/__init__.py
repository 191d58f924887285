"""The compiled routes: what generated packages import, and the rules by which they resolve a call.

Only the standard library is imported here. Nothing in this room opens a connection.
"""

from routewright.runtime.router.delay_ladder import DelayLadder
from routewright.runtime.router.exchanges import Exchange
from routewright.runtime.router.retry_policy import RetryPolicy
from routewright.runtime.router.route import Group, Route, Router

__all__ = ["DelayLadder", "Exchange", "Group", "RetryPolicy", "Route", "Router"]
