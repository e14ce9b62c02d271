"""The inputs of the job as streams: ticks, late records and changes of the catalogue; made by SQL in the JVM.

A window drops without a word what its watermark has passed. Partitions that fall idle and come back make that happen,
and two rules prevent it:

- What stands before the windows (source, lateness, separation of the late) has parallelism 1, always. With one subtask
  there is one order of records and watermarks, so that the flag below and the window decide by the same watermark.
  With two, a quarter of a test's records vanished. The JVM does 40,000 records/s there on two busy cores, more than
  the rest can take.
- Idleness never leaves the front: see `_never_idle`. Otherwise, when all partitions fall silent, the learner would go
  by its other input, the changes, whose watermark is the end of time, and no tick would ever be over again; and with
  parallelism 2 a tick could be over when half of its shards are in.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.config import Config
from jobs.flink_env import Flink
from jobs.graph import Inputs
from jobs.restored import assigned_in
from online.record import FIELD, LATE, LATE_IDLE, NULL, RECORD
from online.settings import Settings

# How long a partition may be silent before the others' ticks stop waiting for it. Long, because a partition that was
# only slow (a new leader is elected, a backlog is read) then comes back as late_idle.
IDLE_MS = 10_000
BEAT_MS = 100  # how long the last watermark before a silence waits, at most
CHANGES_IDLE_MS = 100  # the vectors topic before its first record: the ticks never wait for it
FAR_PAST_MS, FAR_FUTURE_MS = -62_135_596_800_000, 253_402_300_799_999  # the years 1 and 9999, Flink's range

EVENTS_TABLE, VECTORS_TABLE = "events_topic", "vectors_topic"  # in SQL; also the uids of their sources
NO_TOPIC = "(?!)"  # a pattern that matches nothing

_STATEFUL = re.compile(r"OverAggregate|WindowAggregate|^seconds|(?:events|vectors)_topic$")  # in the names SQL gives
_SHADED = "org.apache.flink.kafka.shaded.org.apache.kafka."  # where the connector's jar has Kafka's classes

LINE_FIELDS = """SELECT
    CAST(SPLIT_INDEX(line, {field}, 2) AS BIGINT) AS at_ms,
    SPLIT_INDEX(line, {field}, 3) AS flag,
    SPLIT_INDEX(line, {field}, 4) AS user_key,
    line, rt
FROM events_file"""

# The record's bytes as latin-1, which keeps every one of them.
DECODED = """SELECT
    `partition`, `offset`, {at_ms} AS at_ms,
    DECODE(`key`, 'ISO-8859-1') AS user_key, DECODE(`value`, 'ISO-8859-1') AS body,
    rt, arrival
FROM events_topic"""

# In order of arrival, not of time: late is what is older than the newest record before it in its own partition.
NEWEST = """SELECT *, MAX(at_ms) OVER (
    PARTITION BY `partition` ORDER BY arrival ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
) AS newest_ms
FROM decoded"""

# The second case is what the window would drop for another reason: the tick is closed. (No watermark yet: NULL, so no.)
FLAGGED = """SELECT *, CASE
    WHEN at_ms < newest_ms - {lateness_ms} THEN '{late}'
    WHEN at_ms - MOD(MOD(at_ms, {tick_ms}) + {tick_ms}, {tick_ms}) + {tick_ms} - 1 <= {watermark_ms} THEN '{late_idle}'
    ELSE ''
END AS flag
FROM newest"""

TOPIC_LINES = """SELECT at_ms, flag, user_key, CONCAT_WS({field},
    CAST(`partition` AS STRING), CAST(`offset` AS STRING), CAST(at_ms AS STRING), flag,
    COALESCE(user_key, {null}), COALESCE(body, {null})
) AS line, rt
FROM flagged"""

# HASH_CODE may be -2147483648, whose ABS is itself; after MOD it cannot.
SHARDED = """SELECT
    flag IN ('{late}', '{late_idle}') AS is_late,
    ABS(MOD(HASH_CODE(COALESCE(user_key, '')), {shards})) AS shard,
    line, rt
FROM lines"""

SHARDED_ROW = {"is_late": "BOOLEAN", "shard": "INT", "line": "STRING", "rt": "TIMESTAMP_LTZ(3)"}

# Rows without content, neither late nor in time, each BEAT_MS of processing time: the clock's bursts, one a second,
# are in many overlapping windows, and each of these ends in one row.
BEATS = """SELECT
    CAST(NULL AS BOOLEAN) AS is_late, CAST(NULL AS INT) AS shard, CAST(NULL AS STRING) AS line,
    TO_TIMESTAMP_LTZ(0, 3) AS rt
FROM TABLE(HOP(TABLE clock, DESCRIPTOR(arrival), {beat}, {window}))
GROUP BY window_start, window_end"""

MARKED = "SELECT *, COALESCE(CURRENT_WATERMARK(rt), TO_TIMESTAMP_LTZ({past_ms}, 3)) AS mark FROM beating"

IN_TIME = "SELECT shard, line, rt FROM sharded WHERE NOT is_late"
TOO_LATE = "SELECT line FROM sharded WHERE is_late"

# LISTAGG would copy the whole text for every record of a tick.
TICKS = """SELECT shard, ARRAY_JOIN(ARRAY_AGG(line), {record}) AS lines, window_time AS tick
FROM TABLE(TUMBLE(TABLE in_time, DESCRIPTOR(rt), {tick}))
GROUP BY shard, window_start, window_end, window_time"""

CHANGES_ROW = {"partition": "INT", "offset": "BIGINT", "at_ms": "BIGINT", "key": "BYTES", "value": "BYTES"}
CHANGES = "SELECT `partition`, `offset`, {at_ms} AS at_ms, `key`, `value`{rt} FROM vectors_topic"


def file_inputs(flink: Flink, log: Path, settings: Settings) -> Inputs:
    """Return the inputs out of a canonical log; its reader has flagged what is late."""
    from pyflink.common import Types, WatermarkStrategy
    from pyflink.datastream.connectors.file_system import FileSource, StreamFormat
    from pyflink.table import Schema

    # One file is one split and is read in order. The format ends lines at \r too, which the log escapes.
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format("UTF-8"), log.absolute().as_uri())
    lines = flink.env.from_source(source.build(), WatermarkStrategy.no_watermarks(), "events-file", Types.STRING()).uid(
        "events-file"
    )
    at_ms = f"CAST(SPLIT_INDEX(f0, {_literal(FIELD)}, 2) AS BIGINT)"
    schema = (
        Schema.new_builder()
        .column("f0", "STRING")
        .column_by_expression("line", "f0")
        .column_by_expression("rt", f"TO_TIMESTAMP_LTZ({at_ms}, 3)")
        .watermark("rt", f"rt - {_slack(settings)}")
        .build()
    )
    flink.tables.create_temporary_view("events_file", flink.tables.from_data_stream(lines, schema))
    _view(flink, "lines", LINE_FIELDS.format(field=_literal(FIELD)))
    return Inputs(*_ticks_and_late(flink, settings, live=False), no_changes(flink))


def topic_inputs(flink: Flink, config: Config, *, bounded: bool = False, restore: Path | None = None) -> Inputs:
    """Return the inputs out of Kafka.

    Args:
        flink: to build on.
        config: of the job.
        bounded: one pass from the earliest record to what the topics hold now, which leaves the group's offsets alone;
            the ticks then wait until all changes of the catalogue are read.
        restore: the checkpoint from which a bounded pass goes on.
    """
    settings = config.settings()
    topics = {EVENTS_TABLE: config.events.topic, VECTORS_TABLE: config.vectors.topic}
    known = assigned_in(restore, topics) if bounded and restore else set()
    _view_topic_lines(flink, config, settings, bounded=bounded, is_known=EVENTS_TABLE in known)
    changes = no_changes(flink)
    if config.vectors.topic:
        changes = _changes(flink, config, bounded=bounded, is_known=VECTORS_TABLE in known)
    return Inputs(*_ticks_and_late(flink, settings, live=not bounded), changes)


def no_changes(flink: Flink) -> Any:
    """Return a catalogue's changes that are over before they begin."""
    from pyflink.common import Types

    raw = Types.PRIMITIVE_ARRAY(Types.BYTE())
    return flink.env.from_collection([], Types.ROW([Types.INT(), Types.LONG(), Types.LONG(), raw, raw]))


def _view_topic_lines(flink: Flink, config: Config, settings: Settings, *, bounded: bool, is_known: bool) -> None:
    from pyflink.table import Schema

    start = {"earliest": "earliest-offset", "latest": "latest-offset", "committed": "group-offsets"}[config.kafka.start]
    schema = (
        _record_columns(Schema.new_builder())
        .column_by_expression("arrival", "PROCTIME()")
        .watermark("rt", f"rt - {_slack(settings)}")
    )
    options = {
        "scan.startup.mode": "earliest-offset" if bounded else start,
        "properties.auto.offset.reset": "earliest",  # of a group that has committed nothing
    }
    if not bounded:  # else the end is coming for every partition, and no list may depend on the clock
        options["scan.watermark.idle-timeout"] = f"{IDLE_MS} ms"
    options |= _subscription(config.events.topic, is_known=is_known)
    _topic(flink, EVENTS_TABLE, schema.build(), config, options, bounded=bounded)
    _view(flink, "decoded", DECODED.format(at_ms=_unix_ms("rt")))
    _view(flink, "newest", NEWEST)
    flagged = FLAGGED.format(
        lateness_ms=settings.lateness_ms,
        tick_ms=settings.tick_ms,
        watermark_ms=_unix_ms("CURRENT_WATERMARK(rt)"),
        late=LATE,
        late_idle=LATE_IDLE,
    )
    _view(flink, "flagged", flagged)
    _view(flink, "lines", TOPIC_LINES.format(field=_literal(FIELD), null=_literal(NULL)))


def _ticks_and_late(flink: Flink, settings: Settings, *, live: bool) -> tuple[Any, Any]:
    """Return the ticks (shard, lines), each at its last millisecond, and the late records (line,)."""
    tables = flink.tables
    # As one stream, from which both outputs are taken: two queries would each read the source.
    sharded = SHARDED.format(late=LATE, late_idle=LATE_IDLE, shards=settings.shards)
    stream = _one_subtask(_rows(flink, sharded, SHARDED_ROW))
    _stream_view(flink, "sharded", _never_idle(flink, stream) if live else stream)
    _view(flink, "in_time", IN_TIME)
    ticks = TICKS.format(record=_literal(RECORD), tick=interval(settings.tick_ms))
    ticks_row = {"shard": "INT", "lines": "STRING"}
    return _with_uids(_rows(flink, ticks, ticks_row, timestamp="tick")), tables.to_data_stream(
        tables.sql_query(TOO_LATE)
    )


def _never_idle(flink: Flink, stream: Any) -> Any:
    """Return the stream with the same watermarks, and without the notices that it is idle.

    The one operator that keeps such notices to itself makes its watermark out of the rows' timestamps. So each row is
    given the watermark before it as its timestamp; and a heartbeat, which never has a watermark of its own, carries on
    what came after the last row.
    """
    from pyflink.common import Duration, WatermarkStrategy
    from pyflink.table import TableDescriptor

    seconds = TableDescriptor.for_connector("datagen").schema(_schema({"second": "BIGINT"}).build())
    flink.tables.create_temporary_table("seconds", seconds.option("rows-per-second", "1").build())
    clock = _one_subtask(flink.tables.to_data_stream(flink.tables.from_path("seconds")), "clock-")
    silent = WatermarkStrategy.no_watermarks().with_idleness(Duration.of_millis(1))
    clock = clock.assign_timestamps_and_watermarks(silent).set_parallelism(1)
    schema = _schema({"second": "BIGINT"}).column_by_expression("arrival", "PROCTIME()").build()
    flink.tables.create_temporary_view("clock", flink.tables.from_data_stream(clock, schema))
    query = BEATS.format(beat=interval(BEAT_MS), window=interval(2000))
    beats = _one_subtask(_rows(flink, query, SHARDED_ROW), "clock-")
    _stream_view(flink, "beating", stream.union(beats))
    marked = _one_subtask(_rows(flink, MARKED.format(past_ms=FAR_PAST_MS), SHARDED_ROW, timestamp="mark"))
    return marked.assign_timestamps_and_watermarks(WatermarkStrategy.for_monotonous_timestamps()).set_parallelism(1)


def _changes(flink: Flink, config: Config, *, bounded: bool, is_known: bool) -> Any:
    """Return the vectors topic as (partition, offset, time ms, key, value), never holding back the other input."""
    from pyflink.table import Schema

    schema = Schema.new_builder()
    _record_columns(schema)
    options = {"scan.startup.mode": "earliest-offset"}
    if not bounded:
        schema.column_by_expression("far", f"TO_TIMESTAMP_LTZ({FAR_FUTURE_MS}, 3)").watermark("far", "far")
        options["scan.watermark.idle-timeout"] = f"{CHANGES_IDLE_MS} ms"
    options |= _subscription(config.vectors.topic, is_known=is_known)
    _topic(flink, VECTORS_TABLE, schema.build(), config, options, bounded=bounded)
    query = CHANGES.format(at_ms=_unix_ms("rt"), rt="" if bounded else ", far")
    return _one_subtask(_rows(flink, query, CHANGES_ROW, timestamp="" if bounded else "far"))


def _record_columns(schema: Any) -> Any:
    """Add the columns of any Kafka record, its bytes untouched."""
    schema.column("key", "BYTES").column("value", "BYTES")
    for name, kind, metadata in (
        ("partition", "INT", "partition"),
        ("offset", "BIGINT", "offset"),
        ("rt", "TIMESTAMP_LTZ(3)", "timestamp"),
    ):
        schema.column_by_metadata(name, kind, metadata, is_virtual=True)
    return schema


def _subscription(topic: str, *, is_known: bool) -> dict[str, str]:
    """Return which partitions a source looks for: those of its topic.

    A bounded source that is restored, looks, and finds just the partitions that it knew, is never told that there are
    no more, and waits for ever (FLINK-31006, open in connector 5.0.0): its watermark never comes to the end of time,
    and the last ticks are never over. One that finds some gone is told. So it is made to look for a topic that cannot
    be; it reads on in the partitions of its state, to their ends as of the first start, whatever it finds.

    Args:
        topic: to read.
        is_known: the source is bounded, and restored with the partitions of the topic.
    """
    return {"topic-pattern": NO_TOPIC} if is_known else {"topic": topic}


def _topic(flink: Flink, table: str, schema: Any, config: Config, options: Mapping[str, str], *, bounded: bool) -> None:
    """Make a table of a topic; nothing of the user's goes through SQL text."""
    from pyflink.table import TableDescriptor

    given = {
        "key.format": "raw",
        "key.fields": "key",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
        "properties.isolation.level": "read_committed",  # what a producer took back was never there
        **{f"properties.{key}": value for key, value in client_properties(config).items()},
        "properties.group.id": config.name,
        **options,
        **(
            {"scan.bounded.mode": "latest-offset", "properties.commit.offsets.on.checkpoint": "false"}
            if bounded
            else {}
        ),
    }
    descriptor = TableDescriptor.for_connector("kafka").schema(schema)
    for key, value in given.items():
        descriptor.option(key, value)
    flink.tables.create_temporary_table(table, descriptor.build())


def client_properties(config: Config) -> dict[str, str]:
    """Return the properties of every Kafka client in the job; classes are named as the connector's jar has them."""
    given = {
        key: value.replace("org.apache.kafka.", _SHADED) if _SHADED not in value else value
        for key, value in config.kafka.properties.items()
    }
    return {**given, "bootstrap.servers": config.kafka.bootstrap}


def interval(ms: int) -> str:
    """Return a SQL interval of so many ms; the shorter forms refuse more than 99 s, or hours with fractions."""
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    time = f"{days} {hours:02d}:{minutes:02d}:{seconds:02d}.{ms:03d}"
    return f"INTERVAL '{time}' DAY({max(2, len(str(days)))}) TO SECOND(3)"


def _slack(settings: Settings) -> str:
    """How far the watermark is behind: a record that is just not late is 1 ms above; a window drops what is not."""
    return interval(settings.lateness_ms + 1)


def _unix_ms(timestamp: str) -> str:
    """A TIMESTAMP_LTZ(3) as Unix ms; a cast to BIGINT is refused, and UNIX_TIMESTAMP is wrong before 1970."""
    return f"(EXTRACT(EPOCH FROM {timestamp}) * 1000 + EXTRACT(MILLISECOND FROM {timestamp}))"


def _literal(character: str) -> str:
    return f"U&'\\{ord(character):04X}'"


def _rows(flink: Flink, query: str, row: Mapping[str, str], timestamp: str = "") -> Any:
    """Return a query as a stream of rows; its last column, where named, is the rows' timestamp and not in them."""
    from pyflink.table.changelog_mode import ChangelogMode

    schema = _schema(row)
    if timestamp:
        schema.column_by_metadata(timestamp, "TIMESTAMP_LTZ(3)", "rowtime")
    table = flink.tables.sql_query(query)
    return flink.tables.to_changelog_stream(table, schema.build(), ChangelogMode.insert_only())


def _stream_view(flink: Flink, name: str, stream: Any) -> None:
    """Make a view of rows as of `SHARDED`, with the watermark that the stream has."""
    schema = _schema(SHARDED_ROW).watermark("rt", "SOURCE_WATERMARK()").build()
    flink.tables.create_temporary_view(name, flink.tables.from_data_stream(stream, schema))


def _schema(row: Mapping[str, str]) -> Any:
    from pyflink.table import Schema

    schema = Schema.new_builder()
    for name, kind in row.items():
        schema.column(name, kind)
    return schema


def _view(flink: Flink, name: str, query: str) -> None:
    flink.tables.create_temporary_view(name, flink.tables.sql_query(query))


def _one_subtask(stream: Any, part: str = "") -> Any:
    """Give everything before `stream` parallelism 1, which SQL has no way to say."""
    for transformation in stream._j_data_stream.getTransformation().getTransitivePredecessors():
        transformation.setParallelism(1)
    return _with_uids(stream, part)


def _with_uids(stream: Any, part: str = "") -> Any:
    """Name what SQL made with state; by itself it is named after the whole graph, and one more topic changes that."""
    for transformation in stream._j_data_stream.getTransformation().getTransitivePredecessors():
        found = _STATEFUL.search(transformation.getName())
        if found and not transformation.getUid():
            transformation.setUid(part + found[0])
    return stream
