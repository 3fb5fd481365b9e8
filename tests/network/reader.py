"""Who reads the pages beside a running network, and types what they say."""

from pathlib import Path

from testnet import homes
from tests.console_blocks import NETWORK, list_pages, read_blocks, type_page
from tests.network.harness import LocalNetwork

# As the pages write them, and `make testnet` prints them.
SHOWN_URLS = ("http://127.0.0.1:26602", "http://127.0.0.1:26604")
SHOWN_RPC = "http://127.0.0.1:8545"
SHOWN_KEY = "0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"
PAGES_DEPOSIT_QUOTE = 1_000 * 10**6
SHOWN_HOME = ".hansa-testnet/node0"


def type_pages(network: LocalNetwork, folder: Path) -> dict[str, str]:
    """What the commands of each page printed. Fails with the output of the first command that fails."""
    trader = network.traders[0]
    (folder / "trader.hex").write_text(trader.key.hex() + "\n")
    passphrase = folder / "passphrase"
    passphrase.write_text("a passphrase that the tests know\n")
    passphrase.chmod(0o600)
    home = homes.node_home(network.folder, 0)
    (folder / "genesis.toml").write_bytes(home.genesis.read_bytes())
    replaced = dict(zip(SHOWN_URLS, network.urls)) | {
        SHOWN_RPC: network.chain.rpc_url, SHOWN_KEY: "0x" + trader.key.hex(), SHOWN_HOME: str(home.path),
    }  # fmt: skip
    environment = {"HANSA_PASSPHRASE_FILE": str(passphrase), "HANSA_KEYS": str(folder / ".hansa" / "keys")}
    printed = {}
    for page in list_pages():
        blocks = [block for block in read_blocks(page) if block.typist == NETWORK]
        if blocks:
            printed[blocks[0].page] = type_page(blocks, folder, replaced, environment)
    return printed
