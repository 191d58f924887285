"""`explain`: every hop of a message, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from routewright.compiler.cli import main

TOPOLOGY = """\
topology: media
exchanges:
  front: {type: direct, alternate_exchange: tasks}
  tasks: {type: topic}
  again: {type: fanout}
queues:
  crop: {exchange: front, binding_key: image.crop}
  image: {exchange: tasks, binding_key: "image.#", dead_letter: {exchange: again}}
  wait: {exchange: again, message_ttl: 10s, dead_letter: {exchange: tasks}, tap: true}
tasks:
  media.CropImage: {exchange: front, routing_key: image.crop}
  media.RotateImage: {exchange: front, routing_key: image.rotate}
workers:
  powerful: {queues: [image, crop]}
"""


@pytest.fixture(autouse=True)
def _a_topology(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("topology.yaml").write_text(TOPOLOGY)


def explain(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["explain", *arguments], catch_exceptions=False)


def test_a_task_that_may_be_sent_later_says_by_what() -> None:
    delays = "delays: {resolution: 100ms, max: 90m}\n"
    Path("topology.yaml").write_text(
        TOPOLOGY.replace("dead_letter: {exchange: again}", "") + delays
    )
    assert explain("media.RotateImage").output.splitlines() == [
        "task media.RotateImage: `image.rotate` to exchange `front` (direct)",
        "├── nothing matched, alternate -> exchange `tasks` (topic)",
        "│   └── `image.#` -> queue `image`, consumed by `powerful`",
        (
            "└── later, by 1:30:00 at most in steps of 0.1 s: "
            "by exchange `media.delay.16x100ms.15`, likewise"
        ),
    ]


def test_a_task_is_followed_through_alternate_exchange_and_dead_letters() -> None:
    result = explain("media.RotateImage")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "task media.RotateImage: `image.rotate` to exchange `front` (direct)",
        "└── nothing matched, alternate -> exchange `tasks` (topic)",
        "    └── `image.#` -> queue `image`, consumed by `powerful`",
        "        └── given up on: `image.rotate` to exchange `again` (fanout)",
        "            └── every message -> queue `wait`, a tap",
        "                └── given up on: `image.rotate` to exchange `tasks` (topic)",
        "                    └── `image.#` -> queue `image`, consumed by `powerful`",
        f"{' ' * 24}└── given up on: `image.rotate` to exchange `again` (fanout), and round again",
    ]


def test_programs_get_the_queues_and_the_outcome() -> None:
    told = json.loads(explain("topology.yaml", "media.CropImage", "--format", "json").output)
    assert told["exchange"] == "front"
    assert told["routing_key"] == "image.crop"
    assert told["queues"] == ["crop"]
    assert told["outcome"] == "delivered"
    assert told["hops"] == [
        {
            "exchange": "front",
            "destination": "crop",
            "destination_type": "queue",
            "by": "binding",
            "binding_key": "image.crop",
        }
    ]
    assert told["consumers"] == {"crop": ["powerful"]}


def test_a_key_that_reaches_nothing_exits_with_1() -> None:
    result = explain("video.compress")
    assert result.exit_code == 1
    assert "no queue: the broker returns a mandatory message" in result.output
    told = json.loads(explain("video.compress", "--format", "json").output)
    assert (told["queues"], told["outcome"]) == ([], "unroutable")


def test_the_default_exchange_knows_queues_by_their_names() -> None:
    assert "by its name -> queue `wait`" in explain("wait", "--exchange", "").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x", "--exchange", "fornt"), "there is no exchange `fornt`; did you mean `front`?"),
        (("nowhere.yaml", "x"), "cannot read nowhere.yaml"),
    ],
)
def test_what_is_not_there_is_one_line_and_exit_2(arguments: tuple[str, ...], said: str) -> None:
    result = explain(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_misspelt_task_is_told_from_a_key_where_keys_need_an_exchange() -> None:
    path = Path("topology.yaml")
    path.write_text(
        path.read_text().replace(
            "exchange: front, routing_key: image.rotate",
            "exchange: tasks, routing_key: image.rotate",
        )
    )
    result = explain("media.CropImgae")
    assert result.exit_code == 2
    assert "`media.CropImgae` is no task; did you mean `media.CropImage`?" in result.stderr


BY_HEADERS = """\
topology: media
exchanges:
  regions: {type: headers, alternate_exchange: rest}
  rest: {type: fanout}
  dead: {type: headers}
queues:
  europe:
    bindings: [{exchange: regions, arguments: {region: eu, weight: 3}}]
    dead_letter: {exchange: DEAD}
  rest: {exchange: rest}
  graves: {bindings: [{exchange: dead, arguments: {x-match: any-with-x, x-first-death-queue: q}}]}
tasks:
  media.Crop: {exchange: regions, headers: {region: eu, weight: 3}}
"""


def test_the_headers_of_a_message_are_given_with_its_key() -> None:
    Path("topology.yaml").write_text(BY_HEADERS.replace("DEAD", "regions"))
    headers = ("--header", "region=eu", "--header", "weight=3")
    result = explain("", "--exchange", "regions", *headers, "--format", "json")
    explanation = json.loads(result.output)
    assert explanation["headers"] == {"region": "eu", "weight": 3}
    assert explanation["queues"] == ["europe"]
    assert explanation["dead_letters"]["europe"]["queues"] == ["europe"]
    assert "`rest`" in explain("", "--exchange", "regions", "--header", 'weight="3"').output


def test_a_task_keeps_its_headers_when_it_is_given_up() -> None:
    Path("topology.yaml").write_text(BY_HEADERS.replace("DEAD", "regions"))
    back = explain("media.Crop").output.splitlines()[-1]
    assert back.endswith("given up on: `` to exchange `regions` (headers), and round again")


def test_where_a_dead_letter_goes_by_what_the_broker_writes_into_it_is_undecided() -> None:
    Path("topology.yaml").write_text(BY_HEADERS.replace("DEAD", "dead"))
    dead = json.loads(explain("media.Crop", "--format", "json").output)["dead_letters"]["europe"]
    assert (dead["queues"], dead["outcome"], dead["possible"]) == ([], "undecided", ["graves"])


@pytest.mark.parametrize(
    "arguments", [("media.Crop", "--header", "a=1"), ("", "--exchange", "rest", "--header", "a")]
)
def test_headers_that_cannot_be_taken_are_an_error_of_usage(arguments: tuple[str, ...]) -> None:
    Path("topology.yaml").write_text(BY_HEADERS.replace("DEAD", "dead"))
    assert explain(*arguments).exit_code == 2
