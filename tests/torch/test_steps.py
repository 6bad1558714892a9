"""`export` follows a module for several steps: what only later steps show is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import InputError, NrfError, TargetError
from nrf_deploy.ir.network import Output, Population
from nrf_deploy.neurons import Leaky
from nrf_deploy.torch import from_torch, load
from tests.builders.cli_calls import refusal as said_of

torch = pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")
norse = pytest.importorskip("norse.torch", reason="norse is absent: pip install '.[models]'")

from torch import nn  # noqa: E402

from tests.builders import norse_modules as modules  # noqa: E402


def exported(name: str, dt: float | None = None) -> Any:
    return from_torch(*load(getattr(modules, name)), dt)[:2]


def refusal(name: str, dt: float | None = None) -> NrfError:
    with pytest.raises((InputError, TargetError)) as refused:
        exported(name, dt)
    return refused.value


@pytest.mark.parametrize("name", ["feed_back", "feed_back_lifcell", "feed_back_dict", "shared"])
def test_spikes_fed_back_are_exported_in_any_form(name: str) -> None:
    """They vanished, and the export ended with exit 0."""
    network, _ = exported(name)
    (edge,) = network.back_edges
    assert edge == ("i_2" if name == "shared" else "r", "l")
    assert network.loop_start == "zero"


def test_a_potential_fed_back_is_refused() -> None:
    (found,) = refusal("feed_back_potential").findings
    assert (found.code, found.layer) == ("EXPORT-FEEDBACK", "li")


def test_nothing_is_written_where_the_export_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(modules.__file__).parent)
    output = tmp_path / "m.nir"
    assert main(["export", "norse_modules:feed_back_potential", "-o", str(output)]) == 4
    assert "EXPORT-FEEDBACK" in said_of(capsys)
    assert not output.exists()


@pytest.mark.parametrize(
    ("name", "code", "layer", "said"),
    [
        ("no_weights_back", "EXPORT-FUNCTION", "mul", "i = i - 0.5 * z"),
        ("halved", "EXPORT-STATE", "li", "its state was changed by 'div'"),
        ("forgetful", "EXPORT-STEPS", "l", "in step 1 it gives another potential"),
        ("without_state", "EXPORT-STEPS", "1", "in step 1 it gives another potential"),
        ("counting", "EXPORT-ADD", "add", "o = o + 0.01"),
    ],
)
def test_a_later_step_that_does_something_else_is_refused_by_its_layer(
    name: str, code: str, layer: str, said: str
) -> None:
    (found,) = refusal(name).findings
    assert (found.code, found.layer) == (code, layer)
    assert said in found.what


def test_an_output_in_place_of_a_state_is_refused() -> None:
    assert [f.code for f in refusal("inner_output").findings] == ["EXPORT-OUTPUTS"]


def test_several_outputs_are_exported() -> None:
    network, _ = exported("two_outputs")
    assert [n.name for n in network.of(Output)] == ["output_0", "output_1"]
    assert [network.sources(f"output_{n}") for n in (0, 1)] == [("o",), ("p",)]


def test_parameters_of_no_exported_layer_are_refused() -> None:
    (found,) = refusal("auxiliary").findings
    assert (found.code, found.layer) == ("EXPORT-LOST", "aux")


def test_a_cell_or_a_norm_that_no_step_calls_is_refused() -> None:
    for part, said in ((norse.LIFBoxCell(), "spare"), (nn.BatchNorm1d(3, affine=False), "spare.")):
        module = modules.plain()
        module.spare = part
        with pytest.raises(TargetError, match="EXPORT-LOST") as refused:
            from_torch(module, module.input_shape)
        assert said in refused.value.findings[0].what


@pytest.mark.parametrize("name", ["plain", "plain_dict", "plain_apart", "sequence"])
def test_states_that_are_handed_on_in_any_form_are_exported(name: str) -> None:
    network, found = exported(name)
    assert [n.kind for n in network.of(Population)].count("LIF") == 1
    assert not found


def test_a_time_constant_that_the_module_learns_is_in_its_cell() -> None:
    module = modules.plain()
    module.rate = nn.Parameter(torch.tensor(300.0))
    module.l = norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=module.rate))
    network, _, _ = from_torch(module, module.input_shape)
    membrane = next(network.of(Population)).membrane
    assert type(membrane) is Leaky
    np.testing.assert_allclose(membrane.tau, 1 / 300)


def test_a_layer_that_nothing_makes_fire_is_said() -> None:
    _, found = exported("never_fires")
    assert [(f.code, f.severity, f.layer) for f in found] == [("EXPORT-SILENT", "warning", "l")]


def test_the_module_keeps_no_hooks() -> None:
    module = modules.plain()
    from_torch(module, module.input_shape)
    assert not any(m._forward_hooks for m in module.modules())


def test_a_state_that_the_module_does_not_take_back_is_refused() -> None:
    class Narrow(modules._Parts):  # type: ignore[misc]
        def forward(self, x: Any, st: Any = None) -> Any:
            z, s0 = self.l(self.i(x), None if st is None else st["gone"])
            return self.li(self.o(z))[0], (s0,)

    module = Narrow(norse.LIFBoxCell())
    del module.r
    with pytest.raises(InputError) as refused:
        from_torch(module, module.input_shape)
    assert "step 1 fails" in refused.value.findings[0].what
