"""Where containers are put, when an image is built anew, and what is said where there is no Docker engine."""

import ipaddress
import os
import shutil
from types import SimpleNamespace

import pytest

from testnet.containers import attach, engine, image, place
from testnet.containers.drill import Outcome, list_rows
from testnet.launch import Site
from testnet.verdicts import exit_code


def docker_with(*subnets, labels=None):
    """What the engine tells of its networks."""
    networks = [
        SimpleNamespace(attrs={"IPAM": {"Config": [{"Subnet": subnet}]}, "Labels": labels or {}}) for subnet in subnets
    ]
    return SimpleNamespace(networks=SimpleNamespace(list=lambda filters=None: networks))


@pytest.mark.parametrize(
    ("taken", "first"),
    [
        ((), "198.18.0.0/24"),
        (("172.17.0.0/16",), "198.18.0.0/24"),
        (("198.18.0.0/24", "198.18.1.128/25"), "198.18.2.0/24"),
        (("198.18.0.0/16",), "198.19.0.0/24"),
        (("fd00::/64",), "198.18.0.0/24"),
    ],
)
def test_a_network_lies_where_no_other_does(taken, first):
    found = place.list_subnets(docker_with(*taken), "")
    assert str(found[0]) == first
    assert not any(subnet.overlaps(held) for subnet in found for held in place.TAKEN)


@pytest.mark.parametrize("wanted", ["198.18.5.0", "somewhere", "198.18.5.0/28", "198.18.5.1/24"])
def test_a_subnet_that_is_none_or_too_small_is_refused(wanted):
    with pytest.raises(engine.EngineError, match="--subnet"):
        place.list_subnets(docker_with(), wanted)


def test_containers_know_the_folder_by_another_name(tmp_path):
    site = place.make_site(place.Wanted(tmp_path), "net", ipaddress.IPv4Network("198.18.3.0/24"))
    assert site.locate(tmp_path, tmp_path / "node2") == "/network/node2"
    assert Site().locate(tmp_path, tmp_path / "node2") == str(tmp_path / "node2")
    assert site.api_hosts[2] == "198.18.3.12"
    words = list(site.prefix(2))
    assert words[words.index("--mount") + 1] == f"{tmp_path}/node2:/network/node2"
    assert words[words.index("--address") + 1] == site.peer_hosts[2]
    assert len({site.chain_host, *site.api_hosts}) == len(site.api_hosts) + 1


def test_a_folder_that_another_launcher_runs_is_left_alone(tmp_path):
    parent = {place.LAUNCHER_LABEL: str(os.getppid())}
    with pytest.raises(engine.EngineError, match=str(os.getppid())):
        place.refuse_second_launcher(docker_with("198.18.0.0/24", labels=parent), str(tmp_path))
    place.refuse_second_launcher(docker_with("198.18.0.0/24"), str(tmp_path))


def test_an_image_is_built_anew_when_anything_in_it_changes(tmp_path):
    for name in image.RECIPE:
        shutil.copy(image.ROOT / name, tmp_path / name)
    for package in image.PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "file.py").write_text(package)
    sources = image.compute_sources(tmp_path)
    (tmp_path / "engine" / "__pycache__").mkdir()
    (tmp_path / "engine" / "__pycache__" / "file.pyc").write_text("compiled")
    assert image.compute_sources(tmp_path) == sources
    (tmp_path / "net" / "file.py").write_text("changed")
    changed = image.compute_sources(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    assert len({sources, changed, image.compute_sources(tmp_path)}) == 3


def test_all_packages_of_the_program_go_into_the_image():
    recipe = (image.ROOT / "Dockerfile").read_text()
    ignored = (image.ROOT / ".dockerignore").read_text().split()
    for package in image.PACKAGES:
        assert f"COPY {package} /opt/hansa/{package}" in recipe
        assert f"!{package}" in ignored


def test_without_an_engine_it_is_said_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(engine.EngineError, match=r"no Docker engine answers at unix://.*apt install docker\.io"):
        engine.connect()
    assert "group `docker`" in engine.explain("PermissionError(13, 'Permission denied')")


def test_a_base_image_that_cannot_be_had_is_named():
    said = image.explain_failure("hansa:local", f"manifest for {image.BASE} not found", [])
    assert "docker pull" in said
    assert "last line" in image.explain_failure("hansa:local", "returned a non-zero code: 1", ["first", "last line"])


def test_a_validator_is_asked_for_its_health_where_its_options_say(tmp_path):
    assert attach.check_health(tmp_path) == {"healthcheck": {"test": ["NONE"]}}
    (tmp_path / "config.toml").write_text('api_host = "198.18.0.10"\napi_port = 8645\n')
    assert attach.check_health(tmp_path)["environment"]["HANSA_HEALTH_URL"] == "http://198.18.0.10:8645/health"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, 0),
        ({"blocks_meanwhile": 0}, 1),
        ({"blocks_behind": 0}, 1),
        ({"back_s": 1000.0}, 1),
        ({"blocks_afterwards": 3}, 1),
        ({"compared": 0}, 1),
        ({"disagreements": ["height 7: two roots"]}, 1),
    ],
)
def test_a_drill_fails_when_one_thing_does(change, code):
    good = {
        "cut_s": 15.0, "height_at_cut": 100, "blocks_meanwhile": 200, "blocks_behind": 200, "back_s": 2.0,
        "blocks_afterwards": 20, "compared": 400, "disagreements": [],
    }  # fmt: skip
    assert exit_code(list_rows(Outcome(**(good | change)))) == code
