"""An engine against what silicon gave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle import pipeline
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import UsageError
from nrf_deploy.io.recordings import read, write, write_states
from nrf_deploy.ir.recording import Recording


@pytest.fixture
def paper(shared: Path) -> tuple[Bundle, dict[str, np.ndarray]]:
    """Build the NIR paper's LIF with the integers that its authors put on a Loihi 2."""
    bundle = pipeline.compile(
        nd.read(shared / "conformance" / "nir" / "lif_norse.nir", dt=1e-4, producer="nir"), "loihi2"
    )
    with np.load(shared / "conformance" / "silicon" / "nir_paper_01_lif.npz") as file:
        chip = {name: file[name] for name in file.files}
    (cells,), (synapses,) = bundle.program.populations, bundle.program.synapses
    own = {name: int(chip[name]) for name in ("du", "dv", "vth")}
    program = replace(
        bundle.program,
        populations=(replace(cells, params={**cells.params, **own}),),
        synapses=(replace(synapses, weight=chip["weight"].astype(np.int64)),),
    )
    return replace(bundle, program=program), chip


def test_the_recorded_loihi_2_is_met_in_every_spike_and_its_codes_are_found(
    paper: tuple[Bundle, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    bundle, chip = paper
    given = Recording.from_dense(chip["input"].reshape(-1, 1))
    spikes = Recording.from_dense(chip["s_loihi"].astype(np.int64).reshape(-1, 1))
    path = tmp_path / "chip.npz"
    write(spikes, path)
    assert nd.verify(bundle, given, against=str(path), behind=1).comparison.exact
    write_states(path, {"v": chip["v_loihi"].astype(np.int64).reshape(-1, 1)})
    report = nd.verify(bundle, given, against=str(path), behind=1)
    (layer,) = report.comparison.layers
    assert layer.mismatches == 0
    assert layer.state_mismatches == {"v": 4}, "the refractory code at each of its spikes"
    first = report.comparison.first_divergence
    assert first is not None
    assert (first.right_step, first.variable, first.value.right) == (461, "v", 128)


@pytest.mark.parametrize("layer", ["hidden", "last"])
def test_a_board_that_drifted_is_told_by_step(
    layer: str, bundle: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In any layer: what feeds it need not be in the recording."""
    words = ["--input", str(events)]
    path = tmp_path / "board.npz"
    assert main(["run", str(bundle), *words, "--layer", layer, "-o", str(path)]) == 0
    verify = ["verify", str(bundle), *words, "--against", str(path), "--layer", layer]
    assert main(verify) == 0
    held, _ = read(path)
    frames = held.dense()
    frames[7, 1] = 1 - frames[7, 1]
    write(Recording.from_dense(frames), path)
    capsys.readouterr()
    assert main(verify) == 1
    told = capsys.readouterr().out
    assert f"layer '{layer}', neuron (1,), step 7" in " ".join(told.split())
    assert "--engine board.npz" not in told
    assert ("VERIFY-ALONE-LEFT-OUT" in told) == (layer == "last")
    assert main([*verify, "--bisect", str(tmp_path / "cut")]) == 1
    assert f"'{layer}' on" in " ".join(capsys.readouterr().out.split())
    part = ["verify", str(tmp_path / "cut.nrfb"), "--input", str(tmp_path / "cut.npz")]
    assert main([*part, "--against", str(path), "--layer", layer, "--exact"]) == 1


def test_a_recording_of_no_layer_is_refused(bundle: Path, tmp_path: Path) -> None:
    frames = np.zeros((5, 7), np.int64)
    frames[1, 1] = 1
    write(Recording.from_dense(frames), tmp_path / "x.npz")
    given = Recording.from_dense(np.ones((5, 3), np.int64))
    with pytest.raises(UsageError, match="no layers have"):
        nd.verify(nd.load(bundle), given, against=str(tmp_path / "x.npz"))
    with pytest.raises(UsageError, match="'hidden' has"):
        nd.verify(nd.load(bundle), given, against=str(tmp_path / "x.npz"), layer="hidden")
    with pytest.raises(UsageError, match="no such file"):
        nd.verify(nd.load(bundle), given, against=str(tmp_path / "missing.npz"))
    with pytest.raises(UsageError, match="is an engine"):
        nd.verify(nd.load(bundle), given, behind=1)


def recorded_at(bundle: Path, events: Path, path: Path) -> Recording:
    """Write what the layer `hidden` gave to `path`."""
    words = ["--input", str(events), "--layer", "hidden", "-o", str(path)]
    assert main(["run", str(bundle), *words]) == 0
    held, _ = read(path)
    return held


def test_a_recording_in_other_steps_is_refused(bundle: Path, events: Path, tmp_path: Path) -> None:
    path = tmp_path / "board.npz"
    given = nd.read_recording(events, bundle)
    held = recorded_at(bundle, events, path)
    given = replace(given, dt=1e-3)
    write(replace(held, dt=2e-3), path)
    with pytest.raises(UsageError, match="VERIFY-RECORDED-STEP"):
        nd.verify(bundle, given, against=str(path), layer="hidden")
    with pytest.raises(UsageError, match="VERIFY-BEHIND"):
        nd.verify(bundle, given, against=str(path), layer="hidden", behind=-1)


def test_a_recording_that_ends_early_is_named(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "board.npz"
    given = Recording.from_dense(np.repeat([[0, 0, 0], [1, 1, 1]], 9, axis=0))
    held = nd.load(bundle)
    trace = nd.run(held, given, layer=["hidden"])
    late = pipeline.latency(held, "emulator")["hidden"]
    frames = trace.outputs["hidden"].dense()[late:]
    assert not frames[:9].any()
    assert frames[9:12].any()
    write(Recording.from_dense(frames[:12]), path)
    report = nd.verify(held, given, against=str(path), layer="hidden")
    assert report.verdict == "passed: exact (trained = read: stated, not checked)"
    (said,) = [f for f in report.findings if f.code == "VERIFY-RECORDED-SHORT"]
    assert said.severity == "warning"
    assert "12 steps of the 18" in said.what

    write(Recording.from_dense(frames[:9]), path)
    report = nd.verify(held, given, against=str(path), layer="hidden")
    assert report.verdict == "nothing was compared: no layer spiked"
    assert report.exit_code == 1
