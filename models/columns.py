"""Finds which column of a file means what: as the configuration says, else by its usual names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from state.errors import HeadwaterError
from state.nearest import nearest


def find_columns(
    file: Path,
    found: Sequence[str],
    named: Mapping[str, str | None],
    usual: Mapping[str, Sequence[str]],
    *,
    needed: Sequence[str],
    table: str,
    complete: bool = True,
) -> dict[str, str]:
    """Return meaning -> its column; a meaning that is optional and absent is left out.

    Args:
        file: for the error.
        found: the header's columns.
        named: meaning -> column by configuration; None: by its usual names, "": none.
        usual: meaning -> names tried in turn, in lower case; the header's case does not matter.
        needed: meanings that must be there.
        table: of the configuration, such as "events.columns".
        complete: no row has other columns; else an optional meaning is looked for by its first usual name.

    Raises:
        HeadwaterError: a column is missing, or stands twice.
    """
    lower = [column.strip().lower() for column in found]
    columns = {}
    for meaning, names in usual.items():
        column = named.get(meaning)
        if column is None:
            column = next((found[lower.index(name)] for name in names if name in lower), "")
        elif column and column not in found:
            near = nearest(column, found)
            advice = f"did you mean {near!r}?" if near else "name one of these"
            raise HeadwaterError(
                f"{file} has no column {column!r}, which {table}.{meaning} names; found {_listed(found)}; {advice}"
            )
        if column:
            if found.count(column) > 1:
                raise HeadwaterError(
                    f"{file} has {found.count(column)} columns {column!r}; expected one; rename the others"
                )
            columns[meaning] = column
        elif meaning in needed:
            raise _missing(file, found, meaning, names, table)
        elif not complete and named.get(meaning) is None:
            columns[meaning] = names[0]
    return columns


def _missing(file: Path, found: Sequence[str], meaning: str, names: Sequence[str], table: str) -> HeadwaterError:
    near = next((column for column in (nearest(name, found) for name in names) if column), "")
    column = near or "COLUMN"
    guess = f" if {near!r} is the {meaning}" if near else ""
    return HeadwaterError(
        f"{file} has no column for the {meaning}; found {_listed(found)}; expected {' or '.join(names)}; "
        f'write {meaning} = "{column}" under [{table}] of the job.toml{guess}'
    )


def _listed(found: Sequence[str]) -> str:
    shown = ", ".join(repr(column[:40]) for column in found[:20])
    return shown + (f" and {len(found) - 20} more" if len(found) > 20 else "") if found else "none"
