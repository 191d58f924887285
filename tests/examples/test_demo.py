"""`make demo` does what it says: on a broker, in memory, and where something is in its way."""

import json
import lzma
import re
import signal
import socket
import time
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from kombu.connection import Connection
from PIL import Image
from private_nodes import Broker

TABLE = {
    "media.CompressVideo": ("tasks", "video.compress", "video", "powerful"),
    "media.RotateImage": ("tasks", "image.rotate", "image", "powerful"),
    "media.CropImage": ("tasks", "image.crop", "image", "powerful"),
    "media.UpdateRecommendations": ("tasks", "misc.recommend", "lowpri", "slow"),
}
EMPTY = [{"name": name, "messages": 0, "consumers": 0} for name in ("image", "lowpri", "video")]
NOWHERE = "amqp://guest:a-secret@127.0.0.1:1//"  # a port where nobody listens


def test_on_a_broker_each_task_runs_in_the_worker_of_its_queue(
    checkout: Any, broker: Broker
) -> None:
    demo = checkout.demo(broker.url)
    assert demo.returncode == 0, demo.stderr
    assert_shows_every_task(demo)
    pids = dict(re.findall(r"(powerful|slow), pid (\d+)", demo.stdout))
    assert len(set(pids.values())) == 2


def test_on_a_broker_nothing_is_left_but_what_is_declared(checkout: Any, broker: Broker) -> None:
    demo = checkout.demo(broker.url)
    assert checkout.workers() == []
    assert by_name(broker) == EMPTY
    assert "stay on amqp://guest:**@" in demo.stdout


def test_a_second_demo_is_as_good_as_the_first(checkout: Any, broker: Broker) -> None:
    first, second = checkout.demo(broker.url), checkout.demo(broker.url)
    assert "Created 1 exchange, 3 queues and 3 bindings." in first.stdout
    assert "Nothing to do" in second.stdout
    assert_shows_every_task(second)


def test_in_memory_it_shows_the_same_tasks_exchange_keys_and_queues(checkout: Any) -> None:
    demo = checkout.demo("memory://")
    assert demo.returncode == 0, demo.stderr
    assert "in-memory transport" in demo.stdout
    assert_shows_every_task(demo)


def test_the_output_files_are_what_the_tasks_were_asked_for(checkout: Any) -> None:
    checkout.demo("memory://")
    files, out = checkout.example / "files", checkout.out
    with lzma.open(out / "clip.y4m.xz") as packed:
        assert packed.read() == (files / "clip.y4m").read_bytes()
    assert (out / "clip.y4m.xz").stat().st_size < (files / "clip.y4m").stat().st_size / 2
    # The sun stands at (420, 120) in the photograph, and is the brightest thing there.
    sun = brightness(files / "photo.jpg", (600, 400), (420, 120))
    assert sun > 240
    assert abs(brightness(out / "rotated.jpg", (400, 600), (120, 180)) - sun) < 10
    assert abs(brightness(out / "cropped.jpg", (240, 180), (120, 70)) - sun) < 10
    films = json.loads((out / "recommendations.json").read_text())
    assert len(films) == 60
    # This user knows and likes four of the five films of the sea; the fifth is "Salt".
    assert films["user-01"][0] == "Salt"


def test_nobody_is_recommended_what_they_have_seen(checkout: Any) -> None:
    checkout.demo("memory://")
    films = json.loads((checkout.out / "recommendations.json").read_text())
    rows = (checkout.example / "files" / "ratings.csv").read_text().splitlines()[1:]
    seen = {tuple(row.split(",")[:2]) for row in rows}
    assert not seen & {(user, film) for user, found in films.items() for film in found}


def test_into_a_pipe_goes_plain_text(checkout: Any) -> None:
    demo = checkout.demo("memory://")
    assert demo.stderr == ""
    assert demo.stdout.isascii()
    assert "\x1b" not in demo.stdout


def test_a_broker_that_is_asked_for_and_not_there_is_one_line_and_exit_2(checkout: Any) -> None:
    demo = checkout.demo(NOWHERE)
    assert demo.returncode == 2
    [line] = demo.stderr.splitlines()
    assert "127.0.0.1:1 cannot be reached" in line
    assert "a-secret" not in demo.stdout + demo.stderr
    assert not checkout.out.exists()


def test_without_a_broker_on_localhost_it_runs_in_memory_and_says_so(checkout: Any) -> None:
    demo = checkout.demo(local=NOWHERE)
    assert demo.returncode == 0, demo.stderr
    assert "Broker: none on localhost" in demo.stdout
    assert "in-memory transport" in demo.stdout
    assert_shows_every_task(demo)


def test_something_on_localhost_that_never_answers_does_not_hold_it_up(checkout: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        demo = checkout.demo(local=f"amqp://guest:guest@127.0.0.1:{port}//")
    assert "Broker: none on localhost" in demo.stdout
    assert_shows_every_task(demo)


def test_a_broker_on_localhost_is_used(checkout: Any, broker: Broker) -> None:
    demo = checkout.demo(local=broker.url)
    assert "Broker: the RabbitMQ that answers on localhost" in demo.stdout
    assert_shows_every_task(demo)
    assert by_name(broker) == EMPTY


def test_a_queue_with_other_arguments_is_told_with_the_way_out(
    checkout: Any, broker: Broker
) -> None:
    with Connection(broker.url) as connection:
        connection.channel().queue_declare("video", durable=True, auto_delete=False)
    demo = checkout.demo(broker.url)
    assert demo.returncode == 1
    assert "conflict: queue `video`: `x-max-priority`" in demo.stderr
    assert "ROUTEWRIGHT_BROKER=amqp://" in demo.stderr
    assert broker.queues("name") == [{"name": "video"}]


def test_messages_of_others_are_left_where_they_are(checkout: Any, broker: Broker) -> None:
    checkout.demo(broker.url)
    with Connection(broker.url) as connection:
        connection.Producer().publish("not a task", exchange="tasks", routing_key="video.theirs")
    demo = checkout.demo(broker.url)
    assert demo.returncode == 1
    assert demo.stderr.startswith("demo: queue video holds 1 message")
    assert {"name": "video", "messages": 1} in broker.queues("name", "messages")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_stopped_half_way_it_leaves_no_worker_and_no_message(
    checkout: Any, broker: Broker, number: signal.Signals, code: int
) -> None:
    app = checkout.example / "media.py"
    never_ready = 'import sys\nif "slow" in sys.argv:\n    threading.Event().wait()\n'
    app.write_text(f"{app.read_text()}\n\n{never_ready}")  # or the demo may end before the signal
    demo = checkout.start_demo(broker.url)
    try:
        while "--group slow" not in (line := demo.stdout.readline()):
            assert line, demo.stderr.read()
        demo.send_signal(number)
        output, errors = demo.communicate(timeout=300)
    finally:
        demo.kill()
    assert demo.returncode == code, output + errors
    assert checkout.workers() == []
    assert by_name(broker) == EMPTY


def test_a_worker_that_cannot_start_fails_the_demo_in_its_own_words(
    checkout: Any, broker: Broker
) -> None:
    app = checkout.example / "media.py"
    broken = 'if "worker" in __import__("sys").argv:\n    raise RuntimeError("out of film")\n'
    app.write_text(f"{app.read_text()}\n\n{broken}")
    demo = checkout.demo(broker.url)
    assert demo.returncode == 1
    assert "ended by itself" in demo.stderr
    assert "out of film" in demo.stderr
    assert checkout.workers() == []


def test_a_task_that_fails_fails_the_demo_in_its_own_words(checkout: Any) -> None:
    (checkout.example / "files" / "photo.jpg").write_bytes(b"no photograph")
    demo = checkout.demo("memory://")
    assert demo.returncode == 1
    assert "demo: media.RotateImage failed: " in demo.stderr


def assert_shows_every_task(demo: "CompletedProcess[str]") -> None:
    rows = [line.split() for line in demo.stdout.splitlines() if line.startswith("media.")]
    shown = {row[0]: (*row[1:4], re.split(r"[,/]", row[4])[0]) for row in rows}
    assert shown == TABLE, demo.stdout + demo.stderr


def by_name(broker: Broker) -> list[dict[str, Any]]:
    """The queues; the reply queue may be a moment in going."""
    deadline = time.monotonic() + 60
    while True:
        found = broker.queues("name", "messages", "consumers")
        if found == EMPTY or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def brightness(file: Path, size: tuple[int, int], place: tuple[int, int]) -> int:
    """Of one pixel of an image that has this size."""
    with Image.open(file) as image:
        assert image.size == size
        pixel = image.convert("L").getpixel(place)
    assert isinstance(pixel, int)
    return pixel
