"""No input ends in a traceback, runs anything, or takes the machine down."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from mutation import examine

from routewright.compiler import compile_file, compile_text
from routewright.compiler.language.load import MAX_BYTES
from routewright.compiler.pipeline import MOST_SHOWN, Compilation, compile_bytes

MEMORY = 2 * 2**30
COMMAND = [sys.executable, "-c", "from routewright.compiler.cli import main; main()"]
NAMES = [
    *("café", "日本語", "\U0001f407", "\U0001f468\u200d\U0001f469", "e\u0301\u0323" * 20),
    *(
        "مرحبا",
        "a\u202egnp.exe",
        "\u2066a\u2069",
        "\u200b",
        "\u00ad",
        "\uff21",
        "ﬁ",
        "\U000e0041",
        "\u0131",
    ),
]


def codes(compilation: Compilation) -> set[str]:
    examine(compilation)
    return {found.code for found in compilation.diagnostics}


def check(data: bytes | str, environment: dict[str, str] | None = None) -> set[str]:
    text = data.encode() if isinstance(data, str) else data
    return codes(compile_bytes("topology.yaml", text, environment or {}))


NOT_A_TOPOLOGY: dict[str, tuple[bytes | str, str]] = {
    "nothing": ("", "empty-file"),
    "a line end": ("\n", "empty-file"),
    "white space": ("   \n \n", "empty-file"),
    "comments only": ("# a\n# b", "empty-file"),
    "only ---": ("---", "empty-file"),
    "only --- and ...": ("---\n...\n", "empty-file"),
    "only --- and a comment": ("--- # a", "empty-file"),
    "a null": ("~", "empty-file"),
    "a null by its tag": ("!!null ''", "empty-file"),
    "only ...": ("...", "yaml-syntax"),
    "a byte order mark": (b"\xef\xbb\xbf", "empty-file"),
    "a byte order mark and half a letter": (b"\xef\xbb\xbf\xc3\xa9\xc3\xa9\xff", "not-utf-8"),
    "half a letter at the end": ("topology: é".encode()[:-1], "not-utf-8"),
    "an overlong NUL": (b"topology: \xc0\x80", "not-utf-8"),
    "a surrogate as bytes": (b"topology: \xed\xa0\x80", "not-utf-8"),
    "all bytes": (bytes(range(256)), "not-utf-8"),
    "random bytes": (Random(1).randbytes(100_000), "not-utf-8"),
    "a program": (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00", "unprintable-character"),
    "an archive": (b"PK\x03\x04\x14\x00\x00\x00\x08\x00", "unprintable-character"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "not-utf-8"),
    "NULs": (bytes(1_000_000), "unprintable-character"),
    "UTF-16": ("topology: a".encode("utf-16"), "not-utf-8"),
    "UTF-16 without a mark": ("topology: a".encode("utf-16-le"), "unprintable-character"),
    "UTF-16, the other way round": ("topology: a".encode("utf-16-be"), "unprintable-character"),
    "UTF-32": ("topology: a".encode("utf-32"), "not-utf-8"),
    "Latin-1": ("topology: café".encode("latin-1"), "not-utf-8"),
    "text": ("Dear sir or madam,", "wrong-type"),
    "JSON that is no topology": ("[1, 2]", "wrong-type"),
    "tabs": ("topology:\n\tname", "tab-indentation"),
    "a tab first": ("\ttopology: a", "tab-indentation"),
    "an unknown version of YAML": ("%YAML 9.1\n---\ntopology: a", "yaml-syntax"),
    "a directive twice": ("%YAML 1.1\n%YAML 1.1\n---\na: b", "yaml-syntax"),
    "a tag directive": ("%TAG ! tag:yaml.org,2002:python/\n---\n!object:a {}", "unknown-tag"),
    "several documents": ("topology: a\n---\ntopology: b\n", "several-documents"),
    "a document that ends and another": ("topology: a\n...\n---\nb: c\n", "several-documents"),
    "an open quote": ('topology: "a\n', "yaml-syntax"),
    "an open quote without a line end": ("topology: {a: '", "yaml-syntax"),
    "a key without a value": ("topology:", "missing-value"),
    "a lone surrogate by escape": ('topology: "\\ud800"', "yaml-syntax"),
    "two surrogates by escape": ('topology: "\\ud83d\\udc07"', "yaml-syntax"),
    "a letter beyond Unicode": ('topology: "\\U00110000"', "yaml-syntax"),
    "NUL by escape": ('topology: "a\\0b"', "malformed-name"),
    "a list as a key": ("? [a]\n: b", "wrong-type"),
    "a mapping as a key": ("? {a: b}\n: c", "wrong-type"),
    "an alias to a list as a key": ("a: &a [b]\n*a : c", "wrong-type"),
    "an alias to nothing": ("topology: *nothing", "unknown-alias"),
    "a list inside of itself": ("topology: &a [*a]", "recursive-alias"),
    "a mapping inside of itself": ("topology: &a {b: *a}", "recursive-alias"),
    "a mapping as its own key": ("&a {*a : b}", "wrong-type"),
    "a mapping merged into itself": ("queues: &a {<<: *a}", "recursive-alias"),
    "a mapping merged further down": ("queues: &a {b: {<<: *a}}", "recursive-alias"),
    "a merge by way of a list": ("queues: &a {<<: [{b: c}, *a]}", "recursive-alias"),
    "a scalar merged": ("<<: 1\nqueues: {<<: [1, {}, [2]]}", "wrong-type"),
    "a merge sign as a value": ("topology: <<", "malformed-name"),
    "a merge sign in quotes": ('"<<": {topology: a}', "unknown-key"),
    "keys doubled by the thousand": ("topology: a\n" * 20_000, "duplicate-key"),
    "unknown options by the thousand": (
        "".join(f"key{number}: 1\n" for number in range(4_000)),
        "unknown-key",
    ),
    "a whole number of 100,000 digits": ("topology: " + "7" * 100_000, "number-too-large"),
    "a hexadecimal one": ("topology: 0x" + "f" * 100_000, "number-too-large"),
    "a binary one": ("topology: 0b" + "1" * 100_000, "number-too-large"),
    "an octal one": ("topology: 0" + "7" * 100_000, "octal-number"),
    "a fraction of 100,000 digits": ("topology: 0." + "7" * 100_000, "number-for-text"),
    "a large power": ("topology: 1.0e+999999999", "number-too-large"),
    "a long number to base 60": ("topology: 1" + ":30" * 30_000, "sexagesimal-number"),
    "a number to base 60 with a fraction": ("topology: 1:30.5", "sexagesimal-number"),
    "a key of a megabyte": (f'? "{"k" * 2**20}"\n: 1', "unknown-key"),
    "a value of a megabyte": (f'topology: "{"v" * 2**20}"', "malformed-name"),
    "an unset variable of a megabyte": (f'topology: "${{{"V" * 2**20}}}"', "unset-variable"),
    "an open reference of a megabyte": ("topology: ${" + "V" * 2**20, "malformed-variable"),
    "a tag of a megabyte": (f"topology: !{'t' * 2**20} x", "unknown-tag"),
    "an anchor of a megabyte": (f"queues: &{'a' * 2**20} 5", "wrong-type"),
    "a comment of a megabyte": (f"topology: # {'c' * 2**20}", "missing-value"),
    "spaces by the megabyte": (f"topology:{' ' * 2**20}5", "number-for-text"),
    "brackets by the 16 MB": ("[" * MAX_BYTES, "nested-too-deeply"),
    "one line of 16 MB": ("a" * MAX_BYTES, "wrong-type"),
    "50 MB": ("a: b\n" * 10_000_000, "file-too-large"),
}
DEEP: dict[str, Callable[[int], str]] = {
    "lists": lambda count: "[" * count,
    "closed lists": lambda count: "[" * count + "]" * count,
    "mappings": lambda count: "{a: " * count,
    "closed mappings": lambda count: "{a: " * count + "b" + "}" * count,
    "items": lambda count: "- " * count,
    "keys": lambda count: "? " * count,
    "lists in items": lambda count: "- [" * count,
    "mappings and lists": lambda count: "[{a: " * count,
    "mappings by indentation": lambda count: "\n".join(
        f"{' ' * n}a:" for n in range(min(count, 3000))
    ),
    "anchors": lambda count: "".join(f"&a{number} [" for number in range(count)),
    "tags": lambda count: "!!seq [" * count,
}


def listed(item: str, count: int) -> str:
    return f"[{', '.join([item] * count)}]"


BOMBS = {
    "lists": "a0: &a0 [x]\n"
    + "".join(f"a{n}: &a{n} {listed(f'*a{n - 1}', 9)}\n" for n in range(1, 30)),
    "mappings": "a0: &a0 {x: y}\n"
    + "".join(f"a{n}: &a{n} {{l: *a{n - 1}, r: *a{n - 1}}}\n" for n in range(1, 39)),
    "merges": "a0: &a0 {k: 1}\n"
    + "".join(f"a{n}: &a{n} {{<<: {listed(f'*a{n - 1}', 9)}}}\n" for n in range(1, 30)),
    "a wide merge": f"a: &a {{{', '.join(f'k{n}: 1' for n in range(2_000))}}}\n"
    f"b: {{<<: {listed('*a', 5_000)}}}\n",
    "a chain of merges": "a0: &a0 {k: 1}\n"
    + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 5_000)),
    "a long list": listed("1", 3_000_000),
    "a large list, often": f"a: &a {listed('x', 50_000)}\nb: {listed('*a', 50_000)}\n",
    "a large text, often": f'a: &a "{"x" * 1_000_000}"\nb: {listed("*a", 20_000)}\n',
}
TAGS = """\
apply: !!python/object/apply:os.system ["touch {0}"]
new: !!python/object/new:os.system ["touch {0}"]
module: !!python/module:os
name: !!python/name:os.system
tuple: !!python/tuple [1, 2]
set: !!set {{a, b}}
ordered: !!omap [a: b]
pairs: !!pairs [a: b]
binary: !!binary aGk=
no binary: !!binary "?"
time: !!timestamp never
own: !own {{a: b}}
verbatim: !<tag:example.org,2026:x> y
whole number: !!int abc
no number: !!int ""
fraction: !!float abc
boolean: !!bool maybe
nothing: !!null something
text: !!str [a]
list: !!seq a
mapping: !!map a
merged: !!merge a
"""


@pytest.mark.parametrize(("data", "code"), NOT_A_TOPOLOGY.values(), ids=NOT_A_TOPOLOGY)
def test_what_is_no_topology_is_refused_in_words(data: bytes | str, code: str) -> None:
    assert code in check(data)


@pytest.mark.parametrize("count", [1_000, 100_000])
@pytest.mark.parametrize("kind", DEEP)
def test_depth_has_an_end(kind: str, count: int) -> None:
    found = check(DEEP[kind](count))
    assert found & {"nested-too-deeply", "yaml-syntax"}


@pytest.mark.parametrize("ends", ["\r\n", "\r", "\n", "\x85", "\u2028", "\u2029"], ids=ascii)
def test_a_line_may_end_as_it_likes(ends: str) -> None:
    lines = ["topology: a", "queues: {mail: {}}", "vhots: /", ""]
    (found,) = compile_text(ends.join(lines)).diagnostics
    assert found.span
    assert (found.code, found.span.line, found.span.column) == ("unknown-key", 3, 1)


def test_a_byte_order_mark_does_not_move_a_place() -> None:
    (found,) = compile_bytes("topology.yaml", b"\xef\xbb\xbftopology: 5", {}).diagnostics
    assert found.span
    assert (found.span.line, found.span.column) == (1, 11)


def test_no_tag_builds_or_runs_anything(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    found = check(TAGS.format(trace))
    assert {"unknown-tag", "malformed-value"} <= found
    assert not trace.exists()


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("quoted", [False, True], ids=["as it is", "by escapes"])
def test_a_name_may_be_in_any_script(name: str, quoted: bool) -> None:
    written = '"' + "".join(f"\\U{ord(char):08x}" for char in name) + '"' if quoted else name
    compilation = compile_text(f"topology: a\nqueues:\n  {written}: {{}}\n")
    assert codes(compilation) <= {"control-character-in-name"}
    assert compilation.topology
    assert list(compilation.topology.queues) == [name]


@pytest.mark.parametrize("text", ["\ud800", "topology: \udcff", "a: b\n\udfff\ud800"], ids=ascii)
def test_a_text_with_half_a_character_is_refused(text: str) -> None:
    assert codes(compile_text(text)) == {"not-utf-8"}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("\udc80", "malformed-variable"),
        ("a\nb: c", "malformed-variable"),
        ("\x1b[31m", "malformed-variable"),
        ("\0", "malformed-variable"),
        ("a" * 1_000_000, "malformed-variable"),
        ("", "malformed-name"),
        ("on", "boolean-for-text"),
        ("1:30", "sexagesimal-number"),
        ("${X}", "malformed-name"),
        ("[a]", "malformed-name"),
        ("*a", "malformed-name"),
        ("7" * 900, "number-too-large"),
    ],
    ids=lambda value: ascii(value[:20]),
)
def test_an_environment_cannot_do_more_than_a_file(value: str, code: str) -> None:
    assert check("topology: ${X}", {"X": value}) == {code}


def test_thousands_of_errors_are_cut_short() -> None:
    text = "topology: a\nworkers:\n" + "".join(
        f"  g{n}: {{queues: [q{n}]}}\n" for n in range(3_000)
    )
    compilation = compile_text(text)
    assert codes(compilation) == {"unknown-queue", "too-many-errors"}
    assert len(compilation.diagnostics) == MOST_SHOWN + 1


def test_an_escape_sequence_reaches_no_terminal() -> None:
    escapes = '"\\e[2J"', '"\\x9b2J"', '"\\e]0;title\\a"', '"\\u202e"', '"\\r"', '"\\b"', '"${X}"'
    for escape in escapes:
        for text in (
            f"topology: {escape}",
            f"target: {escape}",
            f"{escape}: a",
            f"topology: a\nqueues: {{{escape}: {{exchange: {escape}, {escape}: 1}}}}",
            f"topology: a\nqueues: {{a: {{exchange: {escape}, binding_key: {escape}}}}}",
            f"topology: a\nqueues: {{a: {{type: {escape}, arguments: {{x-{escape}: 1}}}}}}",
            f"topology: a\nqueues: {{a: {{arguments: {{{escape}: 1, x-overflow: {escape}}}}}}}",
            f"topology: a\nexchanges: {{a: {{type: {escape}}}}}",
            f"topology: a\ntasks: {{{escape}: {{exchange: amq.topic, routing_key: {escape}}}}}",
            f"topology: a\nqueues: {{a: {{message_ttl: {escape}}}}}",
        ):
            check(text, {"X": "\x1b[2J"})


def test_the_default_of_a_variable_is_no_way_round_the_environment_rule() -> None:
    assert check('topology: a\nqueues: {"${X:-\\e[2J}": {}}') == {"malformed-variable"}


# In processes of their own: with a bound for the memory, or through the real command.


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_defused_within_the_memory_of_a_small_machine(kind: str, tmp_path: Path) -> None:
    code = "nested-too-deeply" if "chain" in kind else "too-many-values"
    assert code in command(tmp_path, BOMBS[kind])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "empty-file", id="nothing"),
        pytest.param(bytes(range(256)), "not-utf-8", id="bytes"),
        pytest.param(b"[" * MAX_BYTES, "nested-too-deeply", id="brackets"),
        pytest.param(b"a: b\n" * 10_000_000, "file-too-large", id="50 MB"),
        pytest.param(b'"\\e[2J": "\\ue000"', "unknown-key", id="an escape"),
    ],
)
def test_the_command_refuses_it_within_the_memory_of_a_small_machine(
    data: bytes, code: str, tmp_path: Path
) -> None:
    assert code in command(tmp_path, data)
    done = run(tmp_path, "check")
    assert f"error[{code}]".encode() in done.stdout
    assert b"\x1b" not in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize("form", ["text", "json", "sarif"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_a_narrow_terminal_encoding_breaks_no_format(
    form: str, encoding: str, tmp_path: Path
) -> None:
    (tmp_path / "topology.yaml").write_text('日本語\U0001f407: "\\U0001f407"', encoding="utf-8")
    done = run(tmp_path, "check", "--format", form, encoding=encoding)
    assert done.returncode == 1
    assert b"unknown-key" in done.stdout
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("form", ["text", "json", "sarif"])
def test_a_file_may_have_a_name_that_is_no_text(form: str, tmp_path: Path) -> None:
    name = b"odd \xff\x1b[2J.yaml"
    try:
        (tmp_path / os.fsdecode(name)).write_bytes(b"vhots: /")
    except OSError:
        pytest.skip("this file system takes text only")
    done = run(tmp_path, "check", "--format", form, os.fsdecode(name))
    assert done.returncode == 1
    assert b"unknown-key" in done.stdout
    assert b"\x1b" not in done.stdout
    assert b"Traceback" not in done.stderr


def test_what_cannot_be_read_is_a_sentence_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "directory.yaml").mkdir()
    for name in ("missing.yaml", "directory.yaml", "missing/topology.yaml", "n" * 300, "."):
        done = run(tmp_path, "check", name)
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no endless file here")
def test_an_endless_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    done = run(tmp_path, "check", "--format", "json", "/dev/zero")
    assert done.returncode == 1
    assert b"file-too-large" in done.stdout


def test_a_file_is_compiled_as_its_text_is(tmp_path: Path) -> None:
    path = tmp_path / "topology.yaml"
    path.write_bytes(b"\xff")
    assert codes(compile_file(path)) == {"not-utf-8"}


def command(folder: Path, data: bytes | str) -> set[str]:
    """The codes that `routewright check` prints for a file."""
    (folder / "topology.yaml").write_bytes(data.encode() if isinstance(data, str) else data)
    done = run(folder, "check", "--format", "json")
    assert b"Traceback" not in done.stderr
    assert done.returncode == 1
    return {found["code"] for found in json.loads(done.stdout)["diagnostics"]}


def run(
    folder: Path, *arguments: str, encoding: str = "utf-8"
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )
