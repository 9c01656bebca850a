"""A chat's incoming webhook as Slack documents it: what a message may be, and which alerts a channel has seen."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import jsonschema

from far_side import FarSide
from receiver import Request

MESSAGE: Final[dict[str, Any]] = {
    # https://docs.slack.dev/reference/block-kit/blocks: 150 characters in a header, 3,000 in a section, 50 blocks
    "type": "object",
    "required": ["text", "blocks"],
    "additionalProperties": False,
    "properties": {
        "text": {"type": "string", "minLength": 1, "maxLength": 4000},
        "blocks": {"type": "array", "minItems": 1, "maxItems": 50, "items": {"oneOf": [{"$ref": "#/$defs/header"}, {"$ref": "#/$defs/section"}]}},
    },
    "$defs": {
        "header": {"type": "object", "required": ["type", "text"], "additionalProperties": False, "properties": {
            "type": {"const": "header"},
            "text": {"type": "object", "required": ["type", "text"], "additionalProperties": False, "properties": {
                "type": {"const": "plain_text"}, "emoji": {"type": "boolean"},
                "text": {"type": "string", "minLength": 1, "maxLength": 150}}}}},
        "section": {"type": "object", "required": ["type", "text"], "additionalProperties": False, "properties": {
            "type": {"const": "section"},
            "text": {"type": "object", "required": ["type", "text"], "additionalProperties": False, "properties": {
                "type": {"const": "mrkdwn"}, "verbatim": {"type": "boolean"},
                "text": {"type": "string", "minLength": 1, "maxLength": 3000}}}}},
    },
}  # fmt: skip


class Channel(FarSide):
    """Messages by the alert that they name; the last of an alert's says that it is resolved."""

    def take(self, request: Request) -> int:
        message = json.loads(request.body)
        jsonschema.validate(message, MESSAGE)
        found = re.search(r"alert (\S+), model", message["text"])
        assert found is not None
        self.begin(found[1], message)
        if "Resolved: " in message["blocks"][0]["text"]["text"]:
            self.end(found[1])
        return 200
