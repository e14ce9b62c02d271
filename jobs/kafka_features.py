"""Asks a broker which features its cluster has agreed on; librdkafka's admin client cannot."""

import socket
import struct

_API_VERSIONS, _VERSION = 18, 3  # KIP-511, KIP-584: version 3 carries the finalized features
_CLIENT = b"headwater"
_MAX_ANSWER_BYTES = 1 << 20  # a real one has about 1 kB


def finalized_features(bootstrap: str, timeout_s: float = 5.0) -> dict[str, int]:
    """Return feature -> agreed level, such as {"transaction.version": 2}; plaintext listeners only.

    Raises:
        OSError: the broker is not reached.
        ValueError: what answers does not speak Kafka in plaintext.
    """
    host, _, port = bootstrap.split(",", maxsplit=1)[0].strip().rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s) as connection:
        connection.sendall(_request())
        try:
            (size,) = struct.unpack(">i", _receive(connection, 4))
            if not 0 < size <= _MAX_ANSWER_BYTES:
                raise ValueError(f"an answer of {size} bytes is none of Kafka's")
            return _Reader(_receive(connection, size)).features()
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise ValueError(f"an answer that is none of Kafka's ({error})") from None


def _request() -> bytes:
    compact = bytes([len(_CLIENT) + 1]) + _CLIENT
    header = struct.pack(">hhih", _API_VERSIONS, _VERSION, 1, len(_CLIENT)) + _CLIENT + b"\0"
    body = compact + compact + b"\0"  # client software name and version, no tagged fields
    return struct.pack(">i", len(header) + len(body)) + header + body


def _receive(connection: socket.socket, size: int) -> bytes:
    answer = b""
    while len(answer) < size:
        if not (part := connection.recv(size - len(answer))):
            raise ValueError("the connection was closed, as a broker that expects TLS does")
        answer += part
    return answer


class _Reader:
    """Reads an ApiVersions response, version 3."""

    def __init__(self, answer: bytes) -> None:
        self._answer, self._at = answer, 0

    def features(self) -> dict[str, int]:
        _, error = self._fixed(">ih")  # correlation id
        if error:
            raise ValueError(f"error {error}")
        for _ in range(self._varint() - 1):
            self._fixed(">hhh")  # an API key with its versions
            self._skip_tags()
        self._fixed(">i")  # throttle time
        levels = {}
        for _ in range(self._varint()):
            tag, size = self._varint(), self._varint()
            end = self._at + size
            if tag == 2:  # finalized features: name, highest and lowest level
                for _ in range(self._varint() - 1):
                    name = self._take(self._varint() - 1).decode()
                    levels[name] = self._fixed(">hh")[0]
                    self._skip_tags()
            self._at = end
        return levels

    def _skip_tags(self) -> None:
        for _ in range(self._varint()):
            self._varint()
            self._take(self._varint())

    def _fixed(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._answer[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _take(self, size: int) -> bytes:
        self._at += size
        return self._answer[self._at - size : self._at]
