"""The architecture is a test: who imports whom, what is pure, how long things are, how they are named.

Every rule is data at the top, every finding is one line `file:line: reason`, and every rule is proven to fail by a
planted violation at the bottom.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from validator.logs import FIELD, FORM

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("engine", "consensus", "contracts", "net", "validator", "testnet")
PURE = ("engine", "consensus")

# Nouns: what agreement, gossip and wallets share with the engine, importable without a compiler or a curve library.
ENGINE_NOUNS = ("engine.commands", "engine.params", "engine.payload", "engine.results", "engine.units")
CONSENSUS_NOUNS = ("consensus.messages",)

# Own modules that a folder may import; a package name admits all its modules.
OWN_IMPORTS: dict[str, tuple[str, ...]] = {
    "engine": ("engine",),
    "consensus": ("consensus",),
    "contracts": ("contracts",),
    "net": ("net", *ENGINE_NOUNS, *CONSENSUS_NOUNS),
    "validator": ("validator", "engine", "consensus", "contracts", "net"),
    "testnet": ("testnet", "validator", "engine", "consensus", "contracts", "net"),
}

THIRD_PARTY: dict[str, frozenset[str]] = {
    "engine": frozenset({"numpy", "numba", "llvmlite", "cbor2", "sha3", "coincurve"}),
    "consensus": frozenset({"blspy", "cbor2", "sha3"}),
    "contracts": frozenset(
        {"web3", "eth", "eth_abi", "eth_account", "eth_keys", "eth_typing", "eth_utils", "hexbytes", "rlp", "vyper"}
        | {"blspy", "py_arkworks_bls12381", "py_ecc", "sha3", "coincurve", "cyclopts", "requests"}
    ),
    "net": frozenset(
        {
            "ccxt",
            "libp2p",
            "multiaddr",
            "anyio",
            "trio",
            "trio_websocket",
            "wsproto",
            "h11",
            "httpx",
            "hypercorn",
            "starlette",
        }
        | {"cbor2", "nacl", "coincurve", "sha3", "numpy", "eth_keyfile"}
    ),
    "validator": frozenset(
        {"trio", "blspy", "nacl", "coincurve", "eth_account", "cbor2", "sha3", "numpy", "cyclopts", "rich", "httpx"}
        | {"llvmlite", "eth_keyfile", "prometheus_client", "textual"}
    ),
    "testnet": frozenset(
        {"docker", "trio", "rich", "cyclopts", "httpx", "eth_account", "coincurve", "nacl", "cbor2", "sha3", "numpy"}
        | {"pytest"}  # a fixture for the tests of others
    ),
}

# Keys are held and pairings computed in few places.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "blspy": ("consensus/crypto.py", "contracts/", "validator/signer.py"),
}

IMPURE_MODULES = frozenset(
    {"asyncio", "concurrent", "datetime", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select"}
    | {"signal", "socket", "subprocess", "tempfile", "threading", "time", "trio", "uuid"}
)
IMPURE_CALLS = frozenset({"open", "print", "input", "hash", "id", "float", "exec", "eval"})
FLOAT_ATTRIBUTES = frozenset({"float16", "float32", "float64", "true_divide", "random"})
ORDER_FREE_CALLS = frozenset({"sorted", "min", "max", "sum", "any", "all", "len", "set", "frozenset"})

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
CATCH_ALL_NAMES = frozenset({"utils", "util", "misc", "common", "helpers", "shared"})
UNFINISHED = re.compile(r"#.*\b(T[O]DO|F[I]XME|X{3}|H[A]CK)\b")

# A name that ends in one of these words does not say in which unit: `price_ticks`, `timeout_s`, `fee_bps` do.
UNITLESS = frozenset(
    {"price", "size", "quantity", "qty", "amount", "notional", "fee", "timeout", "delay", "interval", "duration"}
    | {"latency", "elapsed", "expiry", "ttl", "age"}
)
QUALIFIERS = frozenset({"max", "min", "default", "limit", "total"})
# (path prefix, name): why the bare word is right there.
UNIT_EXCEPTIONS: dict[tuple[str, str], str] = {
    ("engine/payload.py", "amount"): "a field of the contract's inbox entry, in the token's own units",
    ("contracts/", "amount"): "the contract's own argument name, in the token's own units",
    ("engine/results.py", "NO_PRICE"): "the name of a result code",
    ("net/wire.py", "PRICE"): "the name of a kind of message",
    ("engine/params.py", "tick_size"): "decimal text such as 0.1, part of the public instrument definition",
    ("engine/params.py", "lot_size"): "decimal text such as 0.001, part of the public instrument definition",
}
# Fields that carry Deribit's names and decimal text: nothing is computed with them.
PUBLIC_NAMES = "net/gateway/shapes/"

LOGGERS = frozenset({"log", "_log", "logger"})
LOG_LEVELS = frozenset({"debug", "info", "warning", "error", "critical", "exception"})

Finding = tuple[int, str]


def folder_of(path: str) -> str:
    return path.split("/", 1)[0]


def imported_modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every imported module; `from engine import commands` counts as `engine.commands`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "." * node.level + (node.module or "")
            elif node.module in FOLDERS:
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""


def is_admitted(folder: str, module: str) -> bool:
    return any(module == own or module.startswith(own + ".") for own in OWN_IMPORTS[folder])


def check_own_imports(path: str, tree: ast.AST, _: str) -> Iterator[Finding]:
    folder = folder_of(path)
    for line, module in imported_modules(tree):
        if module.startswith("."):
            yield line, "write the full module name, not a relative import"
        elif folder in FOLDERS and module.split(".")[0] in (*FOLDERS, "tests") and not is_admitted(folder, module):
            yield line, f"{folder} must not import {module}"


def check_third_party(path: str, tree: ast.AST, _: str) -> Iterator[Finding]:
    folder = folder_of(path)
    if folder not in FOLDERS:
        return
    for line, module in imported_modules(tree):
        package = module.split(".")[0]
        if not package or package in sys.stdlib_module_names or package in (*FOLDERS, "tests"):
            continue
        if package not in THIRD_PARTY[folder]:
            yield line, f"{folder} must not import {package}"
        elif package in ONLY_IN and not path.startswith(ONLY_IN[package]):
            yield line, f"{package} belongs to {', '.join(ONLY_IN[package])}"


def check_purity(path: str, tree: ast.AST, _: str) -> Iterator[Finding]:
    folder = folder_of(path)
    if folder not in PURE:
        return
    for line, module in imported_modules(tree):
        if module.split(".")[0] in IMPURE_MODULES:
            yield line, f"{folder} is pure; {module} is not"
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                yield node.lineno, f"{folder} is pure; {name}() is not"
            case ast.Constant(value=float() | complex()):
                yield node.lineno, f"{folder} computes with integers; {node.value} is none"
            case ast.Attribute(attr=name) if name in FLOAT_ATTRIBUTES:
                yield node.lineno, f"{folder} is deterministic; .{name} is not"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield node.lineno, f"{folder} computes with integers; use // and say how it rounds"
            case ast.AsyncFunctionDef() | ast.AsyncFor() | ast.AsyncWith() | ast.Await():
                yield node.lineno, f"{folder} is synchronous; a sync function is a promise"


def is_set_annotation(node: ast.AST | None) -> bool:
    return node is not None and re.match(r"(set|frozenset)\b", ast.unparse(node).strip("'\"")) is not None


def known_sets(tree: ast.AST) -> set[str]:
    """Names and attributes that this module annotates or assigns as sets."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and is_set_annotation(node.annotation):
            names.add(node.arg)
        elif isinstance(node, ast.AnnAssign) and is_set_annotation(node.annotation):
            names.add(ast.unparse(node.target).split(".")[-1])
        elif isinstance(node, ast.Assign) and is_set(node.value, set()):
            names |= {ast.unparse(target).split(".")[-1] for target in node.targets}
    return names


def is_set(node: ast.AST, names: set[str]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.BinOp(left=left, right=right, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
            return is_set(left, names) or is_set(right, names)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in names
    return False


def check_set_iteration(path: str, tree: ast.AST, _: str) -> Iterator[Finding]:
    folder = folder_of(path)
    if folder not in PURE:
        return
    names = known_sets(tree)
    ordered: list[ast.AST] = []
    harmless: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[ast.GeneratorExp() | ast.ListComp() as comprehension, *_]) if (
                name in ORDER_FREE_CALLS
            ):
                harmless.add(id(comprehension))
            case ast.For(iter=source):
                ordered.append(source)
            case ast.ListComp() | ast.GeneratorExp() | ast.DictComp() if id(node) not in harmless:
                ordered += [generator.iter for generator in node.generators]
            case ast.Call(func=ast.Name(id="list" | "tuple" | "iter" | "enumerate" | "zip" | "map"), args=arguments):
                ordered += arguments
    for source in ordered:
        if is_set(source, names):
            yield source.lineno, f"{folder} is deterministic; a set has no order, use sorted()"


def check_lengths(path: str, tree: ast.AST, text: str) -> Iterator[Finding]:
    line_count = text.count("\n")
    if line_count > FILE_LINES_MAX:
        yield line_count, f"{line_count} lines; a file has at most {FILE_LINES_MAX}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield node.lineno, f"{node.name} has {length} lines; a function has at most {FUNCTION_LINES_MAX}"


def check_file_name(path: str, _tree: ast.AST, _text: str) -> Iterator[Finding]:
    for part in path.removesuffix(".py").split("/"):
        if part in CATCH_ALL_NAMES:
            yield 1, f"{part!r} promises nothing; name the file after its subject"


def check_unfinished(_path: str, _tree: ast.AST, text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield number, "finish it or leave it out; plans live elsewhere"


def bound_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Parameters, fields, variables and assigned attributes.

    Left out: variables of a comprehension, whose collection carries the unit, and constants that name a column or a
    code, that is those whose value is no plain number.
    """
    quiet = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.comprehension):
            quiet |= {id(name) for name in ast.walk(node.target)}
        elif isinstance(node, ast.Assign) and not is_plain_number(node.value):
            names = {name for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
            quiet |= {id(name) for name in names if name.id.isupper()}
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) if (
                id(node) not in quiet
            ):
                yield node.lineno, name


def is_plain_number(node: ast.AST) -> bool:
    return all(isinstance(part, ast.Constant | ast.BinOp | ast.UnaryOp | ast.operator) for part in ast.walk(node))


def check_units(path: str, tree: ast.AST, _: str) -> Iterator[Finding]:
    if folder_of(path) not in FOLDERS or path.startswith(PUBLIC_NAMES):
        return
    for line, name in bound_names(tree):
        allowed = any(path.startswith(prefix) and name == exempt for prefix, exempt in UNIT_EXCEPTIONS)
        words = [word for word in name.lower().split("_") if word and word not in QUALIFIERS]
        if words and words[-1] in UNITLESS and not allowed:
            yield (
                line,
                f"{name!r} has no unit; say {name}_ticks, _lots, _quote, _bps, _ms, _bytes, _count or the like",
            )


def log_calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls of the module's logger, which is named `log`, `_log` or `logger`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=level)) if (
                owner in LOGGERS and level in LOG_LEVELS
            ):
                yield node


def check_log_calls(path: str, tree: ast.AST, _: str) -> Iterator[Finding]:
    if folder_of(path) not in FOLDERS:
        return
    for call in log_calls(tree):
        match call.args:
            case [ast.Constant(value=str() as form), *values] if found := FORM.fullmatch(form):
                if len(FIELD.findall(found["fields"])) != len(values):
                    yield call.lineno, "a log call has as many values as fields"
            case _:
                yield call.lineno, "log as area.event key=%s ... (note), one event name for one fact: validator/logs.py"


RULES: tuple[Callable[[str, ast.AST, str], Iterator[Finding]], ...] = (
    check_own_imports,
    check_third_party,
    check_purity,
    check_set_iteration,
    check_lengths,
    check_file_name,
    check_unfinished,
    check_units,
    check_log_calls,
)


def find_violations(root: Path) -> list[str]:
    findings = []
    for folder in (*FOLDERS, "tests"):
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            text = path.read_text()
            try:
                tree = ast.parse(text, name)
            except SyntaxError as error:
                findings.append(f"{name}:{error.lineno}: {error.msg}")
                continue
            findings += [f"{name}:{line}: {reason}" for rule in RULES for line, reason in rule(name, tree, text)]
    return findings


def loads_modules(imports: tuple[str, ...], forbidden: tuple[str, ...], root: Path) -> list[str]:
    """Which of `forbidden` a fresh interpreter has loaded after importing `imports`."""
    code = f"import sys, {', '.join(imports)}; print(*[m for m in {forbidden!r} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.split()


def test_the_repository_is_tidy() -> None:
    findings = find_violations(ROOT)
    assert not findings, "\n" + "\n".join(findings)


def test_nouns_need_no_compiler_and_no_curve() -> None:
    nouns = tuple(
        name for name in (*ENGINE_NOUNS, *CONSENSUS_NOUNS) if (ROOT / (name.replace(".", "/") + ".py")).exists()
    )
    assert loads_modules(nouns, ("numba", "blspy", "trio", "web3", "libp2p"), ROOT) == []


def test_a_noun_that_loads_a_compiler_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "noun.py").write_text("import numba\n")
    assert loads_modules(("noun",), ("numba", "blspy"), tmp_path) == ["numba"]


LONG_FUNCTION = "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX
PLANTED = [
    ("engine/bad.py", "import consensus.messages\n", "1: engine must not import consensus.messages"),
    ("consensus/bad.py", "from engine import commands\n", "1: consensus must not import engine.commands"),
    ("contracts/bad.py", "from engine.commands import Command\n", "1: contracts must not import engine.commands"),
    ("net/bad.py", "from engine.apply import apply\n", "1: net must not import engine.apply"),
    ("net/bad.py", "import consensus.simplex\n", "1: net must not import consensus.simplex"),
    ("validator/bad.py", "import testnet.up\n", "1: validator must not import testnet.up"),
    ("validator/bad.py", "import tests.vectors\n", "1: validator must not import tests.vectors"),
    ("net/bad.py", "from . import peers\n", "1: write the full module name, not a relative import"),
    ("engine/bad.py", "import web3\n", "1: engine must not import web3"),
    ("consensus/bad.py", "import numba\n", "1: consensus must not import numba"),
    ("contracts/bad.py", "import trio\n", "1: contracts must not import trio"),
    ("net/bad.py", "import web3.types\n", "1: net must not import web3"),
    ("net/bad.py", "import blspy\n", "1: net must not import blspy"),
    ("validator/bad.py", "import docker\n", "1: validator must not import docker"),
    ("validator/bad.py", "from libp2p import new_host\n", "1: validator must not import libp2p"),
    ("testnet/bad.py", "import libp2p\n", "1: testnet must not import libp2p"),
    ("validator/bad.py", "import blspy\n", "1: blspy belongs to consensus/crypto.py, contracts/, validator/signer.py"),
    ("engine/bad.py", "import time\n", "1: engine is pure; time is not"),
    ("consensus/bad.py", "from os import path\n", "1: consensus is pure; os is not"),
    ("engine/bad.py", "x = float('1')\n", "1: engine is pure; float() is not"),
    ("consensus/bad.py", "x = hash(1)\n", "1: consensus is pure; hash() is not"),
    ("engine/bad.py", "x = 1\nprint(x)\n", "2: engine is pure; print() is not"),
    ("engine/bad.py", "x = 0.5\n", "1: engine computes with integers; 0.5 is none"),
    ("engine/bad.py", "import numpy as np\nx = np.float64(1)\n", "2: engine is deterministic; .float64 is not"),
    ("engine/bad.py", "x = 1 / 2\n", "1: engine computes with integers; use // and say how it rounds"),
    ("consensus/bad.py", "async def f(): ...\n", "1: consensus is synchronous; a sync function is a promise"),
    ("engine/bad.py", "for x in {1, 2}: ...\n", "1: engine is deterministic; a set has no order, use sorted()"),
    ("engine/bad.py", "x = list(set([1]))\n", "1: engine is deterministic; a set has no order, use sorted()"),
    (
        "engine/bad.py",
        "s = set()\nx = [y for y in s]\n",
        "2: engine is deterministic; a set has no order, use sorted()",
    ),
    (
        "consensus/bad.py",
        "class A:\n    s: set[int]\n    def f(self):\n        for x in self.s | {1}: ...\n",
        "4: consensus is deterministic; a set has no order, use sorted()",
    ),
    ("testnet/bad.py", "x = (\n", "1: '(' was never closed"),
    ("testnet/bad.py", LONG_FUNCTION, "1: f has 71 lines; a function has at most 70"),
    ("tests/bad.py", "x = 1\n" * 601, "601: 601 lines; a file has at most 600"),
    ("net/utils.py", "", "1: 'utils' promises nothing; name the file after its subject"),
    ("net/common/peers.py", "", "1: 'common' promises nothing; name the file after its subject"),
    ("net/bad.py", "x = 1  # TO" + "DO later\n", "1: finish it or leave it out; plans live elsewhere"),
    ("net/bad.py", "def f(timeout): ...\n", "1: 'timeout' has no unit"),
    ("engine/bad.py", "class A:\n    mark_price: int\n", "2: 'mark_price' has no unit"),
    ("validator/bad.py", "MIN_INTERVAL = 3\n", "1: 'MIN_INTERVAL' has no unit"),
    ("net/bad.py", "DELAY_MAX = 3\n", "1: 'DELAY_MAX' has no unit"),
    ("testnet/bad.py", "self.fee = 3\n", "1: 'fee' has no unit"),
    ("net/bad.py", "log.info('peer %d is up', 3)\n", "1: log as area.event key=%s ... (note)"),
    ("net/bad.py", "_log.warning('peer.up: peer=%d', 3)\n", "1: log as area.event key=%s ... (note)"),
    ("testnet/bad.py", "logger.error(f'peer.up peer={3}')\n", "1: log as area.event key=%s ... (note)"),
    ("validator/bad.py", "log.debug('peer.up peer=%d height=%d', 3)\n", "1: a log call has as many values as fields"),
]


@pytest.mark.parametrize(("path", "text", "expected"), PLANTED)
def test_planted_violation_is_reported(tmp_path: Path, path: str, text: str, expected: str) -> None:
    target = tmp_path / path
    target.parent.mkdir(parents=True)
    target.write_text(text)
    findings = find_violations(tmp_path)
    assert len(findings) == 1, findings
    assert findings[0].startswith(f"{path}:{expected}")


INNOCENT = [
    ("engine/good.py", "import numpy, numba, coincurve\nx = sorted({1, 2})\ny = sum(z for z in {1})\nw = 7 // 2\n"),
    ("consensus/crypto.py", "import blspy\n"),
    ("net/good.py", "from engine.commands import Command\nfrom consensus.messages import Vote\nimport libp2p, trio\n"),
    ("validator/signer.py", "import blspy, engine.apply, consensus.simplex, contracts.settlement, net.link\n"),
    ("testnet/good.py", "import docker, validator.config\nx = 1 / 2\nfor y in {1}: ...\n"),
    ("engine/payload.py", "class InboxEntry:\n    amount: int\n"),
    ("net/good.py", "def f(timeout_s, price_ticks, size_bytes): ...\n"),
    ("net/gateway/shapes/good.py", "class Ticker:\n    mark_price: str\n"),
    ("engine/good.py", "PRICE, SIZE = range(2)\nNO_PRICE = int(Code.NO_PRICE)\n"),
    ("net/good.py", "x = [price for price in prices_ticks]\ntimeout_s_max = 3\n"),
    ("tests/good.py", "import docker, time\nprice = 0.5\n"),
]


@pytest.mark.parametrize(("path", "text"), INNOCENT)
def test_innocent_code_passes(tmp_path: Path, path: str, text: str) -> None:
    target = tmp_path / path
    target.parent.mkdir(parents=True)
    target.write_text(text)
    assert find_violations(tmp_path) == []


def test_every_unit_exception_is_still_needed() -> None:
    for prefix, name in UNIT_EXCEPTIONS:
        target = ROOT / prefix
        files = sorted(target.rglob("*.py")) if target.is_dir() else [target] if target.exists() else []
        found = any(name == bound for file in files for _, bound in bound_names(ast.parse(file.read_text())))
        assert found or not files or prefix == "contracts/", f"{prefix} no longer binds {name}: drop the exception"


def test_no_two_test_files_share_a_name() -> None:
    """pytest imports them by their names alone, and would end on the second one."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
