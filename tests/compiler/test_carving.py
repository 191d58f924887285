"""A carve-out takes keys away from a queue, and nothing else changes for anybody."""

from __future__ import annotations

import pytest
from kombu.connection import Connection
from private_nodes import Broker

from routewright.compiler import compile_text
from routewright.compiler.broker import apply_topology
from routewright.compiler.compare import compare

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
