from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pandas as pd

from seqdetect.attack import STRENGTHS
from seqdetect.attack.benign_migration import BenignMigration
from seqdetect.attack.benign_onboarding import BenignOnboarding
from seqdetect.attack.flood import Flood
from seqdetect.attack.plan import Calendar, Draw, deck
from seqdetect.attack.strength import DAY, HOUR
from seqdetect.attack.wallet import Wallet


def test_any_prefix_of_the_deck_is_balanced() -> None:
    draws = deck([Flood(), Wallet()], STRENGTHS, (), 10, np.random.default_rng(0))
    hand = list(islice(draws, 8))
    assert Counter((draw.attack.kind, draw.strength) for draw in hand) == {
        (kind, strength): 1 for kind in ("flood", "wallet") for strength in STRENGTHS
    }
    assert {draw.attack.kind for draw in hand[:2]} == {"flood", "wallet"}


def test_seldom_kinds_come_once_per_cycle() -> None:
    draws = deck([Flood(), BenignMigration()], STRENGTHS, ("benign_migration",), 10, np.random.default_rng(0))
    kinds = Counter(draw.attack.kind for draw in islice(draws, 50))
    assert kinds == {"flood": 40, "benign_migration": 10}


def test_deck_without_attacks_is_empty() -> None:
    assert list(deck([], STRENGTHS, (), 10, np.random.default_rng(0))) == []


def test_full_calendar_has_no_place() -> None:
    calendar = Calendar(("a",), 0, DAY, 2 * HOUR)
    calendar.note(pd.DataFrame({"user_id": ["a"], "start": [3 * HOUR], "end": [21 * HOUR]}))
    rng = np.random.default_rng(0)
    assert calendar.place(Draw(Wallet(), "subtle", 1), rng) is not None
    calendar.note(pd.DataFrame({"user_id": ["a"], "start": [HOUR], "end": [23 * HOUR]}))
    assert calendar.place(Draw(Wallet(), "subtle", 1), rng) is None
    assert Calendar((), 0, DAY, 0).place(Draw(Flood(), "subtle", 1), rng) is None


def test_attacks_avoid_service_wide_incidents_and_confounders_need_not() -> None:
    calendar = Calendar(("a",), 0, DAY, 0)
    calendar.note_for_all(pd.DataFrame({"start": [0], "end": [DAY]}))
    rng = np.random.default_rng(0)
    assert calendar.place(Draw(Flood(), "subtle", 1), rng) is None
    placed = calendar.place(Draw(BenignOnboarding(), "subtle", 1), rng)
    assert placed is not None
    assert placed[2] == DAY


def test_users_with_few_incidents_are_preferred() -> None:
    calendar = Calendar(("often", "never"), 0, 100 * DAY, 0)
    calendar.note(pd.DataFrame({"user_id": ["often"] * 5, "start": range(5), "end": range(1, 6)}))
    rng = np.random.default_rng(0)
    places = [calendar.place(Draw(Flood(), "subtle", 1), rng) for _ in range(50)]
    assert sum(place is not None and place[0] == ("never",) for place in places) > 40
