"""Words of Deribit's that choose markets and times."""

KINDS = ("future", "option", "spot", "future_combo", "option_combo", "combo", "any")
MINUTE_MS, DAY_MS = 60_000, 86_400_000
# Lengths of candles by name.
RESOLUTIONS = {
    text: int(text) * MINUTE_MS for text in ("1", "3", "5", "10", "15", "30", "60", "120", "180", "360", "720")
} | {"1D": DAY_MS}  # fmt: skip
