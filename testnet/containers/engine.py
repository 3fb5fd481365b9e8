"""The Docker engine of this machine, or the reason why there is none, and what everything of a testnet in it carries.

Each container's attached process imports this file, so it imports little.
"""

import os
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

from testnet.local import NoPlace

ANSWER_S_MAX = 60
LABEL = "org.hansa.testnet"  # on all we make; its value is the network's folder
IMAGE_USER = 10001
INSIDE = Path("/network")  # the network's folder as containers see it
# What the engine answers, and what the way to it does (the errors of `requests` are of this kind).
ENGINE_ERRORS = (DockerException, OSError)


class EngineError(NoPlace):
    """No Docker engine, or it refuses; the message says what to do."""


def connect() -> Any:
    """A client of the engine that `DOCKER_HOST` or the usual socket names. Raises `EngineError`."""
    try:
        client = docker.from_env(timeout=ANSWER_S_MAX)
        client.ping()
    except ENGINE_ERRORS as error:
        raise EngineError(explain(str(error))) from None
    return client


def explain(cause: str) -> str:
    """Why the engine does not answer, and what to do about it."""
    if "Permission denied" in cause or "PermissionError" in cause:
        return (
            "this user may not talk to the Docker engine: add it to the group `docker` and log in again, "
            "or run as root; or leave --docker out"
        )
    where = os.environ.get("DOCKER_HOST", "/var/run/docker.sock")
    return (
        f"no Docker engine answers at {where}: install one (on Debian: apt install docker.io), start it "
        "(systemctl start docker, or dockerd), or name one by DOCKER_HOST; or leave --docker out, and the network runs "
        f"as processes ({cause.splitlines()[0][:120]})"
    )


def make_labels(label: str) -> dict[str, str]:
    """`label`: the network's folder."""
    return {LABEL: label}
