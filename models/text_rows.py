"""CSV and JSON lines as tables: a row that cannot be read spoils itself only, and keeps its bytes."""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from pathlib import Path

import msgspec

from models.cells import Row, Stream, checked, json_text, json_text_or_list
from state.errors import HeadwaterError

BLOCK_BYTES = 1 << 20  # read at a time
MAX_LINE_BYTES = 64 << 20  # a longer line is no row of events; it bounds memory
PEEK_ROWS = 1000  # JSON lines have no header: their columns are the keys of the first rows
MAX_FIELD_CHARS = 1 << 20  # of one quoted CSV field; it bounds what an unclosed quote costs
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

    has_header = True

    def __init__(self, file: Path, stream: Stream, _lists: bool) -> None:
        csv.field_size_limit(MAX_FIELD_CHARS)
        self.line = 0
        self._read = 0  # lines
        self._lines = _lines(file, stream)
        self._back: deque[bytes] = deque()  # lines that an unclosed quote swallowed
        header = next((line for line in self._each_line() if line.strip()), b"")
        self._delimiter = max(_DELIMITERS, key=lambda mark: header.count(mark.encode()))
        row = self._row(header)
        if row.texts is None:
            raise HeadwaterError(
                f"the header of {file} cannot be read: {row.problem}; expected UTF-8 column names; "
                f"mend line {self.line}"
            )
        self.columns = [text.strip() for text in row.texts]

    def rows(self, columns: Sequence[str | None]) -> Iterator[Row]:
        width = len(self.columns)
        places = [width if column is None else self.columns.index(column) for column in columns]
        pick = itemgetter(*places, width)  # past the last column stands ""; two at least, so that it gives a tuple
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
                yield Row(pick([*texts, ""])[:-1], row.handle)

    def in_ms(self, column: str) -> bool:
        return False

    def original(self, handle: bytes) -> bytes:
        return handle

    def _each_line(self) -> Iterator[bytes]:
        while (line := self._next()) is not None:
            self.line = self._read
            yield line

    def _next(self) -> bytes | None:
        self._read += 1
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
            self._read = self.line
            return Row(None, line.removesuffix(b"\r"), problem)
        original = b"\n".join(taken).removesuffix(b"\r")
        try:
            return Row([text.encode("latin-1").decode() for text in texts], original)
        except UnicodeDecodeError:
            return Row(None, original, "not UTF-8")


class JsonTable:
    """One JSON object a line; null is absent."""

    has_header = False

    def __init__(self, file: Path, stream: Stream, lists: bool) -> None:
        self.line = 0
        self._text = json_text_or_list if lists else json_text
        self._lines = _lines(file, stream)
        self._decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        self._peeked: deque[bytes] = deque()
        columns: dict[str, None] = {}
        objects = 0
        for line in self._lines:
            self._peeked.append(line)
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # told as a row
                columns.update(dict.fromkeys(self._decode(line)))
                objects += 1
            if len(self._peeked) == PEEK_ROWS:
                break
        if not objects:
            raise self._no_objects(file)
        self.columns = list(columns)

    def rows(self, columns: Sequence[str | None]) -> Iterator[Row]:
        while self._peeked:
            yield from self._row(self._peeked.popleft(), columns)
        for line in self._lines:
            yield from self._row(line, columns)

    def in_ms(self, column: str) -> bool:
        return False

    def original(self, handle: bytes) -> bytes:
        return handle

    def _row(self, line: bytes, columns: Sequence[str | None]) -> Iterator[Row]:
        self.line += 1
        line = line.removesuffix(b"\r")
        if not line.strip():
            return
        try:
            found = self._decode(line)
            texts = [self._text(found.get(column)) if column is not None else "" for column in columns]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield Row(None, line, f"not a JSON object of texts and numbers: {error}")
        else:
            yield checked(texts, line, "expected text or a number; got an array or an object")

    def _no_objects(self, file: Path) -> HeadwaterError:
        first = next((line for line in self._peeked if line.strip()), None)
        if first is None:
            return HeadwaterError(
                f"{file} has only empty lines; expected one JSON object a line; check how it was made"
            )
        return HeadwaterError(
            f"{file} is not JSON lines: no object in the lines it begins with, the first of them "
            f"{first[:40].decode(errors='replace')!r}; expected one JSON object a line; "
            "write an array's objects line by line, as `jq -c '.[]'` does"
        )
