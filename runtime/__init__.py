"""Send tasks along the compiled routes, run them, and get their results.

The names are imported when they are first used: a generated router needs `Route` and no more, and
must not load kombu.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from routewright.runtime.router.outdated import refuse_former_names

if TYPE_CHECKING:
    from routewright.runtime import errors as errors
    from routewright.runtime.api.any_task import Signature as Signature
    from routewright.runtime.api.app import App as App
    from routewright.runtime.api.app import establish_connection as establish_connection
    from routewright.runtime.api.task_class import Task as Task
    from routewright.runtime.api.task_function import task as task
    from routewright.runtime.api.tasksets import TaskSet as TaskSet
    from routewright.runtime.api.tasksets import TaskSetResult as TaskSetResult
    from routewright.runtime.errors import BrokerBlocked as BrokerBlocked
    from routewright.runtime.errors import BrokerUnreachable as BrokerUnreachable
    from routewright.runtime.errors import ConfirmTimeout as ConfirmTimeout
    from routewright.runtime.errors import DuplicateTask as DuplicateTask
    from routewright.runtime.errors import EncodeError as EncodeError
    from routewright.runtime.errors import InvalidOption as InvalidOption
    from routewright.runtime.errors import InvalidParameter as InvalidParameter
    from routewright.runtime.errors import LoginRefused as LoginRefused
    from routewright.runtime.errors import MalformedMessage as MalformedMessage
    from routewright.runtime.errors import MissingQueue as MissingQueue
    from routewright.runtime.errors import Nacked as Nacked
    from routewright.runtime.errors import NoConsumers as NoConsumers
    from routewright.runtime.errors import NoResult as NoResult
    from routewright.runtime.errors import NotAllSent as NotAllSent
    from routewright.runtime.errors import NotRegistered as NotRegistered
    from routewright.runtime.errors import OutdatedPackage as OutdatedPackage
    from routewright.runtime.errors import Refused as Refused
    from routewright.runtime.errors import ResultTimeout as ResultTimeout
    from routewright.runtime.errors import Retry as Retry
    from routewright.runtime.errors import RoutewrightError as RoutewrightError
    from routewright.runtime.errors import SendError as SendError
    from routewright.runtime.errors import SequelNotSent as SequelNotSent
    from routewright.runtime.errors import SoftTimeLimitExceeded as SoftTimeLimitExceeded
    from routewright.runtime.errors import StoreUnreachable as StoreUnreachable
    from routewright.runtime.errors import TaskFailed as TaskFailed
    from routewright.runtime.errors import TaskRevoked as TaskRevoked
    from routewright.runtime.errors import TimeLimitExceeded as TimeLimitExceeded
    from routewright.runtime.errors import UnknownExchange as UnknownExchange
    from routewright.runtime.errors import UnknownGroup as UnknownGroup
    from routewright.runtime.errors import UnknownQueue as UnknownQueue
    from routewright.runtime.errors import UnknownTask as UnknownTask
    from routewright.runtime.errors import Unroutable as Unroutable
    from routewright.runtime.errors import Unsent as Unsent
    from routewright.runtime.errors import UnsupportedSequel as UnsupportedSequel
    from routewright.runtime.errors import WorkerLost as WorkerLost
    from routewright.runtime.errors import WorkerUsageError as WorkerUsageError
    from routewright.runtime.messages.serializers import register_serializer as register_serializer
    from routewright.runtime.results.async_result import AsyncResult as AsyncResult
    from routewright.runtime.router.exchanges import Exchange as Exchange
    from routewright.runtime.router.retry_policy import RetryPolicy as RetryPolicy
    from routewright.runtime.router.route import Group as Group
    from routewright.runtime.router.route import Route as Route
    from routewright.runtime.router.route import Router as Router
    from routewright.runtime.sending.connection import Connection as Connection
    from routewright.runtime.worker.worker import Worker as Worker

_HOMES = {
    "App": "api.app",
    "AsyncResult": "results.async_result",
    "Connection": "sending.connection",
    "Exchange": "router.exchanges",
    "Group": "router.route",
    "RetryPolicy": "router.retry_policy",
    "Route": "router.route",
    "Router": "router.route",
    "Signature": "api.any_task",
    "Task": "api.task_class",
    "TaskSet": "api.tasksets",
    "TaskSetResult": "api.tasksets",
    "Worker": "worker.worker",
    "establish_connection": "api.app",
    "register_serializer": "messages.serializers",
    "task": "api.task_function",
}

__all__ = [
    "App",
    "AsyncResult",
    "BrokerBlocked",
    "BrokerUnreachable",
    "ConfirmTimeout",
    "Connection",
    "DuplicateTask",
    "EncodeError",
    "Exchange",
    "Group",
    "InvalidOption",
    "InvalidParameter",
    "LoginRefused",
    "MalformedMessage",
    "MissingQueue",
    "Nacked",
    "NoConsumers",
    "NoResult",
    "NotAllSent",
    "NotRegistered",
    "OutdatedPackage",
    "Refused",
    "ResultTimeout",
    "Retry",
    "RetryPolicy",
    "Route",
    "Router",
    "RoutewrightError",
    "SendError",
    "SequelNotSent",
    "Signature",
    "SoftTimeLimitExceeded",
    "StoreUnreachable",
    "Task",
    "TaskFailed",
    "TaskRevoked",
    "TaskSet",
    "TaskSetResult",
    "TimeLimitExceeded",
    "UnknownExchange",
    "UnknownGroup",
    "UnknownQueue",
    "UnknownTask",
    "Unroutable",
    "Unsent",
    "UnsupportedSequel",
    "Worker",
    "WorkerLost",
    "WorkerUsageError",
    "errors",
    "establish_connection",
    "register_serializer",
    "task",
]


refuse_former_names()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_HOMES.get(name, 'errors')}")
    return module if name == "errors" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
