"""What an alert counts as in training, where several people may have judged it."""

from __future__ import annotations

from collections.abc import Iterable

from seqdetect.feedback.verdict import Verdict


def settled(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """One verdict per alert, oldest first; ``verdicts`` is the whole history.

    Authors may change their own word: the last one of each counts. Between authors an attack outweighs all else, so
    nobody can take back a true incident that another has confirmed. Otherwise the last word counts.
    """
    words: dict[str, dict[str, Verdict]] = {}
    for one in sorted(verdicts, key=lambda one: (one.at, one.id)):
        by_author = words.setdefault(one.alert_id, {})
        by_author.pop(one.author, None)  # to the end, so that the last word is last
        by_author[one.author] = one
    chosen = [_weightiest(list(by_author.values())) for by_author in words.values()]
    return sorted(chosen, key=lambda one: (one.at, one.id))


def _weightiest(words: list[Verdict]) -> Verdict:
    attacks = [one for one in words if one.verdict == "true"]
    return (attacks or words)[-1]
