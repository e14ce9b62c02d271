"""The learner's tables as blocks of bytes, and their fingerprint."""

import hashlib
from collections.abc import Iterator, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.codec import Kind, frame, unframe
from state.errors import CorruptBytes

SCHEMA_VERSION = 1
BLOCK_BYTES = 1 << 18  # a block is written only when it changed: smaller blocks write less, larger ones have fewer keys

Tables = dict[str, NDArray[np.generic]]


class _Block(msgspec.Struct, frozen=True, array_like=True):
    dtype: str
    shape: tuple[int, ...]  # of the whole table
    first: int  # index of the block's first row
    data: bytes


_DECODER = msgspec.msgpack.Decoder(_Block)


def encode_tables(tables: Mapping[str, NDArray[np.generic]]) -> Iterator[tuple[str, bytes]]:
    """Yield (key, framed bytes) of every block; a key is `name/number`."""
    for name, table in sorted(tables.items()):
        rows = max(1, BLOCK_BYTES // max(1, table[:1].nbytes))
        for number, first in enumerate(range(0, max(1, len(table)), rows)):
            data = np.ascontiguousarray(table[first : first + rows]).tobytes()
            block = _Block(table.dtype.str, table.shape, first, data)
            yield f"{name}/{number}", frame(Kind.TABLE, SCHEMA_VERSION, msgspec.msgpack.encode(block))


def decode_tables(blocks: Mapping[str, bytes]) -> Tables:
    """Put the blocks of `encode_tables` together again.

    Blocks left over from a time when a table was longer are ignored.

    Raises:
        CorruptBytes: a block is damaged or missing.
        UnknownSchema: written by another schema version.
    """
    tables: Tables = {}
    filled: dict[str, int] = {}
    for key in sorted(blocks, key=lambda key: (key.rsplit("/", 1)[0], int(key.rsplit("/", 1)[1]))):
        name = key.rsplit("/", 1)[0]
        block = _DECODER.decode(unframe(blocks[key], Kind.TABLE, SCHEMA_VERSION))
        if name not in tables:
            tables[name] = np.zeros(block.shape, np.dtype(block.dtype))
            filled[name] = 0
        table = tables[name]
        if filled[name] == len(table) and block.first:
            continue
        rows = np.frombuffer(block.data, table.dtype).reshape(-1, *table.shape[1:])
        if block.shape != table.shape or block.first != filled[name]:
            raise CorruptBytes(
                f"table {name}: expected its block of shape {table.shape} from row {filled[name]}; "
                f"got one of shape {block.shape} from row {block.first}; restore an earlier savepoint"
            )
        table[block.first : block.first + len(rows)] = rows
        filled[name] += len(rows)
    for name, table in tables.items():
        if filled[name] != len(table):
            raise CorruptBytes(
                f"table {name}: expected {len(table)} rows, found {filled[name]}; restore an earlier savepoint"
            )
    return tables


def sha256_of(tables: Mapping[str, NDArray[np.generic]]) -> str:
    """Return the hex SHA-256 over names, types, shapes and bytes of all tables, in the order of their names."""
    digest = hashlib.sha256()
    for name, table in sorted(tables.items()):
        digest.update(f"{name} {table.dtype.str} {table.shape}\n".encode())
        digest.update(np.ascontiguousarray(table).tobytes())
    return digest.hexdigest()
