"""Every channel that `public/subscribe` takes, and what comes over it."""

CHANNELS: tuple[tuple[str, str], ...] = (
    ("book.{instrument}.raw", "the whole book, then its changes after each block that changed it"),
    ("book.{instrument}.100ms", "the same, at most every 100 ms"),
    ("trades.{instrument}.raw", "the trades of each block"),
    ("ticker.{instrument}.raw", "the ticker after each block that changed it (`100ms`: at most every 100 ms)"),
    ("user.orders.{owner}", "orders of all subaccounts of an address that opened, changed or left the book"),
    ("user.trades.{owner}", "its trades"),
    ("x.blocks", "every finalised block: height, hash, state root"),
)
