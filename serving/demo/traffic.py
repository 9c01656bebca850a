"""The demo's traffic: a day that is over when the demo starts, some hours to come, and an attack in these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from seqdetect import events
from seqdetect.attack.inject import Injector
from seqdetect.attack.wallet import Wallet
from seqdetect.events import MICROSECONDS, Tally
from seqdetect.source.synthetic import Synthetic

DAYS_BEFORE, HOURS_AFTER = 1.0, 6.0
USERS, SEED = 40, 7
WALLET = Wallet(factors=(30.0,) * 4, pace=(30.0,) * 4, least_added=(600.0,) * 4, hours=(0.25, 0.25))
"""Two long requests every three seconds for a quarter of an hour, whoever the key's owner is: with gentler ones it can
take five minutes until the evidence is there, and nobody watches for so long."""


@dataclass(frozen=True)
class Traffic:
    """``before`` and ``coming`` are event tables in time order, which meet at the moment the demo was started."""

    before: pa.Table
    coming: pa.Table
    user: str
    attack: datetime


def traffic(now: datetime, attack_after_s: float) -> Traffic:
    """Users whose day ends at ``now``; the key of one of them runs up a bill from ``attack_after_s`` later on."""
    epoch = (now - timedelta(days=DAYS_BEFORE)).isoformat()
    days = DAYS_BEFORE + HOURS_AFTER / 24
    quiet = events.sort(
        events.concat(Synthetic(users=USERS, days=days, seed=SEED, epoch=epoch).read(Tally()))
    )
    begin = microseconds(now) + round(attack_after_s * MICROSECONDS)
    attacked, incidents = _attacked(quiet, begin)
    (row,) = incidents.itertuples()
    moment = pc.cast(attacked.column("timestamp"), pa.int64())
    over = pc.less(moment, microseconds(now))
    return Traffic(
        attacked.filter(over),
        attacked.filter(pc.invert(over)),
        str(row.user_id),
        datetime.fromtimestamp(row.start / MICROSECONDS, UTC),
    )


def microseconds(moment: datetime) -> int:
    """Since 1970."""
    return round(moment.timestamp() * MICROSECONDS)


def _attacked(quiet: pa.Table, begin: int) -> tuple[pa.Table, pd.DataFrame]:
    """One denial of wallet that fills its stretch, so that it starts at ``begin`` and not somewhere later."""
    injector = Injector({WALLET.kind: WALLET}, strengths=("blatant",), service_per_day=0)
    end = begin + round(WALLET.hours[1] * 3600 * MICROSECONDS)
    return injector.inject(quiet, begin, end, np.random.default_rng(SEED), count=1)
