"""`hansa dashboards`: files that make Prometheus and Grafana watch a network.

The folder is laid out as the two programs' images expect it: `prometheus.yml` beside `rules.yml`, and in `grafana/`
what belongs under /etc/grafana: `provisioning` and `dashboards`.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

app = cyclopts.App(name="dashboards", help="Alert rules and pictures for Prometheus and Grafana.")

DEFAULT_TARGET = "127.0.0.1:26660"
# Where Grafana looks for pictures: a path inside its container.
DASHBOARDS_FOLDER = "/etc/grafana/dashboards"
EXIT_USAGE = 2


@dataclass(frozen=True, slots=True)
class Target:
    """Where a node answers Prometheus, as HOST:PORT. `name`: what it is called in pictures and alerts; empty: so."""

    address: str
    name: str = ""


@app.command
def export(
    folder: Path,
    *,
    target: Annotated[tuple[str, ...], Parameter(help="HOST:PORT of a node's metrics; several may be")] = (),
    home: Annotated[tuple[Path, ...], Parameter(help="A validator's folder, instead; several may be")] = (),
    testnet: Annotated[Path | None, Parameter(help="The folder of a local network, instead")] = None,
    prometheus_url: Annotated[str, Parameter(help="Where Grafana finds Prometheus")] = "http://127.0.0.1:9090",
    dashboards_folder: Annotated[str, Parameter(help="Where Grafana finds grafana/dashboards")] = DASHBOARDS_FOLDER,
) -> int:
    """Write prometheus.yml, rules.yml, grafana/provisioning and grafana/dashboards into a folder.

    Start Prometheus with `--config.file=FOLDER/prometheus.yml`; mount grafana/provisioning as /etc/grafana/provisioning
    and grafana/dashboards as /etc/grafana/dashboards.

    For example:

        hansa dashboards export watch
        hansa dashboards export watch --testnet .hansa-testnet
        hansa dashboards export watch --target 10.0.0.1:26660 --target 10.0.0.2:26660
    """
    from validator.config import ConfigError

    try:
        targets = [*map(Target, target), *find_targets(home, testnet)] or [Target(DEFAULT_TARGET)]
    except ConfigError as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_USAGE
    for path in write_files(folder, targets, prometheus_url, dashboards_folder):
        print(path)
    return 0


def find_targets(homes: Sequence[Path], testnet: Path | None) -> list[Target]:
    """The metrics of nodes by their config.toml; a node without any is left out. Raises `ConfigError`."""
    from validator.config import Home, load_node

    named = ((path, load_node(Home(path).config)) for path in find_homes(homes, testnet))
    return [
        Target(f"{config.metrics_host}:{config.metrics_port}", path.resolve().name)
        for path, config in named
        if config.metrics_port
    ]


def find_homes(homes: Sequence[Path], testnet: Path | None) -> list[Path]:
    """The folders of nodes: those that are named, then a local network's by number. Raises `ConfigError`."""
    from validator.config import ConfigError

    found = list(homes)
    if testnet is not None:
        found += sorted(testnet.glob("node*/"), key=lambda path: (len(path.name), path.name))
        if len(found) == len(homes):
            raise ConfigError(f"{testnet} holds no node: name the folder that `hansa testnet up --dir` made")
    return found


def write_files(
    folder: Path, targets: Sequence[Target], prometheus_url: str, dashboards_folder: str = DASHBOARDS_FOLDER
) -> list[Path]:
    """All files, written into the folder."""
    paths = []
    for name, text in make_files(targets, prometheus_url, dashboards_folder).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        paths.append(path)
    return paths


def make_files(
    targets: Sequence[Target], prometheus_url: str, dashboards_folder: str = DASHBOARDS_FOLDER
) -> dict[str, str]:
    """Their texts by path."""
    from validator.alerts import make_rules
    from validator.dashboards import DATASOURCE, make_dashboard

    return {
        "prometheus.yml": _make_scrape(targets),
        "rules.yml": make_rules(),
        "grafana/provisioning/datasources/hansa.yml": "apiVersion: 1\ndatasources:\n  - name: Hansa\n"
        f"    type: prometheus\n    uid: {DATASOURCE['uid']}\n    access: proxy\n    isDefault: true\n"
        f"    url: {json.dumps(prometheus_url)}\n",
        "grafana/provisioning/dashboards/hansa.yml": "apiVersion: 1\nproviders:\n  - name: Hansa\n    type: file\n"
        f"    options:\n      path: {json.dumps(dashboards_folder)}\n",
        "grafana/dashboards/hansa.json": json.dumps(make_dashboard(), indent=1) + "\n",
    }


def _make_scrape(targets: Sequence[Target]) -> str:
    lines = ["global:", "  scrape_interval: 5s", "  evaluation_interval: 5s", "rule_files: [rules.yml]"]
    lines += ["scrape_configs:", "  - job_name: hansa", "    static_configs:"]
    for target in targets:
        lines.append(f"      - targets: {json.dumps([target.address])}")
        if target.name:
            lines.append(f"        labels: {{instance: {json.dumps(target.name)}}}")
    return "\n".join(lines) + "\n"
