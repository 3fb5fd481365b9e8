"""What the pages are made of: nothing inline, nothing from elsewhere, libraries of others as they were published."""

import gzip
import re
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from test_gateway_backend import DictBackend
from test_gateway_inputs import running

from net.gateway.pages import PAGES

STATIC = Path(__file__).parents[2] / "net" / "gateway" / "static"
VENDOR = STATIC / "vendor"
OWN_PAGES = sorted(name for name in PAGES.values() if name != "escape.html")
OWN_SCRIPTS = sorted((STATIC / "js").glob("*.js"))
LINKS_MAY_GO_TO = {"https://www.tradingview.com/"}  # its license asks for the link
NODE = shutil.which("node")


def test_libraries_are_as_they_were_published() -> None:
    listed = re.findall(r"\| `([0-9a-f]{64})` \| `(.*?)` \|", (VENDOR / "README.md").read_text())
    found = {str(path.relative_to(VENDOR)): sha256(path.read_bytes()).hexdigest() for path in VENDOR.rglob("*.*js")}
    found |= {str(path.relative_to(VENDOR)): sha256(path.read_bytes()).hexdigest() for path in VENDOR.rglob("LICENSE")}
    assert found == {name: digest for digest, name in listed}


@pytest.mark.parametrize("name", OWN_PAGES)
def test_pages_have_no_inline_code_and_load_nothing_from_elsewhere(name: str) -> None:
    text = (STATIC / name).read_text()
    assert not re.findall(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", text)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert loaded and all(path.startswith("/static/") and (STATIC / path[8:]).is_file() for path in loaded)


@pytest.mark.parametrize("path", [*OWN_SCRIPTS, *sorted((STATIC / "css").glob("*.css"))], ids=lambda path: path.name)
def test_scripts_and_styles_name_no_other_host(path: Path) -> None:
    text = path.read_text()
    assert set(re.findall(r"https?://[^\s\"'`]+", text)) <= LINKS_MAY_GO_TO | {"http://www.w3.org/2000/svg"}
    for name in re.findall(r'from "(.*?)"', text):
        assert (path.parent / name).resolve().is_file(), name
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", text)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize("path", OWN_SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(path: Path, tmp_path: Path) -> None:
    module = tmp_path / (path.stem + ".mjs")
    module.write_text(path.read_text())
    ended = subprocess.run([str(NODE), "--check", str(module)], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


async def test_files_are_served_packed_named_by_their_content_and_nothing_else_is() -> None:
    async with running(DictBackend()) as url, httpx.AsyncClient(base_url=url) as http:
        for path, name in PAGES.items():
            page = await http.get(path)
            assert page.content == (STATIC / name).read_bytes() and page.headers["content-encoding"] == "gzip"
            policy = page.headers["content-security-policy"]
            assert "default-src 'none'" in policy and ("'unsafe-inline'" in policy) == (name == "escape.html")
        script = await http.get("/static/js/link.js", headers={"accept-encoding": "identity"})
        assert script.content == (STATIC / "js" / "link.js").read_bytes()
        assert script.headers["content-type"].startswith("text/javascript") and "content-encoding" not in script.headers
        again = await http.get("/static/js/link.js", headers={"if-none-match": script.headers["etag"]})
        assert again.status_code == 304 and not again.content
        for wrong in ("/static/", "/static/js", "/static/../pages.py", "/static/%2e%2e/pages.py", "/static/none.js"):
            assert (await http.get(wrong)).status_code == 404
        size_bytes = sum(len(gzip.compress(path.read_bytes())) for path in STATIC.rglob("*.*js"))
        assert size_bytes < 200_000, "everything that the pages load, packed"
