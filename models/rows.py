"""Reads a CSV, JSON lines or Parquet file, plain or gzip, as rows of texts; events and items are read by it alike."""

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from models.cells import Row, Stream
from models.parquet_rows import ParquetTable
from models.text_rows import BLOCK_BYTES, CsvTable, JsonTable
from state.errors import HeadwaterError

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
"""End of a file's name -> its format; .gz may follow any."""


class Table(Protocol):
    """An open file of rows."""

    columns: list[str]
    has_header: bool  # `columns` is all there are; JSON lines have none, so a later row may have others
    line: int  # in which the newest row of `rows` begins, from 1; 0: the format has no lines

    def rows(self, columns: Sequence[str | None]) -> Iterator[Row]:
        """Yield each row's texts of `columns`; None is a column that is not there. To be called once."""
        ...

    def in_ms(self, column: str) -> bool:
        """Whether a column holds times by its type, which `rows` gives as Unix ms."""
        ...

    def original(self, handle: Any) -> bytes:
        """Return a row's own bytes, without its line end."""
        ...


def form_of(file: Path) -> str:
    """Return the format that a file's name tells, "" when it tells none."""
    ends = [end.lower() for end in file.suffixes if end.lower() != ".gz"]
    return SUFFIXES.get(ends[-1], "") if ends else ""


@contextmanager
def open_table(file: Path, form: str, *, lists: bool = False) -> Iterator[Table]:
    """Open a file of the format `form`: csv, jsonl or parquet.

    A number that is whole is written without a fraction: users and items named by numbers are the same in each format.

    Args:
        file: plain or gzip, whatever its name says.
        form: its format.
        lists: whether a list is a text, its parts joined by a space, as tags are; else it is a bad cell.

    Raises:
        HeadwaterError: also later, from `rows`: the file is missing, empty, damaged or of another kind.
    """
    try:
        with ExitStack() as files:
            plain = files.enter_context(file.open("rb"))
            start = plain.read(6)
            plain.seek(0)
            if not start:
                raise HeadwaterError(f"{file} is empty; expected a {form} file with rows; check how it was made")
            stream: Stream = plain
            if start[:2] == b"\x1f\x8b":
                stream = gzip.GzipFile(fileobj=plain)
                if form == "parquet":  # it is read from its end
                    unpacked = files.enter_context(tempfile.TemporaryFile())
                    shutil.copyfileobj(stream, unpacked, BLOCK_BYTES)
                    unpacked.seek(0)
                    stream = unpacked
            yield _TABLES[form](file, stream, lists)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise HeadwaterError(
            f"{file} is damaged: {error}; expected a whole gzip file; copy it again, and check it with gzip -t"
        ) from None
    except OSError as error:
        raise HeadwaterError(
            f"cannot read {file}: {error.strerror or error}; expected a readable file; check the path and its rights"
        ) from None


_TABLES: dict[str, Callable[[Path, Stream, bool], Table]] = {
    "csv": CsvTable,
    "jsonl": JsonTable,
    "parquet": ParquetTable,
}
