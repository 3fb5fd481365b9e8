"""`hansa dashboards`: files that make Prometheus and Grafana watch a network."""

import json
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

app = cyclopts.App(name="dashboards", help="Alert rules and pictures for Prometheus and Grafana.")


@app.command
def export(
    folder: Path,
    *,
    target: Annotated[tuple[str, ...], Parameter(help="HOST:PORT of a node's metrics; several may be")] = (
        "127.0.0.1:26660",
    ),
    prometheus_url: Annotated[str, Parameter(help="Where Grafana finds Prometheus")] = "http://127.0.0.1:9090",
) -> int:
    """Write prometheus.yml, rules.yml and grafana/ (to be mounted as /etc/grafana/provisioning) into a folder.

    For example:

        hansa dashboards export watch --target 127.0.0.1:26660
    """
    for name, text in make_files(target, prometheus_url).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(path)
    return 0


def make_files(targets: tuple[str, ...], prometheus_url: str) -> dict[str, str]:
    """Their texts by path."""
    from validator.alerts import make_rules
    from validator.dashboards import DATASOURCE, make_dashboard

    return {
        "prometheus.yml": "global:\n  scrape_interval: 5s\n  evaluation_interval: 5s\nrule_files: [rules.yml]\n"
        "scrape_configs:\n  - job_name: hansa\n    static_configs:\n"
        f"      - targets: {json.dumps(list(targets))}\n",
        "rules.yml": make_rules(),
        "grafana/datasources/hansa.yml": "apiVersion: 1\ndatasources:\n  - name: Hansa\n    type: prometheus\n"
        f"    uid: {DATASOURCE['uid']}\n    access: proxy\n    isDefault: true\n"
        f"    url: {json.dumps(prometheus_url)}\n",
        "grafana/dashboards/hansa.yml": "apiVersion: 1\nproviders:\n  - name: Hansa\n    type: file\n"
        "    options:\n      path: /etc/grafana/provisioning/dashboards\n",
        "grafana/dashboards/hansa.json": json.dumps(make_dashboard(), indent=1) + "\n",
    }
