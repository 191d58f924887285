"""The management API of RabbitMQ, over HTTP: what it answers, or one clear error."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

from routewright.compiler.broker.errors import (
    BrokerError,
    ConnectionLost,
    CredentialsRefused,
    DeclarationRefused,
    InvalidUrl,
    NotABroker,
    PermissionRefused,
    Unreachable,
    VhostRefused,
)
from routewright.compiler.broker.lean_httpx import httpx

PORT, TLS_PORT = 15672, 15671
_STANDARD = {"amqp": (None, 5672), "pyamqp": (None, 5672), "amqps": (None, 5671)}
_PAGE = 500  # what the broker gives at most of queues in a page


@dataclass(frozen=True, slots=True)
class Address:
    """Where the management API is, and who asks it."""

    url: str  # without credentials
    user: str
    password: str = field(repr=False)
    vhost: str
    guessed: bool  # from the broker's URL

    def __str__(self) -> str:
        return f"the management API at {self.url}"


def address(broker_url: str, vhost: str, given: str | None = None) -> Address | None:
    """Where the management API of a broker is: as given, or beside the broker on port 15672.

    None where it cannot be guessed: behind a port of its own, a broker may be anything's neighbour.

    Raises:
        InvalidUrl: what is given is no URL of HTTP.
    """
    try:
        broker = urlsplit(broker_url.split(";", maxsplit=1)[0])
        port, user, password = broker.port, broker.username, broker.password
        where = urlsplit(given) if given else None
        own_port = where.port if where else None
    except ValueError:
        raise InvalidUrl("the URL of the management API cannot be read") from None
    user, password = unquote(user or "guest"), unquote(password or "guest")
    if where is None:
        if port not in _STANDARD.get(broker.scheme, ()):
            return None
        scheme, own_port = ("https", TLS_PORT) if broker.scheme == "amqps" else ("http", PORT)
        return Address(
            f"{scheme}://{_host(broker.hostname)}:{own_port}", user, password, vhost, guessed=True
        )
    if where.scheme not in ("http", "https") or not where.hostname:
        raise InvalidUrl("the URL of the management API begins with http:// or https://")
    if where.username:
        user, password = unquote(where.username), unquote(where.password or "")
    at = f":{own_port}" if own_port else ""
    url = f"{where.scheme}://{_host(where.hostname)}{at}{where.path.rstrip('/')}"
    return Address(url, user, password, vhost, guessed=False)


class Management:
    """Questions to the management API about one virtual host.

    Certificates are those the system trusts, or `$SSL_CERT_FILE` names.
    """

    def __init__(self, where: Address, timeout: float) -> None:
        self.where = where
        self._timeout = timeout
        self._client = httpx.Client(
            auth=(where.user, where.password),
            timeout=timeout,
            verify=ssl.create_default_context() if where.url.startswith("https") else False,
            trust_env=False,  # a proxy is not the way to a broker
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:
        """What the API says of `/api/PATH`."""
        return self._ask("GET", path, query=query)

    def of_vhost(self, kind: str, *names: str, **query: Any) -> Any:
        """What the API says of one kind of things in the virtual host."""
        return self.get(self._path(kind, *names), **query)

    def pages(self, kind: str, **query: Any) -> Iterator[Any]:
        """All things of one kind in the virtual host, asked for a page at a time."""
        page, pages = 1, 1
        while page <= pages:
            found = self.of_vhost(kind, page=page, page_size=_PAGE, **query)
            yield from found["items"]
            page, pages = page + 1, found["page_count"]

    def put(self, kind: str, name: str, body: Any) -> None:
        """Create or change a thing in the virtual host."""
        self._ask("PUT", self._path(kind, name), body)

    def delete(self, kind: str, *names: str) -> None:
        """Remove a thing from the virtual host, if it is there."""
        self._ask("DELETE", self._path(kind, *names), absent_is_fine=True)

    def _path(self, kind: str, *names: str) -> str:
        return "/".join((kind, *(quote(it, safe="") for it in (self.where.vhost, *names))))

    def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Any = None,
        *,
        absent_is_fine: bool = False,
    ) -> Any:
        try:
            answer = self._client.request(
                method, f"{self.where.url}/api/{path}", json=body, params=query
            )
        except httpx.TimeoutException:
            message = f"{self.where} does not answer within {self._timeout:g} s"
            raise Unreachable(message) from None
        except httpx.ConnectError as error:
            raise Unreachable(f"{self.where} cannot be reached: {_reason(error)}") from None
        except httpx.HTTPError as error:
            raise ConnectionLost(f"{self.where} was lost: {_reason(error)}") from None
        if absent_is_fine and answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_error:
            raise self._refused(answer, path)
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError:
            raise NotABroker(f"{self.where} does not answer as RabbitMQ's does") from None

    def _refused(self, answer: httpx.Response, path: str) -> BrokerError:
        try:
            found = answer.json()
            reason = str(found.get("reason") or found.get("error"))
        except (ValueError, AttributeError):
            return NotABroker(f"{self.where} does not answer as RabbitMQ's does")
        user, vhost = self.where.user, self.where.vhost
        match answer.status_code:
            case httpx.codes.UNAUTHORIZED if reason in ("Login failed", "Not_Authorized"):
                return CredentialsRefused(f"{self.where} refuses user `{user}` or the password")
            case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
                return PermissionRefused(f"{self.where} refuses user `{user}` this: {reason}")
            case httpx.codes.NOT_FOUND:
                return VhostRefused(f"{self.where} knows nothing of `{vhost}` under {path}")
        return DeclarationRefused(f"{self.where} refuses {path}: {reason}")


def _host(name: str | None) -> str:
    name = name or "localhost"
    return f"[{name}]" if ":" in name else name


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.removeprefix("[Errno 111] ")
