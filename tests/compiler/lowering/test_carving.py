"""A carve-out takes keys away from a queue, and nothing else changes for anybody."""

from __future__ import annotations

import pytest
from kombu.connection import Connection
from private_nodes import Broker

from routewright.compiler import compile_text
from routewright.compiler.analysis.compare import compare
from routewright.compiler.executor.over_amqp import apply_topology

BEFORE = """
topology: media
defaults: {exchange: tasks}
exchanges:
  tasks: {type: topic}
  news: {type: fanout, bindings: [{exchange: tasks, binding_key: "#"}]}
queues:
  image: {exchange: tasks, binding_key: "image.#"}
  video: {exchange: tasks, binding_key: "video.#"}
  audit: {exchange: tasks, binding_key: "image.*", tap: true}
  paper: {exchange: news, tap: true}
tasks:
  media.Crop: {routing_key: image.crop}
  media.Rotate: {routing_key: image.rotate}
  media.Compress: {routing_key: video.compress}
"""
AFTER = BEFORE.replace(
    "  video:", "  crop: {carve_out_of: image, binding_key: image.crop}\n  video:"
)


def test_the_carved_task_reaches_the_new_queue_and_the_taps_alone() -> None:
    compilation = compile_text(AFTER)
    assert compilation.diagnostics == ()
    front = compilation.route("tasks.front", "image.crop")
    assert front.queues == ("audit", "crop", "paper")
    assert compilation.route("tasks.front", "image.rotate").queues == ("audit", "image", "paper")
    assert compilation.route("tasks", "image.crop").queues == ("audit", "image", "paper")
    assert 'exchange="tasks.front"' in compilation.files["router.py"]


def test_diff_shows_that_just_the_carved_keys_have_moved() -> None:
    old, new = compile_text(BEFORE).topology, compile_text(AFTER).topology
    assert old
    assert new
    differences = [it for it in compare(old, new).differences if it.exchange]
    assert [(it.witness, it.tasks) for it in differences] == [("image.crop", ("media.Crop",))]


@pytest.mark.broker
def test_on_a_broker_every_message_arrives_where_it_did_but_the_carved(broker: Broker) -> None:
    compilation = compile_text(AFTER)
    assert compilation.topology
    apply_topology(compilation.topology, broker.url)
    arrived: dict[str, set[str]] = {}
    published = [
        ("tasks.front", "image.crop"),
        ("tasks.front", "image.rotate"),
        ("tasks.front", "video.compress"),
        ("tasks", "image.crop"),
    ]
    with Connection(broker.url, transport_options={"confirm_publish": True}) as connection:
        for exchange, key in published:
            connection.Producer().publish(f"{exchange} {key}", exchange=exchange, routing_key=key)
        for queue in compilation.topology.queues:
            while message := connection.default_channel.basic_get(queue, no_ack=True):
                assert queue not in arrived.setdefault(str(message.body), set())
                arrived[str(message.body)].add(queue)
    assert arrived == {
        "tasks.front image.crop": {"crop", "audit", "paper"},
        "tasks.front image.rotate": {"image", "audit", "paper"},
        "tasks.front video.compress": {"video", "paper"},
        "tasks image.crop": {"image", "audit", "paper"},
    }


BEHIND = """
topology: media
exchanges:
  top: {type: topic}
  images: {type: topic, bindings: [{exchange: top, binding_key: "image.#"}]}
queues:
  image: {exchange: images, binding_key: "image.#"}
  crop: {carve_out_of: image, binding_key: image.crop}
tasks:
  media.Image: {exchange: images, routing_key: "image.{what}"}
  media.Rotate: {exchange: top, routing_key: image.rotate}
"""


def test_a_carve_out_that_a_task_would_get_round_is_refused() -> None:
    assert compile_text(BEHIND).diagnostics == ()
    text = BEHIND.replace("image.rotate", '"image.{what}"')
    (found,) = compile_text(text).diagnostics
    assert (found.code, found.witness) == ("impossible-carve-out", "image.crop")
    assert "task `media.Rotate` is sent to exchange `top`" in found.message


def test_what_falls_through_to_a_queue_of_all_keys_is_no_slip() -> None:
    text = """
topology: media
defaults: {exchange: tasks}
exchanges: {tasks: {type: topic}}
queues:
  all: {exchange: tasks, binding_key: "#"}
  crop: {carve_out_of: all, binding_key: image.crop}
tasks:
  media.Image: {routing_key: "image.{what}"}
"""
    assert compile_text(text).diagnostics == ()


def test_of_a_carve_out_that_is_refused_nothing_else_is_said() -> None:
    text = AFTER.replace("binding_key: image.crop}", "binding_key: other.key, exchange: tasks}")
    assert [it.code for it in compile_text(text).diagnostics] == ["impossible-carve-out"]
