"""Parquet as a table: its columns as texts, whatever their types."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from models.cells import Row, Stream, checked, scalar_text, text_of
from state.errors import HeadwaterError

_MS_PER = {"ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000), "date32[day]": (86_400_000, 1)}
"""Unit of a time -> (factor, divisor) to milliseconds; a date64 is in milliseconds."""


class ParquetTable:
    """Parquet. A row's own bytes are its JSON object, for it has none else."""

    has_header = True
    line = 0

    def __init__(self, file: Path, stream: Stream, lists: bool) -> None:
        import pyarrow
        import pyarrow.parquet

        self._arrow = pyarrow
        self._file = file
        self._text = text_of if lists else scalar_text
        with self._telling():
            self._parquet = pyarrow.parquet.ParquetFile(stream)
            self._schema = self._parquet.schema_arrow
            self.columns = list(self._schema.names)

    def rows(self, columns: Sequence[str | None]) -> Iterator[Row]:
        batches = self._parquet.iter_batches(batch_size=1 << 14)
        while True:
            with self._telling():
                batch = next(batches, None)
                if batch is None:
                    return
                empty = [""] * batch.num_rows
                texts = [empty if column is None else self._texts(batch, column) for column in columns]
            for index, row in enumerate(zip(*texts, strict=True)):
                yield checked(row, (batch, index), "not UTF-8 text or a number")

    def in_ms(self, column: str) -> bool:
        kind = self._schema.field(column).type
        return bool(self._arrow.types.is_timestamp(kind) or self._arrow.types.is_date(kind))

    def original(self, handle: tuple[Any, int]) -> bytes:
        batch, index = handle
        row = {name: self._cells(batch.slice(index, 1).column(place))[0] for place, name in enumerate(self.columns)}
        return msgspec.json.encode(row, enc_hook=str)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell damage in one line; the library raises OSError for it too, but without the system's number."""
        try:
            yield
        except (self._arrow.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            told = " ".join(str(error).split())[:200]
            raise HeadwaterError(
                f"{self._file} is damaged, or no Parquet file: {told}; expected a whole Parquet file; copy it again, "
                "or correct its format, which its name tells"
            ) from None

    def _texts(self, batch: Any, column: str) -> list[str | None]:
        cells = batch.column(column)
        return self._ms(cells) if self.in_ms(column) else [self._text(cell) for cell in self._cells(cells)]

    def _ms(self, cells: Any) -> list[str | None]:
        """Return times as Unix ms, of any size: cast to 64 bits of ms, a time far out would come back as another."""
        times, divisor = _MS_PER.get(getattr(cells.type, "unit", str(cells.type)), (1, 1))
        whole = self._arrow.int32() if cells.type.bit_width == 32 else self._arrow.int64()
        return ["" if cell is None else str(cell * times // divisor) for cell in cells.cast(whole).to_pylist()]

    def _cells(self, cells: Any) -> list[Any]:
        """Return a column's values; those of a column that Python cannot hold as bytes (texts) or numbers (times)."""
        try:
            return list(cells.to_pylist())
        except UnicodeDecodeError:
            return list(cells.cast(self._arrow.binary()).to_pylist())
        except (ValueError, OverflowError):  # a year beyond 9999
            return list(cells.cast(self._arrow.int64()).to_pylist())
