"""What a configuration may say, and what is answered to one that says something else."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import handmade
from seqdetect.secret import Secret
from seqdetect.serve import config, process

ROOT = Path(__file__).parents[2]
GOOD = """
models: [{name: tokens, bundle: bundle.onnx}]
input: {stdin: }
outputs: [{jsonl: {path: alerts.jsonl}}]
checkpoint: {folder: state}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "scorer.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def folder(tmp_path):
    handmade.write(tmp_path / "bundle.onnx")
    return tmp_path


def test_paths_are_relative_to_the_file_and_nothing_means_defaults(folder, monkeypatch):
    monkeypatch.chdir("/")
    settings, _ = config.read(written(folder, GOOD))
    assert settings.models[0].bundle == folder / "bundle.onnx"
    assert settings.checkpoint.folder == folder / "state"
    assert settings.input.stdin == config.Stdin()
    assert settings.http.host == "127.0.0.1"
    assert process.plan(folder / "scorer.yaml").models[0].key == "user_id"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("bundle:", "budle:", "models[0].budle: there is no such setting (did you mean bundle?)"),
        ("models: [{", "model: [{", "model: there is no such setting (did you mean models?)"),
        ("name: tokens, ", "", "models[0].name: is missing and has no default"),
        ("tokens", "../up", "models[0].name: expected text matching"),
        ("bundle.onnx", "none.onnx", "models[0].bundle: no bundle at "),
        ("bundle.onnx", "scorer.yaml", "models[0].bundle: "),
        ("tokens,", "tokens, key: user,", "models[0].key: user is nothing that users are told apart by (did you mean user_id?)"),
        ("tokens,", "tokens, thresholds: {critcal: 2},", "models[0].thresholds.critcal: there is no such tier (did you mean critical?)"),
        ("tokens,", "tokens, thresholds: {critical: .nan},", "models[0].thresholds.critical: nan is not a finite number"),
        ("tokens,", "tokens, thresholds: {critical: high},", "models[0].thresholds[...]: expected a number, got text"),
        ("tokens,", "tokens, prices: {prompt: -1},", "models[0].prices.prompt: expected a number >= 0.0"),
        ("tokens, bundle: bundle.onnx}", "a, bundle: bundle.onnx}, {name: a, bundle: bundle.onnx}", "models[1].name: a is taken"),
        ("stdin: ", "stdin: , http: ", "input: name exactly one of stdin, file, http, kafka, metrics; there are stdin and http"),
        ("stdin: ", "", "input: name exactly one of stdin, file, http, kafka, metrics; there is none"),
        ("stdin: ", "stdn: ", "input.stdn: there is no such setting (did you mean stdin?)"),
        ("stdin: ", "stdin: {timezone: Mars/Olympus}", "input.stdin: timezone 'Mars/Olympus' is not known"),
        ("stdin: ", "stdin: {columns: {user: x}}", "input.stdin: columns names 'user'"),
        ("stdin: ", "stdin: {timestamp_unit: h}", "input.stdin.timestamp_unit: must be one of auto, ms, ns, s, us"),
        ("jsonl", "jsnl", "outputs[0].jsnl: there is no such sink (did you mean jsonl?)"),
        ("{path: alerts.jsonl}", "{}", "outputs[0].jsonl.path: is missing"),
        ("{path: alerts.jsonl}", "{path: a, shadow: yes}", "outputs[0].jsonl.shadow: must be one of "),
        ("{path: alerts.jsonl}", "{path: state/../bundle.onnx/x}", "outputs[0].jsonl: "),
        ("[{jsonl: {path: alerts.jsonl}}]", "[]", "outputs: expected a list of length >= 1"),
        ("folder: state", "folder: 5", "checkpoint.folder: expected a path"),
        ("folder: state", "folder: state, every_s: 0", "checkpoint.every_s: expected a number > 0.0"),
        ("checkpoint:", "http: {port: 70000}\ncheckpoint:", "http.port: expected a whole number <= 65535"),
        ("checkpoint:", "http: {token: abc}\ncheckpoint:", "http.token: there is no such setting (did you mean token_env?)"),
        ("checkpoint:", "log: {level: loud}\ncheckpoint:", "log.level: must be one of debug, error, info, warning"),
        ("checkpoint:", "input: {http: }\ncheckpoint:", "line 5: this is not YAML: input stands twice"),
        ("checkpoint:", "checkpoint: [", "this is not YAML: "),
        ("checkpoint:", "? [a]\n: b\ncheckpoint:", "line 5: this is not YAML: a key must be text"),
        ("checkpoint:", "alerts: {calendar: [{start: 2026-99-99}]}\ncheckpoint:", "this is not YAML: month must be in 1..12"),
        ("checkpoint:", "alerts: {quiet_s: 1.0e+308}\ncheckpoint:", "alerts.quiet_s: expected a number <= 1000000000.0"),
        ("bundle.onnx}", "bundle.onnx, prices: {prompt: 1.0e+308}}", "models[0].prices.prompt: expected a number <= "),
    ],
)  # fmt: skip
def test_an_error_names_the_file_the_key_and_what_to_do(folder, old, new, said):
    path = written(folder, GOOD.replace(old, new))
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        process.serve(process.plan(path))
    assert str(caught.value).startswith(str(path))


def test_a_missing_file_and_one_without_sections_are_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no configuration at"):
        config.read(tmp_path / "none.yaml")
    for text in ("", "- 1\n", "hello\n"):
        with pytest.raises(ValueError, match="must hold keys and values"):
            config.read(written(tmp_path, text))


KAFKA = GOOD.replace("stdin: ", "kafka: {servers: 'b:9092', topics: [t], secrets: {sasl.password: %s}}")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("hunter2", "a secret is not written here"),
        ("{value: hunter2}", "a secret is not written here"),
        ("{env: 5}", "a secret is not written here"),
        ("{env: SEQDETECT_NONE}", "the environment variable SEQDETECT_NONE is not set"),
        ("{file: none.txt}", "none.txt: No such file"),
        ("{file: empty.txt}", "empty.txt is empty"),
    ],
)
def test_a_secret_is_looked_up_and_never_shown(tmp_path, monkeypatch, place, said):
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match=re.escape("input.kafka.secrets.sasl.password: ")) as caught:
        config.read(written(tmp_path, KAFKA % place))
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["sasl.password", "ssl.key.pem", "sasl.oauthbearer.client.secret"])
def test_a_secret_among_the_other_settings_is_refused(tmp_path, name):
    text = KAFKA.replace("secrets: {sasl.password: %s}", "settings: {linger.ms: 5, %s: hunter2}") % name
    with pytest.raises(
        ValueError, match=re.escape(f"input.kafka.settings.{name}: a secret is not")
    ) as caught:
        config.read(written(tmp_path, text))
    assert "hunter2" not in str(caught.value)


def test_secrets_stand_in_the_environment_and_in_files(tmp_path, monkeypatch):
    monkeypatch.setenv("PASSWORD", "hunter2")
    (tmp_path / "password").write_text("hunter2\n")
    for place in ("{env: PASSWORD}", "{file: password}"):
        settings, _ = config.read(written(tmp_path, KAFKA % place))
        assert settings.input.kafka is not None
        assert settings.input.kafka.secrets == {"sasl.password": "hunter2"}
        assert isinstance(settings.input.kafka.secrets["sasl.password"], Secret)
        assert "hunter2" not in repr(settings)


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seqdetect.cli", "serve", *map(str, arguments)],
        capture_output=True, text=True, timeout=60, env=os.environ | environment,
    )  # fmt: skip


def test_the_command_checks_a_configuration_and_says_what_is_wrong(folder):
    path = written(folder, GOOD)
    checked = run("--config", path, "--check")
    assert (checked.returncode, checked.stdout) == (0, "")
    assert "good; models: tokens (user_id)" in checked.stderr
    assert not (folder / "state").exists()
    wrong = run("--config", written(folder, GOOD.replace("bundle:", "budle:")))
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("seqdetect serve: ")
    assert "Traceback" not in wrong.stderr


def test_an_address_in_use_is_said_and_the_process_ends(folder):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("--config", written(folder, GOOD + f"http: {{port: {port}}}\n"))
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_a_token_from_the_environment_is_asked_for(folder):
    from .running import Service, event, lines

    with Service(folder, http={"port": 0, "token_env": "EVENTS_TOKEN"}).start(
        EVENTS_TOKEN="hunter2"
    ) as service:
        assert service.request("POST", "/v1/events", lines([event(0)]))[0] == 401
        headers = {"Authorization": "Bearer hunter2"}
        assert service.request("POST", "/v1/events", lines([event(0)]), **headers)[0] == 202
        assert service.request("GET", "/metrics")[0] == 200
        assert service.stop() == 0
    assert "hunter2" not in service.log()


def test_the_example_explains_every_setting_and_works(folder, monkeypatch):
    text = (ROOT / "serving" / "scorer.yaml").read_text()
    settings, _ = config.read(written(folder, text))
    assert process.plan(folder / "scorer.yaml").models
    everything = re.sub(r"^( *)# ?([a-z_]+:)", r"\1\2", text, flags=re.MULTILINE)
    known = set(re.findall(r"\b([a-z_]+):", everything))
    for struct in (config.Config, config.Model, config.Http, config.File, config.Kafka, config.Stdin, config.Scrape, config.Checkpoint, config.Delivery,
                   config.Limits, config.Web, config.Page, config.Feedback, config.Reload, config.Log, config.Price):  # fmt: skip
        assert set(struct.__struct_fields__) <= known, struct
    assert yaml.safe_load(text)["http"]["host"] == settings.http.host == "127.0.0.1"
    assert not stat.S_IXUSR & (ROOT / "serving" / "scorer.yaml").stat().st_mode
