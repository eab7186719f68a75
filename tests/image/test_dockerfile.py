"""The image's Dockerfile, whose steps `.ci/image` runs in clean roots: pinned, without root, healthy, one for both."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from dashboard.publishing import space
from engines.server.public import Turnstile
from tests.image.dockerfile import Stage, path_to_last, read

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKERFILE = REPOSITORY / "dashboard" / "publishing" / "Dockerfile"
KINDS = ("dashboard", "space")


def last(kind: str) -> list[Stage]:
    return path_to_last(read(DOCKERFILE, {"KIND": kind}))


def test_the_repositorys_dockerfile_is_the_one_that_spaces_get() -> None:
    assert (REPOSITORY / "Dockerfile").resolve() == DOCKERFILE
    assert space.dockerfile().decode() == DOCKERFILE.read_text().replace("KIND=dashboard", "KIND=space")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_built_of_what_it_needs_alone(kind: str) -> None:
    assert [stage.name for stage in last(kind)] == ["base", "installed", kind, ""]
    assert last(kind)[-1].instructions == []


def test_what_comes_from_a_registry_has_its_whole_version() -> None:
    for stage in read(DOCKERFILE, {"KIND": "space"}):
        if ":" in stage.base:
            assert re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+-[a-z-]+", stage.base), stage.base


@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_as_user_1000_and_tells_its_health(kind: str) -> None:
    stage = last(kind)[2]
    names = [one.name for one in stage.instructions]
    assert [one.words for one in stage.all("USER")] == ["1000"]
    assert "useradd --create-home --uid 1000" in " ".join(one.words for one in last(kind)[0].all("RUN"))
    assert names.index("USER") < names.index("CMD") and len(stage.all("CMD")) == 1
    (health,) = stage.all("HEALTHCHECK")
    (port,) = stage.all("EXPOSE")
    assert f"http://127.0.0.1:{port.words}/" in health.command[2]
    compile(health.command[2], "HEALTHCHECK", "exec")


def test_the_ports_and_the_rate_are_those_that_the_page_and_the_hub_are_told() -> None:
    stage = last("space")[2]
    assert stage.all("EXPOSE")[0].words == str(space.PORT)
    assert f"--port {space.PORT} --public page" in stage.all("CMD")[0].command[2]
    assert Turnstile().a_minute == space.A_MINUTE


def test_an_instruction_that_nobody_looked_at_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM a AS b\nONBUILD RUN x\n")
    with pytest.raises(ValueError, match="ONBUILD"):
        read(tmp_path / "Dockerfile")


def test_nothing_secret_gets_into_the_image() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*" and not {"!.git", "!workspace", "!.", "!.venv"} & set(lines)
    for line in lines:
        if line.startswith("!"):
            assert list(REPOSITORY.glob(line[1:])), f"{line} names nothing"


def test_compose_has_a_store_that_is_up_first_and_no_password_of_its_own() -> None:
    services = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    assert services["bakeoff"]["depends_on"]["store"]["condition"] == "service_healthy"
    assert re.fullmatch(r"postgres:\d+\.\d+-[a-z]+", services["store"]["image"])
    assert "ports" not in services["store"], "the store is reached by Bakeoff alone"
    assert services["bakeoff"]["ports"] == ["127.0.0.1:8501:8501"]
    for text in (
        services["store"]["environment"]["POSTGRES_PASSWORD"],
        services["bakeoff"]["environment"]["BAKEOFF_DATABASE_URL"],
    ):
        assert "${POSTGRES_PASSWORD:?" in text


def test_the_profile_of_calls_lets_bubblewrap_in_and_no_call_on_the_machine() -> None:
    profile = json.loads((REPOSITORY / "docs" / "bubblewrap.seccomp.json").read_text())
    refused = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ERRNO" for name in rule["names"]}
    assert profile["defaultAction"] == "SCMP_ACT_ALLOW"
    assert not refused & {"clone", "clone3", "unshare", "mount", "umount2", "pivot_root", "seccomp", "prctl"}
    assert refused >= {"bpf", "init_module", "kexec_load", "keyctl", "open_by_handle_at", "perf_event_open", "reboot"}
