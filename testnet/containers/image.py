"""The image that all containers run from: built from the checkout when its sources have changed, and measured."""

import hashlib
import time
from pathlib import Path
from typing import Any

from docker.errors import APIError, BuildError, ImageNotFound
from rich.console import Console

from testnet.containers.engine import EngineError

IMAGE = "hansa:local"
SOURCES_LABEL = "org.hansa.sources"
ROOT = Path(__file__).resolve().parents[2]
RECIPE = ("Dockerfile", ".dockerignore", "pyproject.toml", "uv.lock")
PACKAGES = ("engine", "consensus", "contracts", "net", "validator", "testnet")
BASE = "python:3.11-slim-bookworm"
TAIL_LINES = 15


def compute_sources(root: Path) -> str:
    """Digest of everything that an image is made of, but for what other people publish."""
    digest = hashlib.sha256()
    paths = [root / name for name in RECIPE]
    for package in PACKAGES:
        paths += sorted(
            path for path in (root / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts
        )
    for path in paths:
        text = path.read_bytes()
        digest.update(f"{path.relative_to(root)} {len(text)} ".encode() + text)
    return digest.hexdigest()[:16]


def prepare_image(client: Any, tag: str, console: Console) -> str:
    """The id of the image to run: our own is of the checkout's sources, any other is taken as it is. Raises
    `EngineError`.
    """
    if tag != IMAGE or not (ROOT / "Dockerfile").exists():
        found = find_image(client, tag)
        if found is not None:
            return str(found.id)
    return refresh_image(client, tag, console)


def refresh_image(client: Any, tag: str, console: Console, is_from_scratch: bool = False) -> str:
    """The id of the image of this checkout, built unless it is there. Raises `EngineError`."""
    if not (ROOT / "Dockerfile").exists():
        raise EngineError(f"there is no image {tag} and no Dockerfile in {ROOT} to build it from: work in a checkout")
    sources = compute_sources(ROOT)
    found = find_image(client, tag)
    if found is not None and found.labels.get(SOURCES_LABEL) == sources and not is_from_scratch:
        return str(found.id)
    return build_image(client, tag, sources, console, is_from_scratch)


def find_image(client: Any, tag: str) -> Any:
    """None where there is none."""
    try:
        return client.images.get(tag)
    except ImageNotFound:
        return None


def build_image(client: Any, tag: str, sources: str, console: Console, is_from_scratch: bool) -> str:
    """Its id; says how long it took and how large it is. Raises `EngineError`."""
    started_s = time.monotonic()
    has_wheelhouse = (ROOT / "wheelhouse").is_dir()
    arguments = {"SOURCES": sources} | ({"PIP_NO_INDEX": "1"} if has_wheelhouse else {})
    with console.status(f"image {tag} (minutes the first time)") as status:
        lines: list[str] = []
        try:
            # The stream of the low-level client, because the other one is silent until the end.
            for part in client.api.build(
                path=str(ROOT), tag=tag, buildargs=arguments, nocache=is_from_scratch, rm=True, decode=True
            ):
                if "error" in part:
                    raise EngineError(explain_failure(tag, part["error"], lines))
                text = part.get("stream", "").strip()
                if text:
                    lines.append(text)
                    status.update(f"image {tag}: {text[:100]}")
        except (APIError, BuildError) as error:
            raise EngineError(explain_failure(tag, str(error), lines)) from None
    image = client.images.get(tag)
    console.print(
        f"[green]ok[/] image {tag}, {image.attrs['Size'] / 1e6:.0f} MB [dim]{time.monotonic() - started_s:.1f} s[/]",
        highlight=False,
    )
    return str(image.id)


def explain_failure(tag: str, cause: str, lines: list[str]) -> str:
    if BASE in cause or "pull" in cause or "registry" in cause:
        return (
            f"image {tag} cannot be built, because its base {BASE} is neither here nor to be had ({cause.strip()}): "
            "docker pull it where a registry can be reached, or docker load it from a file"
        )
    return f"image {tag} cannot be built: {cause.strip()}\n" + "\n".join(f"  {line}" for line in lines[-TAIL_LINES:])
