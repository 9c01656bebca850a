"""Each kind looks like what it is named after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from seqdetect.attack import Attack, Outcome, Scene, Strength
from seqdetect.attack.agent_loop import AgentLoop
from seqdetect.attack.benign_batch_job import BenignBatchJob
from seqdetect.attack.benign_campaign import BenignCampaign
from seqdetect.attack.benign_migration import BenignMigration
from seqdetect.attack.benign_onboarding import BenignOnboarding
from seqdetect.attack.botnet import Botnet
from seqdetect.attack.credential_sharing import CredentialSharing
from seqdetect.attack.degradation import Degradation
from seqdetect.attack.drip import Drip
from seqdetect.attack.flood import Flood
from seqdetect.attack.inflation import Inflation
from seqdetect.attack.offhours import OffHours
from seqdetect.attack.scrape import Scrape
from seqdetect.attack.strength import DAY, HOUR
from seqdetect.attack.stuffing import Stuffing
from seqdetect.attack.takeover import Takeover
from seqdetect.attack.wallet import Wallet

EPOCH = 20_000 * DAY
END = EPOCH + 6 * DAY


def office(name: str, tokens: int = 200) -> pd.DataFrame:
    """A user at work from 8 to 18, about 20 requests an hour."""
    rng = np.random.default_rng(len(name))
    times = np.sort(
        rng.integers(8 * HOUR, 18 * HOUR, size=1_200) + EPOCH + rng.integers(0, 6, size=1_200) * DAY
    )
    completion = rng.integers(20, 100, size=1_200)
    return pd.DataFrame(
        {
            "timestamp": times,
            "user_id": [name] * 1_200,
            "prompt_tokens": rng.integers(tokens // 2, tokens * 3 // 2, size=1_200),
            "completion_tokens": completion,
            "model": ["old"] * 1_200,
            "client_ip": [f"10.0.0.{len(name)}"] * 1_200,
            "status": np.full(1_200, 200, dtype=np.int16),
            "latency_ms": 100.0 + 10.0 * completion,
            "user_agent": ["app"] * 1_200,
        }
    )


VICTIM = office("victim")
DONOR = office("donor", tokens=50_000)


def play(attack: Attack, strength: Strength = "blatant", start_h: float = 9, length_h: float = 8) -> Outcome:
    """``attack`` on the victim, from ``start_h`` hours into the fourth day."""
    start = EPOCH + 3 * DAY + int(start_h * HOUR)
    end = END if attack.for_good else start + int(length_h * HOUR)
    return attack(Scene(VICTIM, ("victim",), DONOR, start, end), strength, np.random.default_rng(5))


def new(outcome: Outcome, old: pd.DataFrame = VICTIM) -> pd.DataFrame:
    """Events that weren't there before."""
    return outcome.events[~outcome.events["timestamp"].isin(old["timestamp"])]


def in_incident(outcome: Outcome, events: pd.DataFrame | None = None) -> pd.DataFrame:
    events = outcome.events if events is None else events
    start, end = outcome.incidents[["start", "end"]].iloc[0]
    return events[(events["timestamp"] >= start) & (events["timestamp"] < end)]


def test_flood_is_many_usual_requests_in_minutes() -> None:
    outcome = play(replace(Flood(), least_added=(1, 1, 1, 1)))
    hours = (outcome.incidents["end"] - outcome.incidents["start"]).iloc[0] / HOUR
    assert hours <= 20 / 60
    assert len(new(outcome)) / hours > 15 * 20
    assert new(outcome)["prompt_tokens"].max() <= VICTIM["prompt_tokens"].max()


def test_flood_of_a_busy_user_stays_practical() -> None:
    rng = np.random.default_rng(0)
    busy = VICTIM.iloc[rng.integers(0, 1_200, size=40_000)].assign(
        timestamp=np.sort(EPOCH + rng.integers(0, HOUR, size=40_000))
    )
    scene = Scene(busy, ("victim",), DONOR, EPOCH + HOUR, EPOCH + 2 * HOUR)
    outcome = Flood()(scene, "blatant", np.random.default_rng(0))
    assert len(outcome.events) - len(busy) <= 20_000
    minutes = (outcome.incidents["end"] - outcome.incidents["start"]).iloc[0] / HOUR * 60
    assert 20_000 / minutes > 10 * 40_000 / 60


def test_wallet_requests_are_expensive() -> None:
    assert new(play(Wallet()))["prompt_tokens"].median() > 10 * VICTIM["prompt_tokens"].median()
    assert new(play(Wallet()))["completion_tokens"].median() > 10 * VICTIM["completion_tokens"].median()
    assert new(play(Wallet()))["latency_ms"].median() > 5 * VICTIM["latency_ms"].median()


def test_scrape_is_even_and_long_winded() -> None:
    rows = new(play(Scrape(), start_h=20))
    gaps = np.diff(rows["timestamp"])
    assert gaps.std() < 0.3 * gaps.mean()
    assert rows["completion_tokens"].median() > 1.5 * VICTIM["completion_tokens"].median()
    assert len(set(rows["client_ip"])) == 1


def test_takeover_looks_like_the_donor_from_elsewhere() -> None:
    rows = new(play(Takeover()))
    assert set(rows["user_id"]) == {"victim"}
    assert rows["prompt_tokens"].median() > 20_000
    assert not set(rows["client_ip"]) & (set(VICTIM["client_ip"]) | set(DONOR["client_ip"]))


@pytest.mark.parametrize(("silenced", "fewer"), [(0.0, False), (1.0, True)])
def test_takeover_replaces_the_victim_or_works_beside_it(silenced: float, fewer: bool) -> None:
    outcome = play(replace(Takeover(), silenced=silenced))
    kept = in_incident(outcome)["client_ip"].eq("10.0.0.6").sum()
    assert (kept < len(in_incident(outcome, VICTIM))) == fewer


def test_drip_is_slow_and_goes_on_through_the_night() -> None:
    outcome = play(Drip(), "subtle", start_h=0, length_h=24)
    assert (outcome.incidents["end"] - outcome.incidents["start"]).iloc[0] > 10 * HOUR
    gaps = np.diff(new(outcome)["timestamp"])
    assert gaps.std() < 0.5 * gaps.mean()
    assert len(new(outcome)) / 24 < 20


def test_stuffing_changes_prompts_and_nothing_else() -> None:
    outcome = play(Stuffing())
    assert len(outcome.events) == len(VICTIM)
    before, after = in_incident(outcome, VICTIM), in_incident(outcome)
    assert (after["prompt_tokens"].to_numpy() > 10 * before["prompt_tokens"].to_numpy()).all()
    assert (after["completion_tokens"].to_numpy() == before["completion_tokens"].to_numpy()).all()


def test_agent_loop_repeats_itself_and_grows() -> None:
    rows = new(play(AgentLoop()))
    gaps = np.diff(rows["timestamp"])
    assert gaps.std() < 0.15 * gaps.mean()
    assert rows["completion_tokens"].nunique() <= 3
    assert (np.diff(rows["prompt_tokens"]) > 0).mean() > 0.9


def test_off_hours_are_silent_otherwise() -> None:
    rows = new(play(OffHours(), start_h=10, length_h=20))
    hours = rows["timestamp"] // HOUR % 24
    assert ((hours >= 18) | (hours < 8)).mean() > 0.99


def test_botnet_is_coordinated() -> None:
    names = ("victim", "second", "another")
    frames = pd.concat([office(name) for name in names]).sort_values("timestamp", ignore_index=True)
    scene = Scene(frames, names, DONOR, EPOCH + 3 * DAY, EPOCH + 3 * DAY + 2 * HOUR)
    outcome = Botnet()(scene, "strong", np.random.default_rng(0))
    assert set(outcome.incidents["user_id"]) == set(names)
    assert outcome.incidents["start"].max() - outcome.incidents["start"].min() < HOUR / 4
    assert new(outcome, frames).groupby("user_id")["client_ip"].nunique().min() >= 5


def test_shared_credentials_are_used_from_several_places_at_once() -> None:
    rows = new(play(CredentialSharing()))
    spans = rows.groupby("client_ip")["timestamp"].agg(["min", "max"]).sort_values("min")
    assert len(spans) >= 6
    assert (spans["min"].to_numpy()[1:] < spans["max"].to_numpy()[:-1]).mean() > 0.8


def test_degradation_is_slow_and_fails() -> None:
    outcome = play(Degradation())
    rows = in_incident(outcome)
    assert (rows["status"] >= 429).mean() > 0.2
    assert (rows.loc[rows["status"] >= 429, "completion_tokens"] == 0).all()
    assert rows["latency_ms"].median() > 3 * VICTIM["latency_ms"].median()
    assert len(outcome.events) > len(VICTIM)


def test_degradation_shows_without_status_and_latency() -> None:
    bare = VICTIM[["timestamp", "user_id", "prompt_tokens", "completion_tokens"]]
    start = EPOCH + 3 * DAY + 9 * HOUR
    scene = Scene(bare, ("victim",), bare, start, start + 8 * HOUR)
    outcome = Degradation()(scene, "blatant", np.random.default_rng(0))
    assert (in_incident(outcome)["completion_tokens"] == 0).mean() > 0.2
    assert len(outcome.events) > len(bare)


def test_inflation_keeps_the_requests() -> None:
    outcome = play(Inflation())
    assert len(outcome.events) == len(VICTIM)
    before, after = in_incident(outcome, VICTIM), in_incident(outcome)
    for column in ("prompt_tokens", "completion_tokens"):
        assert (after[column].to_numpy() > 5 * before[column].to_numpy()).all()


def test_campaign_keeps_the_composition() -> None:
    outcome = play(BenignCampaign())
    assert len(in_incident(outcome)) > 3 * len(in_incident(outcome, VICTIM))
    assert set(new(outcome)["prompt_tokens"]) <= set(VICTIM["prompt_tokens"])


def test_onboarding_grows_and_stays_within_working_hours() -> None:
    outcome = play(BenignOnboarding())
    rows = new(outcome)
    assert outcome.incidents["end"].tolist() == [END]
    per_day = np.bincount((rows["timestamp"] - EPOCH) // DAY, minlength=6)
    assert per_day[5] > per_day[3]
    hours = rows["timestamp"] // HOUR % 24
    assert ((hours >= 7) & (hours <= 18)).all()


def test_migration_is_a_step_for_good() -> None:
    outcome = play(BenignMigration())
    start = outcome.incidents["start"].iloc[0]
    after = outcome.events["timestamp"] >= start
    assert len(set(outcome.events["model"][after])) == 1
    assert outcome.events["model"][after].iloc[0] != "old"
    assert (outcome.events["model"][~after] == "old").all()
    before = VICTIM["completion_tokens"][VICTIM["timestamp"] >= start].mean()
    step = outcome.events["completion_tokens"][after].mean() / before
    assert step > 2 or step < 0.5


def test_batch_job_runs_every_night_at_the_same_time() -> None:
    outcome = play(BenignBatchJob())
    rows = new(outcome)
    days = (rows["timestamp"] - EPOCH) // DAY
    assert days.unique().tolist() == [4, 5]
    first = rows.groupby(days)["timestamp"].min()
    assert abs(first.diff().iloc[-1] - DAY) < HOUR / 6
