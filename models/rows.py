"""Reads the rows of a CSV, JSON lines or Parquet file, plain or gzip, as texts; a row that is none keeps its bytes."""

import csv
import gzip
import shutil
import tempfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import msgspec

from state.errors import HeadwaterError

BLOCK_BYTES = 1 << 20  # read at a time
MAX_LINE_BYTES = 64 << 20  # a longer line is no row of events; it bounds memory
PEEK_ROWS = 1000  # JSON lines have no header: their columns are the keys of the first rows
_DELIMITERS = ",\t;|"
_BOM = b"\xef\xbb\xbf"
_WRONG_START = {
    b"PK\x03\x04": "a ZIP archive",
    b"BZh": "compressed with bzip2",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\xfd7zXZ": "compressed with xz",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


Stream = BinaryIO | gzip.GzipFile


class Row(NamedTuple):
    """One row: the wanted columns as texts, "" for what is absent; or what is wrong with it."""

    texts: Sequence[str] | None
    handle: Any  # for `Table.original`
    problem: str = ""


class Table(Protocol):
    """An open file of rows."""

    columns: list[str]

    def rows(self, places: Sequence[int | None]) -> Iterator[Row]:
        """Yield each row's texts of the columns at `places`; None is a column that is not there. To be called once."""
        ...

    def in_ms(self, place: int) -> bool:
        """Whether a column holds times by its type, which `rows` gives as Unix ms."""
        ...

    def original(self, handle: Any) -> bytes:
        """Return a row's own bytes, without its line end."""
        ...


@contextmanager
def open_table(file: Path, form: str) -> Iterator[Table]:
    """Open a file of the format `form`: csv, jsonl or parquet.

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
            yield _TABLES[form](file, stream)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise HeadwaterError(
            f"{file} is damaged: {error}; expected a whole gzip file; copy it again, and check it with gzip -t"
        ) from None
    except OSError as error:
        raise HeadwaterError(
            f"cannot read {file}: {error.strerror or error}; expected a readable file; check the path and its rights"
        ) from None


def _lines(file: Path, stream: Stream) -> Iterator[bytes]:
    """Yield the lines without their line feeds."""
    tail = b""
    first = True
    while block := stream.read(BLOCK_BYTES):
        if first:
            for start, kind in _WRONG_START.items():
                if block.startswith(start):
                    raise HeadwaterError(f"{file} is {kind}; expected UTF-8 text, plain or gzip; convert it")
            block = block.removeprefix(_BOM)
            first = False
        lines = (tail + block).split(b"\n")
        tail = lines.pop()
        if len(tail) > MAX_LINE_BYTES:
            raise HeadwaterError(
                f"{file} has a line of more than {MAX_LINE_BYTES >> 20} MiB; expected a row a line; set events.format"
            )
        yield from lines
    if tail:
        yield tail


class CsvTable:
    """CSV as RFC 4180 has it, the delimiter told by the header."""

    def __init__(self, file: Path, stream: Stream) -> None:
        self._lines = _lines(file, stream)
        self._back: deque[bytes] = deque()  # lines that an unclosed quote swallowed
        header = next((line for line in self._lines if line.strip()), b"")
        self._delimiter = max(_DELIMITERS, key=lambda mark: header.count(mark.encode()))
        texts, _, problem = self._row(header)
        if texts is None:
            raise HeadwaterError(
                f"the header of {file} cannot be read: {problem}; expected UTF-8 column names; mend line 1"
            )
        self.columns = [text.strip() for text in texts]

    def rows(self, places: Sequence[int | None]) -> Iterator[Row]:
        width = len(self.columns)
        pick = itemgetter(*(width if place is None else place for place in places))  # past the last column stands ""
        for line in self._each_line():
            if not line or line == b"\r":
                continue
            row = self._row(line)
            texts = row.texts
            if texts is None:
                yield row
            elif len(texts) != width:
                yield Row(None, row.handle, f"{len(texts)} fields where the header has {width}")
            else:
                yield Row(pick([*texts, ""]), row.handle)

    def in_ms(self, place: int) -> bool:
        return False

    def original(self, handle: bytes) -> bytes:
        return handle

    def _each_line(self) -> Iterator[bytes]:
        while (line := self._next()) is not None:
            yield line

    def _next(self) -> bytes | None:
        return self._back.popleft() if self._back else next(self._lines, None)

    def _row(self, line: bytes) -> Row:
        if b'"' in line:
            return self._quoted_row(line)
        line = line.removesuffix(b"\r")
        try:
            return Row(line.decode().split(self._delimiter), line)
        except UnicodeDecodeError:
            return Row(None, line, "not UTF-8")

    def _quoted_row(self, line: bytes) -> Row:
        """Read a row that may go over several lines; a quote that never closes spoils its own line only."""
        taken: list[bytes] = []
        ended = False

        def feed() -> Iterator[str]:
            nonlocal ended
            upcoming: bytes | None = line
            while upcoming is not None:
                taken.append(upcoming)
                yield upcoming.decode("latin-1") + "\n"  # every byte; what they mean is read once the row is whole
                upcoming = self._next()
            ended = True

        try:
            texts = next(csv.reader(feed(), delimiter=self._delimiter))
        except csv.Error as error:
            problem = str(error)
        else:
            problem = "a quote is not closed" if ended else ""
        if problem:
            self._back.extendleft(reversed(taken[1:]))
            return Row(None, line.removesuffix(b"\r"), problem)
        original = b"\n".join(taken).removesuffix(b"\r")
        try:
            return Row([text.encode("latin-1").decode() for text in texts], original)
        except UnicodeDecodeError:
            return Row(None, original, "not UTF-8")


class JsonTable:
    """One JSON object a line. A number is taken as it is written; null is absent."""

    def __init__(self, file: Path, stream: Stream) -> None:
        self._lines = _lines(file, stream)
        self._decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        self._peeked: deque[bytes] = deque()
        columns: dict[str, None] = {}
        for line in self._lines:
            self._peeked.append(line)
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # told as a row
                columns.update(dict.fromkeys(self._decode(line)))
            if len(self._peeked) == PEEK_ROWS:
                break
        self.columns = list(columns)

    def rows(self, places: Sequence[int | None]) -> Iterator[Row]:
        names = [None if place is None else self.columns[place] for place in places]
        while self._peeked:
            yield from self._row(self._peeked.popleft(), names)
        for line in self._lines:
            yield from self._row(line, names)

    def in_ms(self, place: int) -> bool:
        return False

    def original(self, handle: bytes) -> bytes:
        return handle

    def _row(self, line: bytes, names: list[str | None]) -> Iterator[Row]:
        line = line.removesuffix(b"\r")
        if not line.strip():
            return
        try:
            found = self._decode(line)
            yield Row([_json_text(found.get(name)) if name is not None else "" for name in names], line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield Row(None, line, f"not a JSON object of texts and numbers: {error}")


class ParquetTable:
    """Parquet. A row's own bytes are its JSON object, for it has none else."""

    def __init__(self, file: Path, stream: Stream) -> None:
        import pyarrow
        import pyarrow.parquet

        self._arrow = pyarrow
        try:
            self._parquet = pyarrow.parquet.ParquetFile(stream)
        except pyarrow.ArrowInvalid as error:
            raise HeadwaterError(f"{file} is no Parquet file: {error}; copy it again, or set events.format") from None
        self._file = file
        self._schema = self._parquet.schema_arrow
        self.columns = list(self._schema.names)

    def rows(self, places: Sequence[int | None]) -> Iterator[Row]:
        try:
            for batch in self._parquet.iter_batches(batch_size=1 << 14):
                empty = [""] * batch.num_rows
                texts = [empty if place is None else self._texts(batch, place) for place in places]
                for index, row in enumerate(zip(*texts, strict=True)):
                    if None in row:
                        yield Row(None, (batch, index), "not UTF-8")
                    else:
                        yield Row(row, (batch, index))
        except (self._arrow.ArrowInvalid, self._arrow.ArrowException) as error:
            raise HeadwaterError(f"{self._file} is damaged: {error}; copy or download it again") from None

    def in_ms(self, place: int) -> bool:
        kind = self._schema.field(place).type
        return bool(self._arrow.types.is_timestamp(kind) or self._arrow.types.is_date(kind))

    def original(self, handle: tuple[Any, int]) -> bytes:
        batch, index = handle
        return msgspec.json.encode(batch.slice(index, 1).to_pylist()[0], enc_hook=str)

    def _texts(self, batch: Any, place: int) -> list[str | None]:
        column = batch.column(place)
        if self.in_ms(place):
            zone = getattr(column.type, "tz", None)
            column = column.cast(self._arrow.timestamp("ms", zone), safe=False).cast(self._arrow.int64())
        return [_cell_text(cell) for cell in column.to_pylist()]


def _json_text(raw: msgspec.Raw | None) -> str:
    """Return a JSON value as text: a string's content, a number as it is written, "" for null."""
    if raw is None:
        return ""
    written = bytes(raw)
    if written[:1] == b'"':
        return str(msgspec.json.decode(written, type=str))
    if written[:1] in (b"{", b"["):
        raise msgspec.ValidationError("expected text or a number; got an array or an object")
    return "" if written == b"null" else written.decode()


def _cell_text(cell: object) -> str | None:
    """Return a Parquet value as text; None: bytes that are not UTF-8."""
    if isinstance(cell, str):
        return cell
    if cell is None or cell != cell:  # noqa: PLR0124  # NaN is the missing value of a float column
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)  # ids with gaps come as floats from data frames
    if isinstance(cell, bytes):
        try:
            return cell.decode()
        except UnicodeDecodeError:
            return None
    return str(cell)


_TABLES: dict[str, Callable[[Path, Stream], Table]] = {"csv": CsvTable, "jsonl": JsonTable, "parquet": ParquetTable}
