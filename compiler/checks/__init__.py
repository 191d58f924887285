"""What can be wrong with a topology whose names all mean something: one file for each check.

A check is a generator of diagnostics; its docstring is its page in the documentation, and its name,
in kebab-case, the code of what it reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from routewright.compiler.checks.ambiguous_policy import ambiguous_policy
from routewright.compiler.checks.control_character_in_name import control_character_in_name
from routewright.compiler.checks.dead_binding import dead_binding
from routewright.compiler.checks.dead_letter_goes_nowhere import dead_letter_goes_nowhere
from routewright.compiler.checks.dead_letter_key_without_exchange import (
    dead_letter_key_without_exchange,
)
from routewright.compiler.checks.dead_letter_loop_drops import dead_letter_loop_drops
from routewright.compiler.checks.dead_letters_not_at_least_once import (
    dead_letters_not_at_least_once,
)
from routewright.compiler.checks.delayed_dead_letters_elsewhere import (
    delayed_dead_letters_elsewhere,
)
from routewright.compiler.checks.endless_dead_letter_loop import endless_dead_letter_loop
from routewright.compiler.checks.failed_assertion import failed_assertion
from routewright.compiler.checks.history_for_work_queue import history_for_work_queue
from routewright.compiler.checks.ignored_binding_arguments import ignored_binding_arguments
from routewright.compiler.checks.ignored_binding_key import ignored_binding_key
from routewright.compiler.checks.impossible_delay import impossible_delay
from routewright.compiler.checks.impossible_retry import impossible_retry
from routewright.compiler.checks.literal_wildcard import literal_wildcard
from routewright.compiler.checks.malformed_delayed_type import malformed_delayed_type
from routewright.compiler.checks.malformed_weight import malformed_weight
from routewright.compiler.checks.malformed_x_match import malformed_x_match
from routewright.compiler.checks.mandatory_delayed_task import mandatory_delayed_task
from routewright.compiler.checks.name_taken_by_delays import name_taken_by_delays
from routewright.compiler.checks.name_too_long import name_too_long
from routewright.compiler.checks.overlapping_work_queues import overlapping_work_queues
from routewright.compiler.checks.parking_in_worker_group import parking_in_worker_group
from routewright.compiler.checks.policy_overrides_file import policy_overrides_file
from routewright.compiler.checks.policy_passed_over import policy_passed_over
from routewright.compiler.checks.policy_without_effect import policy_without_effect
from routewright.compiler.checks.priority_without_effect import priority_without_effect
from routewright.compiler.checks.publish_to_internal_exchange import publish_to_internal_exchange
from routewright.compiler.checks.queue_without_worker import queue_without_worker
from routewright.compiler.checks.reserved_header import reserved_header
from routewright.compiler.checks.reserved_name import reserved_name
from routewright.compiler.checks.serializer_not_accepted import serializer_not_accepted
from routewright.compiler.checks.shadowed_binding import shadowed_binding
from routewright.compiler.checks.soft_limit_without_effect import soft_limit_without_effect
from routewright.compiler.checks.stream_as_work_queue import stream_as_work_queue
from routewright.compiler.checks.tap_in_worker_group import tap_in_worker_group
from routewright.compiler.checks.task_delivered_more_than_once import task_delivered_more_than_once
from routewright.compiler.checks.task_only_by_alternate_exchange import (
    task_only_by_alternate_exchange,
)
from routewright.compiler.checks.task_without_work_queue import task_without_work_queue
from routewright.compiler.checks.too_many_key_classes import too_many_key_classes
from routewright.compiler.checks.undecided_route import undecided_route
from routewright.compiler.checks.unknown_argument import unknown_argument
from routewright.compiler.checks.unknown_exchange_type import unknown_exchange_type
from routewright.compiler.checks.unknown_policy_key import unknown_policy_key
from routewright.compiler.checks.unknown_serializer import unknown_serializer
from routewright.compiler.checks.unreachable_queue import unreachable_queue
from routewright.compiler.checks.unroutable_task import unroutable_task
from routewright.compiler.checks.unsupported_by_queue_type import unsupported_by_queue_type
from routewright.compiler.checks.unsupported_by_target import unsupported_by_target
from routewright.compiler.checks.unused_exchange import unused_exchange
from routewright.compiler.checks.wait_without_end import wait_without_end
from routewright.compiler.checks.wildcard_in_routing_key import wildcard_in_routing_key
from routewright.compiler.checks.wildcard_inside_task_name import wildcard_inside_task_name
from routewright.compiler.checks.wildcard_inside_word import wildcard_inside_word
from routewright.compiler.checks.wrong_argument_type import wrong_argument_type
from routewright.compiler.checks.wrong_argument_value import wrong_argument_value
from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.lowering.lower import Lowered
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.dead_letters import DeadLetters
from routewright.compiler.routing.routing import Routing

Check = Callable[[Topology, Routing], Iterator[Diagnostic]]
LoweringCheck = Callable[[Lowered], Iterator[Diagnostic]]
DeadLetterCheck = Callable[[Topology, Routing, DeadLetters], Iterator[Diagnostic]]

CHECKS: tuple[Check, ...] = (
    unsupported_by_target,
    reserved_name,
    name_too_long,
    control_character_in_name,
    unknown_exchange_type,
    malformed_delayed_type,
    wildcard_in_routing_key,
    wildcard_inside_word,
    wildcard_inside_task_name,
    literal_wildcard,
    ignored_binding_key,
    ignored_binding_arguments,
    malformed_x_match,
    malformed_weight,
    unsupported_by_queue_type,
    wrong_argument_type,
    wrong_argument_value,
    unknown_argument,
    unknown_policy_key,
    ambiguous_policy,
    policy_passed_over,
    policy_without_effect,
    policy_overrides_file,
    dead_letter_key_without_exchange,
    dead_letters_not_at_least_once,
    publish_to_internal_exchange,
    unroutable_task,
    undecided_route,
    mandatory_delayed_task,
    task_delivered_more_than_once,
    task_without_work_queue,
    priority_without_effect,
    reserved_header,
    unknown_serializer,
    serializer_not_accepted,
    history_for_work_queue,
    tap_in_worker_group,
    parking_in_worker_group,
    soft_limit_without_effect,
    overlapping_work_queues,
    too_many_key_classes,
    shadowed_binding,
    dead_binding,
    unreachable_queue,
    unused_exchange,
    task_only_by_alternate_exchange,
    wait_without_end,
    stream_as_work_queue,
    failed_assertion,
    delayed_dead_letters_elsewhere,
    impossible_retry,
)

DEAD_LETTER_CHECKS: tuple[DeadLetterCheck, ...] = (
    queue_without_worker,
    dead_letter_goes_nowhere,
    endless_dead_letter_loop,
    dead_letter_loop_drops,
)

LOWERING_CHECKS: tuple[LoweringCheck, ...] = (
    name_taken_by_delays,
    impossible_delay,
)


def check(lowered: Lowered, routing: Routing) -> list[Diagnostic]:
    """Runs every check, and returns all that they find."""
    topology, dead_letters = lowered.topology, DeadLetters(routing)
    return [
        *(it for one in CHECKS for it in one(topology, routing)),
        *(it for one in DEAD_LETTER_CHECKS for it in one(topology, routing, dead_letters)),
        *(it for one in LOWERING_CHECKS for it in one(lowered)),
    ]
