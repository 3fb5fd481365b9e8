"""Claims files made from stored blocks are those that the node wrote; a mirror keeps only what proves itself."""

from pathlib import Path

import httpx
import pytest

from contracts.claims_file import read_claims
from contracts.withdrawals_file import MAGIC, FiledWithdrawal
from tests.validator.test_audit import LAST_HEIGHT, SNAPSHOT_HEIGHT, TOKEN, Home, make_home
from validator.claims import encode_state
from validator.claims_command import write
from validator.claims_mirror import MirrorError, mirror_files


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_home(tmp_path_factory.mktemp("home"))


def direct_heights(home: Home) -> list[int]:
    finals = home.store.finals(1, LAST_HEIGHT)
    return [final.block.header.height for final in finals if final.is_direct]


def make_claims(home: Home, height: int) -> bytes:
    final = home.store.final(height)
    assert final is not None
    return encode_state(home.states[height], final)


def test_blocks_give_the_file_of_every_certified_height(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heights = direct_heights(home)
    assert heights[0] < SNAPSHOT_HEIGHT < heights[-1]  # from genesis, and from a snapshot
    for height in (heights[0], heights[-1]):
        out = tmp_path / f"{height}.claims"
        assert write(home=home.path, height=height, out=out) == 0, capsys.readouterr().err
        assert out.read_bytes() == make_claims(home, height)


def test_a_height_that_no_contract_can_have_is_refused_with_the_next_one(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heights = direct_heights(home)
    indirect = next(height for height in range(1, LAST_HEIGHT + 1) if height not in heights)
    for height, text in ((indirect, f"the next that has is {indirect + 1}"), (LAST_HEIGHT + 1, "not 7"), (0, "not 0")):
        assert write(home=home.path, height=height, out=tmp_path / "none") == 1
        assert text in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


class Served:
    """A node's answers by path; `fetched` lists what was asked for."""

    def __init__(self, home: Home, heights: list[int]) -> None:
        self.files: dict[str, bytes] = {}
        rows = []
        for height in heights:
            data = make_claims(home, height)
            root = "0x" + read_claims(data).account_root.hex()
            self.files[f"/claims/{root}"] = data
            rows.append({"account_root": root})
        self.index: dict[str, object] = {"claims": rows, "withdrawals": None}
        self.fetched: list[str] = []

    def mirror(self, folder: Path) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            path = request.url.path
            self.fetched.append(path)
            if path == "/claims":
                return httpx.Response(200, json=self.index)
            return httpx.Response(200, content=self.files[path])

        with httpx.Client(base_url="http://node", transport=httpx.MockTransport(answer)) as http:
            mirror_files(http, folder)


def test_a_mirror_has_what_the_node_has_and_fetches_nothing_twice(home: Home, tmp_path: Path) -> None:
    served = Served(home, direct_heights(home)[-2:])
    served.mirror(tmp_path)
    assert {f"/claims/0x{path.name}": path.read_bytes() for path in tmp_path.iterdir()} == served.files
    count = len(served.fetched)
    served.mirror(tmp_path)
    assert served.fetched[count:] == ["/claims"]


def test_what_proves_nothing_is_not_kept(home: Home, tmp_path: Path) -> None:
    served = Served(home, direct_heights(home)[-2:])
    first, second = served.files
    served.files[first], served.files[second] = served.files[second], served.files[first]
    with pytest.raises(MirrorError, match="another root"):
        served.mirror(tmp_path)
    served.files[first] = served.files[first][:-1]
    with pytest.raises(MirrorError, match="checksum"):
        served.mirror(tmp_path)
    served.index = {"claims": [{"account_root": "../../etc/passwd"}]}
    with pytest.raises(MirrorError, match="no account root"):
        served.mirror(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_withdrawals_file_is_kept_if_the_newest_header_proves_it(home: Home, tmp_path: Path) -> None:
    served = Served(home, direct_heights(home)[-1:])
    rows = [FiledWithdrawal(row[0], row[1], row[4], TOKEN, row[5]) for row in home.store.withdrawals(LAST_HEIGHT)]
    assert rows
    served.index["withdrawals"] = "/claims/withdrawals"
    served.files["/claims/withdrawals"] = MAGIC + b"".join(row.encode() for row in rows[:-1])
    with pytest.raises(MirrorError, match="withdrawals file"):
        served.mirror(tmp_path)
    data = served.files["/claims/withdrawals"] = MAGIC + b"".join(row.encode() for row in rows)
    served.mirror(tmp_path)
    assert (tmp_path / "withdrawals.log").read_bytes() == data
