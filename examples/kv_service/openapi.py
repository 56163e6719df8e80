"""What the service says of itself to tools."""

from __future__ import annotations

from typing import Any


def description(limits: Any, *, secured: bool) -> dict[str, Any]:
    """Return the OpenAPI description."""
    text = {"text/plain": {"schema": {"type": "string"}}}
    value = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    tag = {"ETag": {"schema": {"type": "string"}, "description": "The version of the key."}}
    problems = {
        "400": {"description": "The request is wrong, and the answer says how.", "content": text},
        "503": {"description": "The store is away; what was not answered may be tried again.", "content": text},
    }
    if secured:
        problems["401"] = {"description": "The bearer token is missing or wrong.", "content": text}
    changed_meanwhile = {"412": {"description": "The key has another version.", "headers": tag, "content": text}}
    key = {
        "name": "key",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": limits.key // 4},
    }
    conditions = [
        {"name": name, "in": "header", "schema": {"type": "string", "pattern": r'^(\*|"[0-9]{1,18}")$'}}
        for name in ("If-Match", "If-None-Match")
    ]
    found: dict[str, Any] = {
        "200": {
            "description": "The value.",
            "headers": tag,
            "content": value | {"text/event-stream": {"schema": {"type": "string"}}},
        },
        "304": {"description": "The version is one of If-None-Match."},
        "404": {"description": "There is no such key.", "content": text},
    }
    watch = {"name": "watch", "in": "query", "allowEmptyValue": True, "schema": {"type": "string"}}
    listing = {
        "type": "object",
        "required": ["keys", "more"],
        "properties": {"keys": {"type": "array", "items": {"type": "string"}}, "more": {"type": "boolean"}},
    }
    queries = [
        {"name": "prefix", "in": "query", "schema": {"type": "string"}},
        {"name": "after", "in": "query", "schema": {"type": "string"}},
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": limits.listed}},
    ]
    described: dict[str, Any] = {
        "openapi": "3.0.3",
        "info": {"title": "Key-value service", "version": "1"},
        "paths": {
            "/v1/": {
                "get": {
                    "summary": "List keys, in order.",
                    "parameters": queries,
                    "responses": {"200": {"description": "Keys.", "content": {"application/json": {"schema": listing}}}}
                    | problems,
                }
            },
            "/v1/{key}": {
                "parameters": [key],
                "get": {
                    "summary": "The value, or with `watch` its changes.",
                    "parameters": [*conditions, watch],
                    "responses": found | changed_meanwhile | problems,
                },
                "head": {
                    "summary": "As GET, without the value.",
                    "parameters": conditions,
                    "responses": found | changed_meanwhile | problems,
                },
                "put": {
                    "summary": "Keep the value. The answer comes once it is on disk.",
                    "parameters": conditions,
                    "requestBody": {"required": True, "content": value},
                    "responses": {
                        "201": {"description": "Created.", "headers": tag},
                        "204": {"description": "Replaced.", "headers": tag},
                        "408": {"description": "The value did not come in time.", "content": text},
                        "413": {"description": f"The value has more than {limits.value} bytes.", "content": text},
                    }
                    | changed_meanwhile
                    | problems,
                },
                "delete": {
                    "summary": "Forget the key, if it is there.",
                    "parameters": conditions,
                    "responses": {"204": {"description": "It is not there."}} | changed_meanwhile | problems,
                },
            },
            "/health": {
                "get": {
                    "summary": "Whether it can be used.",
                    "responses": {"200": {"description": "Yes."}, "503": {"description": "No."}},
                }
            },
            "/metrics": {
                "get": {
                    "summary": "What it does, for Prometheus.",
                    "responses": {"200": {"description": "Figures."}, "503": problems["503"]},
                }
            },
        },
    }
    if secured:
        described["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
        described["security"] = [{"token": []}]
    return described
