"""A Configuration in samna's form: the tree of attributes and the text of its JSON.

samna 0.7 has speck2b and dynapcnn. Its JSON has every field, also the timings of the memories;
the defaults here are those of a new configuration (a test compares with samna). Lists are
{"value0": ..., "value1": ...}, arrays {"dimensions", "offsets", "values"}, and names are in
camel case for speck2b.

speck2e and speck2f need a newer samna. Their tree has only the fields that a network sets, by
the names of the Speck dev kit's data sheet (Aug 2023, 3.2.2); the loader sets them one by one
on a new configuration.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from nrf_deploy.ir.network import Array

from .configuration import CORES, FAN_OUT, Configuration, Core, Destination, Sensor

Tree = dict[str, Any]

CAMEL = {"speck2b"}
NEW = {"speck2e", "speck2f"}


def tree(configuration: Configuration) -> Tree:
    """Return the attributes of samna's Python classes; arrays (f, c, x, y) and (f, x, y)."""
    if configuration.chip in NEW:
        return _new(configuration)
    make = _speck2b if configuration.chip == "speck2b" else _dynapcnn
    return make(configuration)


def text(configuration: Configuration) -> str:
    """Return the JSON that samna 0.7 reads, or the plain tree for chips of a newer samna."""
    plain = tree(configuration)
    if configuration.chip in NEW:
        return json.dumps(_listed(plain), separators=(",", ":"))
    wrapped = _wrapped(plain, camel=configuration.chip in CAMEL)
    return json.dumps({"value0": wrapped}, separators=(",", ":"))


# --- one core -------------------------------------------------------------


def _core(core: Core) -> Tree:
    weights, initial = (np.asarray(a).swapaxes(-1, -2) for a in (core.weights, core.initial))
    return {
        "destinations": _destinations(core.destinations),
        "return_to_zero": core.returns_to_zero,
        "leak_enable": core.leaks,
        "threshold_high": core.threshold_high,
        "threshold_low": core.threshold_low,
        "monitor_enable": core.monitored,
        "dimensions": {
            "padding": _xy(core.padding),
            "stride": _xy(core.stride),
            "kernel_size": core.kernel,
            "input_shape": _shape(core.input_shape),
            "output_shape": _shape(core.output_shape),
        },
        "weights": weights,
        "weights_kill_bit": np.zeros(weights.shape, bool),
        "biases": np.asarray(core.biases),
        "biases_kill_bit": np.zeros(core.biases.shape, bool),
        "neurons_initial_value": initial,
        "neurons_value_kill_bit": np.zeros(initial.shape, bool),
    }


def _destinations(wires: tuple[Destination, ...]) -> list[Tree]:
    used = [
        {"layer": d.core, "enable": True, "feature_shift": d.shift, "pooling": d.pooling}
        for d in wires
    ]
    unused = {"layer": 0, "enable": False, "feature_shift": 0, "pooling": 1}
    return used + [unused] * (FAN_OUT - len(used))


def _xy(pair: tuple[Any, ...]) -> Tree:
    y, x = pair
    return {"x": x, "y": y}


def _shape(shape: tuple[int, ...]) -> Tree:
    features, y, x = shape
    return {"feature_count": features, "size": _xy((y, x))}


def _idle(index: int, returns_to_zero: bool) -> Core:
    """Return an unused core, with samna's defaults."""
    ones = (1, 1, 1)
    zero = np.zeros(1, np.int64)
    return Core(
        index=index,
        layer="",
        input_shape=ones,
        output_shape=ones,
        kernel=1,
        weights=zero.reshape(1, 1, 1, 1),
        biases=zero,
        initial=zero.reshape(ones),
        threshold_high=0,
        threshold_low=0,
        returns_to_zero=returns_to_zero,
    )


def _cores(configuration: Configuration, returns_to_zero: bool) -> list[Tree]:
    cores = (configuration.core(i) or _idle(i, returns_to_zero) for i in range(CORES))
    return [_core(core) for core in cores]


# --- one chip -------------------------------------------------------------


def _sensor(sensor: Sensor) -> Tree:
    used = [{"layer": core, "enable": True} for core in sensor.destinations]
    return {
        "destinations": used + [{"layer": 0, "enable": False}] * (FAN_OUT - len(used)),
        "mirror_diagonal": sensor.diagonal,
        "merge": sensor.merge,
        "on_channel": sensor.on,
        "off_channel": sensor.off,
        "origin": _xy(sensor.origin),
        "pooling": _xy(sensor.pooling),
        "cut": _xy(sensor.cut),
        "mirror": _xy(sensor.mirror),
        "pass_sensor_events": sensor.passes,
        "monitor_enable": False,
    }


def _speck2b(configuration: Configuration) -> Tree:
    return {
        "cnn_layers": _cores(configuration, returns_to_zero=False),
        "dvs_layer": {"monitor_sensor_enable": False, **_sensor(configuration.sensor)},
        "dvs_filter": {"filter_bypass": True, "threashold": 5, "filter_size": {"x": 1, "y": 1}},
        "readout": {
            "threshold": 0,
            "low_pass_filter_disable": False,
            "low_pass_filter32_not16": True,
            "input_address_interpretation": 0,
            "bypass_enable": False,
            "p2s_input_selection": 0,
        },
        "factory_config": {
            "cnn_layers": [
                {**_SKIPS, "kernel": _sram(32, 16), "leak": _sram(16, 32), "neuron": _sram(16, 0)}
            ]
            * CORES,
            "neurons": [{"clock_delay": 4, "reset_delay": 7}] * 16,
            "out_data_request_delay": 16,
            "monitor_input_enable": False,
            "s2p_monitor_enable": False,
            "delay_handshake_to_decoder": 6,
            "decoder_delay": 2,
            "out_num_channels": 1,
            "concat_enable": True,
            "io_pin_pull_down_enable": True,
            "io_test_pin_pull_down_enable": False,
            "dvs": {
                "sensor_config_timing": 0,
                **{f"current_control_p{n}": 9 if n == 5 else 0 for n in range(3, 8)},
                **{f"current_out{n}": 3 for n in range(1, 5)},
            },
        },
        "debug_config": {
            "dvs": {
                "scan_chain_enable": False,
                "test_enable": False,
                "sensor_enable_startup1": True,
                "sensor_enable_startup2": False,
                "sensor_pulse": True,
                "sensor_sel_pulse": False,
                "dig_sensor_test": 0,
            },
            "input_interface": {
                "in_interface_scan_chain_enable": False,
                "router_scan_chain_enable": False,
            },
            "cnn_layers_config": [
                {
                    **{f"{part}_scan_en": False for part in ("kernel", "decoder", *_MEMORIES[1:])},
                    **{f"{part}_bist_read_timing": 1 for part in _MEMORIES},
                }
            ]
            * CORES,
            "readout": {"readout_scan_en": False},
        },
    }


_MEMORIES = ("kernel", "leak", "neuron")
_SKIPS = {
    "enable_kernel_skip_memory_cell": False,
    "enable_leak_skip_memory_cell": False,
    "enable_neuron_skip_memory_defect": False,
}


def _sram(pulse: int, setup: int) -> Tree:
    return {"clock_pulse": pulse, "clock_setup": setup, "macro_read": 1}


def _dynapcnn(configuration: Configuration) -> Tree:
    probes = {name: value for part in _MEMORIES for name, value in _probe(part).items()}
    bist = {"memory_sub_block": 0, "word_part": 0, "read_timing": 1, "enable": False}
    return {
        "cnn_layers": _cores(configuration, returns_to_zero=True),
        "dvs_layer": {
            **_sensor(configuration.sensor),
            "monitor_sensor_enable": False,
            "sensor_timing": 64,
            **{f"current_control_p{n}": 0 for n in range(3, 8)},
        },
        "readout": {
            "threshold": 0,
            "low_pass_filter_disable": False,
            "low_pass_filter_32_not_16": True,
            "input_address_interpretation": 0,
        },
        "factory_settings": {
            "aer_hs_timing_for_kill_switches": 0,
            "cnn_layers_settings": [{**_SKIPS, **{part: _sram(16, 16) for part in _MEMORIES}}]
            * CORES,
            "readout": [{"clock_delay": 4, "reset_delay": 7}] * 16,
            "io_drive_strength": 4,
            "monitor_input_enable": True,
        },
        "debug_config": {
            "cnn_layers_config": [{"probe_points": probes, **dict.fromkeys(_MEMORIES, bist)}]
            * CORES,
            **dict.fromkeys(
                ("dvs_probe_point", "readout", "router0", "router1", "router2", "router3"), 0
            ),
        },
    }


def _probe(part: str) -> Tree:
    return {part: 0, f"{part}_enable": False}


def _new(configuration: Configuration) -> Tree:
    """Return the fields to set; unused cores and all other fields keep samna's defaults."""
    sensor = _sensor(configuration.sensor)
    return {
        "cnn_layers": {
            str(core.index): {
                **{k: v for k, v in _core(core).items() if not k.endswith("kill_bit")},
                "leak_internal_slow_clk_enable": False,
                "input_congestion_balancer_enable": False,
                "output_decimator_enable": False,
            }
            for core in sorted(configuration.cores, key=lambda c: c.index)
        },
        "dvs_layer": {**sensor, "raw_monitor_enable": False},
        "dvs_filter": {"enable": False},
        "readout": {"enable": False},
    }


# --- text -----------------------------------------------------------------


def _wrapped(value: Any, camel: bool) -> Any:
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, list):
        return {f"value{i}": _wrapped(v, camel) for i, v in enumerate(value)}
    if isinstance(value, dict):
        return {_camel(k) if camel else k: _wrapped(v, camel) for k, v in value.items()}
    return value


def _array(array: Array) -> Tree:
    strides = [int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim)]
    return {
        "dimensions": {f"value{i}": n for i, n in enumerate(array.shape)},
        "offsets": {f"value{i}": n for i, n in enumerate(strides)},
        "values": array.ravel().tolist(),
    }


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [_listed(v) for v in value]
    return {k: _listed(v) for k, v in value.items()} if isinstance(value, dict) else value
