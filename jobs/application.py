"""The live job where Flink itself starts it: the entry point of application mode, as on Kubernetes.

`org.apache.flink.client.python.PythonDriver -pym jobs.application --config job.toml` runs this beside the job manager.
Flink's own settings say from what the job goes on (the savepoint of an upgrade) and where its checkpoints lie; the code
and the connector are the image's; the initial catalogue lies in the job's folder, which all machines see.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from state.errors import HeadwaterError


def main(argv: Sequence[str] | None = None) -> int:
    """Build the job in the Flink that called us, and start it."""
    from jobs.cli import ONE_THREAD

    for name in ONE_THREAD:
        os.environ[name] = "1"
    parser = argparse.ArgumentParser(prog="python -m jobs.application", description="The live job, started by Flink.")
    parser.add_argument("--config", type=Path, metavar="F", required=True, help="job.toml with topics")
    parser.add_argument("--mode", choices=("auto", "thread", "process"), help="how Flink runs Python (auto)")
    args = parser.parse_args(argv)
    try:
        _start(args.config, args.mode)
    except HeadwaterError as error:
        print(f"headwater: error: {error}", file=sys.stderr)
        return 2
    return 0


def _start(file: Path, wanted_mode: str | None) -> None:
    from pyflink.datastream import StreamExecutionEnvironment
    from pyflink.table import StreamTableEnvironment

    from jobs.config import load_config
    from jobs.flink_env import Flink, as_configuration, job_options, start
    from jobs.live import build_live
    from jobs.modes import choose_mode
    from jobs.place import shared_place
    from jobs.run import check_topics, check_vectors, vectors_of
    from jobs.transaction_checks import require_transactions

    config = load_config(file, {"flink.mode": wanted_mode})
    check_vectors(config)
    check_topics(config)
    require_transactions(config)
    mode = choose_mode(config.flink.mode)
    vectors = vectors_of(config, shared_place(config))
    options = as_configuration(job_options(config, mode))
    env = StreamExecutionEnvironment.get_execution_environment(options)
    build = Flink(env, StreamTableEnvironment.create(env))  # its parallelism is Flink's: parallelism.default
    build_live(build, config, vectors, mode)
    start(build, config.name)


if __name__ == "__main__":
    sys.exit(main())
