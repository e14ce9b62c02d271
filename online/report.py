"""The report of a replay: what went in, what came out, how good it was, and the fingerprints of both."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from online.evaluation.curves import curves
from online.evaluation.outcomes import Outcomes
from online.evaluation.ranks import measure
from online.record import LATE, LATE_IDLE
from state.errors import HeadwaterError


class ListsDigest(NamedTuple):
    """What a run's lists come to."""

    lists: int
    sha256: str


def build_report(
    *,
    events: int,
    accepted: int,
    duplicates: int,
    reasons: Mapping[str, int],
    lists: ListsDigest,
    head_sha256: str,
    run: Outcomes,
    evaluation: Mapping[str, Any],
    wall_s: float,
    config: Mapping[str, Any],
    versions: Mapping[str, str],
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the content of report.json.

    Args:
        events: records of the source.
        accepted, duplicates: events that were learned, and repeats of their ids that were dropped.
        reasons: reason code -> dead letters, late records among them.
        lists: of `digest_lists`.
        head_sha256: of all learned tables at the end.
        run: of `online.evaluation.outcomes.collect`.
        evaluation: of `online.evaluation.summary.evaluate`.
        wall_s: seconds from the first record to the last list.
        config, versions: as they are to be shown.
        extra: further keys, such as the engine; they come last but for the evaluation.

    Raises:
        HeadwaterError: a record vanished or was counted twice.
    """
    late = reasons.get(LATE, 0) + reasons.get(LATE_IDLE, 0)
    dead_letters = sum(reasons.values()) - late
    told = accepted + duplicates + late + dead_letters
    if events != told:
        raise HeadwaterError(
            f"{events} events came in, {told} are accounted for ({accepted} accepted, {duplicates} duplicates, "
            f"{late} late, {dead_letters} dead letters); expected equal numbers; an output of this run is incomplete, "
            "or was written over another's: run it again into an empty folder"
        )
    if run.n != accepted:
        raise HeadwaterError(
            f"{accepted} events were accepted, the metrics hold {run.n}; expected equal numbers; "
            "metrics.jsonl is incomplete: run the replay again into an empty folder"
        )
    curve = curves(run)
    return {
        "events": events,
        "accepted": accepted,
        "duplicates": duplicates,
        "late": late,
        "dead_letters": dead_letters,
        "lists": lists.lists,
        "lists_sha256": lists.sha256,
        "head_sha256": head_sha256,
        "wall_s": round(wall_s, 3),
        "events_per_s": round(events / wall_s, 1) if wall_s > 0 else 0.0,
        "metrics": measure(run),
        "config": dict(config),
        "versions": dict(versions),
        "dead_letters_by_reason": dict(sorted(reasons.items())),
        "curves": {"window": curve.window, "at": curve.at, "hr@10": curve.hr_at_10},
        **(extra or {}),
        "evaluation": dict(evaluation),
    }


def lists_sha256(paths: Iterable[Path]) -> str:
    """Return the fingerprint of a run's lists; see `digest_lists`."""
    return digest_lists(paths).sha256


def digest_lists(paths: Iterable[Path]) -> ListsDigest:
    """Count and fingerprint the lists in files of JSON lines, whatever their order and however they are split.

    The canonical form of a list is its JSON, compact, with sorted keys, without `after.partition` and `after.offset`:
    these say where a record lay, not what was in it, and differ when a file is shuffled. The fingerprint is the SHA-256
    over the sorted SHA-256 digests of the canonical forms; a list that was written twice counts twice.

    Args:
        paths: files, or folders of them; names that start with "." or "_" are parts that were never finished.
    """
    digests = []
    for line in json_lines(paths):
        if isinstance(after := line.get("after"), dict):
            line["after"] = {key: after[key] for key in after if key not in ("partition", "offset")}
        digests.append(hashlib.sha256(msgspec.json.encode(line, order="sorted")).digest())
    digests.sort()
    return ListsDigest(len(digests), hashlib.sha256(b"".join(digests)).hexdigest())


def count_reasons(paths: Iterable[Path]) -> dict[str, int]:
    """Return reason code -> dead letters in files of JSON lines."""
    return dict(Counter(line["reason"] for line in json_lines(paths)))


def json_lines(paths: Iterable[Path], kind: Any = dict[str, Any]) -> Iterator[Any]:
    """Yield the objects in files of JSON lines, or folders of them, skipping unfinished parts.

    Args:
        paths: files or folders.
        kind: type of a line, as msgspec knows it.

    Raises:
        HeadwaterError: a file cannot be read, or a line is no such JSON object.
    """
    decode = msgspec.json.Decoder(kind).decode
    for file in _files(paths):
        number = 0
        try:
            with file.open("rb") as lines:
                for line in lines:
                    number += 1
                    yield decode(line)
        except OSError as error:
            raise HeadwaterError(
                f"cannot read {file}: {error.strerror}; expected JSON lines; check its rights"
            ) from None
        except msgspec.DecodeError as error:
            raise HeadwaterError(
                f"line {number} of {file} is no JSON object: {error}; the file was cut or edited: run the replay again"
            ) from None


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for file in sorted(path.rglob("*")):
            hidden = any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
            if file.is_file() and not hidden:
                yield file
