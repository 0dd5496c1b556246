"""The Kubernetes manifests: valid by the published schemas, true to our rules, and they fit together."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from deployment import DOCKER, manifests, of_kind, pod_environment, secrets_in
from kombu.transport.redis import Channel

from workers.settings import Settings, load_settings

KEDA = ("ScaledObject", "TriggerAuthentication")
KEDA_MODELS = ("cloudcoil==0.6.0", "cloudcoil-models-keda==2.16.1.0")
KEDA_CHECK = """
import json, sys
from cloudcoil.models.keda import v1alpha1
for part in json.load(sys.stdin):
    model = getattr(v1alpha1, part["kind"]).model_validate(part)
    known = model.model_dump(by_alias=True, exclude_none=True, mode="json")
    assert known == part, (part, known)
"""
VERSIONS = ("1.30", "1.37")
OURS = ("intake", "fast", "deep", "metrics", "flower")


def pods() -> dict[str, dict[str, Any]]:
    return {name: part["spec"]["template"] for name, part in of_kind("Deployment", "StatefulSet").items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_fits_the_schema_of_kubernetes(version: str) -> None:
    for part in manifests():
        if part["kind"] not in KEDA:
            kubernetes_validate.validate(part, version, strict=True)


def test_every_scaling_object_fits_the_schema_of_keda_and_has_no_key_it_does_not_know(tmp_path: Path) -> None:
    # Not a development dependency: it brings a pytest plugin that fails to load without a package it does not name.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), *KEDA_MODELS]
    if subprocess.run(pip, capture_output=True, check=False, timeout=120).returncode != 0:
        message = "the models of KEDA's objects cannot be installed"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    objects = [part for part in manifests() if part["kind"] in KEDA]
    assert len(objects) == 4
    answer = subprocess.run(
        [sys.executable, "-c", KEDA_CHECK],
        input=json.dumps(objects),
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr


def test_everything_is_in_one_namespace() -> None:
    namespaced = [part for part in manifests() if part["kind"] != "Namespace"]
    assert {part["metadata"]["namespace"] for part in namespaced} == {"docroute"}


def test_every_pod_is_confined_and_has_limits_and_probes() -> None:
    for name, pod in pods().items():
        spec, (container,) = pod["spec"], pod["spec"]["containers"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        assert spec["terminationGracePeriodSeconds"] > 0, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
        }  # fmt: skip
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
        assert container["resources"]["limits"]["memory"], name
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys(), name


def test_workers_are_asked_whether_they_live_and_are_ready() -> None:
    for name in ("intake", "fast", "deep", "metrics"):
        (container,) = pods()[name]["spec"]["containers"]
        assert container["livenessProbe"]["httpGet"] == {"path": "/live", "port": "metrics"}
        assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "metrics"}
        port = pod_environment(name)["DOCROUTE_SERVICE__MONITORING__PORT"]
        assert {"name": "metrics", "containerPort": int(port)} in container["ports"]


def test_a_worker_may_finish_its_document_and_is_not_overtaken_meanwhile() -> None:
    for name in ("intake", "fast", "deep"):
        settings = load_settings(pod_environment(name), Path("/nonexistent"))
        grace_s = pods()[name]["spec"]["terminationGracePeriodSeconds"]
        assert settings.document_timeout_s < grace_s < settings.service.broker.visibility_timeout_s


@pytest.mark.parametrize("name", OURS)
def test_the_environment_of_every_pod_is_settings_that_exist(name: str) -> None:
    assert isinstance(load_settings(pod_environment(name), Path("/nonexistent")), Settings)


@pytest.mark.parametrize("name", OURS)
def test_secrets_come_as_files_that_the_pod_mounts(name: str) -> None:
    environment = pod_environment(name)
    assert not secrets_in(environment)
    (secrets,) = [v["secret"] for v in pods()[name]["spec"]["volumes"] if "secret" in v]
    given = {f"/run/secrets/{item['path']}" for item in secrets["items"]}
    assert {value for value in environment.values() if value.startswith("/run/secrets/")} == given


def test_names_refer_to_objects_that_exist() -> None:
    claims = of_kind("PersistentVolumeClaim")
    maps = of_kind("ConfigMap")
    for pod in pods().values():
        for volume in pod["spec"]["volumes"]:
            assert volume.get("persistentVolumeClaim", {}).get("claimName", "blobs") in claims
            assert volume.get("configMap", {}).get("name", "settings") in maps
            assert volume.get("secret", {}).get("secretName", "docroute") == "docroute"
        mounted = {mount["name"] for container in pod["spec"]["containers"] for mount in container["volumeMounts"]}
        own = {"data"} if pod["metadata"]["labels"]["app"] == "valkey" else set()
        assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]} | own


def test_selectors_find_pods() -> None:
    labels = [pod["metadata"]["labels"] for pod in pods().values()]

    def found(selector: dict[str, str]) -> bool:
        return any(selector.items() <= each.items() for each in labels)

    for part in of_kind("Deployment", "StatefulSet").values():
        assert part["spec"]["selector"]["matchLabels"].items() <= part["spec"]["template"]["metadata"]["labels"].items()
    assert all(found(part["spec"]["selector"]) for part in of_kind("Service").values())
    policies = [part["spec"] for part in of_kind("NetworkPolicy").values()]
    assert all(found(policy["podSelector"].get("matchLabels", {})) for policy in policies)


def test_nothing_comes_in_or_goes_out_unless_a_policy_says_so() -> None:
    closed = of_kind("NetworkPolicy")["nothing-else"]["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    kinds = {part["spec"].get("type", "ClusterIP") for part in of_kind("Service").values()}
    assert kinds == {"ClusterIP"}


def test_workers_scale_on_the_lists_that_hold_their_queue() -> None:
    channel = object.__new__(Channel)
    for name, part in of_kind("ScaledObject").items():
        settings = load_settings(pod_environment(name), Path("/nonexistent")).service.broker
        lists = [trigger["metadata"]["listName"] for trigger in part["spec"]["triggers"]]
        assert lists == [settings.key_prefix + channel._q_for_pri(name, priority) for priority in (0, 3)]
        names = [trigger["name"] for trigger in part["spec"]["triggers"]]
        assert re.findall(r"\w+", part["spec"]["advanced"]["scalingModifiers"]["formula"]) == names
        assert part["spec"]["scaleTargetRef"]["name"] in of_kind("Deployment")
        assert "replicas" not in of_kind("Deployment")[name]["spec"], "it would fight with the scaling"


def test_valkey_runs_with_the_same_settings_as_under_compose() -> None:
    assert of_kind("ConfigMap")["valkey"]["data"]["valkey.conf"] == (DOCKER / "valkey.conf").read_text("utf-8")
    compose = yaml.safe_load((DOCKER / "compose.cpu.yaml").read_text("utf-8"))["services"]["valkey"]["command"]
    (container,) = pods()["valkey"]["spec"]["containers"]
    assert container["command"] == [part.replace("$$", "$") for part in compose]
