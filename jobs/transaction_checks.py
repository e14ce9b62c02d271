"""Whether a job's transactions can work: their timeout, the broker's protocol, and what a broker has aborted."""

import argparse
from pathlib import Path

from jobs.checks import Finding, Findings
from jobs.committables import Committable, Held
from jobs.config import Config
from jobs.kafka_client import Admin
from jobs.kafka_features import finalized_features
from jobs.kafka_java import JavaAdmin, Transaction
from state.errors import HeadwaterError

TRANSACTION_VERSION = 2  # KIP-890: below it a transaction can be left hanging, and readers with it
DEFAULT_MAX_TRANSACTION_MS = 900_000  # a broker's own
_TIMEOUT_S = 5.0


def check_transactions(config: Config, admin: Admin) -> Findings:
    """Their timeout is what the broker allows and the job needs, and their protocol is the newest."""
    asked = config.kafka.transaction_timeout_ms
    allowed = int(admin.broker_config().get("transaction.max.timeout.ms", DEFAULT_MAX_TRANSACTION_MS))
    if asked > allowed:
        yield Finding(
            "fail",
            "transaction timeout",
            f"{asked} ms; the broker's transaction.max.timeout.ms is {allowed} ms",
            f"lower kafka.transaction_timeout to {allowed} ms or less, or raise the broker's limit",
        )
    elif asked <= 2 * config.flink.checkpoint_interval_ms:
        yield Finding(
            "fail",
            "transaction timeout",
            f"{asked} ms with a checkpoint each {config.flink.checkpoint_interval_ms} ms; expected far more: what is "
            "older than the timeout is aborted before it is committed",
            "raise kafka.transaction_timeout, or lower flink.checkpoint_interval",
        )
    else:
        yield Finding("ok", "transaction timeout", f"{asked} ms of {allowed} ms that the broker allows")
    yield from _transaction_version(config)


def _transaction_version(config: Config) -> Findings:
    name = "transaction version"
    if config.kafka.properties.get("security.protocol", "PLAINTEXT").upper() != "PLAINTEXT":
        yield Finding("warn", name, "not asked: the listener is secured", "see: kafka-features.sh describe")
        return
    try:
        level = finalized_features(config.kafka.bootstrap, _TIMEOUT_S).get("transaction.version", 0)
    except (OSError, ValueError) as error:
        yield Finding("warn", name, f"the broker does not tell it ({error})", "see: kafka-features.sh describe")
        return
    if level >= TRANSACTION_VERSION:
        yield Finding("ok", name, str(level))
    else:
        yield Finding(
            "fail",
            name,
            f"{level}; expected {TRANSACTION_VERSION} or more: below it a crash can leave a transaction that blocks "
            "readers",
            "on brokers of 4.0 and later run: kafka-features.sh upgrade "
            f"--feature transaction.version={TRANSACTION_VERSION}",
        )


def add_accept_loss(parser: argparse.ArgumentParser) -> None:
    """Declare how to start in spite of `require_whole`."""
    parser.add_argument(
        "--accept-loss",
        action="store_true",
        help="go on although the broker has aborted lists that the last checkpoint had not yet committed",
    )


def require_transactions(config: Config) -> None:
    """Hold that the job's transactions can work, before it writes any.

    Raises:
        HeadwaterError: they cannot; the text names the setting.
    """
    admin = Admin(config.kafka.bootstrap, config.kafka.properties)
    for finding in check_transactions(config, admin):
        if finding.state == "fail":
            raise HeadwaterError(f"{finding.name}: {finding.seen}; {finding.remedy}")


def require_whole(config: Config, restore: Path | None, logs: Path, *, accept_loss: bool) -> str:
    """Hold that nothing is lost of what a checkpoint wrote and left to be committed; return what to tell, or "".

    Needs the JVM, and starts it.

    Args:
        config: of the job.
        restore: the checkpoint to go on from.
        logs: folder for those of the JVM.
        accept_loss: go on with a gap.

    Raises:
        HeadwaterError: the broker has aborted some of it.
    """
    with JavaAdmin(config, logs) as admin:
        found = admin.transactions(f"{config.name}-")
    if restore is not None:
        held = Held(restore)
        if lost := [one.name for one in found if is_lost(held.of(one.name, one.producer), one)]:
            told = (
                f"what {restore} wrote and left to be committed is lost: the job was not started again within "
                f"kafka.transaction_timeout, {config.kafka.transaction_timeout_ms / 1000:g} s, and the broker aborted "
                f"{', '.join(lost)}; readers will never see the lists from the checkpoint before up to this one"
            )
            if not accept_loss:
                raise HeadwaterError(f"{told}; go on with this gap by --accept-loss, or make all lists anew by --fresh")
            return f"warning: {told}"
    if left := [one.name for one in found if one.is_open]:
        return f"commits or ends {len(left)} transactions that an earlier run, or another job of this name, left open"
    return ""


def is_lost(committable: Committable | None, transaction: Transaction) -> bool:
    """Tell whether a broker has aborted what a checkpoint means to commit.

    Each end of a transaction raises the epoch by one. So one more, and aborted, is this very transaction; of an id that
    was committed and then used again the epoch is higher still.
    """
    return (
        committable is not None
        and transaction.state in ("CompleteAbort", "PrepareAbort")
        and transaction.epoch == committable.epoch + 1
    )
