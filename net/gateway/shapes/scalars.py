"""What the texts and numbers in answers may be. `Says` adds to a Python type what a JSON schema knows beyond it."""

from dataclasses import dataclass
from typing import Annotated, Literal


@dataclass(frozen=True, slots=True)
class Says:
    """What a field means and which values it takes. The pattern is a regular expression of JSON Schema."""

    text: str = ""
    pattern: str = ""
    form: str = ""  # `format` of the schema; "decimal": a number as text, which a gateway may write as a number
    low: int | None = None
    high: int | None = None


_DECIMAL = r"-?[0-9]+(\.[0-9]+)?"

DecimalText = Annotated[str, Says(pattern=f"^{_DECIMAL}$", form="decimal")]
# The price of an order, or what Deribit writes for orders without one.
PriceText = Annotated[str, Says(pattern=f"^({_DECIMAL}|market_price)$", form="decimal")]
HexText = Annotated[str, Says(pattern="^0x([0-9a-f]{2})*$")]
Address = Annotated[str, Says(pattern="^0x[0-9a-f]{40}$")]
Hash = Annotated[str, Says(pattern="^0x[0-9a-f]{64}$")]
Count = Annotated[int, Says(low=0)]
Millis = Annotated[int, Says("milliseconds since 1970", low=0)]
Height = Annotated[int, Says("of a block", low=0)]
OrderId = Annotated[str, Says(pattern=".+-[0-9]+$")]
LabelText = Annotated[str, Says("the number that was signed as `clientId`, empty without one")]
Direction = Literal["buy", "sell"]
# One level of a book: price, amount; and what became of it: what, price, the new amount.
Level = tuple[DecimalText, DecimalText]
LevelChange = tuple[Literal["new", "change", "delete"], DecimalText, DecimalText]
