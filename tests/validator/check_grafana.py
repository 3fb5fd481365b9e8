"""`python -m tests.validator.check_grafana`: the exported dashboard has the shape that Grafana's own types demand.

Grafana publishes the types of dashboards and of each panel's options as the npm package @grafana/schema. They are made
into JSON Schemas here, strict ones, and the dashboard is held against them: an option that is misspelt, missing or of
another kind is a finding. Exit code 0: none; 1: some; 2: npm is not there.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs

from validator.dashboards import make_dashboard

FOLDER = Path("build/grafana-schema")
PACKAGES = ("@grafana/schema@13.2.3", "ts-json-schema-generator@2.4.0")
RAW = "@grafana/schema/dist/esm/raw"
TYPES = f"""
import type {{ Dashboard, Panel, RowPanel }} from "{RAW}/dashboard/x/Dashboard_types.gen";
import type * as series from "{RAW}/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
import type * as number from "{RAW}/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
export type Board = Omit<Dashboard, "panels"> & {{ panels: Array<Panel | RowPanel> }};
export interface timeseries {{ options: series.Options; custom: series.FieldConfig }}
export interface stat {{ options: number.Options; custom: {{}} }}
"""
CONFIG = {
    "compilerOptions": {"strict": True, "skipLibCheck": True, "moduleResolution": "bundler", "module": "esnext"},
    "files": ["types.ts"],
}
NAMES = ("Board", "timeseries", "stat")


def make_schemas() -> dict[str, Any]:
    """By name; made once, which takes some seconds and the network. Raises `CalledProcessError`."""
    if not all((FOLDER / f"{name}.json").exists() for name in NAMES):
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / "package.json").write_text('{"private": true}\n')
        (FOLDER / "types.ts").write_text(TYPES)
        (FOLDER / "tsconfig.json").write_text(json.dumps(CONFIG))
        _run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES)
        for name in NAMES:
            _run(
                "npx", "--no-install", "ts-json-schema-generator", "--tsconfig", "tsconfig.json", "--path", "types.ts",
                "--no-type-check", "--type", name, "-o", f"{name}.json",
            )  # fmt: skip
    return {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in NAMES}


def _run(*argv: str) -> None:
    subprocess.run(argv, cwd=FOLDER, check=True, timeout=300, stdout=subprocess.DEVNULL)


def list_faults(board: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    """One line each: the panel, the place in it, and what is wrong."""
    validators = {name: jsonschema_rs.validator_for(schema) for name, schema in schemas.items()}

    def check(where: str, name: str, value: object) -> Iterator[str]:
        for error in validators[name].iter_errors(value):
            yield f"{where}: {'/'.join(map(str, error.instance_path))}: {error.message[:200]}"

    yield from check("dashboard", "Board", board | {"panels": []})
    for panel in board["panels"]:
        yield from check(panel["title"], "Board", board | {"panels": [panel]})
        if panel["type"] != "row":
            custom = panel["fieldConfig"]["defaults"].get("custom", {})
            yield from check(panel["title"], panel["type"], {"options": panel["options"], "custom": custom})


def find_unnoticed(schemas: dict[str, Any]) -> list[str]:
    """Planted mistakes that the check does not find."""
    unnoticed = []
    for text, change in (
        ("a misspelt option", lambda panel: panel["options"]["legend"].update(dispalyMode="list")),
        ("a missing option", lambda panel: panel["options"]["legend"].pop("showLegend")),
        ("an unknown mode", lambda panel: panel["options"]["tooltip"].update(mode="both")),
        ("a place that is none", lambda panel: panel["gridPos"].update(x="left")),
    ):
        board = make_dashboard()
        change(next(panel for panel in board["panels"] if panel["type"] == "timeseries"))
        if not list(list_faults(board, schemas)):
            unnoticed.append(text)
    return unnoticed


def main() -> int:
    if shutil.which("npm") is None:
        print("check-grafana: npm is not on the PATH: install Node.js", file=sys.stderr)
        return 2
    schemas, board = make_schemas(), make_dashboard()
    faults = [*list_faults(board, schemas), *(f"not noticed: {text}" for text in find_unnoticed(schemas))]
    for fault in faults:
        print(fault)
    print(f"{len(board['panels'])} panels against {PACKAGES[0]}: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
