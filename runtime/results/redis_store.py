"""Results in Redis, with Celery's keys and Celery's JSON; nothing else speaks to Redis.

The form is that of `celery/backends/redis.py` and `base.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from kombu import compression

from routewright.runtime.errors import InvalidOption, MalformedMessage, StoreUnreachable
from routewright.runtime.messages.outcome import READY, SUCCESS, Outcome
from routewright.runtime.messages.short_repr import in_line, short_repr

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

PREFIX = "celery-task-meta-"
EXPIRES = 86_400  # seconds; a Celery worker's results last as long
COMPRESSED = b"\0celery-compressed\0"
CONNECT, ANSWER = 4.0, 5.0  # seconds that connecting, and an answer, may take
CHUNK = 500  # keys in one command
RACES = 20  # attempts at a key that others write at the same time

_CERTIFICATES = re.compile(r"(?<=ssl_cert_reqs=)CERT_(\w+)")


def key_of(task_id: str) -> str:
    """The key of a task's result, and the name of the channel that tells of it."""
    return PREFIX + task_id


class RedisStore:
    """One Redis, as a URL names it; any thread may use it, and so may a forked child.

    Args:
        url: `redis://`, `rediss://` or `unix://`, as redis-py takes it.

    Raises:
        InvalidOption: the URL cannot be read, or redis-py is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            import redis  # noqa: PLC0415  only who keeps results in Redis needs it
        except ModuleNotFoundError:
            raise InvalidOption("results in Redis need the package `redis`") from None
        # Celery's users write a constant's name here, which redis-py does not know.
        self._url = _CERTIFICATES.sub(lambda found: found[1].lower(), url)
        self._redis: Any = redis
        self.errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._lost = (redis.ConnectionError, redis.TimeoutError, OSError)
        try:
            self.name = _name(url)
            self._client = self._connected()
        except Exception as error:  # noqa: BLE001  a URL can be wrong in many ways
            # Neither the URL nor the cause's text is shown: either may hold the password.
            raise InvalidOption(
                f"the URL of the results cannot be read ({type(error).__name__}); in a user name or"
                " password each of `:/?#[]@;` must be written as %XX"
            ) from None

    def _connected(self) -> Redis:
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        options: dict[str, Any] = {}
        if self._url.startswith("rediss:") and "ssl_cert_reqs=none" not in self._url:
            options["ssl_check_hostname"] = True  # redis-py 5 does not; the URL may still say false
        client: Redis = self._redis.Redis.from_url(
            self._url,
            **options,
            protocol=2,
            socket_connect_timeout=CONNECT,
            socket_timeout=ANSWER,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),  # who calls knows for how long it is worth it
        )
        return client

    def ping(self) -> None:
        """See whether it is there and takes us.

        Raises:
            StoreUnreachable: it is not, or it does not.
        """
        with self._reaching():
            self._client.ping()

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except self.errors as error:
            raise StoreUnreachable(f"{self.name}: {self.problem(error)}") from error

    def problem(self, error: Exception) -> str:
        """What an error says, in one line."""
        return in_line(str(error)) or type(error).__name__

    def passes(self, error: Exception) -> bool:
        """Whether an error is of a kind that passes: no connection, or not just now."""
        kinds = self._redis
        if isinstance(error, (kinds.AuthenticationError, kinds.exceptions.AuthorizationError)):
            return False
        if isinstance(error, kinds.ResponseError):
            return type(error).__name__ in _PASSING
        return not isinstance(error, kinds.DataError)

    def drop_idle(self) -> None:
        """Close the connections that lie idle: if one is broken, so are the others."""
        self._client.connection_pool.disconnect(inuse_connections=False)

    def write(self, task_id: str, body: bytes | str) -> bool:
        """Store a result and tell of it, unless what is there is more final; whether it did.

        A SUCCESS is never overwritten, and no result of a task that is over is by news of one that
        runs: it is a message that was delivered twice.

        Raises:
            redis.RedisError, OSError: it was not stored, or not surely.
        """
        key = key_of(task_id)
        with self._client.pipeline() as pipe:
            for _ in range(RACES):
                try:
                    pipe.watch(key)
                    if self._is_final(cast("bytes | None", pipe.get(key)), body, task_id):
                        return False
                    pipe.multi()
                    pipe.set(key, body, ex=EXPIRES)
                    pipe.publish(key, body)
                    pipe.execute()
                except self._redis.WatchError as error:
                    if isinstance(error.__context__, self._lost):  # redis-py says it in this way
                        raise error.__context__ from None
                    continue
                return True
        raise self._redis.RedisError(f"{key} is written by others all the time")

    def _is_final(self, stored: bytes | None, body: bytes | str, task_id: str) -> bool:
        if stored is None:
            return False
        try:
            before = read(stored, task_id).status
        except MalformedMessage:
            return False
        return before == SUCCESS or (
            before in READY and Outcome.read(body, task_id).status not in READY
        )

    def fetch(self, task_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """The ids, of these, that have a result, with its text.

        Raises:
            StoreUnreachable: Redis does not answer.
        """
        for start in range(0, len(task_ids), CHUNK):
            chunk = task_ids[start : start + CHUNK]
            values = self._patiently(chunk)
            yield from ((task_id, it) for task_id, it in zip(chunk, values, strict=True) if it)

    def _patiently(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """One more time if the first fails: a connection that lay idle may have been closed."""
        keys = [key_of(each) for each in task_ids]
        try:
            return cast("list[bytes | None]", self._client.mget(keys))
        except self.errors:
            with self._reaching():
                self.drop_idle()
                return cast("list[bytes | None]", self._client.mget(keys))

    def delete(self, task_id: str) -> None:
        """Delete a result.

        Raises:
            StoreUnreachable: Redis does not answer.
        """
        with self._reaching():
            self._client.delete(key_of(task_id))

    def pubsub(self) -> PubSub:
        """A subscription of its own connection."""
        found: PubSub = self._client.pubsub()
        return found

    def close(self) -> None:
        """Close the connections that lie idle; a later call makes new ones."""
        self._client.connection_pool.disconnect()


#: Refusals that pass: Redis is full, or between two masters.
_PASSING = frozenset(
    f"{kind}Error" for kind in ("OutOfMemory", "ReadOnly", "TryAgain", "ClusterDown", "MasterDown")
)


def read(value: bytes, task_id: str) -> Outcome:
    """The outcome in what is stored, which Celery may have compressed.

    Raises:
        MalformedMessage: it is no result.
    """
    if value.startswith(COMPRESSED):
        kind, _, data = value[len(COMPRESSED) :].partition(b"\0")
        try:
            value = compression.decompress(data, kind.decode())
        except Exception as error:
            raise MalformedMessage(
                f"a result compressed as {short_repr(kind, 80)}: {short_repr(error, 200)}"
            ) from error
    return Outcome.read(value, task_id)


def _name(url: str) -> str:
    """The URL without user, password and options."""
    parts = urlsplit(url)
    if "@" in parts.path + parts.query + parts.fragment:
        raise ValueError("a password with a bare `/`, `?` or `#`")
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    host = parts.hostname or "localhost"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{parts.port or 6379}/{parts.path.strip('/') or 0}"
