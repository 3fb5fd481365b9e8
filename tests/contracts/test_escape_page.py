"""The page that pays without a committee: its hash and trees agree with ours, and a browser escapes with it."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sha3
from eth_account import Account
from eth_utils import to_checksum_address
from settlement_world import MAX_SILENCE_S, World
from trader_desk import OWNER, SHARE, Desk, served

from contracts.artifact import load_artifact
from contracts.devchain.chain import funded_key
from contracts.devchain.rpc import Rpc
from contracts.saved_proof import parse_proof

PAGE = Path(__file__).parents[2] / "net" / "gateway" / "static" / "escape.html"
NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WALLET_KEY = funded_key(7)
SHARE_TEXT = f"2.{SHARE - 2_000_000} USDC"


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Iterator[Desk]:
    with served(world) as url:
        yield Desk(world, tmp_path, url)


def script() -> str:
    found = re.search(r"<script>(.*)</script>", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def signature(entry: dict) -> str:
    def kind(item: dict) -> str:
        if not item["type"].startswith("tuple"):
            return str(item["type"])
        return "(" + ",".join(map(kind, item["components"])) + ")" + item["type"][5:]

    return f"{entry['name']}({','.join(map(kind, entry['inputs']))})"


def test_it_calls_what_the_contract_has() -> None:
    """A changed signature would be a wrong selector, which no browser notices."""
    known = {signature(entry) for entry in load_artifact("Settlement")["abi"] if entry["type"] in ("function", "event")}
    text = script()
    record = re.search(r'RECORD = "(.*?)"', text)
    assert record is not None
    block = text[text.index("const SIGNATURES") : text.index("const CHECKPOINT_EVENT")]
    used = {a or b for a, b in re.findall(r'"([a-zA-Z_]+\(.*?\))"|`([a-zA-Z_]+\(.*?\))`', block)}
    used = {name.replace("${RECORD}", record[1]) for name in used}
    event = re.search(r'CHECKPOINT_EVENT = "(.*?)"', text)
    assert event is not None and len(used) == 8
    assert used | {event[1]} <= known


def test_it_needs_nothing_from_elsewhere() -> None:
    text = PAGE.read_text()
    assert not re.findall(r"(?:src|href)\s*=|@import|url\(", text)
    assert not re.findall(r"https?://[a-z]", text)


def run_node(code: str) -> object:
    program = f"const page = new Function({json.dumps(script() + ';return {keccak,hex,utf8,parseProof,fold,encode,escapeArguments,word,unhex,money,quote};')})();\n{code}"  # noqa: E501
    ended = subprocess.run([str(NODE), "-e", program], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_its_keccak_is_ours() -> None:
    texts = ["", "abc", *("a" * length for length in (7, 8, 135, 136, 137, 271, 272, 273, 640))]
    code = f"console.log(JSON.stringify({json.dumps(texts)}.map(t => page.hex(page.keccak(page.utf8(t))))))"
    assert run_node(code) == [sha3.keccak_256(text.encode()).hexdigest() for text in texts]


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_it_reads_a_proof_as_we_do_and_calls_escape_with_the_same_bytes(desk: Desk) -> None:
    text = desk.proof_path.read_text()
    proof = parse_proof(text)
    desk.world.post(desk.fields, absent=(2,))
    record = desk.world.contract.last_checkpoint()
    assert record is not None
    words = [word if isinstance(word, int) else word.hex() for word in record.to_abi()]
    code = f"""
    const proof = page.parseProof({json.dumps(text)}), folded = page.fold(proof);
    const record = {json.dumps(words)}.map(w => typeof w === "number" ? w : page.unhex(w));
    console.log(JSON.stringify([page.hex(folded.root), page.hex(folded.sums), page.hex(proof.hash), String(proof.claim),
      page.encode("escape", page.escapeArguments(proof, record))]));"""
    root, sums, header_hash, claim, data = run_node(code)
    header = proof.certified
    assert (root, sums) == (header.word(15).hex(), header.word(16).hex())
    assert (header_hash, claim) == (header.hash.hex(), str(proof.claim_quote))
    sibling_sums = [int.from_bytes(word, "big") for word in proof.sibling_sums]
    arguments = [
        record.to_abi(), proof.index, to_checksum_address(proof.owner), proof.subaccount, proof.claim_quote,
        proof.debt_quote, proof.digest, proof.sibling_hashes, sibling_sums,
    ]  # fmt: skip
    assert data == desk.world.contract._contract.encode_abi("escape", args=arguments)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize(
    ("path", "value"),
    [("claims", "2.5000001"), ("index", 1 << 20), ("index", "64"), ("siblings", []), ("owner", "0x12")],
)
def test_it_refuses_what_is_no_proof(desk: Desk, path: str, value: object) -> None:
    raw = json.loads(desk.proof_path.read_text()) | {path: value}
    code = f"""let caught = "";
    try {{ page.parseProof({json.dumps(json.dumps(raw))}); }} catch (error) {{ caught = error.message; }}
    console.log(JSON.stringify(caught));"""
    assert run_node(code)


# ---------------------------------------------------------------- in a browser


class _Wallet(BaseHTTPRequestHandler):
    """What an injected provider asks: the chain's RPC, and a key that signs."""

    world: World

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method, params = request["method"], request["params"]
        answer: dict = {"jsonrpc": "2.0", "id": 1}
        if method == "eth_requestAccounts":
            answer["result"] = [Account.from_key(WALLET_KEY).address]
        elif method == "eth_sendTransaction":
            raw = self._sign(params[0])
            answer = Rpc(self.world.chain).answer(
                {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [raw]}
            )  # fmt: skip
        else:
            answer = Rpc(self.world.chain).answer(request)
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_OPTIONS(self) -> None:
        self.send_response(204)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "*")
        self.end_headers()

    def _sign(self, call: dict) -> str:
        contract = self.world.contract
        web3 = contract._link.web3
        fields = {
            "to": web3.to_checksum_address(call["to"]), "data": call["data"], "value": 0, "gas": 2_000_000,
            "nonce": web3.eth.get_transaction_count(Account.from_key(WALLET_KEY).address),
            "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 0, "chainId": contract.chain_id,
        }  # fmt: skip
        return "0x" + Account.from_key(WALLET_KEY).sign_transaction(fields).raw_transaction.hex().removeprefix("0x")

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def wallet_url(world: World) -> Iterator[str]:
    handler = type("Wallet", (_Wallet,), {"world": world})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


DRIVER = """<script>
window.ethereum = {request: async ({method, params = []}) => {
  const body = JSON.stringify({jsonrpc: "2.0", id: 1, method, params});
  const answer = await (await fetch("WALLET", {method: "POST", body})).json();
  if (answer.error) throw Error(answer.error.message);
  return answer.result;
}};
(async () => {
  const settled = async () => { for (let i = 0; i < 200 && /Confirm|Waiting/.test(at("outcome").textContent); i++) await new Promise(r => setTimeout(r, 50)); };
  at("contract").value = "CONTRACT";
  await showProof(PROOF);
  await connect();
  for (const name of STEPS) { await at(name).onclick(); await settled(); }
  document.body.dataset.done = "yes";
})();
</script>"""  # noqa: E501


def browse(desk: Desk, wallet_url: str, folder: Path, steps: list[str], *more: str) -> str:
    """The page's text after a person has opened the proof, connected the wallet and pressed the buttons."""
    driver = DRIVER.replace("WALLET", wallet_url).replace("CONTRACT", desk.world.deployment.settlement)
    driver = driver.replace("PROOF", json.dumps(desk.proof_path.read_text())).replace("STEPS", json.dumps(steps))
    page = folder / "page.html"
    page.write_text(PAGE.read_text().replace("</body>", driver + "</body>"))
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-web-security", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=60000", *more, "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert 'data-done="yes"' in ended.stdout, ended.stderr[-2000:]
    return re.sub(r"<[^>]+>", " ", ended.stdout.split("<main>")[1].split("</main>")[0])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_freezes_and_pays(desk: Desk, wallet_url: str, tmp_path: Path) -> None:
    desk.world.post(desk.fields, absent=(2,))
    shown = browse(desk, wallet_url, tmp_path, [])
    assert "2.500000 USDC" in shown and f"After a freeze your share would be: {SHARE_TEXT}" in shown
    assert "Anyone may freeze it in 2 h" in shown
    desk.world.pass_time(MAX_SILENCE_S + 1)
    shown = browse(desk, wallet_url, tmp_path, ["freeze", "escape"])
    assert f"Paid: {SHARE_TEXT} to 0x{OWNER.hex()}" in shown
    assert desk.world.contract.is_frozen() and desk.world.contract.token_balance(OWNER) == SHARE
    assert "This account has been paid already" in browse(desk, wallet_url, tmp_path, [])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_shows_a_forged_proof_for_what_it_is(desk: Desk, wallet_url: str, tmp_path: Path) -> None:
    desk.proof_path.write_text(desk.proof_path.read_text().replace('"2.500000"', '"9.500000"'))
    shown = browse(desk, wallet_url, tmp_path, [])
    assert "The account is not in this header's tree" in shown and "share" not in shown
