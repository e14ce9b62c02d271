"""The Kubernetes manifest: fields that the operator knows, and the very settings of flink-conf."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from jobs.flink_conf import FLINK_CONF, LOGS, read_configuration

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(Path(__file__).with_name("flinkdeployment.schema.json").read_text(encoding="utf-8"))
SIZES = {"jobManager": "jobmanager.memory.process.size", "taskManager": "taskmanager.memory.process.size"}


@pytest.fixture
def manifest() -> dict[str, Any]:
    """The first document, the deployment."""
    documents = YAML(typ="safe", pure=True).load_all((ROOT / "deploy" / "flinkdeployment.yaml").read_text("utf-8"))
    found: dict[str, Any] = next(iter(documents))
    return found


def errors(manifest: dict[str, Any]) -> list[str]:
    """Return what the schema says against it."""
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(SCHEMA).iter_errors(manifest)]


def test_the_operator_knows_each_field(manifest: dict[str, Any]) -> None:
    """An unknown field, a wrong type or a missing one is an error of the schema; here there is none."""
    Draft202012Validator.check_schema(SCHEMA)
    assert errors(manifest) == []
    manifest["spec"]["job"]["upgrademode"] = "savepoint"
    manifest["spec"]["taskManager"]["resource"]["cpu"] = "many"
    del manifest["spec"]["image"]
    assert len(errors(manifest)) == 3


def test_its_settings_are_those_of_flink_conf(manifest: dict[str, Any]) -> None:
    """So that each has its reason and is one that Flink knows; the sizes are the pods'."""
    expected = read_configuration("cluster")
    for part, key in SIZES.items():
        assert manifest["spec"][part]["resource"]["memory"] == expected.pop(key)
    assert manifest["spec"]["flinkConfiguration"] == expected
    assert manifest["spec"]["logConfiguration"] == {LOGS: (FLINK_CONF / LOGS).read_text(encoding="utf-8")}


def test_it_is_the_image_and_the_job(manifest: dict[str, Any]) -> None:
    """What it starts is there: the jar, the interpreter, the module, the entry point, the port, the version."""
    spec, dockerfile = manifest["spec"], (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert (ROOT / "jobs" / "application.py").exists() and "jobs.application" in spec["job"]["args"]
    assert f"-t {spec['image']} " in dockerfile
    assert "/opt/headwater/.venv/bin/python" in spec["job"]["args"] and "WORKDIR /opt/headwater" in dockerfile
    settings = spec["flinkConfiguration"]
    assert settings["kubernetes.entry.path"] in dockerfile
    [container] = spec["podTemplate"]["spec"]["containers"]
    assert str(container["ports"][0]["containerPort"]) == settings["metrics.reporter.prometheus.port"]
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/state", "/etc/headwater"} <= mounted
    assert settings["execution.checkpointing.dir"].startswith("file:///state/")
