"""Laws of the outputs' bytes: the documented fields, the key they are sent under, every byte of a dead letter."""

import base64
import json

from hypothesis import given

from online.outputs import dead_letter_message, list_message, metrics_message
from online.record import Record
from online.session import DeadLetter
from tests.small import START_MS, TICK_MS, record, run
from tests.strategies import garbage, quick


def test_list_message() -> None:
    """A list is keyed by its user and has the documented fields, in their order."""
    made = run([record(7, START_MS, "dée", "i03", event_id="e1")]).lists[0]
    key, value = list_message(made)
    line = json.loads(value)
    assert key == "dée".encode()
    assert list(line) == ["user", "at", "head", "model_id", "after", "items", "scores"]
    assert line["after"] == {"partition": 0, "offset": 7, "event_id": "e1"}
    assert (line["user"], line["at"], line["model_id"]) == ("dée", START_MS + TICK_MS - 1, "random-8")
    assert len(line["items"]) == len(line["scores"]) == 5
    assert all(round(score, 5) == score for score in line["scores"])


@given(letter=garbage())
@quick
def test_dead_letter_message(letter: Record) -> None:
    """A dead letter has its place, reason and original bytes, and absent is not empty."""
    one = letter._replace(partition=3, offset=12)
    key, value = dead_letter_message("events", DeadLetter(one, "bad_json"))
    line = json.loads(value)
    assert key == b"events/3/12"
    assert list(line) == ["topic", "partition", "offset", "timestamp", "reason", "key_base64", "value_base64"]
    assert (line["topic"], line["partition"], line["offset"], line["timestamp"]) == ("events", 3, 12, one.at_ms)
    for name, raw in (("key_base64", one.key), ("value_base64", one.value)):
        assert (None if line[name] is None else base64.b64decode(line[name])) == raw


def test_metrics_messages() -> None:
    """A tick's line and the final one are keyed by the domain; ranks stand by model, one per accepted event."""
    result = run([record(n, START_MS + n, "u", f"i{n:02d}") for n in range(5)])
    key, value = metrics_message("shop", result.metrics[0])
    line = json.loads(value)
    assert key == b"shop"
    assert {"tick", "accepted", "duplicates", "dead_letters", "lists", "scored", "first", "ranks"} <= set(line)
    assert {"user", "item", "left_ms", "past", "actions", "surprise", "best"} <= set(line)
    assert {"headwater", "head", "sequential_rules", "frozen_text", "popularity_all_time"} <= set(line["ranks"])
    assert all(
        len(ranks) == len(line["past"]) == len(line["user"]) == line["accepted"] == 5
        for ranks in line["ranks"].values()
    )
    final = json.loads(metrics_message("shop", result.final).value)
    assert final["final"] is True
    assert {"accepted", "duplicates", "lists", "head_sha256"} <= set(final)
    assert len(final["head_sha256"]) == 64


def test_equal_results_have_equal_bytes() -> None:
    """What leaves the loop is a function of what came in, byte for byte."""
    records = [record(n, START_MS + 900 * n, f"u{n % 7}", f"i{n * n % 12:02d}") for n in range(200)]
    one, two = run(records), run(records)
    assert [list_message(made) for made in one.lists] == [list_message(made) for made in two.lists]
    assert [metrics_message("", line) for line in one.metrics] == [metrics_message("", line) for line in two.metrics]
