"""Laws of the configuration: every mistake is one error that says what to write instead."""

from pathlib import Path

import msgspec
import pytest

from jobs.cli import main
from jobs.config import FLAGS, Config, EventColumns, config_from_flags, load_config
from online.settings import Learning
from state.errors import HeadwaterError

FILES = '[events]\npath = "log.csv.gz"\n[items]\npath = "items.csv"\n'
TOPICS = '[events]\ntopic = "events"\n[items]\ntopic = "items"\n'


def load(folder: Path, text: str, **overrides: object) -> Config:
    file = folder / "job.toml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, {key.replace("__", "."): value for key, value in overrides.items()})


def test_files_have_coarse_defaults(tmp_path: Path) -> None:
    """A replay ticks by the hour; paths start from the configuration's folder; the format follows the name."""
    config = load(tmp_path, FILES)
    assert config.events.path == tmp_path / "log.csv.gz"
    assert (config.events.format, config.events.lateness_ms, config.lists.tick_ms) == ("csv", 3_600_000, 3_600_000)
    assert config.flink.checkpoint_interval_ms == 2000
    assert (config.name, config.learning) == ("log", Learning())


def test_topics_have_fresh_defaults(tmp_path: Path) -> None:
    """A live job ticks by 200 ms."""
    config = load(tmp_path, TOPICS)
    assert (config.events.format, config.events.lateness_ms, config.lists.tick_ms) == ("", 1000, 200)
    assert (config.flink.checkpoint_interval_ms, config.kafka.start) == (500, "committed")


def test_every_kind_of_value(tmp_path: Path) -> None:
    """Durations, sizes, texts, lists, tables and learning settings arrive as their types."""
    config = load(
        tmp_path,
        """
        name = "shop-1"
        [events]
        path = "a/b.parquet"
        time_unit = "iso"
        lateness = "90s"
        [events.columns]
        user = "visitor"
        value = ""
        [items]
        path = "items.csv"
        columns.text = ["name", "brand"]
        [lists]
        candidates = "all"
        tick = "1d"
        [kafka]
        properties.security.protocol = "SASL_SSL"
        properties."socket.keepalive.enable" = true
        [learning]
        seed = 3
        head_rate = 1
        half_lives = [10, 20.5]
        """,
    )
    assert config.events.columns == EventColumns(user="visitor", value="")
    assert (config.events.lateness_ms, config.lists.tick_ms) == (90_000, 86_400_000)
    assert config.items.columns.text == ("name", "brand")
    assert config.kafka.properties == {"security.protocol": "SASL_SSL", "socket.keepalive.enable": "true"}
    assert (config.learning.seed, config.learning.head_rate, config.learning.half_lives) == (3, 1.0, (10.0, 20.5))
    assert isinstance(config.learning.head_rate, float)


def test_settings_hold_what_shapes_a_list(tmp_path: Path) -> None:
    """The loop gets the same values, whatever engine runs it."""
    settings = load(tmp_path, FILES + '[lists]\ntop_k = 7\ntick = "5m"\n[flink]\nshards = 4\n').settings()
    assert (settings.top_k, settings.tick_ms, settings.shards, settings.candidates) == (7, 300_000, 4, "unseen")


def test_command_line_overrides(tmp_path: Path) -> None:
    """A dotted key replaces the file's value; None does not; its paths start from the working directory."""
    config = load(tmp_path, FILES, lists__tick="5m", flink__parallelism=2, flink__mode=None, items__path="other.csv")
    assert (config.lists.tick_ms, config.flink.parallelism, config.flink.mode) == (300_000, 2, "auto")
    assert (config.items.path, config.events.path) == (Path("other.csv"), tmp_path / "log.csv.gz")


def test_a_path_on_the_command_line_wins_over_a_topic(tmp_path: Path) -> None:
    """A live job's configuration serves for a replay of files; written in one file, the two still contradict."""
    config = load(tmp_path, TOPICS, events__path="log.csv", items__path="items.csv")
    assert (config.events.path, config.events.topic) == (Path("log.csv"), "")
    assert (config.items.path, config.items.topic, config.name) == (Path("items.csv"), "", "log")
    assert (config.events.lateness_ms, config.lists.tick_ms) == (3_600_000, 3_600_000)


def test_flags_alone() -> None:
    """Without a file the same configuration comes from three flags."""
    config = config_from_flags("My Log (2).jsonl", "items.csv", "not_in_basket", {"events.lateness": "1d"})
    assert (config.name, config.events.format, config.lists.candidates) == ("my-log-2", "jsonl", "not_in_basket")
    assert config.events.lateness_ms == 86_400_000


def test_report_hides_secrets(tmp_path: Path) -> None:
    """The report's configuration is plain JSON, and no password is in it."""
    text = FILES + '[kafka.properties]\n"sasl.password" = "hunter2"\n"sasl.username" = "u"\n"ssl.key.password" = "x"\n'
    shown = load(tmp_path, text).as_dict()
    assert b"hunter2" not in msgspec.json.encode(shown)
    assert shown["kafka"]["properties"] == {"sasl.password": "***", "sasl.username": "u", "ssl.key.password": "***"}
    assert shown["events"]["path"] == str(tmp_path / "log.csv.gz")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[event]\npath = 'x'", "unknown key 'event' in the top level of .*job.toml; known are name, .* mean 'events'"),
        ("[events]\nlatenes = '1s'", r"unknown key 'latenes' in table \[events\].*did you mean 'lateness'\?"),
        ("[events.columns]\ntimestamp = 'ts'", r"unknown key 'timestamp' in table \[events.columns\].*mean 'time'\?"),
        ("[learning]\nhead_rat = 1", r"unknown key 'head_rat' in table \[learning\].*did you mean 'head_rate'\?"),
        ("[learning]\nbatch = 1.5", "learning.batch is 1.5; expected a whole number from 1 to 512; change it in .*"),
        ("[learning]\nhalf_lives = ['a']", r"learning.half_lives is \['a'\]; expected a list, each a number"),
        ("[learning]\nhead_rate = nan", "learning.head_rate is nan; expected a number"),
        ("[learning]\nseed = true", "learning.seed is True; expected a whole number"),
        ("[lists]\ntick = 5", 'lists.tick is 5; expected a duration from "10ms" to "365d", a whole number and ms'),
        ("[lists]\ntick = '1 h'", "lists.tick is '1 h'; expected a duration"),
        ("[lists]\ntick = '0s'", "lists.tick is '0s'; expected a duration from"),
        ("[lists]\ntick_ms = 5", "unknown key 'tick_ms' in table .*did you mean 'tick'?"),
        ("[lists]\ntop_k = 0", "lists.top_k is 0; expected a whole number from 1 to 1000"),
        ("[lists]\ntop_k = true", "lists.top_k is True; expected a whole number"),
        ("[lists]\ncandidates = 'unsen'", "lists.candidates is 'unsen'; expected one of unseen, .* you mean 'unseen'"),
        ("[flink]\nmode = 3", "flink.mode is 3; expected one of auto, thread, process; change it in"),
        ("[events]\ntopic = 'a b'", "events.topic is 'a b'; expected a Kafka topic name"),
        ("[kafka]\nbootstrap = 'localhost'", "kafka.bootstrap is 'localhost'; expected HOST:PORT"),
        ("[kafka]\nbootstrap = 'h:0'", "kafka.bootstrap is 'h:0'; expected HOST:PORT, .*each port from 1 to 65535"),
        ("[kafka]\nbootstrap = 'h:1,h:99999'", "kafka.bootstrap is 'h:1,h:99999'; expected HOST:PORT"),
        ("[kafka]\nbootstrap = ':9092'", "kafka.bootstrap is ':9092'; expected HOST:PORT"),
        ("[kafka]\nbootstrap = 'h:9092,'", "kafka.bootstrap is 'h:9092,'; expected HOST:PORT"),
        ("name = 'Film'", "name is 'Film'; expected 1 to 63 of a-z 0-9 -"),
        ("events = 3", r"events is 3; expected a table; write it as \[events\] in"),
        ("[events]\npath = 3", "events.path is 3; expected text in quotes"),
        ("[items.columns]\ntext = 'title'", "items.columns.text is 'title'; expected a list of texts"),
        ("[items.columns]\ntext = []", r"text is \[\]; expected a list of texts in quotes, at least .* leave it out"),
        ("[items.columns]\ntext = ['']", r"text is \[''\]; expected a list of texts in quotes, at least one; correct"),
        ("[kafka]\nproperties = 1", "kafka.properties is 1; expected a table of client properties"),
        ("[kafka.properties]\na = [1]", r"kafka.properties.a is \[1\]; expected text, a number, true or false"),
        ("[items]\npath = 'i.csv'", "names no events; expected a file or a topic; set events.path or events.topic"),
        ("[events]\npath = 'e.csv'", "names no items; expected a file or topic of items.*set items.path or"),
        (FILES + "topic = 'x'", r"\[items\] of .* has both a path \(.*\) and a topic \(x\); expected one of them"),
        (FILES.replace("csv.gz", "dat"), "the format of .*log.dat is not told by its name; .*set events.format"),
        ("name = ", "is not TOML: Invalid value.*; mend that line"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, text: str, expected: str) -> None:
    """A wrong key or value says where, what came, what was expected and what to do."""
    with pytest.raises(HeadwaterError, match=expected):
        load(tmp_path, text)


def test_mistakes_on_the_command_line(tmp_path: Path) -> None:
    """A wrong flag is told as such, not as a key or a line of the file."""
    with pytest.raises(HeadwaterError) as error:
        load(tmp_path, FILES, lists__tick="0")
    expected = 'a duration from "10ms" to "365d", a whole number and ms, s, m, h or d'
    assert f"--tick is '0'; expected {expected}; give another --tick" == str(error.value)
    with pytest.raises(HeadwaterError, match=r"lists.tick is '0'; .*, in quotes; change it in .*job.toml"):
        load(tmp_path, FILES + "[lists]\ntick = '0'\n", lists__tick="1h")


def test_every_flag_that_sets_a_key_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """What an error calls by its flag, the replay has."""
    with pytest.raises(SystemExit):
        main(["replay", "--help"])
    assert set(FLAGS.values()) <= set(capsys.readouterr().out.split())


def test_no_such_file(tmp_path: Path) -> None:
    """A missing or unreadable file is an error, not a traceback."""
    with pytest.raises(HeadwaterError, match=r"cannot read the configuration .*no.toml: No such file .*check the path"):
        load_config(tmp_path / "no.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(HeadwaterError, match="is not UTF-8"):
        load_config(tmp_path / "latin.toml")
