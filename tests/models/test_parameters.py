"""Fields and times as torch parameters give numpy's numbers, and right gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")

from nrf_models.covariant.parameters import Fields, Ladder, Limit, MovingFields  # noqa: E402
from nrf_models.covariant.receptive_fields import PAPER, Convention, Field, bank, time_constants  # noqa: E402
from nrf_models.covariant.velocity import Moving, exponential, taps  # noqa: E402
from nrf_research.limit_kernel import cascade, means  # noqa: E402

bounded = settings(max_examples=25, deadline=None, derandomize=True)
fields = st.builds(
    Field,
    scale=st.floats(0.5, 6),
    angle=st.floats(-math.pi, math.pi),
    ratio=st.floats(1, 1.5),
    along=st.integers(0, 3),
    across=st.integers(0, 3),
)
velocities = st.tuples(st.floats(-2, 2), st.floats(-2, 2))
DOUBLE = torch.float64


@given(
    st.lists(fields, min_size=1, max_size=4),
    st.sampled_from([1, 3]),
    st.sampled_from(["sigma", "published"]),
)
@bounded
def test_kernels_are_numpys(many: list[Field], samples: int, convention: Convention) -> None:
    ours = Fields(many, DOUBLE)(15, samples, convention).detach().numpy()
    np.testing.assert_allclose(ours, bank(many, 15, samples, convention), atol=1e-12)


def test_in_single_precision_to_a_millionth() -> None:
    ours = Fields(PAPER)(25).detach().numpy()
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, bank(PAPER, 25), atol=1e-6)


@given(st.lists(st.builds(Moving, fields, velocities), min_size=1, max_size=3))
@bounded
def test_taps_are_numpys(moving: list[Moving]) -> None:
    temporal = exponential(2.0, 4)
    ours = MovingFields(moving, DOUBLE).taps(temporal)
    for mine, wanted in zip(ours, taps(moving, temporal), strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), wanted, atol=1e-9)


@given(st.floats(2, 100), st.floats(1.1, 3), st.integers(1, 6))
@bounded
def test_times_are_numpys(slowest: float, ratio: float, count: int) -> None:
    ladder, limit = Ladder(slowest, ratio, count, DOUBLE), Limit(slowest, ratio, count, DOUBLE)
    mu = time_constants(slowest, ratio, count)
    np.testing.assert_allclose(ladder().detach().numpy(), mu, rtol=1e-12)
    np.testing.assert_allclose(ladder.decays().detach().numpy(), np.exp(-1 / np.array(mu)))
    np.testing.assert_allclose(limit().detach().numpy(), means(slowest, ratio, count), rtol=1e-9)


def test_a_cascade_is_numpys() -> None:
    x = np.random.default_rng(0).random((20, 3))
    limit = Limit(9.0, 2.0, 4, DOUBLE)
    ours = limit.cascade(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours, cascade(means(9.0, 2.0, 4), x), atol=1e-12)


def gradients_are_right(module: torch.nn.Module, run: str) -> bool:
    """Check the gradients of all parameters at once against finite differences."""
    names, values = zip(*module.named_parameters(), strict=True)

    def call(*given: torch.Tensor) -> torch.Tensor:
        class Run(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = module

            def forward(self) -> torch.Tensor:
                return CALLS[run](module)

        said = {f"inner.{n}": v for n, v in zip(names, given, strict=True)}
        out: torch.Tensor = torch.func.functional_call(Run(), said)
        return out

    start = [v.detach().clone().requires_grad_() for v in values]
    return bool(torch.autograd.gradcheck(call, start, atol=1e-6))


CALLS = {
    "kernels": lambda m: m(7),
    "integrated": lambda m: m(7, 2, "published"),
    "taps": lambda m: torch.cat([k.flatten() for k in m.taps(exponential(2.0, 2))]),
    "times": lambda m: m(),
    "cascade": lambda m: m.cascade(torch.ones(4, 1, dtype=DOUBLE)),
}
SOME = [Field(1.0, 0.3, 1.2, 1, 0), Field(2.0, 1.0, 1.0, 0, 0), Field(1.5, -0.4, 1.3, 2, 1)]


@pytest.mark.parametrize("run", ["kernels", "integrated"])
def test_gradients_of_kernels(run: str) -> None:
    assert gradients_are_right(Fields(SOME, DOUBLE), run)


def test_gradients_of_velocities() -> None:
    """No tap's shift and no size is about to jump."""
    moving = [Moving(Field(0.25, 0.3, along=1), (0.3, -0.2)), Moving(Field(0.3), (1.1, 0.4))]
    assert gradients_are_right(MovingFields(moving, DOUBLE), "taps")


@pytest.mark.parametrize("run", ["times", "cascade"])
def test_gradients_of_times(run: str) -> None:
    assert gradients_are_right(Limit(9.0, 2.0, 3, DOUBLE), run)
    assert gradients_are_right(Ladder(9.0, 2.0, 3, DOUBLE), "times")


def test_a_field_can_be_found_again_by_its_gradient() -> None:
    """From a field nearby to one whose kernel is given."""
    wanted = torch.from_numpy(bank([Field(2.0, 0.5, 1.3, 1, 0)], 13))
    found = Fields([Field(1.6, 0.3, 1.15, 1, 0)], DOUBLE)
    optimiser = torch.optim.Adam(found.parameters(), 0.04)
    for _ in range(150):
        optimiser.zero_grad()
        ((found(13) - wanted) ** 2).sum().backward()
        optimiser.step()
    (field,) = found.fields()
    assert (field.scale, field.angle, field.ratio) == pytest.approx((2.0, 0.5, 1.3), rel=1e-2)
    assert (field.along, field.across) == (1, 0)


def test_a_ladder_that_is_learned_stays_one() -> None:
    ladder = Ladder(16.0, 2.0, 4, DOUBLE)
    optimiser = torch.optim.SGD(ladder.parameters(), 0.01)
    (ladder() * torch.tensor([1.0, -2.0, 0.5, 0.1])).sum().backward()
    optimiser.step()
    mu = ladder().detach().numpy()
    assert mu[-1] != pytest.approx(16.0)
    np.testing.assert_allclose(mu[1:] / mu[:-1], mu[1] / mu[0])


def test_what_numpy_refuses_is_refused() -> None:
    with pytest.raises(ValueError, match="narrower than a pixel"):
        Fields([Field(0.1, ratio=2.0)])(9, samples=3)
    with pytest.raises(ValueError, match="no ladder"):
        Ladder(4.0, 1.0, 3)
