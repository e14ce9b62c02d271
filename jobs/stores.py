"""Keyed bytes in Flink's state: as it is, and with the newest at hand in memory."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from pyflink.common import Types
from pyflink.common.typeinfo import ExternalTypeInfo
from pyflink.datastream import RuntimeContext
from pyflink.datastream.state import MapStateDescriptor

# As state, PRIMITIVE_ARRAY dies in thread mode (each byte becomes an object); wrapped, both modes store the raw bytes.
STATE_BYTES = ExternalTypeInfo(Types.PRIMITIVE_ARRAY(Types.BYTE()))


class MapStore:
    """`online.process.Store` over Flink's map state."""

    def __init__(self, runtime_context: RuntimeContext, name: str) -> None:
        """Use the map state `name` of the key at hand."""
        descriptor = MapStateDescriptor(name, Types.STRING(), STATE_BYTES)
        self._state: Any = runtime_context.get_map_state(descriptor)

    def get(self, key: str) -> bytes | None:
        """Return the bytes under `key`, None where there are none."""
        value = self._state.get(key)
        return None if value is None else bytes(value)

    def put(self, key: str, value: bytes) -> None:
        """Set the bytes under `key`."""
        self._state.put(key, value)

    def put_all(self, entries: Mapping[str, bytes]) -> None:
        """Set many entries: in thread mode by one way through the JVM, not one for each."""
        if "embedded" in type(self._state).__module__:
            self._state.put_all(entries)
            return
        for key, value in entries.items():  # PyFlink's put_all of process mode takes pairs, and a loop costs nothing
            self._state.put(key, value)

    def remove(self, key: str) -> None:
        """Forget `key`."""
        self._state.remove(key)

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Return all of this key's entries, in no order."""
        return ((key, bytes(value)) for key, value in self._state.items())


class RecentStore:
    """A store per key of which the entries written last are kept in memory, up to a number of bytes.

    Everything is written through, so a restart finds it. Each call of Flink goes through the JVM and gives up the
    interpreter, for which the operators then wait in turn.
    """

    def __init__(self, store: MapStore, most_bytes: int) -> None:
        """Start with nothing at hand; call `enter` first."""
        self._store = store
        self._most_bytes = most_bytes
        self._bytes = 0
        self._recent: OrderedDict[tuple[int, str], bytes] = OrderedDict()
        self._key = 0

    @property
    def bytes_at_hand(self) -> int:
        """How much is kept in memory."""
        return self._bytes

    def enter(self, key: int) -> None:
        """Go to the entries of Flink's current key."""
        self._key = key

    def get(self, key: str) -> bytes | None:
        """Return the bytes under `key`, None where there are none."""
        raw = self._recent.get((self._key, key))
        if raw is None:
            raw = self._store.get(key)
            if raw is not None:
                self._keep(key, raw)
        return raw

    def put_all(self, entries: Mapping[str, bytes]) -> None:
        """Set many entries."""
        self._store.put_all(entries)
        for key, value in entries.items():
            self._keep(key, value)

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Return all of this key's entries, in no order."""
        return self._store.items()

    def _keep(self, key: str, value: bytes) -> None:
        self._bytes += len(value) - len(self._recent.pop((self._key, key), b""))
        self._recent[self._key, key] = value
        while self._bytes > self._most_bytes:
            self._bytes -= len(self._recent.popitem(last=False)[1])
