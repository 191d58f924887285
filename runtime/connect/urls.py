"""Checks a broker's URL before kombu reads it, and names a broker without its password."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from routewright.runtime.messages.short_repr import in_line

if TYPE_CHECKING:
    from kombu.connection import Connection

AMQP = ("amqp", "amqps", "pyamqp")
REDIS = ("redis", "rediss")

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# An "@" after the authority: a password holds a bare "/", "?" or "#", and would end up elsewhere.
_STRAY_AT = re.compile(r"[^:]+://[^/?#]*[/?#].*@", re.DOTALL)
UNREADABLE = (
    "the broker URL cannot be read; in a user name or password each of `:/?#[]@;` must be written"
    " as %XX"
)

_OPTIONS = frozenset(("heartbeat", "login_method", "ssl"))
_REDIS_OPTIONS = frozenset(
    (
        "credential_provider",
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_keyfile",
        "ssl_password",
    )
)
_REQUIREMENTS = ("required", "optional", "none", "CERT_REQUIRED", "CERT_OPTIONAL", "CERT_NONE")


def alternatives(url: str) -> list[str]:
    """Returns the URLs that are tried in turn, which `;` separates."""
    return url.split(";")


def has_scheme(url: str) -> bool:
    """Returns True if a URL begins with a scheme, such as `amqp://`."""
    return bool(_SCHEME.match(url))


def url_problem(url: str) -> str | None:
    """Returns what kombu would misread in a URL (and show the password of), or None."""
    if any(_STRAY_AT.match(one) for one in alternatives(url)):
        return UNREADABLE
    return _option_problem(url)


def _option_problem(url: str) -> str | None:
    for one in alternatives(url):
        scheme = one.partition("://")[0].lower()
        if scheme not in AMQP + REDIS:
            continue
        known = _OPTIONS if scheme in AMQP else _OPTIONS | _REDIS_OPTIONS
        query = one.partition("#")[0].partition("?")[2]
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in known:
                return (
                    f"the broker URL has an option that `{scheme}:` does not take,"
                    f" `{in_line(name)}`; it takes {', '.join(f'`{it}`' for it in sorted(known))}"
                )
            if name == "ssl" and value.lower() != "true":
                return "the option `ssl` of the broker URL can only be `true`"
            if name == "ssl_cert_reqs" and value not in _REQUIREMENTS:
                return "the option `ssl_cert_reqs` of the broker URL is `required` or `none`"
    return None


def without_password(connection: Connection) -> str:
    """Returns the URL of a connection, its password replaced by asterisks."""
    return connection.as_uri().replace("://:**@", "://")  # where there is none, kombu shows one


def address_of(connection: Connection) -> str:
    """Returns host and port of the URL whose turn it is."""
    port = connection.port or connection.transport.default_port
    return f"{connection.hostname or 'localhost'}:{port}"
