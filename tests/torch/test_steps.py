"""`export` follows a module for several steps: what only later steps show is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import InputError, NrfError, TargetError
from nrf_deploy.ir.network import Population
from nrf_deploy.neurons import Leaky
from nrf_deploy.torch import from_torch, load
from tests.builders.cli_calls import refusal as said_of

torch = pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")
norse = pytest.importorskip("norse.torch", reason="norse is absent: pip install '.[models]'")

from torch import nn  # noqa: E402

from tests.builders import norse_modules as modules  # noqa: E402


def exported(name: str, dt: float | None = None) -> Any:
    return from_torch(*load(getattr(modules, name)), dt)


def refusal(name: str, dt: float | None = None) -> NrfError:
    with pytest.raises((InputError, TargetError)) as refused:
        exported(name, dt)
    return refused.value


@pytest.mark.parametrize(
    "name", ["feed_back", "feed_back_potential", "feed_back_lifcell", "feed_back_dict"]
)
def test_a_connection_that_works_from_the_second_step_on_is_refused(name: str) -> None:
    """It vanished, and the export ended with exit 0."""
    (found,) = refusal(name).findings
    assert (found.code, found.layer) == ("EXPORT-LOST", "r")
    assert "r.weight, r.bias are in no exported layer" in found.what


@pytest.mark.parametrize("name", ["feed_back", "feed_back_dict"])
def test_nothing_is_written_then(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(modules.__file__).parent)
    output = tmp_path / "m.nir"
    assert main(["export", f"norse_modules:{name}", "-o", str(output)]) == 4
    assert "EXPORT-LOST" in said_of(capsys)
    assert not output.exists()


@pytest.mark.parametrize(
    ("name", "layer", "said"),
    [
        ("no_weights_back", "l", "its input is not the output"),
        ("shared", "i", "in step 1 it also calls 'i'"),
        ("halved", "li", "in step 1 it gives another output"),
        ("forgetful", "li", "in step 1 it gives another output"),
        ("without_state", "1", "in step 1 it gives another output"),
        ("counting", "li", "in step 3 its input is not the output"),
    ],
)
def test_a_later_step_that_does_something_else_is_refused_by_its_layer(
    name: str, layer: str, said: str
) -> None:
    (found,) = refusal(name).findings
    assert (found.code, found.layer) == ("EXPORT-STEPS", layer)
    assert said in found.what


@pytest.mark.parametrize(("name", "dt"), [("two_outputs", 1.0), ("inner_output", None)])
def test_a_second_output_is_refused(name: str, dt: float | None) -> None:
    assert [f.code for f in refusal(name, dt).findings] == ["EXPORT-OUTPUTS"]


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
    network, _ = from_torch(module, module.input_shape)
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
