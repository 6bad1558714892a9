"""One step of delta and sigma-delta encoders and of resonators.

Part of the normative rules; MODELS in neurons.py lists these models.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.engines.emulator.golden import State
from nrf_deploy.ir.network import Array

from .integers import LIMIT, i32, shr0

Params = Mapping[str, Array]


def encode(p: Params, s: State, activation: Array) -> tuple[Array, State]:
    """Send the change since the last message if it reaches the threshold.

    With `cum_error` the threshold is compared with the sum of all changes not sent.
    """
    scale, cumulative = p["spike_exp"] + p["state_exp"], p["cum_error"] != 0
    change = i32(activation - s["act"] + s["residue"])
    unsent = np.where(cumulative, i32(s["error"] + change), s["error"])
    measured = np.where(cumulative, unsent, change)
    sent = np.where(i32(np.abs(measured)) >= i32(p["vth"] << scale), change, 0)
    return sent >> p["state_exp"], {
        "act": activation,
        "residue": i32(change - sent),
        "error": np.where(cumulative & (sent != 0), 0, unsent),
    }


def delta(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    return encode(p, s, i32(arriving << (p["spike_exp"] + p["state_exp"])))


def sigma_delta(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    """Sum the messages of delta encoders, rectify (act_mode 1, the default) and encode."""
    sigma = i32(s["sigma"] + i32(arriving))
    activation = i32(sigma + i32(p["bias"] << (p["spike_exp"] + p["state_exp"])))
    activation = np.where(p["act_mode"] == 1, np.maximum(activation, 0), activation)
    output, state = encode(p, s, activation)
    return output, {"sigma": sigma, **state}


def rotate(p: Params, s: State, arriving: Array) -> tuple[Array, Array]:
    """Advance the resonator by one step; the input is added to its real part."""

    def times(decay: str, x: Array) -> Array:
        return shr0(p[decay] * x, p["decay_bits"])

    real = times("cos_decay", s["real"]) - times("sin_decay", s["imag"])
    imag = times("sin_decay", s["real"]) + times("cos_decay", s["imag"])
    real = real + i32(arriving << p["state_exp"])
    return np.clip(real, 1 - LIMIT, LIMIT - 1), np.clip(imag, 1 - LIMIT, LIMIT - 1)


def rf(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    """Emit a spike where the phase passes zero with an amplitude of at least vth << state_exp."""
    real, imag = rotate(p, s, arriving)
    spike = (real >= (p["vth"] << p["state_exp"])) & (imag >= 0) & (s["imag"] < 0)
    return spike.astype(np.int64), {"real": real, "imag": imag}


def rf_iz(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    real, imag = rotate(p, s, arriving)
    vth = p["vth"] << p["state_exp"]
    spike = imag >= vth
    return spike.astype(np.int64), {
        "real": np.where(spike, 0, real),
        "imag": np.where(spike, vth - 1, imag),
    }
