"""`python -m tests.grafana.draw`: what `make check-dashboards` saw, drawn by Grafana's own components, as a picture.

Grafana itself is no dependency of anything here. Its component library is on npm, though, and draws panels as Grafana
does: npm fetches it into `.cache/grafana` (some 700 MB, minutes), esbuild makes a page of it, and a headless Chromium
takes the picture. Exit code 0 if every panel was drawn with data, 1 if one was not, 2 where a program is missing.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import cyclopts
import trio
from cyclopts import Parameter

from tests.net.chromium import CHROMIUM, open_page

FOLDER = Path(__file__).resolve().parent
CACHE = FOLDER.parents[1] / ".cache" / "grafana"
PACKAGES = (
    "@grafana/ui@12.4.10", "@grafana/data@12.4.10", "react@18.3.1", "react-dom@18.3.1", "react-router-dom@5.3.4",
    "esbuild@0.28.2",
)  # fmt: skip
LOADERS = {"svg": "dataurl", "woff2": "dataurl", "png": "dataurl", "ttf": "dataurl", "scss": "empty"}
LINE_PX, WIDTH_PX = 30, 1_508
BOOT = {"settings": {"featureToggles": {}, "buildInfo": {"version": "12.4.10", "env": "production"}}, "user": {}}
PANELS = Path("build/results/check-dashboards-panels.json")


def make_bundle() -> Path:
    """The page's script. Raises `CalledProcessError`."""
    if not (CACHE / "node_modules" / "@grafana" / "ui").is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        print(f"fetching {', '.join(PACKAGES)} into {CACHE}", file=sys.stderr)
        words = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--legacy-peer-deps"]
        subprocess.run([*words, "--prefix", str(CACHE), *PACKAGES], check=True, stdout=sys.stderr)
    shutil.copy(FOLDER / "panels.tsx", CACHE / "panels.tsx")
    words = ["npx", "--no-install", "esbuild", "panels.tsx", "--bundle", "--format=iife", "--outfile=panels.js"]
    words += ["--log-level=error", '--define:process.env.NODE_ENV="production"', "--define:global=window"]
    words += [f"--loader:.{ending}={kind}" for ending, kind in LOADERS.items()]
    subprocess.run(words, cwd=CACHE, check=True)
    return CACHE / "panels.js"


def make_page(seen: dict) -> Path:
    """Beside the script."""
    page = CACHE / "panels.html"
    page.write_text(
        "<!doctype html><meta charset=utf-8><link rel=stylesheet href=panels.css><body style='background:#111217'>"
        f"<div id=root></div><script>window.grafanaBootData={json.dumps(BOOT)};window.INPUT={json.dumps(seen)}</script>"
        "<script src=panels.js></script>"
    )
    return page


async def take_picture(page: Path, picture: Path, height_px: int, course_count: int) -> list[str]:
    """What was not drawn."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_page(Path(folder)) as browser:
            await browser.resize(WIDTH_PX, height_px)
            await browser.open(page.as_uri())
            await browser.wait_for(
                f"document.querySelectorAll('.uplot').length >= {course_count} || (window.FAULTS || []).length"
            )
            await browser.wait_for("new Promise(done => requestIdleCallback(() => done(true)))")  # legends are laid out
            await browser.screenshot(picture)
            # Its fonts are on Grafana's server; others do.
            errors = [text for text in browser.complaints if "/public/fonts/" not in text]
            return [*errors, *await browser.evaluate("FAULTS")]


def main(
    *,
    panels: Annotated[Path, Parameter(help="what make check-dashboards has written")] = PANELS,
    picture: Annotated[Path, Parameter(help="where the picture goes")] = Path("build/grafana.png"),
) -> int:
    """Draw the dashboard."""
    for is_there, what in (
        (shutil.which("npm"), "npm is not on the PATH"), (CHROMIUM, "there is no Chromium"),
        (panels.exists(), f"{panels} is not there: make check-dashboards writes it"),
    ):  # fmt: skip
        if not is_there:
            print(f"show-grafana: {what}", file=sys.stderr)
            return 2
    seen = json.loads(panels.read_text())
    make_bundle()
    drawn = seen["board"]["panels"]
    height_px = LINE_PX * (1 + max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in drawn))
    course_count = sum(panel["type"] == "timeseries" for panel in drawn)
    faults = trio.run(take_picture, make_page(seen), picture, height_px, course_count)
    for fault in faults:
        print(fault)
    print(f"{picture}: {len(drawn)} panels, {len(faults)} not drawn")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(cyclopts.App(name="show-grafana", default_command=main)())
