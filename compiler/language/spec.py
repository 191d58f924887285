"""What may be written in a topology file, as it is written.

Names are still strings here; `resolver` turns them into things. Unknown keys are refused, and no
value is converted into another type: `"5"` is not a number.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from routewright.compiler.language.value_types import (
    Acknowledge,
    AppliesTo,
    Duration,
    Expiration,
    Header,
    ModuleName,
    PolicyPattern,
    Seconds,
    Target,
    invalid,
)
from routewright.compiler.model.topology import Delays
from routewright.compiler.rabbitmq.queue_arguments import MAX_EXPIRATION


def _nothing_is_empty(value: Any) -> Any:
    """`audit:` with nothing behind it declares a thing with every default."""
    return {} if value is None else value


class Written(BaseModel):
    """The rules that hold for every part of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @field_validator("*", mode="before")
    @classmethod
    def _something_is_written(cls, value: Any) -> Any:
        """A key with nothing behind it is a slip, also where the key may be left out."""
        if value is None:
            raise invalid("missing-value", "nothing is written", None)
        return value


class BindingSpec(Written):
    """One binding, under the queue or the exchange that it leads to."""

    exchange: str
    binding_key: str | None = None
    arguments: dict[str, Any] = {}


Bindings = Annotated[tuple[BindingSpec, ...], Field(strict=False)]
Names = Annotated[tuple[str, ...], Field(strict=False)]


class ExchangeSpec(Written):
    type: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    alternate_exchange: str | None = None
    bindings: Bindings = ()
    arguments: dict[str, Any] = {}


class DeadLetterSpec(Written):
    """Where a queue sends what it gives up on; without a key, a message keeps its own."""

    exchange: str
    routing_key: str | None = None


class LimitsSpec(Written):
    """What a queue may say, and a policy of queues: the broker's arguments of the same names."""

    message_ttl: Duration | None = None
    expires: Duration | None = None
    max_length: int | None = None
    max_length_bytes: int | None = None
    overflow: str | None = None
    dead_letter: DeadLetterSpec | None = None
    dead_letter_strategy: str | None = None
    delivery_limit: int | None = None
    max_in_memory_length: int | None = None
    max_in_memory_bytes: int | None = None
    max_age: Seconds | None = None
    stream_max_segment_size_bytes: int | None = None
    initial_cluster_size: int | None = None
    queue_leader_locator: str | None = None
    queue_master_locator: str | None = None
    queue_mode: str | None = None
    queue_version: int | None = None
    arguments: dict[str, Any] = {}


class OwnSpec(Written):
    """What only a queue itself may say."""

    type: str | None = None
    durable: bool = True
    auto_delete: bool = False
    exchange: str | None = None  # with binding_key: the short form of one binding
    binding_key: str | None = None
    bindings: Bindings = ()
    carve_out_of: str | None = None  # with binding_key: these keys of another queue come here
    tap: bool = False
    max_priority: int | None = None
    single_active_consumer: bool | None = None
    quorum_initial_group_size: int | None = None


class QueueSpec(LimitsSpec, OwnSpec):
    """A queue. What is not explained is the broker's argument `x-...` of the same name."""


class PolicyDefinitionSpec(LimitsSpec):
    """What a policy adds; further keys of the broker's stand under `arguments`."""

    alternate_exchange: str | None = None


class PolicySpec(Written):
    """A policy of RabbitMQ: what it adds to the things whose names match."""

    pattern: PolicyPattern
    apply_to: AppliesTo = "all"
    priority: int = 0
    definition: PolicyDefinitionSpec


Priority = Annotated[int, Field(ge=0, le=9)]


class RetrySpec(Written):
    """How often a task that fails is tried again, and with which pauses."""

    max: Annotated[int, Field(ge=0, le=1000)] = 3
    backoff: Duration = 1_000
    max_backoff: Duration = 600_000
    jitter: bool = True
    on: Names = ()  # the exceptions by name; none means all of them


class SendingSpec(Written):
    """How a task is sent and run: what a task may say, and the defaults for all of them."""

    exchange: str | None = None
    routing_key: str | None = None
    headers: dict[str, Header] | None = None
    priority: Priority | None = None
    serializer: str | None = None
    mandatory: bool | None = None
    immediate: bool | None = None
    ignore_result: bool | None = None
    expires: Expiration | None = None
    retry: RetrySpec | None = None
    acknowledge: Acknowledge | None = None
    soft_time_limit: Duration | None = None
    time_limit: Duration | None = None


class TaskSpec(SendingSpec):
    parameters: dict[str, Names] = {}  # what the placeholders of the routing key may be
    multicast: bool = False


class WorkerGroupSpec(Written):
    """Who consumes which queues; `prefetch` is as much as `concurrency` unless it is given."""

    queues: Names
    processes: Annotated[int, Field(ge=1, le=1000)] = 1
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 1
    prefetch: Annotated[int, Field(ge=1, le=65535)] | None = None
    accept: Names | None = None


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class AssertionSpec(Written):
    """What must hold of all keys; just one of `reach`, `never`, `routable` and `never_both`."""

    exchange: str | None = None
    keys: Annotated[Names, BeforeValidator(_one_or_more)] = ("#",)
    reach: Names | None = None
    never: Names | None = None
    routable: bool | None = None
    never_both: Names | None = None

    @model_validator(mode="after")
    def _one_claim(self) -> Self:
        claims = (self.reach, self.never, self.routable or None, self.never_both)
        if sum(claim is not None for claim in claims) != 1:
            raise invalid(
                "malformed-assertion",
                "an assertion makes one claim",
                "write one of `reach`, `never`, `routable: true` and `never_both`",
            )
        return self


class DelaysSpec(Written):
    """How exactly, and how long at most, the broker can delay a message."""

    resolution: Duration = 100
    max: Duration

    @model_validator(mode="after")
    def _a_ladder_can_be_built(self) -> Self:
        problem = None
        if self.resolution < 1:
            problem = "a resolution of nothing has no steps"
        elif self.max < self.resolution:
            problem = "the longest delay is shorter than one step of the resolution"
        elif Delays(self.resolution, self.max).hold(-1) > MAX_EXPIRATION:
            problem = (
                "one queue would hold messages for more than 49 days, which RabbitMQ cannot time"
            )
        if problem:
            raise invalid("malformed-delays", problem, "write `{resolution: 100ms, max: 30d}`")
        return self


class TopologySpec(Written):
    """The whole file."""

    topology: ModuleName
    target: Target = "rabbitmq-3.x"
    vhost: str | None = None
    defaults: SendingSpec = SendingSpec()
    exchanges: dict[str, Annotated[ExchangeSpec, BeforeValidator(_nothing_is_empty)]] = {}
    queues: dict[str, Annotated[QueueSpec, BeforeValidator(_nothing_is_empty)]] = {}
    tasks: dict[str, Annotated[TaskSpec, BeforeValidator(_nothing_is_empty)]] = {}
    workers: dict[str, WorkerGroupSpec] = {}
    assertions: Annotated[tuple[AssertionSpec, ...], Field(strict=False)] = ()
    policies: dict[str, PolicySpec] = {}
    delays: DelaysSpec | None = None
    parking: str | None = None  # the queue for messages that cannot be dealt with
    events: bool = False
