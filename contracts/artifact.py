"""Reads the committed artefacts: interface and bytecode of each contract."""

import functools
import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "artifacts"


@functools.cache
def load_artifact(name: str) -> dict[str, Any]:
    """Artefact `name` with the keys `abi` and `bytecode` (hex)."""
    artifact: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text())
    return artifact
