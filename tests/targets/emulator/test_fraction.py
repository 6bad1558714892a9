"""fraction_bits that are left out: chosen so that weights can use their bits, and named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.cli.main import main
from nrf_deploy.compiler.quantize.rules import LayerRules, Rules
from nrf_deploy.diagnostics.findings import Finding, UsageError
from nrf_deploy.io import nir
from nrf_deploy.ir.network import Linear, Network
from nrf_deploy.testing.conformance import run_conformance
from nrf_emulator.settings import full_name, settings

from .test_target import chain, differ, full, lif, linear, some_input, spiking_if, verified

NARROW = "emulator:weight_bits=6,state_bits=12"


def slow() -> Network:
    """Build thresholds some five times the largest weight: a potential needs bits above it."""
    return chain(linear(), lif(tau=8.0, v_threshold=full(5.0)), linear("w2", seed=1), lif("out"))


def largest(network: Network, chip: str) -> int:
    return max(int(np.abs(s.weight).max()) for s in nd.compile(network, chip).program.synapses)


def told(network: Network, chip: str, code: str, rules: Rules | None = None) -> list[Finding]:
    return [f for f in nd.check(network, chip, scheme=rules).findings if f.code == code]


def test_bits_that_were_left_out_let_weights_use_theirs() -> None:
    """The default of 6 gave weights of -6..6, of -31..31 (use.md 1.4)."""
    network = slow()
    given = f"{NARROW},fraction_bits=6"
    assert largest(network, given) <= 6
    assert largest(network, NARROW) > 20
    assert differ(verified(network, NARROW)) < differ(verified(network, given)) / 2


def test_the_choice_is_named_with_its_reason_and_stays_in_the_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = slow()
    nd.save(nd.compile(network, NARROW), tmp_path / "a.nrfb")
    bundle = nd.load(tmp_path / "a.nrfb")
    bits = settings(bundle.chip).fraction_bits
    assert bundle.chip == f"{NARROW},fraction_bits={bits}"
    assert 0 <= bits < 6
    assert bundle.program.population("n").params["fraction_bits"] == bits
    (choice,) = (f for f in bundle.findings if f.code == "TARGET-CHOSEN")
    assert choice.what == f"fraction_bits = {bits} is chosen for this model"
    assert "with fraction_bits = 6 the weights of layer 'w' would use" in choice.why
    assert "too large for 12 state_bits" in choice.why

    again = nd.compile(network, bundle.chip)
    assert not [f for f in again.findings if f.code == "TARGET-CHOSEN"], "nothing is left open"
    for one, other in zip(bundle.program.synapses, again.program.synapses, strict=True):
        assert np.array_equal(one.weight, other.weight)

    nir.write(network, tmp_path / "m.nir")
    words = [str(tmp_path / "m.nir"), "--target", NARROW]
    assert main(["check", *words]) == 0
    text = capsys.readouterr().out
    assert f"fraction_bits = {bits} is chosen" in text
    assert max(map(len, text.splitlines())) <= 80
    assert main(["compile", *words, "-o", str(tmp_path / "b.nrfb")]) == 0
    assert f"fraction_bits = {bits} is chosen" in capsys.readouterr().out
    assert main(["compile", *words, "-o", str(tmp_path / "c.nrfb"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["chip"].endswith(f"fraction_bits={bits}")
    assert (tmp_path / "b.nrfb").read_bytes() == (tmp_path / "c.nrfb").read_bytes()


def test_where_all_bits_are_used_the_preset_s_are_kept() -> None:
    network = chain(linear(), spiking_if())
    bundle = nd.compile(network, "emulator:weight_bits=4")
    assert bundle.chip == "emulator:weight_bits=4,fraction_bits=6"
    usual = nd.compile(network, "emulator:weight_bits=4,fraction_bits=6")
    one, other = (b.program.population("n").params for b in (bundle, usual))
    assert all(np.array_equal(one[name], other[name]) for name in (*one, *other))


@pytest.mark.parametrize("chip", ["emulator", "emulator-4bit", "emulator:latency=1"])
def test_a_machine_with_the_bits_of_a_preset_has_its_fraction_bits(chip: str) -> None:
    verdict = nd.check(slow(), chip)
    assert verdict.chip == chip
    codes = {f.code for f in verdict.findings}
    assert not codes & {"TARGET-CHOSEN", "EMULATOR-WEIGHT-BITS"}


def test_a_name_keeps_fraction_bits_that_the_user_gave() -> None:
    """They are the preset's, but without them others could be chosen."""
    assert full_name(f"{NARROW},fraction_bits=6") == f"{NARROW},fraction_bits=6"
    assert full_name("emulator:fraction_bits=6") == "emulator"
    assert settings("emulator:state_bits=6").fraction_bits == 4
    with pytest.raises(UsageError, match="6 of the 6 bits of a potential are fraction"):
        full_name("emulator:state_bits=6,fraction_bits=6")


# --- machines whose weights cannot use their bits ----------------------------------------


def test_weights_that_cannot_use_their_bits_are_told_with_a_way_out_that_helps() -> None:
    network = slow()
    (warned,) = told(network, f"{NARROW},fraction_bits=6", "EMULATOR-WEIGHT-BITS")
    assert warned.severity == "warning"
    assert warned.layer == "w"
    assert "of 6 bits: up to about" in warned.what
    assert "too large for 12 state_bits (6 of them fraction_bits)" in warned.why
    bits, states = (int(part.split()[-1]) for part in warned.fix.split(", or "))
    assert warned.fix == f"set fraction_bits to {bits}, or state_bits to at least {states}"
    for mended in (
        f"{NARROW},fraction_bits={bits}",
        f"emulator:weight_bits=6,state_bits={states},fraction_bits=6",
    ):
        assert not told(network, mended, "EMULATOR-WEIGHT-BITS")
        assert largest(network, mended) > 20


def test_where_no_choice_helps_the_warning_says_so() -> None:
    network = slow()
    chip = "emulator:weight_bits=12,state_bits=12"
    (choice,) = told(network, chip, "TARGET-CHOSEN")
    assert choice.what.startswith("fraction_bits = 0 ")
    (warned,) = told(network, chip, "EMULATOR-WEIGHT-BITS")
    assert warned.fix.startswith("set state_bits to at least ")
    more = warned.fix.rpartition(" ")[2]
    wide = f"emulator:weight_bits=12,state_bits={more}"
    assert not told(network, wide, "EMULATOR-WEIGHT-BITS")


def test_sums_that_limit_the_weights_are_named() -> None:
    network = chain(Linear(name="w", weight=np.ones((2, 40))), spiking_if("n", **wide_if(2)))
    chip = "emulator:sum_bits=8,weight_bits=8,fraction_bits=2"
    recording = some_input(network)
    verdict = nd.check(network, chip, recording)
    (warned,) = (f for f in verdict.findings if f.code == "EMULATOR-WEIGHT-BITS")
    assert "larger weights would make sums too large for 8 sum_bits" in warned.why
    more = int(warned.fix.rpartition(" ")[2])
    wide = f"emulator:sum_bits={more},weight_bits=8,fraction_bits=2"
    assert not [
        f for f in nd.check(network, wide, recording).findings if f.code == "EMULATOR-WEIGHT-BITS"
    ]


def wide_if(size: int) -> dict[str, np.ndarray]:
    return {"r": full(1.0, size), "v_threshold": full(3.0, size), "v_reset": full(0.0, size)}


def test_a_gain_of_the_scheme_is_the_user_s_affair() -> None:
    rules = Rules(layers={"w": LayerRules(gain=1.0)})
    network = chain(linear(), lif(v_threshold=full(5.0)))
    assert not told(network, f"{NARROW},fraction_bits=6", "EMULATOR-WEIGHT-BITS", rules)


def test_weights_that_all_round_to_zero_for_want_of_state_bits_say_so() -> None:
    network = chain(linear(), lif(v_threshold=full(90.0)))
    (refused,) = told(network, f"{NARROW},fraction_bits=6", "EMULATOR-ALL-ZERO")
    assert "state_bits" in refused.why
    states = refused.fix.rpartition(" ")[2]
    assert nd.check(network, f"emulator:weight_bits=6,state_bits={states},fraction_bits=6").fits


# --- conformance -------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [pytest.param(6, marks=pytest.mark.conformance), 8])
def test_a_narrow_machine_conforms(bits: int) -> None:
    """With fraction_bits = 6 it failed 16 of 47 cases, with likely causes that were wrong."""
    found = run_conformance(f"emulator:state_bits=12,weight_bits={bits}")
    assert found.passed
    refused = [r for r in found.results if r.status != "ok"]
    assert {r.case.name for r in refused} <= {"large", "large-subtract", "large-at"}
    assert refused[0].case.name == "large"
    assert "the weights use" in refused[0].findings[0].what


def test_a_machine_too_narrow_for_a_case_is_not_said_to_be_wrong() -> None:
    found = run_conformance(f"{NARROW},fraction_bits=6", case=["kernel", "fires-at", "leak"])
    assert {r.case.name: r.status for r in found.results if r.case.arithmetic is None} == {
        "kernel": "refused", "fires-at": "refused", "leak": "ok",
    }  # fmt: skip
    (finding,) = next(r for r in found.results if r.case.name == "kernel").findings
    assert finding.code == "EMULATOR-WEIGHT-BITS"


# --- targets ------------------------------------------------------------------------------


def test_targets_shows_the_machine_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chip = tmp_path / "mychip.toml"
    chip.write_text('weight_bits = 6\nstate_bits = 12\nreset = "subtract"\n')
    assert main(["targets", str(chip)]) == 0
    text = capsys.readouterr().out
    rows = {line[:16].strip(): line[16:].strip() for line in text.splitlines()}
    assert rows["weight_bits"] == "6"
    assert rows["reset"] == "subtract"
    assert rows["fraction_bits"] == "chosen for each model, up to 6"
    assert "emulator-4bit" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert main(["targets", str(chip), "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["targets"]["emulator"]["chips"].values()
    assert shown["settings"]["state_bits"] == 12
