"""The HTTP side of the method table as an OpenAPI 3.1 document: `/openapi.json`, and docs/openapi.json."""

from typing import Any

from net.gateway.api import Method, Param
from net.gateway.errors import table
from net.gateway.schema import REF, Schema, make_schema

API_VERSION = "2.0"
_DECIMAL = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_REFUSALS = {
    400: "Refused: the request is wrong, or the exchange's rules refuse what it asks for.",
    404: "No such method, or nothing of that name.", 413: "Too long.", 429: "Too many requests.",
    500: "Our mistake; the node has logged it.", 503: "Not now, or not here; nothing was queued.",
}  # fmt: skip
_INFO = """JSON-RPC 2.0 with Deribit's names. Prices, sizes and money are decimal text in answers; requests write
them as text or as JSON numbers. Private reads name an `owner`; writes carry the owner's EIP-712 signature."""
_HEADERS = {
    "RateLimit": {"description": "Credits left, by pool.", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "Credits of each pool and the seconds that fill it.",
                         "schema": {"type": "string"}},
}  # fmt: skip


def make_openapi(methods: dict[str, Method], is_strict: bool = False) -> dict[str, Any]:
    """The document. Strict: answers have no field that the types do not name."""
    schemas: dict[str, Schema] = {"Refusal": _refusal_schema(), "Request": _request_schema(methods)}
    paths: dict[str, Any] = {"/api/v2": {"post": _any_call()}, "/health": {"get": _health()}}
    for method in methods.values():
        if not method.is_websocket_only:
            paths[f"/api/v2/{method.name}"] = _path(method, make_schema(method.result, schemas, is_strict))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hansa node", "version": API_VERSION, "description": _INFO},
        "servers": [{"url": "/"}], "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())), "headers": _HEADERS,
            "responses": {f"Refused{status}": _refused(text) for status, text in _REFUSALS.items()},
        },
    }  # fmt: skip


def _path(method: Method, result: Schema) -> dict[str, Any]:
    tag, _, name = method.name.partition("/")
    shared = {"summary": method.summary, "tags": [tag], "responses": _responses(result)}
    query = [
        {"name": param.name, "in": "query", "required": param.is_required, "description": param.text,
         "schema": param_schema(param, is_query=True)} for param in method.params
    ]  # fmt: skip
    body: Schema = {
        "type": "object", "properties": {param.name: param_schema(param) for param in method.params},
        "required": [param.name for param in method.params if param.is_required],
    } | ({"additionalProperties": False} if method.is_signed else {})  # fmt: skip
    return {
        "get": {"operationId": f"get_{tag}_{name}", "parameters": query} | shared,
        "post": {"operationId": f"post_{tag}_{name}", "requestBody": _json(body)} | shared,
    }  # fmt: skip


def param_schema(param: Param, is_query: bool = False) -> Schema:
    """What a parameter may be. Numbers may be text too, except that a query knows nothing else."""
    if param.choices:
        return {"type": "string", "enum": list(param.choices)}
    digits = f"^(0x)?[0-9a-fA-F]{{{2 * param.size_bytes}}}$" if param.size_bytes else "^(0x)?([0-9a-fA-F]{2})*$"
    kinds: dict[str, Schema] = {
        "text": {"type": "string"}, "address": {"type": "string", "pattern": "^(0x)?[0-9a-fA-F]{40}$"},
        "hex": {"type": "string", "pattern": digits}, "true or false": {"type": "boolean"},
        "decimal": {"type": "string" if is_query else ["string", "number"], "pattern": _DECIMAL},
        "integer": {"type": "integer", "minimum": param.low, "maximum": param.high},
        "list of text": {"type": "array", "items": {"type": "string"}, "minItems": 1}, "object": {"type": "object"},
        "list of objects": {"type": "array", "items": {"type": "object"}},
    }  # fmt: skip
    return {name: value for name, value in kinds[param.kind].items() if value is not None}


def _json(schema: Schema) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _envelope(name: str, schema: Schema) -> Schema:
    """What every answer has around its result or error."""
    times = {field: {"type": "integer", "description": "microseconds"} for field in ("usIn", "usOut", "usDiff")}
    return {
        "type": "object",
        "properties": {
            "jsonrpc": {"const": "2.0"}, "id": {"type": ["string", "integer", "null"]}, name: schema, **times,
            "testnet": {"type": "boolean"},
            "x_credits": {"type": "object", "additionalProperties": {"type": "integer"},
                          "description": "Of private answers: credits left, by pool."},
        },
        "required": ["jsonrpc", "id", name, "usIn", "usOut", "usDiff", "testnet"],
    }  # fmt: skip


def _responses(result: Schema) -> dict[str, Any]:
    content = {"application/json": {"schema": _envelope("result", result)}}
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}
    good = {"200": {"description": "The answer.", "content": content, "headers": headers}}
    return good | {str(status): {"$ref": f"#/components/responses/Refused{status}"} for status in _REFUSALS}


def _refused(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": {"$ref": REF + "Refusal"}}}}


def _refusal_schema() -> Schema:
    faults = table()
    data = {
        "type": "object",
        "properties": {
            "code": {"enum": [fault.number for fault in faults]},
            "reason": {"enum": sorted({fault.reason for fault in faults})}, "hint": {"type": "string"},
            "param": {"type": "string"}, "retry_after_ms": {"type": "integer", "minimum": 0},
        },
        "required": ["code", "reason", "hint"],
    }  # fmt: skip
    error = {
        "type": "object",
        "properties": {
            "code": {"enum": sorted({fault.rpc_code for fault in faults})}, "message": {"type": "string"}, "data": data,
        },
        "required": ["code", "message", "data"],
    }  # fmt: skip
    return _envelope("error", error) | {"description": "docs/errors.md has every code and what to do about it."}


def _request_schema(methods: dict[str, Method]) -> Schema:
    return {
        "type": "object",
        "properties": {
            "jsonrpc": {"const": "2.0"}, "id": {"type": ["string", "integer", "null"]},
            "method": {"enum": sorted(methods)}, "params": {"type": "object"},
        },
        "required": ["method"],
    }  # fmt: skip


def _any_call() -> dict[str, Any]:
    return {
        "operationId": "call", "summary": "Any method, named in the body.", "tags": ["rpc"],
        "requestBody": _json({"$ref": REF + "Request"}), "responses": _responses({}),
    }  # fmt: skip


def _health() -> dict[str, Any]:
    shape = {
        "type": "object",
        "properties": {
            "ok": {"type": "boolean"}, "height": {"type": "integer"}, "syncing": {"type": "boolean"},
            "halted": {"type": "boolean"},
        },
        "required": ["ok", "height", "syncing", "halted"],
    }  # fmt: skip
    content = {"application/json": {"schema": shape}}
    responses = {"200": {"description": "Well.", "content": content},
                 "503": {"description": "Catching up, or halted.", "content": content}}  # fmt: skip
    return {"operationId": "health", "summary": "Whether the node is at the network's height.", "tags": ["node"],
            "responses": responses}  # fmt: skip
