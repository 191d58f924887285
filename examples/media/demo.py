"""Compiles the topology, applies it to a broker if there is one, and runs the example's tasks."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

from amqp.exceptions import AMQPError
from groups import DemoFailed
from kombu.connection import Connection
from kombu.exceptions import KombuError

from routewright.runtime import RoutewrightError

ROOT = Path(__file__).resolve().parents[2]
LOCAL, MEMORY = "amqp://guest:guest@localhost:5672//", "memory://"
IN_PROCESS = "all runs in this process, over kombu's in-memory transport"
WAY_OUT = """\
If somebody else's objects are in the way, use a virtual host of the demo's own, or no broker:
    rabbitmqctl add_vhost demo && rabbitmqctl set_permissions -p demo guest '.*' '.*' '.*'
    ROUTEWRIGHT_BROKER=amqp://guest:guest@localhost/demo make demo
    ROUTEWRIGHT_BROKER=memory:// make demo"""


def main() -> int:
    """Run the demo, and return its exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        url = choose_broker()
        code = compile_topology(url)
        if code == 0:
            os.environ["ROUTEWRIGHT_BROKER"] = url  # for the app, here and in the workers
            run_tasks()
    except KeyboardInterrupt:
        return complain("interrupted; no worker is left", 130)
    except BrokenPipeError:  # the reader has gone; nothing can be said to it at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (DemoFailed, RoutewrightError, AMQPError, KombuError, OSError) as error:
        return complain(str(error), 1)
    return code


def choose_broker() -> str:
    """The URL in `$ROUTEWRIGHT_BROKER`, or of a RabbitMQ on localhost, or of kombu's memory."""
    url = os.environ.get("ROUTEWRIGHT_BROKER")
    if url:
        memory = f"; {IN_PROCESS}" if in_memory(url) else ""
        print(f"Broker: the one in $ROUTEWRIGHT_BROKER{memory}", flush=True)
        return url
    options: dict[str, Any] = {"read_timeout": 1, "write_timeout": 1}
    connection = Connection(LOCAL, connect_timeout=1, transport_options=options)
    try:
        connection.connect()
    except Exception as error:  # noqa: BLE001  whatever it is, that broker will not do
        print(f"Broker: none on localhost ({error}); {IN_PROCESS}", flush=True)
        return MEMORY
    finally:
        connection.release()
    print("Broker: the RabbitMQ that answers on localhost", flush=True)
    return LOCAL


def in_memory(url: str) -> bool:
    return url.startswith("memory:")


def compile_topology(url: str) -> int:
    """Compile the topology and, on a real broker, apply it; the command's exit code."""
    arguments = ["compile", "topology.yaml", "-o", "examples/media/media_routing"]
    if not in_memory(url):
        arguments.append("--apply")
    print("$ routewright", *arguments, flush=True)
    code = subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "routewright.compiler.cli", *arguments],
        cwd=ROOT,
        env=os.environ | {"ROUTEWRIGHT_BROKER": url},  # an argument would show the password
        check=False,
    ).returncode
    if code == 1 and not in_memory(url):
        print(WAY_OUT, file=sys.stderr)
    return code


def run_tasks() -> None:
    from sending import send_and_show  # noqa: PLC0415  it imports what was just compiled

    send_and_show()


def complain(text: str, code: int) -> int:
    print(f"demo: {text}", file=sys.stderr)
    return code


def end(number: int, _frame: object) -> NoReturn:
    """End by way of the `with` blocks, which stop the workers."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
