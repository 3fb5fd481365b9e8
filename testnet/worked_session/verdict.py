"""The files of the worked session, made only if every claim of the page holds."""

from testnet.worked_session.desk import SELLER
from testnet.worked_session.page import draw_pictures, write_page
from testnet.worked_session.reader import Reader
from testnet.worked_session.story import play


def check_page(page: str) -> None:
    """Recompute what the page says from its own numbers. Raises `ValueError` at the first claim that does not hold."""
    reader = Reader(page)
    for heading in ("The maker in the calm", "The maker at the bottom", "The maker rebalanced"):
        reader.check_statement(heading)
    for heading in ("The seller is liquidated", "The rest is deleveraged"):
        reader.check_case(heading)
    reader.check_bankruptcy("The rest is deleveraged")
    reader.check_bytes("The rest is deleveraged", SELLER)
    reader.check_settlement("Expiry")
    reader.check_money("The sums")


def make_files() -> dict[str, str]:
    """Text by path below `docs/`: the page and its pictures."""
    session = play()
    page = write_page(session)
    check_page(page)
    return {"worked-session.md": page, **{f"img/{name}": text for name, text in draw_pictures(session).items()}}
