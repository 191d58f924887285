"""A private RabbitMQ node, with an epmd, a cookie and a configuration of its own."""

import itertools
import json
import os
import re
import socket
import subprocess
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any, Self
from urllib.parse import quote

from private_nodes.node import Node, NodeFailed, accepts
from private_nodes.release import Release

# Every node may have the same name, since each asks an epmd of its own.
_NODE_NAME = "routewright@localhost"

_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"


class CtlFailed(Exception):
    """A rabbitmqctl command ended with an error."""


class ManagementFailed(Exception):
    """The management API answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class RabbitMQ(Node):
    """A RabbitMQ node.

    Further lines of `rabbitmq.conf` are given as arguments, such as `consumer_timeout = 2000` or
    `vm_memory_high_watermark.absolute = 60MB`. `plugins` are enabled besides the management.
    `release` is the installed one unless it is given.
    """

    def __init__(
        self,
        *config: str,
        management: bool = True,
        plugins: Iterable[str] = (),
        release: Release | None = None,
    ) -> None:
        super().__init__("rabbitmq", port_count=4)
        self.release = release or Release()
        self.port, self.management_port, self._dist_port, self._epmd_port = self._ports.numbers
        self._management = management
        self._plugins = (*plugins, *(["rabbitmq_management"] if management else []))
        self._vhosts = itertools.count(1)
        self._epmd: subprocess.Popen[bytes] | None = None
        self._write_configuration(config)

    @staticmethod
    def installed() -> bool:
        return Release().command("rabbitmq-server") is not None

    def url(self, vhost: str = "/", user: str = "guest", password: str = "guest") -> str:
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    @property
    def management_url(self) -> str:
        return f"http://127.0.0.1:{self.management_port}"

    def ctl(self, *arguments: str, timeout: float = 60) -> str:
        """Run rabbitmqctl against this node and return what it printed."""
        command = [*self._program("rabbitmqctl"), *arguments]
        result = subprocess.run(
            command,
            env=self._environment(),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if result.returncode != 0:
            raise CtlFailed(f"rabbitmqctl {' '.join(arguments)}: {result.stderr or result.stdout}")
        return result.stdout

    def evaluate(self, expressions: str) -> str:
        """Evaluates Erlang in the node, and returns the last value as Erlang writes it.

        It takes milliseconds, where rabbitmqctl starts a virtual machine, which takes a second.
        """
        command = [*self._program("erl_call"), "-address", f"localhost:{self._dist_port}", "-e"]
        result = subprocess.run(
            [*command, "-c", (self.directory / ".erlang.cookie").read_text()],
            input=f"{expressions}.\n",
            env=self._environment(),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        found = re.fullmatch(r"\{ok, (.*)\}\s*", result.stdout, re.DOTALL)
        if found is None:
            raise CtlFailed(f"{expressions}: {result.stderr or result.stdout}")
        return found[1]

    @contextmanager
    def settings(self, **settings: int) -> Iterator[None]:
        """Runs the node with other values of these settings of the application `rabbit`."""
        before = {
            name: self.evaluate(f"application:get_env(rabbit, {name}, undefined)")
            for name in settings
        }
        self._set(settings)
        try:
            yield
        finally:
            self._set(before)

    def alarm(self) -> None:
        """Has the node run out of memory, so that it reads no publisher."""
        self.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.0000001)")

    def end_alarm(self) -> None:
        self.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.6)")

    def close_connections(self, vhost: str, reason: str = "maintenance") -> None:
        """Closes all connections to a virtual host, as an operator does."""
        self.evaluate(
            "Pids = [Pid || [{pid, Pid}, {vhost, VHost}] <-"
            f" rabbit_networking:connection_info_all([pid, vhost]), VHost =:= {_binary(vhost)}],"
            f" ok = rabbit_networking:close_connections(Pids, {json.dumps(reason)})"
        )

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call the management API as `guest`; `path` is what follows `/api`.

        Its figures about messages are seconds old: `list_queues` asks the queues themselves.
        """
        connection = HTTPConnection("127.0.0.1", self.management_port, timeout=30)
        credentials = b64encode(b"guest:guest").decode()
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
        try:
            connection.request(method, f"/api{path}", json.dumps(body or {}), headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status >= 400:
            raise ManagementFailed(response.status, text)
        return json.loads(text) if text else None

    def add_vhost(self, name: str) -> None:
        """Make a virtual host where `guest` may do everything."""
        if not self._management:
            self.ctl("add_vhost", name)
            self.ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
            return
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.api("PUT", f"/vhosts/{quote(name, safe='')}")
        self.api("PUT", f"/permissions/{quote(name, safe='')}/guest", everything)

    def fresh_vhost(self) -> str:
        """Make a virtual host with a name not used before on this node."""
        name = f"test-{next(self._vhosts)}"
        self.add_vhost(name)
        return name

    def delete_vhost(self, name: str) -> None:
        if self._management:
            self.api("DELETE", f"/vhosts/{quote(name, safe='')}")
        else:
            self.ctl("delete_vhost", name)

    def list_bindings(self, vhost: str = "/") -> list[dict[str, Any]]:
        """All bindings but those every queue has to the default exchange, sorted.

        Keys: source, destination, destination_type, routing_key, arguments.
        """
        columns = ("source", "destination", "destination_type", "routing_key", "arguments")
        if self._management:
            found = self.api("GET", f"/bindings/{quote(vhost, safe='')}")
        else:
            names = ("source_name", "destination_name", "destination_kind", *columns[3:])
            found = [
                dict(zip(columns, (row[name] for name in names), strict=True))
                for row in self._list("list_bindings", vhost, names)
            ]
        rows = [{column: row[column] for column in columns} for row in found if row["source"]]
        return sorted(rows, key=repr)

    def list_queues(self, vhost: str = "/", *columns: str) -> list[dict[str, Any]]:
        """Rows by name, with rabbitmqctl's columns; unless told, name and messages."""
        asked = columns or ("name", "messages")
        rows = self.evaluate(
            "Value = fun (name, {resource, _, queue, Name}) -> Name;"
            " (arguments, Table) -> rabbit_misc:amqp_table(Table);"
            " (_, Other) -> Other end,"
            " base64:encode_to_string(rabbit_json:encode("
            "[maps:from_list([{Key, Value(Key, It)} || {Key, It} <- Queue]) || Queue <-"
            f" rabbit_amqqueue:info_all({_binary(vhost)}, [{', '.join(asked)}])]))"
        )
        found: list[dict[str, Any]] = json.loads(b64decode(rows))
        return sorted(({name: row[name] for name in asked} for row in found), key=repr)

    def has_written(self, quorum_queue: str, vhost: str = "/") -> bool:
        """Whether the queue outlives a kill.

        The broker writes down where a quorum queue lies a second after it was declared. Killed
        before that it starts with an empty one of that name, which never gets a leader.
        """
        name = quote(f"{vhost}_{quorum_queue}", safe="").encode()
        files = self.directory.glob("data/*/quorum/*/names.dets")
        return any(name in file.read_bytes() for file in files)

    def close(self) -> None:
        self._epmd = None
        super().close()

    def start(self) -> Self:
        self._program("rabbitmq-server")
        self._start_epmd()
        return super().start()

    def _set(self, settings: Mapping[str, object]) -> None:
        calls = [f"application:set_env(rabbit, {name}, {it})" for name, it in settings.items()]
        self.evaluate(", ".join(calls))

    def _list(self, command: str, vhost: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
        printed = self.ctl(command, "-p", vhost, *columns, "--quiet", "--formatter", "json")
        rows: list[dict[str, Any]] = json.loads(printed)
        for row in rows:
            if "arguments" in row:
                row["arguments"] = _arguments(row["arguments"])
        return rows

    def _start_epmd(self) -> None:
        """Start epmd as a child, before Erlang starts one that outlives the node."""
        if self._epmd is not None and self._epmd.poll() is None:
            return
        command = [*self._program("epmd"), "-address", "127.0.0.1", "-port", str(self._epmd_port)]
        log = self.directory / "epmd.log"
        self._epmd = self._keeper.spawn(command, self._environment(), log)
        deadline = time.monotonic() + 10
        while not accepts(self._epmd_port):
            if self._epmd.poll() is not None or time.monotonic() > deadline:
                raise NodeFailed(f"epmd does not answer\n{self.log_tail()}")
            time.sleep(0.01)

    def _program(self, name: str) -> list[str]:
        command = self.release.command(name)
        if command is None:
            raise NodeFailed(f"{name} is not installed")
        return command

    def _command(self) -> list[str]:
        return self._program("rabbitmq-server")

    def _ready(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(_PROTOCOL_HEADER)
            if connection.recv(1) != _METHOD_FRAME:
                return False
        return not self._management or self._management_answers()

    def _management_answers(self) -> bool:
        try:
            self.api("GET", "/whoami")
        except (HTTPException, ManagementFailed):
            return False
        return True

    def _write_configuration(self, config: tuple[str, ...]) -> None:
        lines = [f"listeners.tcp.1 = 127.0.0.1:{self.port}"]
        if self._management:
            lines += [
                "management.tcp.ip = 127.0.0.1",
                f"management.tcp.port = {self.management_port}",
            ]
        self._write("rabbitmq.conf", "\n".join([*lines, *config, ""]))
        self._write("advanced.config", "[].\n")
        self._write("enabled_plugins", f"[{','.join(self._plugins)}].\n")
        self._write("env.conf", "")

    def _write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def _environment(self) -> dict[str, str]:
        directory = self.directory
        return super()._environment() | {
            "RABBITMQ_NODENAME": _NODE_NAME,
            "RABBITMQ_USE_LONGNAME": "false",
            # All that would otherwise be read from /etc/rabbitmq:
            "RABBITMQ_CONF_ENV_FILE": str(directory / "env.conf"),
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(directory / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            # All that would otherwise be written to /var:
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory),
            "RABBITMQ_LOGS": str(directory / "node.log"),
            "RABBITMQ_SCHEMA_DIR": str(directory / "schema"),
            "RABBITMQ_PID_FILE": str(directory / "node.pid"),
            "ERL_CRASH_DUMP": os.devnull,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # The script then becomes the node, instead of minding it from a shell that turns
            # SIGTERM into a second Erlang machine.
            "RUNNING_UNDER_SYSTEMD": "true",
        }


def _binary(text: str) -> str:
    return f"<<{json.dumps(text, ensure_ascii=False)}/utf8>>"


def _arguments(written: list[list[Any]]) -> dict[str, Any]:
    """AMQP's table as rabbitmqctl prints it: each entry a list of key, type and value."""
    return {key: value for key, _, value in written}
