"""`headwater cluster`: start, stop or show a real Flink session cluster on this machine."""

import argparse
from pathlib import Path

from jobs.broker import HOST
from jobs.flink_conf import FLINK_CONF, environments
from jobs.flink_rest import FlinkRest
from jobs.jars import cache_dir
from jobs.session_cluster import ENVIRONMENT, PORT, TASK_MANAGERS, Cluster, Shape
from state.errors import HeadwaterError


def default_folder(port: int) -> Path:
    """Return where the cluster of a port lives when no --dir is given: the same from every working directory."""
    return cache_dir().parent / f"flink-{port}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `headwater cluster`."""
    parser.add_argument("action", choices=("up", "down", "status"), help="start, stop, or show the cluster")
    parser.add_argument("--port", type=int, default=PORT, help=f"of REST and the page, of {HOST} (default: {PORT})")
    parser.add_argument("--dir", type=Path, help="configuration, logs, checkpoints (default: in the cache, by port)")
    parser.add_argument(
        "--task-managers", type=int, default=TASK_MANAGERS, metavar="N", help="one slot each (default: %(default)s)"
    )
    parser.add_argument("--ha", action="store_true", help="a job manager that dies goes on with its jobs (ZooKeeper)")
    parser.add_argument(
        "--metrics", action="store_true", help="ports for Prometheus; they listen on all addresses of this machine"
    )
    parser.add_argument(
        "--environment", default=ENVIRONMENT, metavar="NAME", help="of flink-conf (default: %(default)s)"
    )
    parser.add_argument("--conf", type=Path, default=FLINK_CONF, metavar="DIR", help="in place of flink-conf")
    parser.add_argument("--foreground", action="store_true", help="of up: stay, and end the cluster with Ctrl-C")


def main(args: argparse.Namespace) -> int:
    """Start, stop or show the cluster; `status` returns 1 when it is not running."""
    if args.task_managers < 1:
        raise HeadwaterError(f"--task-managers is {args.task_managers}; expected at least 1")
    conf = args.conf.expanduser().absolute()
    if args.environment not in environments(conf):
        raise HeadwaterError(
            f"--environment is {args.environment}; expected one that {conf} has a file for: "
            f"{', '.join(environments(conf)) or 'none'}"
        )
    shape = Shape(args.port, args.task_managers, args.ha, args.metrics, args.environment, str(conf))
    cluster = Cluster(args.dir or default_folder(args.port), shape)
    if args.foreground and args.action == "up":
        cluster.supervise()
        return 0
    return {"up": _up, "down": _down, "status": _status}[args.action](cluster)


def _up(cluster: Cluster) -> int:
    started = cluster.start()
    print(f"Flink {_version(cluster)} {'is up' if started else 'was already running'} at {cluster.target}")
    _tell_members(cluster)
    return 0


def _down(cluster: Cluster) -> int:
    print(
        f"Flink at {cluster.target} {'is stopped' if cluster.stop() else 'was not running'} (folder {cluster.folder})"
    )
    return 0


def _status(cluster: Cluster) -> int:
    running = cluster.running_shape()
    if remains := cluster.remains():
        print(
            f"Flink at {cluster.target} runs without its supervisor, which was killed; end it: headwater cluster down"
        )
        print(f"  processes {', '.join(map(str, remains))}, folder {cluster.folder}")
        return 1
    if running is None:
        print(f"Flink at {cluster.target} is not running (folder {cluster.folder})")
        return 1
    cluster.shape = running
    try:
        found = FlinkRest(cluster.target, timeout_s=5).overview()
    except HeadwaterError as error:
        print(error)
        _tell_members(cluster)
        return 1
    print(
        f"Flink {found['flink-version']} is up at {cluster.target}: {found['taskmanagers']} task managers, "
        f"{found['slots-available']} of {found['slots-total']} slots free, {found['jobs-running']} jobs running"
    )
    _tell_members(cluster)
    return 0


def _version(cluster: Cluster) -> str:
    return str(FlinkRest(cluster.target).overview()["flink-version"])


def _tell_members(cluster: Cluster) -> None:
    ports = cluster.metrics_ports()
    for name, member in cluster.members().items():
        again = f", started {member.starts} times" if member.starts > 1 else ""
        metrics = f", metrics at http://{HOST}:{ports[name]}/metrics" if name in ports else ""
        print(f"  {name}: {f'pid {member.pid}' if member.pid else 'waits to be started'}{again}{metrics}")
    print(f"  folder {cluster.folder}, logs in {cluster.logs}")
