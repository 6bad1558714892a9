"""Training: it survives being killed, computes in 16 bits where asked, and refuses clearly."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import MISSING, fields, replace
from pathlib import Path

import numpy as np
import pytest

from tests.builders.cli_calls import unwrapped

torch = pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")

from nrf_deploy.diagnostics.findings import MissingError, UsageError  # noqa: E402
from nrf_models.covariant import checkpoint  # noqa: E402
from nrf_models.covariant.description import NEURONS, Block, Config, Tracker, Training, config_of  # noqa: E402
from nrf_models.covariant.networks import TrackerNet  # noqa: E402
from nrf_models.covariant.scenes import batch  # noqa: E402
from nrf_models.covariant.train import device_of, step, train  # noqa: E402
from tests.builders.training_commands import main  # noqa: E402

torch.set_num_threads(1)
SMALL = Tracker(
    size=24,
    blocks=(Block(6, 7, pool=2, stride=2), Block(4, 3)),
    head=3,
    scales=(0.5, 1.0),
    threshold=1.0,
)
SHORT = Training(batches=4, batch=2, warm_up=4, steps=6, radii=(3.0, 5.0), threshold=0.5)
TOML = """
[tracker]
neuron = "li"
size = 24
blocks = [{ features = 6, kernel = 7, pool = 2, stride = 2 }, { features = 4, kernel = 3 }]
head = 3
scales = [0.5, 1.0]
[training]
batches = 45
batch = 2
warm_up = 4
steps = 6
radii = [3.0, 5.0]
"""
KILLED = """
import os, signal, sys
import torch
from nrf_models.covariant import train
from nrf_models.covariant.description import config_of

torch.set_num_threads(1)
when, config, path = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def report(progress):
    if when == "training" and progress.number == 33:
        die()
    if when == "writing" and progress.number == 40:
        os.replace = die

train.train(config_of(config), path, report)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("when", ["training", "writing"])
def test_what_was_killed_goes_on_to_the_same_end(when: str, tmp_path: Path) -> None:
    """With SIGKILL, between two checkpoints and just before one takes the place of the last."""
    config, cut = tmp_path / "tiny.toml", tmp_path / "cut.safetensors"
    config.write_text(TOML)
    whole = train(config_of(config), tmp_path / "whole.safetensors")
    ended = subprocess.run([sys.executable, "-c", KILLED, when, str(config), str(cut)], check=False)
    assert ended.returncode == -9
    assert checkpoint.read(cut).extra["done"] == 20
    assert main(["train", str(config), "-o", str(cut), "--threads", "1"]) == 0
    again = checkpoint.read(cut)
    assert again.extra["done"] == 45
    for name, value in whole.state_dict().items():
        assert torch.equal(again.net.state_dict()[name], value), name


@pytest.mark.parametrize("norm", ["scale", "batch"])
@pytest.mark.parametrize("neuron", NEURONS)
def test_convolutions_in_16_bits_learn_as_those_in_32(neuron: str, norm: str) -> None:
    """The path that a GPU takes, on the CPU."""
    config = Config(replace(SMALL, neuron=neuron, norm=norm), SHORT)  # type: ignore[arg-type]
    said = {}
    for mixed in (False, True):
        net = TrackerNet(config.tracker).train()
        optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
        drawn = (batch(config.tracker, SHORT, (0, 1, k)) for k in range(3))
        said[mixed] = np.array([step(config, net, b, optimiser, mixed) for b in drawn])
        learned = [p for p in net.parameters() if p.requires_grad]
        assert all(p.dtype == torch.float32 for p in net.parameters())
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learned)
    np.testing.assert_allclose(said[True], said[False], rtol=0.03)
    assert not np.array_equal(said[True], said[False])


def test_potentials_stay_in_32_bits() -> None:
    net = TrackerNet(SMALL).train()
    x = torch.from_numpy(batch(SMALL, SHORT, (0,)).events).float()
    with torch.autocast("cpu", torch.bfloat16):
        _, states, _ = net(x)
    assert {v.dtype for v in states} == {torch.float32}


def test_the_command_computes_in_16_bits_where_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(TOML.replace("45", "4"))
    weights = []
    for precision in ("float32", "bfloat16"):
        path = tmp_path / f"{precision}.safetensors"
        call = ["train", str(config), "-o", str(path), "--precision", precision, "--threads", "1"]
        assert main(call) == 0
        weights.append(checkpoint.read(path).net.head.weight)
    assert not torch.equal(*weights)
    assert "stood still for events" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("verb", ["train", "test", "times", "starts", "publish"])
def test_a_gpu_that_is_not_there_is_refused(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, weights = tmp_path / "tiny.toml", tmp_path / "x.safetensors"
    config.write_text(TOML)
    checkpoint.write(weights, config_of(config), TrackerNet(SMALL))
    given = {"test": [str(weights)], "publish": [str(weights), "-o", str(tmp_path / "out")]}
    call = [verb, *given.get(verb, [str(config), "-o", str(tmp_path / "out.json")])]
    assert main([*call, "--device", "cuda"]) == MissingError.exit_code
    said = capsys.readouterr().err
    assert "error[DEVICE-MISSING]" in said
    assert "--device cpu" in said
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("name", ["gpu", "meta", "mps", "cuda:x", ""])
def test_other_devices_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="DEVICE-UNKNOWN"):
        device_of(name)


def test_batches_drawn_beforehand_are_what_training_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, folder = tmp_path / "tiny.toml", tmp_path / "events"
    config.write_text(TOML.replace("45", "4"))
    assert main(["draw", str(config), "--data", str(folder), "--seed", "2"]) == 0
    assert f"4 batches are in {folder}" in capsys.readouterr().out
    call = ["train", str(config), "--seed", "2", "--threads", "1", "-o"]
    assert main([*call, str(tmp_path / "made.safetensors")]) == 0
    monkeypatch.setattr("nrf_models.covariant.scenes.batch", None)
    assert main([*call, str(tmp_path / "read.safetensors"), "--data", str(folder)]) == 0
    made, read = (checkpoint.read(tmp_path / f"{n}.safetensors").net for n in ("made", "read"))
    assert torch.equal(made.head.weight, read.head.weight)


def test_training_says_how_long_it_stood_still(tmp_path: Path) -> None:
    waited: list[float] = []
    train(Config(SMALL, SHORT), tmp_path / "x.safetensors", lambda p: waited.append(p.waited))
    assert len(waited) == SHORT.batches
    assert waited == sorted(waited)
    assert waited[0] > 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("batches = 0", "0 batches"),
        ("batch = -1", "-1 scenes a batch"),
        ("steps = 0", "0 steps"),
        ("warm_up = -1", "-1 steps of warming up"),
        ("rate = 0.0", "a rate of 0"),
        ("velocities = [0.0, 1.0]", "velocities from 0 to 1"),
        ("velocities = [2.0, 1.0]", "velocities from 2 to 1"),
        ("radii = [-1.0, 4.0]", "radii from -1 to 4"),
        ("threshold = 0.0", "a pixel's threshold of 0"),
        ("noise = 1.5", "a chance of noise of 1.5"),
        ("motions = []", "no motion"),
        ("motions = ['straight', 'wild']", "'wild' is none of straight, rotation"),
        ('batches = "many"', "batches is 'many', not a whole number"),
        ("velocities = 1.0", "velocities is 1.0, not two numbers"),
        ("rate = nan", "a rate of nan"),
        ("[tracker]\nspace = 'theorie'", "space is 'theorie', not theory or uniform"),
        ("[tracker]\nshare = 1", "share is 1, not true or false"),
        ("[tracker]\ntime_constants = []", "time_constants is (), not numbers"),
        ("[tracker]\nshapes = 0", "0 shapes"),
        ("[tracker]\nblocks = []", "no block"),
        ("[tracker]\nblocks = [{ features = 0, kernel = 3 }]", "has a number below 1"),
    ],
)
def test_a_training_that_cannot_be_is_refused(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text(f"[training]\n{line}\n")
    assert main(["draw", str(config), "--data", str(tmp_path / "events")]) == 2
    error = capsys.readouterr().err
    assert error.split()[0] == "error[TRAINING-CONFIG]"
    assert str(config) in error
    assert said in unwrapped(error)
    assert not (tmp_path / "events").exists()


def test_a_key_that_nobody_knows_is_refused_with_the_nearest_and_within_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.toml").write_text("[training]\nbatchs = 3\n[tracker]\nneuron = 'lif'\n")
    assert main(["train", "x.toml"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error[TRAINING-KEY-UNKNOWN] x.toml: [training] has no 'batchs'\n")
    assert "fix: did you mean batches? its keys are batches, batch, warm_up" in error
    assert max(map(len, error.splitlines())) <= 80


def test_a_checkpoint_that_cannot_be_written_is_refused_before_anything_is_learned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nrf_models.covariant.train.train", None)
    monkeypatch.setattr("nrf_research.sweep.sweep", None)
    config, nowhere = tmp_path / "tiny.toml", tmp_path / "nope"
    config.write_text(TOML)
    for verb in ("train", "times"):
        assert main([verb, str(config), "-o", str(nowhere / "x")]) == 2
        error = capsys.readouterr().err
        assert error.split()[0] == "error[OUTPUT-UNWRITABLE]"
        assert f"there is no folder {nowhere}" in unwrapped(error)


def test_progress_lines_say_of_how_many_and_how_long_it_will_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(TOML.replace("45", "40"))
    assert main(["train", str(config), "--threads", "1"]) == 0
    first, last, *_ = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"batch   20 of 40: +\d+\.\d\d px, loss \S+, .+ left", first)
    assert re.fullmatch(r"batch   40 of 40: +\d+\.\d\d px, loss \S+", last)


@pytest.mark.parametrize("kind", [Block, Tracker, Training])
def test_each_key_of_a_configuration_is_on_the_page_with_its_default(kind: type) -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    for key in fields(kind):
        said = "" if key.default is MISSING else json.dumps(key.default, default=lambda block: "")
        said = "three" if key.name == "blocks" else said
        assert f"| `{key.name}` | {said} |" in page


def test_help_stays_within_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(ValueError, match=r"0 batches.*-1 scenes a batch.*0 steps"):
        Training(batches=0, batch=-1, steps=0)


@pytest.mark.parametrize("text", ["[tracker", "\xff", ""])
def test_a_file_that_is_no_configuration_is_named(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "wrong.toml"
    if text:
        config.write_bytes(text.encode("latin-1"))
    assert main(["draw", str(config), "--data", str(tmp_path / "events")]) == 2
    assert str(config) in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--threads", "--batches", "--seeds"])
def test_a_count_is_at_least_one(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(TOML)
    with pytest.raises(SystemExit):
        main(["times", str(config), "-o", str(tmp_path / "s.json"), option, "0"])
    assert f"argument {option}: '0' is not a whole number above 0" in capsys.readouterr().err
