"""The WebSocket side as an AsyncAPI 3.0 document: `/asyncapi.json`, and docs/asyncapi.json.

One channel for calls and their answers, and one for each row of the table of channels; all share one connection.
"""

import re
from typing import Any

from net.gateway.api import ChannelRow, Method
from net.gateway.openapi import API_VERSION, param_schema
from net.gateway.schema import Schema, make_schema


def make_asyncapi(methods: dict[str, Method], channels: tuple[ChannelRow, ...]) -> dict[str, Any]:
    """The document."""
    schemas: dict[str, Schema] = {}
    calls = {method.name.replace("/", "."): method for method in methods.values()}
    parts: dict[str, Any] = {"calls": _call_channel(calls, schemas)}
    operations: dict[str, Any] = {}
    for name in calls:
        operations[name] = {
            "action": "receive", "channel": {"$ref": "#/channels/calls"}, "summary": calls[name].summary,
            "messages": [{"$ref": f"#/channels/calls/messages/{name}"}],
            "reply": {"channel": {"$ref": "#/channels/calls"},
                      "messages": [{"$ref": f"#/channels/calls/messages/{name}.answer"}]},
        }  # fmt: skip
    for row in channels:
        key = re.sub(r"[{}]", "", row.name)
        parts[key] = _channel(row, schemas)
        operations[f"notify.{key}"] = {"action": "send", "channel": {"$ref": f"#/channels/{key}"}, "summary": row.text}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Hansa node", "version": API_VERSION,
                 "description": "One WebSocket connection carries calls, answers and notifications."},
        "defaultContentType": "application/json",
        "servers": {"node": {"host": "127.0.0.1:8080", "protocol": "ws", "pathname": "/ws/api/v2"}},
        "channels": parts, "operations": operations, "components": {"schemas": dict(sorted(schemas.items()))},
    }  # fmt: skip


def _call_channel(calls: dict[str, Method], schemas: dict[str, Schema]) -> dict[str, Any]:
    messages: dict[str, Any] = {}
    identifier = {"type": ["string", "integer", "null"]}
    for name, method in calls.items():
        params = {
            "type": "object", "properties": {param.name: param_schema(param) for param in method.params},
            "required": [param.name for param in method.params if param.is_required],
        }  # fmt: skip
        call = {"jsonrpc": {"const": "2.0"}, "id": identifier, "method": {"const": method.name}, "params": params}
        answer = {"jsonrpc": {"const": "2.0"}, "id": identifier, "result": make_schema(method.result, schemas)}
        messages[name] = _message(call, ["method"], method.summary)
        messages[f"{name}.answer"] = _message(answer, ["jsonrpc", "id", "result"], "")
    return {"address": "/ws/api/v2", "messages": messages}


def _channel(row: ChannelRow, schemas: dict[str, Schema]) -> dict[str, Any]:
    params = {"channel": {"type": "string"}, "data": make_schema(row.data, schemas), "x_seq": {"type": "integer"}}
    payload = {
        "jsonrpc": {"const": "2.0"}, "method": {"const": "subscription"},
        "params": {"type": "object", "properties": params, "required": ["channel", "data", "x_seq"]},
    }  # fmt: skip
    described = {"address": row.name, "messages": {"notification": _message(payload, sorted(payload), row.text)}}
    names = re.findall(r"{(\w+)}", row.name)
    return described | ({"parameters": {name: {} for name in names}} if names else {})


def _message(properties: dict[str, Any], required: list[str], summary: str) -> dict[str, Any]:
    payload = {"type": "object", "properties": properties, "required": required}
    return {"payload": payload} | ({"summary": summary} if summary else {})
