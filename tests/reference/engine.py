"""The engine again: slow, obvious, big integers, dicts, lists, no compiler. It must agree with `engine` root for root.

Written from docs/protocol.md and the module headers of `engine`, sharing only the nouns (parameters, commands, payload
parts, result codes). Nothing here is optimised; every sum is taken over everything, every hash is computed anew.
"""

from copy import deepcopy
from dataclasses import dataclass, field

import cbor2
import sha3

from engine.commands import ALL_MARKETS, CANCEL, CANCEL_ALL, COMBO, PLACE, WITHDRAW, Action, is_action_well_formed
from engine.results import Code, OrderState

BUY, SELL = 0, 1
IOC, POST_ONLY, POST_ONLY_SLIDE = 1, 2, 5
SETTINGS = (4, 7, 8, 9, 10, 11, 13, 15, 32, 33, 34, 35)  # kinds that touch no book
FIRST_USER = 64
HELD_MAX = 1 << 56


def keccak(data: bytes) -> bytes:
    return sha3.keccak_256(data).digest()


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def longs(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(8, "big", signed=True) for number in numbers)


def ceil_bps(amount_quote: int, bps: int) -> int:
    return -(-amount_quote * bps // 10_000)


@dataclass
class Account:
    owner: bytes
    subaccount: int
    balance: int = 0
    positions: dict = field(default_factory=dict)
    nonces: list = field(default_factory=list)

    def size(self, market):
        return self.positions.get(market, 0)


@dataclass
class Order:
    order_id: int
    account: int
    market: int
    side: int
    price: int
    lots: int
    client_id: int
    original: int
    placed_ms: int

    def rank(self):
        """Sorts a side: best price first, then oldest."""
        return (-self.price if self.side == BUY else self.price, self.order_id)


def classify(action):
    """What touches no book first, then cancels, post-only orders, all other."""
    if action.kind in (CANCEL, CANCEL_ALL):
        return 1
    if action.kind == PLACE and action.time_in_force in (POST_ONLY, POST_ONLY_SLIDE):
        return 2
    return 0 if action.kind in SETTINGS else 3


class Reference:
    """The whole exchange as one mutable object; `execute` returns a changed copy."""

    def __init__(self, params, time_ms):
        self.params = params
        self.height, self.time_ms, self.l1_block = 0, time_ms, 0
        systems = range(2 + len(params.markets))
        self.accounts = {index: Account((index + 1).to_bytes(20, "big"), 0) for index in systems}
        self.next_account = FIRST_USER
        self.orders = {}
        self.next_order_id = 1
        self.marks = [0] * len(params.markets)
        self.mark_times = [0] * len(params.markets)
        self.last_prices = [0] * len(params.markets)
        self.volumes = [0] * len(params.markets)
        self.report_times = [0] * params.validator_count
        self.sequences = [0] * params.validator_count
        self.inbox_cursor, self.inbox_hash, self.ignored = 0, bytes(32), 0
        self.deposited, self.withdrawn = 0, 0
        self.leaves = []
        self.oracle_root = self.events_digest = bytes(32)

    # -- questions ----------------------------------------------------------------------------------------------------

    def find(self, owner, subaccount):
        return next((i for i, a in self.accounts.items() if (a.owner, a.subaccount) == (owner, subaccount)), None)

    def value(self, market, price):
        return price * self.params.markets[market].quote_per_tick_lot

    def equity(self, index):
        account = self.accounts[index]
        return account.balance + sum(lots * self.value(m, self.marks[m]) for m, lots in account.positions.items())

    def own_orders(self, index):
        return sorted((o for o in self.orders.values() if o.account == index), key=lambda o: o.order_id)

    def side_lots(self, index, market, side):
        return sum(o.lots for o in self.orders.values() if (o.account, o.market, o.side) == (index, market, side))

    def margin(self, market, lots, name):
        return ceil_bps(abs(lots) * self.value(market, self.marks[market]), getattr(self.params.markets[market], name))

    def maintenance(self, index):
        held = self.accounts[index].positions.items()
        return sum(self.margin(m, lots, "maintenance_margin_bps") for m, lots in held)

    def order_cost(self, market, side, price, lots):
        worse = price - self.marks[market] if side == BUY else self.marks[market] - price
        fee = ceil_bps(lots * self.value(market, price), self.params.markets[market].taker_fee_bps)
        return max(worse, 0) * lots * self.params.markets[market].quote_per_tick_lot + fee

    def demand(self, index, name, candidate=None):
        """Margin of the riskiest positions that orders can lead to, plus what each order costs."""
        orders = [(o.market, o.side, o.price, o.lots) for o in self.own_orders(index)]
        orders += [candidate] if candidate else []
        total = sum(self.order_cost(*order) for order in orders)
        for market in range(len(self.params.markets)):
            held = self.accounts[index].size(market)
            buys = sum(o[3] for o in orders if o[:2] == (market, BUY))
            sells = sum(o[3] for o in orders if o[:2] == (market, SELL))
            total += self.margin(market, max(abs(held + buys), abs(held - sells)), name)
        return total

    def is_fresh(self, market):
        age = self.time_ms - self.mark_times[market]
        return self.marks[market] > 0 and age <= self.params.markets[market].oracle_stale_ms

    def are_fresh(self, index):
        markets = set(self.accounts[index].positions) | {o.market for o in self.own_orders(index)}
        return all(self.is_fresh(market) for market in markets)

    def is_reducing(self, index, market, side, lots):
        held = self.accounts[index].size(market)
        return self.side_lots(index, market, side) + lots <= (-held if side == BUY else held)

    def is_affordable(self, index, market, side, price, lots):
        equity = self.equity(index)
        if equity >= self.demand(index, "initial_margin_bps", (market, side, price, lots)):
            return True
        if not self.is_reducing(index, market, side, lots):
            return False
        before = self.maintenance(index)
        held = abs(self.accounts[index].size(market))
        after = before - self.margin(market, held, "maintenance_margin_bps")
        after += self.margin(market, held - lots, "maintenance_margin_bps")
        return (equity - self.order_cost(market, side, price, lots)) * before >= equity * after

    def book(self, market, side):
        return sorted((o for o in self.orders.values() if (o.market, o.side) == (market, side)), key=Order.rank)

    # -- trades -------------------------------------------------------------------------------------------------------

    def cancel(self, order, reason):
        del self.orders[order.order_id]
        self.cancellations.append(
            (order.order_id, order.account, order.market, order.side, order.price, order.lots, order.client_id, reason)
        )

    def move(self, index, market, lots):
        account = self.accounts[index]
        account.positions[market] = account.size(market) + lots
        if account.positions[market] == 0:
            del account.positions[market]

    def fill(self, maker_order, taker, taker_order_id, lots, is_liquidation):
        market, price, maker = maker_order.market, maker_order.price, maker_order.account
        rules = self.params.markets[market]
        value = lots * self.value(market, price)
        sign = 1 if maker_order.side == SELL else -1  # of the taker's position
        self.accounts[taker].balance -= sign * value
        self.accounts[maker].balance += sign * value
        self.move(taker, market, sign * lots)
        self.move(maker, market, -sign * lots)
        maker_fee = ceil_bps(value, rules.maker_fee_bps)
        self.accounts[maker].balance -= maker_fee
        self.accounts[0].balance += maker_fee
        if is_liquidation:
            taker_fee = min(ceil_bps(value, rules.liquidation_fee_bps), max(self.equity(taker), 0))
        else:
            taker_fee = ceil_bps(value, rules.taker_fee_bps)
        self.accounts[taker].balance -= taker_fee
        self.accounts[1 if is_liquidation else 0].balance += taker_fee
        self.last_prices[market] = price
        self.volumes[market] += lots
        side = 1 - maker_order.side
        ids = (maker, taker, maker_order.order_id, taker_order_id)
        self.fills.append((market, price, lots, *ids, side, maker_fee, taker_fee, int(is_liquidation)))
        maker_order.lots -= lots
        if maker_order.lots == 0:
            del self.orders[maker_order.order_id]

    def match(self, market, side, price, lots, taker, taker_order_id, is_liquidation):
        remaining, value = lots, 0
        while remaining:
            resting = self.book(market, 1 - side)
            if not resting or (resting[0].price > price if side == BUY else resting[0].price < price):
                break
            best = resting[0]
            if best.account == taker:
                self.cancel(best, 2)
                continue
            traded = min(remaining, best.lots)
            value += traded * best.price
            self.fill(best, taker, taker_order_id, traded, is_liquidation)
            remaining -= traded
        return lots - remaining, value

    # -- inbox, prices, liquidations ----------------------------------------------------------------------------------

    def add_withdrawal(self, index, owner, amount):
        number = len(self.leaves)
        token = self.params.token
        self.leaves.append(keccak(word(2) + word(number) + bytes(12) + owner + bytes(12) + token + word(amount)))
        self.withdrawn += amount
        self.withdrawals.append((number, index, owner, amount))
        return number

    def consume(self, entry):
        numbers = (entry.index, entry.kind, int.from_bytes(entry.token, "big"))
        numbers += (int.from_bytes(entry.beneficiary, "big"), entry.subaccount)
        numbers += (int.from_bytes(entry.sender, "big"), entry.amount)
        numbers += (int.from_bytes(entry.data, "big"), entry.time_s)
        self.inbox_hash = keccak(self.inbox_hash + b"".join(word(number) for number in numbers))
        self.inbox_cursor += 1
        if entry.kind != 1 or entry.token != self.params.token or entry.amount == 0:
            self.ignored += 1
            return
        index = self.find(entry.beneficiary, entry.subaccount)
        fits = self.deposited - self.withdrawn + entry.amount <= HELD_MAX
        if fits and index is None and self.next_account < self.params.accounts_max:
            index = self.next_account
            self.next_account += 1
            self.accounts[index] = Account(entry.beneficiary, entry.subaccount)
        self.deposited += entry.amount
        credited = fits and index is not None
        here = index if credited else -1
        self.credits.append((entry.index, here, entry.beneficiary, entry.subaccount, entry.amount))
        if credited:
            self.accounts[index].balance += entry.amount
        else:
            is_system = entry.subaccount == 0 and int.from_bytes(entry.beneficiary, "big") <= 64
            self.add_withdrawal(-1, entry.sender if is_system else entry.beneficiary, entry.amount)

    def take_prices(self, reports):
        latest = {}
        for report in reports:
            v = report.validator
            good = 0 <= v < self.params.validator_count and len(report.price_ticks) == len(self.marks)
            good = good and all(0 < price <= 1 << 40 for price in report.price_ticks)
            good = good and self.time_ms - 10_000 <= report.time_ms <= self.time_ms + 1_000
            if good and report.time_ms > max(self.report_times[v], latest[v].time_ms if v in latest else 0):
                latest[v] = report
        n = self.params.validator_count
        self.oracle_root = bytes(32)
        if len(latest) < n - (n - 1) // 3:
            return
        used = [latest[v] for v in sorted(latest)]
        self.oracle_root = keccak(cbor2.dumps([r.to_cbor() for r in used], canonical=True))
        for report in used:
            self.report_times[report.validator] = report.time_ms
        for market, rules in enumerate(self.params.markets):
            prices = sorted(report.price_ticks[market] for report in used)
            price, old = prices[(len(prices) - 1) // 2], self.marks[market]
            if old:
                step = max(old * rules.oracle_step_bps_max // 10_000, 1)
                price = max(old - step, min(old + step, price))
            self.marks[market] = max(1, min(rules.price_ticks_max, price))
            self.mark_times[market] = self.time_ms

    def close(self, index, market):
        start = self.accounts[index].size(market)
        mark, band = self.marks[market], self.params.markets[market].price_band_bps
        side = SELL if start > 0 else BUY
        limit = -(-mark * (10_000 - band) // 10_000) if start > 0 else mark * (10_000 + band) // 10_000
        step, closed = -(-abs(start) // 8), 0
        while closed < abs(start):
            lots = min(step, abs(start) - closed)
            filled, _ = self.match(market, side, limit, lots, index, 0, True)
            closed += filled
            if filled < lots or self.equity(index) >= self.maintenance(index):
                break
        return closed

    def liquidate(self, index):
        account, equity, maintenance = self.accounts[index], self.equity(index), self.maintenance(index)
        own = self.own_orders(index)
        for order in own:
            self.cancel(order, 3)
        tried, closed = [], 0
        while self.equity(index) < self.maintenance(index):
            left = [m for m in account.positions if m not in tried]
            if not left:
                break
            left.sort(key=lambda m: (-self.margin(m, account.size(m), "maintenance_margin_bps"), m))
            tried.append(left[0])
            closed += self.close(index, left[0])
        paid = 0
        if not account.positions and account.balance < 0:
            paid = min(-account.balance, self.accounts[1].balance)
            account.balance += paid
            self.accounts[1].balance -= paid
        if own or closed or paid:
            self.liquidations.append((index, equity, maintenance, closed, self.equity(index), paid))

    def judge_accounts(self):
        for index in range(FIRST_USER, self.next_account):
            orders = self.own_orders(index)
            account = self.accounts[index]
            if not account.positions and not orders and account.balance >= 0:
                continue
            if not self.are_fresh(index):
                continue
            if self.equity(index) < self.maintenance(index):
                self.liquidate(index)
            elif orders and self.equity(index) < self.demand(index, "maintenance_margin_bps"):
                for order in orders:
                    self.cancel(order, 4)

    # -- commands -----------------------------------------------------------------------------------------------------

    def is_malformed(self, header, action, is_leg):
        if any(header["pad"]) or header["nonce"] < 1 or header["expiry_ms"] < 0 or not is_action_well_formed(action):
            return True
        if action.kind not in (PLACE, CANCEL, CANCEL_ALL, WITHDRAW) or is_leg:
            return True  # no rules yet
        return bool(action.display_lots or action.good_till_ms or action.link) or (
            action.kind == WITHDRAW and action.market != 0
        )

    def judge(self, header, signer, items):
        """`(code, account)` of a message with its `(action, is_leg)`; one that passes spends its nonce."""
        owner = header["owner"].tobytes()
        if any(self.is_malformed(header, *item) for item in items):
            return Code.MALFORMED, None
        if signer != owner or not any(signer):
            return Code.BAD_SIGNATURE, None
        if self.time_ms > header["expiry_ms"]:
            return Code.EXPIRED, None
        index = self.find(owner, int(header["subaccount"]))
        return (Code.UNKNOWN_ACCOUNT if index is None else self.spend(index, int(header["nonce"]))), index

    def run(self, batch_index, command_index, action, verdict):
        """One action of a judged message; its receipt as a list."""
        receipt = [batch_index, command_index, 0, OrderState.NONE, 0, 0, 0, 0, -1, 0, -1]
        code, index = verdict
        receipt[8] = -1 if index is None else index
        if code == Code.OK:
            by_kind = (self.place, self.cancel_one, self.cancel_all, self.withdraw)
            code = by_kind[action.kind - PLACE](index, action, receipt)
        receipt[2] = code
        return tuple(int(value) for value in receipt)

    def spend(self, index, nonce):
        nonces = self.accounts[index].nonces
        if nonce in nonces:
            return Code.NONCE_REUSED
        if len(nonces) == 64 and nonce < nonces[0]:
            return Code.NONCE_TOO_OLD
        nonces.append(nonce)
        nonces.sort()
        del nonces[:-64]
        return Code.OK

    def check_place(self, index, c):
        if c.market >= len(self.params.markets):
            return Code.UNKNOWN_MARKET
        rules, mark, price, lots = self.params.markets[c.market], self.marks[c.market], c.price_ticks, c.size_lots
        has_side = c.side in (BUY, SELL)
        if lots <= 0:
            return Code.SIZE_NOT_POSITIVE
        if lots > rules.size_lots_max:
            return Code.SIZE_TOO_LARGE
        if not 0 < price <= rules.price_ticks_max:
            return Code.PRICE_OUT_OF_RANGE
        if mark and c.side == BUY and price * 10_000 > mark * (10_000 + rules.price_band_bps):
            return Code.PRICE_OUTSIDE_BAND
        if mark and c.side == SELL and price * 10_000 < mark * (10_000 - rules.price_band_bps):
            return Code.PRICE_OUTSIDE_BAND
        reduces = has_side and mark and self.is_reducing(index, c.market, c.side, lots)
        if not self.is_fresh(c.market) and not reduces:
            return Code.NO_PRICE
        if c.time_in_force == POST_ONLY and has_side:
            other = self.book(c.market, 1 - c.side)
            if other and (price >= other[0].price if c.side == BUY else price <= other[0].price):
                return Code.WOULD_CROSS
        if c.client_id and any(o.client_id == c.client_id for o in self.own_orders(index)):
            return Code.DUPLICATE_CLIENT_ID
        if not has_side or c.time_in_force > POST_ONLY or c.flags:
            return Code.UNKNOWN_ENUM
        if not self.is_affordable(index, c.market, c.side, price, lots):
            return Code.INSUFFICIENT_MARGIN
        held = self.accounts[index].size(c.market)
        reach = self.side_lots(index, c.market, c.side) + lots + (held if c.side == BUY else -held)
        if reach > rules.position_lots_max:
            return Code.POSITION_TOO_LARGE
        if c.time_in_force != IOC:
            if len(self.own_orders(index)) >= self.params.account_orders_max:
                return Code.TOO_MANY_OPEN_ORDERS
            if sum(o.market == c.market for o in self.orders.values()) >= self.params.book_orders_max:
                return Code.BOOK_FULL
        return Code.OK

    def place(self, index, c, receipt):
        code = self.check_place(index, c)
        if code != Code.OK:
            return code
        order_id = self.next_order_id
        self.next_order_id += 1
        filled, value = self.match(c.market, c.side, c.price_ticks, c.size_lots, index, order_id, False)
        rest = c.size_lots - filled
        state = OrderState.OPEN if rest else OrderState.FILLED
        if rest and c.time_in_force == IOC:
            state = OrderState.CANCELLED
        elif rest:
            numbers = (rest, c.client_id, c.size_lots, self.time_ms)
            self.orders[order_id] = Order(order_id, index, c.market, c.side, c.price_ticks, *numbers)
        receipt[3:8] = state, order_id, filled, rest, value
        return Code.OK

    def cancel_one(self, index, c, receipt):
        if c.market >= len(self.params.markets):
            return Code.UNKNOWN_MARKET
        for order in self.own_orders(index):
            named = c.order_id in (0, order.order_id) and c.client_id in (0, order.client_id)
            if order.market == c.market and named and (c.order_id or c.client_id):
                self.cancel(order, 0)
                receipt[3:7] = OrderState.CANCELLED, order.order_id, 0, order.lots
                receipt[9] = 1
                return Code.OK
        return Code.UNKNOWN_ORDER

    def cancel_all(self, index, c, receipt):
        if c.market != ALL_MARKETS and c.market >= len(self.params.markets):
            return Code.UNKNOWN_MARKET
        for order in self.own_orders(index):
            if c.market in (ALL_MARKETS, order.market):
                self.cancel(order, 1)
                receipt[9] += 1
        return Code.OK

    def withdraw(self, index, c, receipt):
        if not self.are_fresh(index):
            return Code.NO_PRICE
        account = self.accounts[index]
        free = min(account.balance, self.equity(index)) - self.demand(index, "initial_margin_bps")
        if c.size_lots > max(free, 0):
            return Code.INSUFFICIENT_BALANCE
        if c.size_lots <= 0:
            return Code.AMOUNT_NOT_POSITIVE
        account.balance -= c.size_lots
        receipt[10] = self.add_withdrawal(index, account.owner, c.size_lots)
        return Code.OK

    # -- blocks -------------------------------------------------------------------------------------------------------

    def schedule(self, block):
        """Judge all messages in input order, then give the arguments of `run` in the order of execution."""
        queues = {}
        for b, batch in enumerate(block.batches):
            at = 0
            for header, signer in zip(batch.messages, batch.signers):
                items, legs = [], 0
                for row in batch.actions[at : at + header["count"]]:
                    action = Action.decode(row.tobytes())
                    items.append((action, legs > 0))
                    legs = legs - 1 if legs > 0 else action.side if action.kind == COMBO else 0
                verdict = self.judge(header, signer.tobytes(), items)
                for action, is_leg in items:
                    kind = 4 if is_leg else classify(action)
                    queues.setdefault((kind, batch.author), []).append((b, at, action, verdict))
                    at += 1
        authors = sorted({b.author for b in block.batches}, key=lambda a: keccak(block.seed + a.to_bytes(4, "big")))
        ordered = []
        for kind in range(5):
            turns = [queues.get((kind, author), []) for author in authors]
            while any(turns):
                ordered += [queue.pop(0) for queue in turns if queue]
        return ordered

    def execute(self, block):
        """`(next state, what happened)`."""
        new = deepcopy(self)
        new.height, new.time_ms, new.l1_block = block.height, block.time_ms, block.l1_block
        new.fills, new.cancellations, new.liquidations, new.credits, new.withdrawals = [], [], [], [], []
        for batch in block.batches:
            new.sequences[batch.author] = batch.sequence
        for entry in block.inbox:
            new.consume(entry)
        new.take_prices(block.price_reports)
        new.judge_accounts()
        new.receipts = sorted(new.run(*item) for item in new.schedule(block))
        new.events_digest = new.hash_events()
        return new

    def hash_events(self):
        tables = (self.receipts, self.fills, self.cancellations, self.liquidations)
        parts = [b"".join(longs(*row) for row in table) for table in tables]
        parts.append(b"".join(longs(i, a) + owner + longs(s, q) for i, a, owner, s, q in self.credits))
        parts.append(b"".join(longs(i, a) + owner + longs(q) for i, a, owner, q in self.withdrawals))
        return keccak(b"".join(keccak(part) for part in parts))

    # -- hashes -------------------------------------------------------------------------------------------------------

    def leaf(self, index):
        """`(hash, claims, debts)` of one account."""
        account, equity = self.accounts[index], self.equity(index)
        claim, debt = max(equity, 0), max(-equity, 0)
        held = sorted(account.positions.items())
        holdings = longs(account.balance) + b"".join(m.to_bytes(4, "big") + longs(lots) for m, lots in held)
        digest = keccak(holdings + keccak(longs(*account.nonces)))
        sums = claim.to_bytes(16, "big") + debt.to_bytes(16, "big")
        head = word(1) + word(index) + bytes(12) + account.owner + word(account.subaccount)
        return keccak(head + sums + digest), claim, debt

    def account_tree(self):
        """Root hash and sums of the tree of depth 20: level by level, absent nodes are empty subtrees."""
        level = {index: self.leaf(index) for index in self.accounts}
        empty = (bytes(32), 0, 0)

        def join(left, right):
            parts = b"".join(h + c.to_bytes(16, "big") + d.to_bytes(16, "big") for h, c, d in (left, right))
            return keccak(parts), left[1] + right[1], left[2] + right[2]

        for _ in range(20):
            parents = sorted({index // 2 for index in level})
            level = {p: join(level.get(2 * p, empty), level.get(2 * p + 1, empty)) for p in parents}
            empty = join(empty, empty)
        root, claims, debts = level[0]
        return root, claims.to_bytes(16, "big") + debts.to_bytes(16, "big")

    def withdrawals_root(self):
        level, empty = list(self.leaves), bytes(32)
        for _ in range(32):
            level += [empty] * (len(level) % 2)
            level = [keccak(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
            empty = keccak(empty + empty)
        return level[0] if level else empty

    def hash_book(self, market):
        text = b""
        for side in (BUY, SELL):
            orders = self.book(market, side)
            text += longs(len(orders))
            for o in orders:
                text += longs(o.order_id, o.account, o.price, o.lots, o.client_id, o.original, o.placed_ms)
        return keccak(text)

    def open_interest(self, market):
        return sum(max(account.size(market), 0) for account in self.accounts.values())

    def commitment(self):
        """The ten words, as `consensus.messages.Commitment` orders them."""
        account_root, account_sums = self.account_tree()
        withdrawals_root = self.withdrawals_root()
        markets = range(len(self.params.markets))
        rows = (
            longs(self.marks[m], self.mark_times[m], self.last_prices[m], self.open_interest(m), self.volumes[m])
            for m in markets
        )
        words = (
            word(1), self.params.digest(), word(self.height), word(self.time_ms), account_root, account_sums,
            word(self.next_account), keccak(b"".join(self.hash_book(m) for m in markets)), keccak(b"".join(rows)),
            keccak(longs(*self.report_times)), self.oracle_root, word(self.inbox_cursor), self.inbox_hash,
            word(self.l1_block), withdrawals_root, word(self.withdrawn), word(len(self.leaves)),
            keccak(longs(*self.sequences)),
            keccak(word(self.next_order_id) + word(self.deposited) + word(self.ignored)),
            self.events_digest,
        )  # fmt: skip
        state_root = keccak(b"".join(words))
        return (
            self.oracle_root, self.inbox_cursor, self.inbox_hash, self.l1_block, state_root, account_root, account_sums,
            withdrawals_root, self.withdrawn, 1,
        )  # fmt: skip
