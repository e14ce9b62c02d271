"""Flink's REST interface: each question is answered within a time or raises one clear error."""

import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from state.errors import HeadwaterError

TARGET = "http://127.0.0.1:8081"  # where headwater cluster up listens unless told otherwise
TIMEOUT_S = 10.0  # of one question; a job manager answers in 10 ms, one that starts or pauses in some seconds
SAVEPOINT_S = 300.0  # of a savepoint; 0.4 s on an idle machine, but it waits for the backlog in front of the barrier
POLL_S = 0.2
OVER = ("FINISHED", "CANCELED", "FAILED")  # a job in one of these runs no more


class JobState(NamedTuple):
    """A job as its cluster tells of it."""

    job_id: str
    name: str
    state: str  # RUNNING, RESTARTING, ...: of Flink
    start_ms: int

    @property
    def is_over(self) -> bool:
        """Whether it runs no more."""
        return self.state in OVER


class FlinkRest:
    """A session or application cluster, by the address of its job manager."""

    def __init__(self, target: str = TARGET, *, timeout_s: float = TIMEOUT_S) -> None:
        """Name the target; nothing is asked yet.

        Raises:
            HeadwaterError: the target is no http or https address.
        """
        parts = urlsplit(target)
        try:
            standard = {"http": 80, "https": 443}[parts.scheme]
            self.host, self.port = parts.hostname or "", parts.port or standard
        except (ValueError, KeyError):
            self.host, self.port = "", 0
        if not self.host or parts.path.strip("/") or parts.query:
            raise HeadwaterError(f"--target is {target}; expected http://HOST:PORT of Flink's job manager, as {TARGET}")
        self.target = target.rstrip("/")
        self.timeout_s = timeout_s

    def overview(self) -> dict[str, Any]:
        """Return the numbers of task managers, slots and jobs, and Flink's version."""
        return self._ask("GET", "/overview")

    def configuration(self) -> dict[str, str]:
        """Return the job manager's configuration."""
        return {each["key"]: each["value"] for each in self._ask("GET", "/jobmanager/config")}  # type: ignore[index]

    def jobs(self) -> list[JobState]:
        """Return the jobs that the cluster knows, the newest first."""
        found = self._ask("GET", "/jobs/overview")["jobs"]
        jobs = [JobState(each["jid"], each["name"], each["state"], each["start-time"]) for each in found]
        return sorted(jobs, key=lambda job: job.start_ms, reverse=True)

    def job(self, job_id: str) -> dict[str, Any]:
        """Return what Flink says about one job."""
        return self._ask("GET", f"/jobs/{job_id}")

    def checkpoints(self, job_id: str) -> dict[str, Any]:
        """Return the counts and the newest of a job's checkpoints."""
        return self._ask("GET", f"/jobs/{job_id}/checkpoints")

    def metrics(self, job_id: str, names: tuple[str, ...]) -> dict[str, str]:
        """Return name -> value of a job's own metrics, of those that are there."""
        found: Any = self._ask("GET", f"/jobs/{job_id}/metrics?get={','.join(names)}")
        return {each["id"]: each["value"] for each in found}

    def failure(self, job_id: str) -> str:
        """Return why a job failed or restarted last, in one line; "" when it did not."""
        from jobs.causes import one_line

        entries = self._ask("GET", f"/jobs/{job_id}/exceptions").get("exceptionHistory", {}).get("entries", [])
        return one_line(_deepest(entries[0]["stacktrace"])) if entries else ""

    def savepoint(self, job_id: str, folder: str) -> str:
        """Make a savepoint of a running job; return its address.

        Raises:
            HeadwaterError: it failed; the text has the cause.
        """
        asked = {"target-directory": folder, "cancel-job": False, "formatType": "CANONICAL"}
        return self._saved(job_id, self._ask("POST", f"/jobs/{job_id}/savepoints", asked))

    def stop(self, job_id: str, folder: str) -> str:
        """End a job after a savepoint, when its outputs are committed; return the savepoint's address.

        Raises:
            HeadwaterError: the savepoint failed, and the job runs on; the text has the cause.
        """
        asked = {"targetDirectory": folder, "drain": False, "formatType": "CANONICAL"}
        saved = self._saved(job_id, self._ask("POST", f"/jobs/{job_id}/stop", asked))
        self.wait(job_id, lambda job: job["state"] in OVER, "has not ended")
        return saved

    def cancel(self, job_id: str) -> None:
        """End a job now, without a savepoint."""
        self._ask("PATCH", f"/jobs/{job_id}?mode=cancel")
        self.wait(job_id, lambda job: job["state"] in OVER, "has not ended")

    def wait(self, job_id: str, what: Any, otherwise: str, limit_s: float = 60.0) -> dict[str, Any]:
        """Return what Flink says about a job once `what` of it holds."""
        deadline = time.monotonic() + limit_s
        while not what(job := self.job(job_id)):
            if time.monotonic() > deadline:
                raise HeadwaterError(
                    f"the job {job_id} at {self.target} {otherwise} after {limit_s:g} s (state {job['state']}); "
                    f"look into {self.target}/#/job/running/{job_id}/exceptions"
                )
            time.sleep(POLL_S)
        return job

    def _saved(self, job_id: str, asked: Mapping[str, Any]) -> str:
        deadline = time.monotonic() + SAVEPOINT_S
        while True:
            answer = self._ask("GET", f"/jobs/{job_id}/savepoints/{asked['request-id']}")
            if answer["status"]["id"] == "COMPLETED":
                break
            if time.monotonic() > deadline:
                raise HeadwaterError(
                    f"no savepoint of {job_id} within {SAVEPOINT_S:g} s; is the job behind its input, or restarting? "
                    f"look into {self.target}/#/job/running/{job_id}/checkpoints"
                )
            time.sleep(POLL_S)
        done = answer["operation"]
        if "failure-cause" in done:
            from jobs.causes import one_line

            cause = one_line(_deepest(done["failure-cause"]["stack-trace"]))
            raise HeadwaterError(f"no savepoint of job {job_id}: {cause}; the job is as it was; try again")
        return str(done["location"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        import requests

        try:
            answer = requests.request(method, self.target + path, json=body, timeout=self.timeout_s)
            told = answer.json()
        except requests.RequestException as error:
            raise HeadwaterError(
                f"no Flink answers at {self.target} ({_reason(error)}); expected its REST interface within "
                f"{self.timeout_s:g} s; start one with `headwater cluster up`, or correct --target"
            ) from None
        if answer.ok:
            return told  # type: ignore[no-any-return]
        if answer.status_code == 404 and "/jobs/" in path:
            raise self._unknown(re.split("[/?]", path)[2])
        texts = told.get("errors", []) if isinstance(told, dict) else []
        said = _deepest("\n".join(texts)) or answer.reason
        raise HeadwaterError(f"Flink at {self.target} refused {method} {path} ({answer.status_code}): {said}")

    def _unknown(self, job_id: str) -> HeadwaterError:
        known = ", ".join(f"{job.job_id} ({job.name}, {job.state})" for job in self.jobs()) or "none"
        return HeadwaterError(f"Flink at {self.target} has no job {job_id}; it has: {known}; name one with --job")


def _reason(error: Exception) -> str:
    """Return the innermost text of a requests error, which wraps three others."""
    found = re.findall(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
    return found[-1] if found else type(error).__name__


def _deepest(stack: str) -> str:
    """Return the last cause in the text of a Java stack trace, with a Python traceback that it holds."""
    causes = re.split(r"^Caused by: ", stack, flags=re.MULTILINE)
    last = causes[-1]
    told = re.split(r"^\s*(?:at [\w.$/]+\(|\.\.\. \d+ more)", last, maxsplit=1, flags=re.MULTILINE)[0]
    return re.sub(r"^(?:[a-z_][\w$]*\.)+(?=[A-Z])", "", told.strip())
