"""The releases of RabbitMQ on this machine: the installed one, and those in trees of Debian.

`tests/nodes/trees.sh` makes the trees.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from private_nodes.node import find

# Debian's programs in /usr/sbin change to the user `rabbitmq`; these are what they run then.
_FOLDER = Path("/usr/lib/rabbitmq/bin")
_SERVERS = Path("/usr/lib/rabbitmq/lib")

# A program of a tree sees this machine's processes, devices, temporary files and names. The mounts
# are its own and go with it; `exec` lets it keep the process id, so that signals reach it.
_ENTER = """
tree=$1 temporary=$2
shift 2
for folder in /proc /dev "$temporary"; do
    mkdir -p "$tree$folder" && mount --rbind "$folder" "$tree$folder" || exit 1
done
: >> "$tree/etc/hosts" && mount --bind /etc/hosts "$tree/etc/hosts" || exit 1
exec chroot "$tree" "$@"
"""


@dataclass(frozen=True)
class Release:
    """RabbitMQ's programs: those of a tree, or those that are installed."""

    tree: Path | None = None

    @property
    def version(self) -> str:
        """Such as `3.10.8`; empty where RabbitMQ is not installed."""
        root = self.tree or Path("/")
        servers = sorted(root.joinpath(*_SERVERS.parts[1:]).glob("rabbitmq_server-*"))
        return servers[-1].name.rpartition("-")[2] if servers else ""

    def command(self, program: str) -> list[str] | None:
        """The words that run a program of RabbitMQ or Erlang; None if it is not there."""
        if self.tree is None:
            path = find(program, (str(_FOLDER),))
            return path and [path]  # type: ignore[return-value]
        for folder in (_FOLDER, Path("/usr/bin")):
            # Debian's alternatives are absolute links, which do not resolve from out here.
            if os.path.lexists(self.tree.joinpath(*folder.parts[1:], program)):
                entering = ["/bin/sh", "-c", _ENTER, "enter", str(self.tree), tempfile.gettempdir()]
                return [*_unshare(), *entering, str(folder / program)]
        return None


def trees() -> list[Release]:
    """The releases in trees on this machine, oldest first."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("ROUTEWRIGHT_TREES") or Path(cache) / "routewright/trees")
    found = [Release(tree) for tree in folder.glob("[!.]*")]
    return sorted((it for it in found if it.version), key=lambda it: _numbers(it.version))


def _unshare() -> list[str]:
    mapped = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *mapped]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
