"""Alerts as messages in a channel, through an incoming webhook of Slack or of what takes the same: Mattermost, Rocket.Chat.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, https://docs.slack.dev/reference/block-kit
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final
from urllib.parse import quote

import msgspec

from seqdetect.secret import Secret
from seqdetect.sink import Change
from seqdetect.sink.post import Address
from seqdetect.sink.words import causes, cut, evidence, impact, number, one_line, unmarked

HEADER_CHARACTERS: Final = 150
SECTION_CHARACTERS: Final = 3000
TEXT_CHARACTERS: Final = 4000
"""Beyond it Slack may cut a message."""
CODE_CHARACTERS: Final = 200
_BEGINS: Final = {"open": "", "update": "Changed: ", "resolve": "Resolved: "}
_ESCAPED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKUP: Final = re.compile(r"[*_~`\[\]|\\@#!<>&]|://|www\.", re.IGNORECASE)
"""What may mean something to Slack, or to a chat that reads Markdown."""
_WEB: Final = re.compile(r"https?://[^\s<>|]+")


class SlackSink:
    """One message per change; a webhook cannot change what it has written.

    Names that senders choose, such as users' ids, are shown as code, where nothing means anything to a chat: they can
    neither make links nor call people. ``text`` says by itself what the blocks show, for what knows no blocks.
    """

    queued: ClassVar[bool] = True

    def __init__(self, url: Secret, page_url: str | None = None, timeout_s: float = 10.0) -> None:
        """``url`` is the webhook's: who has it can write to the channel. ``page_url`` is where the service's own page is
        to be found. Raises ``ValueError`` for an address that is none."""
        self._address = Address(url, timeout_s=timeout_s, hidden=[url])
        self._page_url = page_url

    def send(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._address.post(msgspec.json.encode(message(change, self._page_url)))

    def close(self) -> None:
        self._address.close()


def message(change: Change, page_url: str | None = None) -> dict[str, Any]:
    """``text`` and ``blocks``, within Slack's limits."""
    head = cut(_head(change), HEADER_CHARACTERS)
    who, lines, links = _who(change), _lines(change), _links(change, page_url)
    sections = [who, _within(lines, SECTION_CHARACTERS), links]
    return {
        "text": _within([f"*{_plain(head)}*", who, *([links] if links else []), *lines], TEXT_CHARACTERS),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": head, "emoji": False}},
            *(
                {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
                for text in sections
                if text
            ),
        ],
    }


def _head(change: Change) -> str:
    """How bad and what; no name that a sender chose."""
    shadow = "Shadow: " if change["shadow"] else ""
    again = ", again" if change["change"] == "open" and change["reopened"] else ""
    kind = unmarked(one_line(change["kind"])).replace("_", " ")
    return f"{shadow}{_BEGINS[change['change']]}{change['severity']} {kind}{again}"


def _who(change: Change) -> str:
    since = change["start"] + (f" until {change['end']}" if change["end"] else "")
    if change["left_out"] is not None:
        return f"{change['left_out']} alerts left out by the daily cap, since {since}"
    if change["user_id"] == "*":
        return f"{change['users']} users, since {since}"
    noun = "user" if change["key"] == "user_id" else _plain(change["key"])
    return f"{noun} {_code(change['user_id'])}, since {since}"


def _lines(change: Change) -> list[str]:
    """Why, what it costs and the evidence, each a line that can be left out at the end."""
    told = [f"• {line}".replace("_", " ") for line in causes(change)]
    threshold = "" if change["threshold"] is None else f", threshold {number(change['threshold'])}"
    told.append(f"score {number(change['score'])}{threshold}, {change['tokens']:,} tokens")
    told += [line for line in (impact(change), *evidence(change)) if line]
    if change["into"]:
        told.append(f"goes on as alert {change['into']}")
    told.append(f"alert {change['alert_id']}, model {change['model']}")
    return [_plain(line) for line in told]


def _links(change: Change, page_url: str | None) -> str:
    links = [(change["runbook_url"], "Runbook"), (page_url, "Alerts now")]
    return " · ".join(f"<{_address(url)}|{text}>" for url, text in links if url and _WEB.match(url))


def _address(url: str) -> str:
    """An address as it stands within a link: nothing that ends it or begins another one."""
    return _escaped(quote(url, safe=":/?#[]@!$&'()*+,;=%~-._"))


def _plain(text: str) -> str:
    """A line as it is, or as code where a chat could find markup in it."""
    return _code(text) if _MARKUP.search(text) else one_line(text)


def _code(text: str) -> str:
    """Text that anyone may have chosen, as code."""
    shown = cut(one_line(text), CODE_CHARACTERS).replace("`", "'")
    return f"`{_escaped(shown)}`" if shown else "(no name)"


def _escaped(text: str) -> str:
    return re.sub(r"[&<>]", lambda found: _ESCAPED[found[0]], text)


def _within(lines: Sequence[str], characters: int) -> str:
    """As many whole lines as there is room for; an entity or a link is never cut in two."""
    kept: list[str] = []
    left = characters
    for line in lines:
        if len(line) + 1 > left:
            break
        kept.append(line)
        left -= len(line) + 1
    return "\n".join(kept)
