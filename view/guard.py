"""Who may ask, how often, and what a browser may do with the answer: one layer around the whole application."""

import hashlib
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

COOKIE = "headwater"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
OPEN_PATHS = ("/", "/healthz", "/readyz", "/session")
OPEN_PREFIX = "/page/"
"""What is answered without a token: the page without its data, the probes, and the way to log in."""

CHANGES_PER_S = 10.0  # of one address: logins and events
CLIENTS_MAX = 10_000  # addresses that are remembered
BODY_MAX = 16 << 10  # bytes

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer."""
_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Any]


class Buckets:
    """A token bucket for each address: `rate` a second, twice as many at once."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start full."""
        self._rate = rate
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> bool:
        """Take one token; False where there is none."""
        now = self._clock()
        left, then = self._left.pop(address, (2 * self._rate, now))
        left = min(2 * self._rate, left + (now - then) * self._rate)
        self._left[address] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > CLIENTS_MAX:
            self._left.popitem(last=False)
        return left >= 1


class Guard:
    """Refuses what must not be answered, and adds the headers of `HEADERS` to all else.

    A name that resolves to this machine lets a stranger's page read it (DNS rebinding), so on loopback only loopback's
    own names are served. A change needs the page's own origin, or none, as of programs.
    """

    def __init__(
        self,
        app: App,
        *,
        token: str,
        requests_per_s: float,
        any_host: bool,
        observe: Callable[[str, int, float], None],
    ) -> None:
        """Wrap `app`.

        Args:
            app: the application.
            token: that requests must bring; "": none is needed.
            requests_per_s: of one address.
            any_host: whether other names than loopback's are served.
            observe: told of each answer: route, status, seconds.
        """
        self._app = app
        self._token = token.encode()
        self._any_host = any_host
        self._observe = observe
        self._requests = Buckets(requests_per_s)
        self._changes = Buckets(CHANGES_PER_S)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refusal(scope, headers)
        status = 0

        async def guarded(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                there = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in _HEADERS if pair[0] not in there)]
            await send(message)

        if refused is None:
            await self._app(scope, receive, guarded)
        else:
            await _refuse(guarded, *refused)
        route = scope.get("route")
        self._observe(getattr(route, "path", "other"), status, time.perf_counter() - start)

    def is_token(self, given: str) -> bool:
        """Say whether a token is ours, in a time that does not tell how much of it is."""
        return hmac.compare_digest(_digest(given.encode()), _digest(self._token))

    def session(self) -> str:
        """Return what the cookie holds: it proves the token and is not the token."""
        return hmac.new(self._token, b"headwater session", hashlib.sha256).hexdigest()

    def _refusal(self, scope: Scope, headers: dict[bytes, str]) -> tuple[int, str] | None:
        """Return status and reason where a request is not to be answered."""
        host = headers.get(b"host", "")
        address = (scope.get("client") or ("", 0))[0]
        changes = scope["method"] not in ("GET", "HEAD")
        if not self._any_host and _name(host) not in LOOPBACK:
            return 421, "this server answers to loopback's own names only; ask 127.0.0.1"
        if not self._requests.take(address) or (changes and not self._changes.take(address)):
            return 429, "too many requests from this address; wait a second"
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, f"{scope['method']} is not answered here; expected GET, or POST where the API says so"
        if changes:
            origin = headers.get(b"origin")
            if origin is not None and origin.split("://")[-1] != host:
                return 403, "a page of another origin may change nothing here"
            if headers.get(b"content-type", "").split(";")[0].strip() != "application/json":
                return 415, "expected content-type application/json"
            length = headers.get(b"content-length", "")
            if not length.isdigit() or int(length) > BODY_MAX:
                return 413, f"expected a content-length of at most {BODY_MAX}"
        path = scope["path"]
        if self._token and path not in OPEN_PATHS and not path.startswith(OPEN_PREFIX) and not self._is_known(headers):
            return 401, "this server needs its token; send Authorization: Bearer TOKEN"
        return None

    def _is_known(self, headers: dict[bytes, str]) -> bool:
        scheme, _, given = headers.get(b"authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.is_token(given.strip())
        try:
            morsel = SimpleCookie(headers.get(b"cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(
            _digest(morsel.value.encode()), _digest(self.session().encode())
        )


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()  # equal lengths, so that a comparison takes the same time for all


def _name(host: str) -> str:
    """Return a Host header without its port."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0].lower()


async def _refuse(send: Any, status: int, reason: str) -> None:
    body = json.dumps({"detail": reason}).encode()
    more = {401: [(b"www-authenticate", b"Bearer")], 429: [(b"retry-after", b"1")]}.get(status, [])
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
