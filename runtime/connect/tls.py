"""TLS to brokers: verifies the certificate of each host, and that it is for that host.

kombu by itself verifies no host name over AMQP, and nothing at all over Redis.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import Any

from kombu.connection import Connection

from routewright.runtime.connect.urls import AMQP, REDIS

_ALWAYS_TLS = ("amqps", "rediss")
_ANOTHER_NAME = re.compile(r"mismatch, certificate is not valid for '(.*)'")


class VerifiedConnection(Connection):
    """A kombu connection whose TLS verifies the certificate chain and the host name.

    Args:
        hostname: the URL, or several separated by `;`, of which each host is verified by its own
            name.
        ssl: kombu's `ssl`, and `check_hostname`. A URL does not override what is given here, which
            may switch verification off.
        options: kombu's other options.
    """

    def __init__(
        self, hostname: str, *, ssl: bool | Mapping[str, Any] = False, **options: Any
    ) -> None:
        self._given = dict(ssl) if isinstance(ssl, Mapping) else ssl
        given: Any = self._given or hostname.lower().startswith("rediss:")  # or kombu warns
        super().__init__(hostname, ssl=given, **options)  # type: ignore[no-untyped-call]  # kombu's
        self._verify()

    def switch(self, conn_str: str) -> None:
        """Changes to another URL."""
        super().switch(conn_str)  # type: ignore[no-untyped-call]  # kombu's
        self._verify()

    def _verify(self) -> None:
        """Replaces `ssl`, which kombu took from the URL or else from what was given."""
        client: Any = self  # kombu annotates its attributes as None
        kind, found = client.transport_cls, client.ssl
        if kind not in _ALWAYS_TLS and not found:
            return
        options = dict(self._given) if isinstance(self._given, dict) else {}
        if isinstance(found, dict):
            options = {**found, **options}
        if kind in AMQP:
            client.ssl = _for_amqp(options, client.hostname or "localhost")
        elif kind in REDIS:
            client.ssl = _for_redis(options)


def _for_amqp(options: dict[str, Any], host: str) -> dict[str, Any] | bool:
    """Returns options for py-amqp, which verifies the name in `server_hostname` and no other."""
    name = options.pop("server_hostname", None) or host.removesuffix(".")
    if context := options.get("context"):
        checked = {"check_hostname": True, **context}
        return {**options, "server_hostname": name, "context": checked}
    if options.pop("check_hostname", True) and options.get("cert_reqs") != ssl.CERT_NONE:
        options["server_hostname"] = name
    return options or True  # nothing at all would be no TLS


def _for_redis(options: dict[str, Any]) -> dict[str, Any]:
    """Returns options for redis-py, which knows by itself the host that it connects to."""
    options.setdefault("ssl_cert_reqs", ssl.CERT_REQUIRED)
    if options["ssl_cert_reqs"] not in (None, "none", ssl.CERT_NONE):
        options.setdefault("ssl_check_hostname", True)
    return options


def distrust(error: BaseException | None) -> str | None:
    """Returns what is wrong with a host's certificate, or None if the error has another cause."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    if error is None:
        return None
    text = error.verify_message.rstrip(".")
    if found := _ANOTHER_NAME.search(text):
        return f"has a certificate that is not for `{found[1]}`"
    return f"has a certificate that is not trusted: {text}"
