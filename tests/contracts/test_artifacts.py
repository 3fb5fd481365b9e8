"""The committed artefacts are what the sources compile to."""

import json

import pytest

from contracts import compile as compiler
from contracts.artifact import load_artifact

CODE_BYTES_MAX = 24_576


def test_artifacts_are_fresh() -> None:
    assert compiler.stale_artifacts() == [], "run `python -m contracts.compile`"


def test_a_stale_artifact_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(compiler, "ARTIFACT_FOLDER", tmp_path)
    assert compiler.stale_artifacts() == list(compiler.CONTRACTS)
    artifact = json.loads(compiler.compile_artifact("TestUSDC"))
    (tmp_path / "TestUSDC.json").write_text(json.dumps(artifact))
    assert "TestUSDC" in compiler.stale_artifacts()


def test_code_fits_the_chain() -> None:
    for name in compiler.CONTRACTS:
        assert (len(load_artifact(name)["bytecode_runtime"]) - 2) // 2 <= CODE_BYTES_MAX
