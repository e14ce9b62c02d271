"""Transactions that a checkpoint means to commit: its sinks wrote them, and left the commit for when it is complete."""

import struct
from pathlib import Path
from typing import NamedTuple

# As the connector's KafkaCommittableSerializer writes it: the producer's epoch and id, then the transactional id.
_HEAD = struct.Struct(">hq")
_LENGTH = struct.Struct(">H")


class Committable(NamedTuple):
    """What a checkpoint holds of a transaction."""

    epoch: int
    producer: int


class Held:
    """The bytes of a checkpoint, in which ids are looked up."""

    def __init__(self, checkpoint: Path) -> None:
        """Read the checkpoint's own files: small state lies in its metadata, larger in files beside that."""
        self.checkpoint = checkpoint
        self._bytes = [file.read_bytes() for file in sorted(checkpoint.iterdir()) if file.is_file()]

    def of(self, name: str, producer: int) -> Committable | None:
        """Return what the checkpoint holds of a transactional id of this producer, None where it holds nothing.

        A producer's id never passes to another, so that equal bytes elsewhere are not taken for one.
        """
        wanted = _LENGTH.pack(len(name.encode())) + name.encode()
        for raw in self._bytes:
            at = raw.find(wanted, _HEAD.size)
            while at >= 0:
                epoch, found = _HEAD.unpack_from(raw, at - _HEAD.size)
                if found == producer:
                    return Committable(epoch, found)
                at = raw.find(wanted, at + 1)
        return None
