"""Laws of the report: nothing vanishes, and equal outputs have equal fingerprints."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from online.report import ListsDigest, build_report, count_reasons, digest_lists, lists_sha256
from state.errors import HeadwaterError
from tests.outcomes import outcomes


def report_of(**changes: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "events": 10,
        "accepted": 3,
        "duplicates": 1,
        "reasons": {"late": 2, "late_idle": 1, "bad_json": 3},
        "lists": ListsDigest(2, "aa"),
        "head_sha256": "bb",
        "run": outcomes([1, 2, 30]),
        "evaluation": {},
        "wall_s": 2.0,
        "config": {"name": "x"},
        "versions": {"numpy": "2"},
    }
    return build_report(**(parts | changes))


def test_keys_of_the_report() -> None:
    """report.json has at least these keys; late records are told apart from the other dead letters."""
    report = report_of(extra={"engine": "python"})
    assert {
        "events", "accepted", "duplicates", "late", "dead_letters", "lists", "lists_sha256", "head_sha256", "wall_s",
        "events_per_s", "metrics", "config", "versions",
    } <= report.keys()  # fmt: skip
    assert (report["late"], report["dead_letters"], report["events_per_s"], report["engine"]) == (3, 3, 5.0, "python")
    assert report["metrics"]["headwater"]["all"]["hr@10"] == pytest.approx(2 / 3, abs=1e-6)
    json.dumps(report, allow_nan=False)


def test_nothing_vanishes() -> None:
    """events = accepted + duplicates + late + dead_letters, or there is no report."""
    with pytest.raises(
        HeadwaterError, match=r"11 events came in, 10 are accounted for \(3 accepted, 1 duplicates, 3 late"
    ):
        report_of(events=11)
    with pytest.raises(
        HeadwaterError, match=r"4 events were accepted, the metrics hold 3; .*metrics.jsonl is incomplete"
    ):
        report_of(events=11, accepted=4)


def lists(n: int) -> list[dict[str, Any]]:
    return [
        {
            "user": f"u{i}", "at": 5, "head": 5, "model_id": "m", "items": ["a", "b"], "scores": [0.1, -1e-05],
            "after": {"partition": 0, "offset": i, "event_id": f"e{i}"},
        }
        for i in range(n)
    ]  # fmt: skip


def write(path: Path, lines: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def test_fingerprint_knows_content_only(tmp_path: Path) -> None:
    """Order of lines, of keys, the split into parts and where records lay change nothing; content does."""
    lines = lists(9)
    write(tmp_path / "a" / "part-0", lines)
    moved = [{key: line[key] for key in sorted(line, reverse=True)} for line in lines]
    for line in moved:
        line["after"] = line["after"] | {"partition": 3, "offset": 77}
    random.Random(0).shuffle(moved)
    write(tmp_path / "b" / "2024-01-01" / "part-0", moved[:4])
    write(tmp_path / "b" / "2024-01-02" / "part-1", moved[4:])
    write(tmp_path / "b" / ".part-2.inprogress", moved[:1])
    whole = digest_lists([tmp_path / "a"])
    assert whole == digest_lists([tmp_path / "b"])
    assert (whole.lists, whole.sha256) == (9, lists_sha256([tmp_path / "a" / "part-0"]))
    for changed in (lines[1:], [*lines, lines[0]], [lines[0] | {"scores": [0.1, -2e-05]}, *lines[1:]]):
        write(tmp_path / "c", changed)
        assert lists_sha256([tmp_path / "c"]) != whole.sha256


def test_fingerprint_is_as_documented(tmp_path: Path) -> None:
    """The canonical form can be computed anew from its description."""
    from hashlib import sha256

    write(tmp_path / "l", lists(3))
    forms = [line | {"after": {"event_id": line["after"]["event_id"]}} for line in lists(3)]
    compact = [
        json.dumps(form, sort_keys=True, separators=(",", ":")).replace("-1e-05", "-0.00001").encode() for form in forms
    ]
    expected = sha256(b"".join(sorted(sha256(each).digest() for each in compact))).hexdigest()
    assert lists_sha256([tmp_path / "l"]) == expected


def test_reasons_are_counted(tmp_path: Path) -> None:
    """Dead letters by reason."""
    write(tmp_path / "dead" / "part-0", [{"reason": "late"}, {"reason": "bad_json"}, {"reason": "late"}])
    assert count_reasons([tmp_path / "dead"]) == {"late": 2, "bad_json": 1}


def test_damaged_output(tmp_path: Path) -> None:
    """A cut line names its file and number."""
    (tmp_path / "l").write_bytes(b'{"user":"u"}\n{"user":')
    with pytest.raises(HeadwaterError, match=r"line 2 of .*l is no JSON object: .*cut or edited"):
        lists_sha256([tmp_path / "l"])
    with pytest.raises(HeadwaterError, match=r"cannot read .*none: No such file"):
        lists_sha256([tmp_path / "none"])
