"""The documentation site builds without a warning, every page is in it, and no link of it leads nowhere."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_site_builds_and_its_links_lead_somewhere(tmp_path):
    config = (ROOT / "zensical.toml").read_text()
    (tmp_path / "zensical.toml").write_text(config)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    zensical = str(Path(sys.executable).with_name("zensical"))
    built = subprocess.run([zensical, "build", "--strict"], cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    site = tmp_path / "build" / "site"
    pages = {str(page.relative_to(site)) for page in site.rglob("*.html")} - {"404.html"}
    assert pages >= {f"{source.stem}.html" for source in (ROOT / "docs").glob("*.md")}
    named = re.findall(r'= "(\S+)\.md"', config)
    assert {f"{source.stem}.md" for source in (ROOT / "docs").glob("*.md")} <= {f"{name}.md" for name in named}
    broken = []
    for page in pages:
        for link in re.findall(r'(?:href|src)="?([^"\s>]+)', (site / page).read_text()):
            path = link.split("#")[0].split("?")[0]
            if path and ":" not in path and not (site / page).parent.joinpath(path).exists():
                broken.append((page, link))
    assert not broken
