"""The files in deploy/: what they say together must be true of the command, and of each other."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import COMMAND, ENVIRON

pytestmark = pytest.mark.ours

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
LAST_WORDS = 3  # seconds that the supervisor needs at most after --shutdown-timeout, see docs/deployment.md
WITH_OPTIONS = ("modwsgi-go.service", "modwsgi-go-release@.service")


def text(name):
    return (DEPLOY / name).read_text()


def number(pattern, name):
    """The one number that a file has for a pattern."""
    (found,) = set(re.findall(pattern, text(name)))
    return int(found)


def image_command():
    """The words of CMD in the Dockerfile."""
    listed = re.search(r"^CMD (\[.*?\])", text("Dockerfile"), re.M | re.S)[1]
    return json.loads(listed.replace("\\\n", ""))


def pod_command():
    """The words of args in the deployment, each option apart from its value."""
    listed = re.search(r"args:\n((?: +- .*\n)+)", text("kubernetes/deployment.yaml"))[1]
    return [part for line in listed.splitlines() for part in line.split("- ", 1)[1].split("=", 1)]


def unit_command(name):
    """The words of ExecStart after the program."""
    return re.search(r"^ExecStart=(.*)", text(f"systemd/{name}"), re.M)[1].split()[1:]


def test_commands_are_understood(tmp_path):
    """The options of image, pod and units exist, with such values."""
    (tmp_path / "healthz").write_text("ok\n")
    for count, words in enumerate([image_command(), pod_command(), *map(unit_command, WITH_OPTIONS)]):
        words[1] = str(tmp_path / "app.wsgi")
        words[words.index("--server-root") + 1] = str(tmp_path / f"root{count}")
        words = [word.replace("/opt/health/healthz", str(tmp_path / "healthz")) for word in words]
        command = [*COMMAND, *words, "--setup-only"]
        done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        assert [line for line in done.stderr.splitlines() if "app.wsgi does not exist" not in line] == []


def test_image_and_pod_start_the_same_command():
    def without_numbers(words):
        return [word for word in words if not word.isdigit()]

    assert without_numbers(pod_command()) == without_numbers(image_command())


def test_whoever_kills_waits_for_the_drain():
    def drain(words):
        return int(words[words.index("--shutdown-timeout") + 1])

    pod = drain(pod_command()) + number(r'"sleep", "(\d+)"', "kubernetes/deployment.yaml")
    assert number(r"terminationGracePeriodSeconds: (\d+)", "kubernetes/deployment.yaml") >= pod + LAST_WORDS
    assert number(r"stop_grace_period: (\d+)s", "compose.yaml") >= drain(image_command()) + LAST_WORDS
    for unit in WITH_OPTIONS:
        assert number(r"TimeoutStopSec=(\d+)", f"systemd/{unit}") >= drain(unit_command(unit)) + LAST_WORDS
    limit = number(r"TimeoutStopSec=(\d+)", "systemd/modwsgi-go@.service")
    assert limit >= number(r"shutdown-timeout=(\d+)", "systemd/site.conf") + LAST_WORDS


def test_site_configuration_is_good(tmp_path):
    """Where its folder is there, as its reader is told to see to."""
    file = tmp_path / "site.conf"
    file.write_text(text("systemd/site.conf").replace("/srv/shop", str(tmp_path)))
    command = [*COMMAND, "check", str(file)]
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, timeout=30)
    assert "0 errors, 0 warnings, 0 notices" in done.stdout, done.stdout


def test_services_are_hardened_alike():
    """What is explained in one unit holds for all of them."""

    def closed(name):
        pattern = r"^(?:Protect|Private|Restrict|SystemCall|NoNew|Capab|Ambient|Lock|Remove)\w+=.*"
        return re.findall(pattern, text(f"systemd/{name}"), re.M)

    first = closed("modwsgi-go.service")
    assert len(first) > 20
    assert closed("modwsgi-go@.service") == first
    assert closed("modwsgi-go-release@.service") == first


def test_every_file_is_explained():
    page = text("README.md")
    for path in DEPLOY.rglob("*"):
        name = path.relative_to(DEPLOY).as_posix()
        if path.is_file() and name not in ("README.md", "systemd/modwsgi-go@.socket"):
            assert f"`{name}`" in page or f"`{path.name}`" in page, name


def test_build_context_has_what_it_names():
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        assert not line.startswith("!") or (ROOT / line[1:]).exists(), line


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_manifests_fit_together():
    """kustomize builds them, and what they select is there."""
    done = subprocess.run(["kubectl", "kustomize", DEPLOY / "kubernetes"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    documents = done.stdout.split("\n---\n")
    kinds = {re.search(r"^kind: (\w+)", one, re.M)[1]: one for one in documents}
    assert set(kinds) == {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    (label,) = set(re.findall(r"app\.kubernetes\.io/name: \S+", done.stdout))
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        assert re.search(r"(selector|matchLabels):\n\s+" + re.escape(label), kinds[kind]), kind
    assert "name: modwsgi-go" in kinds["HorizontalPodAutoscaler"].partition("scaleTargetRef")[2]
