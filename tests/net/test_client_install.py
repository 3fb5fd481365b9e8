"""`pip install .` as a trader does it: the wheel in an environment of its own, without what only a node needs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("blspy", "eth", "eth_account", "libp2p", "llvmlite", "numba", "web3")
TRADERS = (
    "net.client", "net.client.labels", "net.client.order_stream", "net.client.proof", "validator.__main__",
    *("engine.commands", "engine.params", "engine.payload", "engine.results", "engine.units", "consensus.messages"),
)  # fmt: skip
INSTALL_S_MAX = 300


def run(*command: str | Path, check: bool = True, where: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Beside the program, where nothing of the checkout is on the path, unless told where."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(
        [str(part) for part in command], cwd=where or Path(command[0]).parent, env=environment, check=check,
        capture_output=True, text=True, timeout=INSTALL_S_MAX,
    )  # fmt: skip


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The `bin` folder of an environment into which this checkout's wheel was installed, by uv where it is there."""
    folder = tmp_path_factory.mktemp("light") / "venv"
    python = folder / "bin" / "python"
    uv = shutil.which("uv") or shutil.which(ROOT / ".cache" / "uv-venv" / "bin" / "uv")
    if uv:
        make: tuple[str | Path, ...] = (uv, "venv", "-q", "--python", sys.executable, folder)
        pip: tuple[str | Path, ...] = (uv, "pip")
        into: tuple[str | Path, ...] = ("-q", "--python", python)
    else:
        make = (sys.executable, "-m", "venv", folder)
        pip, into = (python, "-m", "pip", "--disable-pip-version-check", "-q"), ()
    made = run(*make, check=False)
    if made.returncode:
        pytest.skip(f"this Python makes no virtual environments: {made.stderr.strip()[-200:]}")
    builder = run(*pip, "install", *into, "hatchling==1.33.0", check=False)
    if builder.returncode:
        pytest.skip(f"no package index can be reached: {builder.stderr.strip()[-200:]}")
    run(folder / "bin" / "hatchling", "build", "-t", "wheel", "-d", folder / "wheels", where=ROOT)
    wheels = (folder / "wheels").glob("hansa-*.whl")
    installed = run(*pip, "install", *into, "--only-binary", ":all:", *wheels, check=False)
    assert installed.returncode == 0, installed.stderr
    yield python.parent


def test_a_light_install_has_nothing_heavy(light: Path) -> None:
    found = run(light / "python", "-c", f"""
import importlib.util, sys
print([name for name in {HEAVY} if importlib.util.find_spec(name)])
import {", ".join(TRADERS)}
print(net.client.__file__)
""").stdout.splitlines()  # fmt: skip
    assert found[0] == "[]"
    assert Path(found[1]).is_relative_to(light.parent)


def test_the_sdk_loads_no_server_and_no_command_line(light: Path) -> None:
    loaded = run(light / "python", "-c", "import sys, net.client; print(*sys.modules)").stdout.split()
    assert not {"starlette", "hypercorn", "cyclopts", "rich", "eth_keyfile", "ccxt", "pydantic"} & set(loaded)


def test_what_needs_more_says_what_to_install(light: Path) -> None:
    for module, extra in (("validator.verifier", "hansa[verify]"), ("validator.local_margin", "hansa[node]")):
        refused = run(light / "python", "-c", f"import {module}", check=False)
        assert refused.returncode and f"pip install '{extra}'" in refused.stderr, refused.stderr


def test_the_command_works_and_says_what_the_rest_needs(light: Path) -> None:
    assert "testnet" in run(light / "hansa", "--help").stdout
    for words in (("testnet", "up"), ("start", "--home", "."), ("verify-me", "--help")):
        refused = run(light / "hansa", *words, check=False)
        assert refused.returncode == 2 and "pip install 'hansa[node]'" in refused.stderr, refused.stderr
        assert "Traceback" not in refused.stderr
