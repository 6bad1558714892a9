# isort: skip_file
"""Everything that a target may import: the stable names of the toolchain for plug-ins.

docs/add-a-target.md builds a target with these names alone. A name that is not here belongs to
the toolchain and can change in any version. Where two rooms use one word for two things, the
name here tells them apart by its module: a `Conv` is of floats, a `program.Conv` of integers; a
`weight_grid.Grid` is one of integers, a `core_grid.Grid` one of cores.

The shipped targets keep to these names too, but for those in INNER.
"""

from __future__ import annotations

# modules
from nrf_deploy.ir import network as network
from nrf_deploy import neurons as neurons
from nrf_deploy.ir import program as program
from nrf_deploy.compiler import checks as checks
from nrf_deploy.engines.emulator import events_golden as events_golden
from nrf_deploy.engines.emulator import golden as golden
from nrf_deploy.compiler.passes import graph_edits as _graph
from nrf_deploy.compiler.place import grid as _core_grid
from nrf_deploy.compiler.place import fan_in as _core_reach
from nrf_deploy.compiler.quantize import grid as _weight_grid
from nrf_deploy.compiler.quantize import signal_bounds as _signal_reach

# the contract
from nrf_deploy.compiler.abilities import (
    CHOSEN as CHOSEN,
    Boards as Boards,
    Coarse as Coarse,
    Configuring as Configuring,
    Conforming as Conforming,
    Dequantising as Dequantising,
    Detailed as Detailed,
    Flashed as Flashed,
    Flashing as Flashing,
    HasArtefacts as HasArtefacts,
    HasCustomChips as HasCustomChips,
    HasStepSums as HasStepSums,
    Image as Image,
    NoBoard as NoBoard,
    Settling as Settling,
    Silicon as Silicon,
)
from nrf_deploy.bundle.bundle import Bundle as Bundle
from nrf_deploy.io.files import content as content
from nrf_deploy.ir.capabilities import (
    Accepts as Accepts,
    Domain as Domain,
    accepted as accepted,
    demand as demand,
    exactly as exactly,
    missing as missing,
    outside as outside,
    unknown as unknown,
)
from nrf_deploy.diagnostics.progress import Progress as Progress, quiet as quiet
from nrf_deploy.compiler.target import (
    BaseArithmetic as BaseArithmetic,
    BaseTarget as BaseTarget,
    Engine as Engine,
    Exporter as Exporter,
    Target as Target,
)
from nrf_deploy.engines.sdk.sdk import Sdk as Sdk
from nrf_deploy.io.toml_json import (
    TOML_LIMIT as TOML_LIMIT,
    parse_toml as parse_toml,
    toml_table as toml_table,
)

# findings
from nrf_deploy.diagnostics.text import several as several
from nrf_deploy.diagnostics.findings import (
    Finding as Finding,
    InputError as InputError,
    MissingError as MissingError,
    NrfError as NrfError,
    TargetError as TargetError,
    UsageError as UsageError,
    error as error,
    info as info,
    refuse as refuse,
    warning as warning,
)

# models, programs, recordings
from nrf_deploy.ir.network import (
    Array as Array,
    AvgPool as AvgPool,
    Connection as Connection,
    Conv as Conv,
    Delay as Delay,
    Flatten as Flatten,
    Input as Input,
    Linear as Linear,
    Network as Network,
    Node as Node,
    Output as Output,
    MaxPool as MaxPool,
    Pads as Pads,
    Pool as Pool,
    Population as Population,
    Scale as Scale,
    Shape as Shape,
    SumPool as SumPool,
    exact as exact,
)
from nrf_deploy.neurons import (
    CurrentLeaky as CurrentLeaky,
    Integrator as Integrator,
    Leaky as Leaky,
    LinearLeak as LinearLeak,
    Membrane as Membrane,
    Part as Part,
    Rising as Rising,
    Rule as Rule,
    Spikes as Spikes,
    Value as Value,
)
from nrf_deploy.ir.program import Origin as Origin, Program as Program
from nrf_deploy.ir.recording import Recording as Recording, Trace as Trace
from nrf_deploy.ir.layer_view import (
    Layers as Layers,
    Link as Link,
    layers as layers,
    with_max_pools as with_max_pools,
)
from nrf_deploy.ir.delays import delay_faults as delay_faults, delay_steps as delay_steps

# rewrites
from nrf_deploy.compiler.passes import (
    EXACT as EXACT,
    Done as Done,
    DropLastDelay as DropLastDelay,
    FoldPool as FoldPool,
    MaxPoolAsOr as MaxPoolAsOr,
    Pass as Pass,
    ShiftReset as ShiftReset,
    ThresholdAsLif as ThresholdAsLif,
    register as register,
)
from nrf_deploy.compiler.passes.base import Left as Left, LocalPass as LocalPass, Outcome as Outcome
from nrf_deploy.compiler.passes.approximate import Approximate as Approximate, allowed as allowed
from nrf_deploy.compiler.passes.exact_decay import ExactDecay as ExactDecay
from nrf_deploy.compiler.passes.subtract_as_zero_reset import (
    SubtractAsZeroReset as SubtractAsZeroReset,
)

# quantization
from nrf_deploy.compiler.quantize.ratio_preserving_decays import anchored as anchored
from nrf_deploy.compiler.quantize.constant_input import constant as constant
from nrf_deploy.compiler.quantize.groups import (
    Group as Group,
    by_spikes as by_spikes,
    fitted as fitted,
    groups as groups,
    rows as rows,
    ruled as ruled,
    shaped as shaped,
)
from nrf_deploy.compiler.quantize.rule_checks import unheard as unheard
from nrf_deploy.compiler.quantize.neuron import (
    Neuron as Neuron,
    linear_features as linear_features,
    neuron as neuron,
)
from nrf_deploy.compiler.quantize.rules import LayerRules as LayerRules, Rules as Rules
from nrf_deploy.compiler.quantize.scheme import (
    ConnectionScheme as ConnectionScheme,
    PopulationScheme as PopulationScheme,
    Scheme as Scheme,
    single as single,
    whole as whole,
)
from nrf_deploy.compiler.quantize.signals import (
    ELEMENTS as ELEMENTS,
    Signals as Signals,
    a_channel as a_channel,
    count_distance as count_distance,
    distance as distance,
)

# lowering and placement
from nrf_deploy.compiler.lowering import (
    lowered as lowered,
    outputs as outputs,
    synapses as synapses,
)
from nrf_deploy.compiler.place.assign import Edges as Edges, assign as assign
from nrf_deploy.compiler.place.one_core import on_one_core as on_one_core
from nrf_deploy.compiler.place.placement import Piece as Piece, Placement as Placement
from nrf_deploy.compiler.place.split import share as share
from nrf_deploy.compiler.place.split import (
    MESSAGES as MESSAGES,
    split as split,
    tightest as tightest,
)
from nrf_deploy.compiler.place.traffic import Activity as Activity, edges as edges

# emulation: the arithmetic, its parameters, its kernels
from nrf_deploy.engines.emulator.events_golden import EventRule as EventRule
from nrf_deploy.engines.emulator.golden import Arithmetic as Arithmetic, State as State
from nrf_deploy.engines.emulator.kernels import (
    WORD as WORD,
    Cell as Cell,
    Delivery as Delivery,
    EventKernels as EventKernels,
    Kernels as Kernels,
    Range as Range,
)
from nrf_deploy.engines.emulator.parameters import (
    INT32 as INT32,
    Codes as Codes,
    Declared as Declared,
    Parameter as Parameter,
    as_integers as as_integers,
    flag as flag,
    model_faults as model_faults,
    named as named,
    of_word as of_word,
    ranged as ranged,
    synapse_faults as synapse_faults,
    unknown_model as unknown_model,
    wrong_parameters as wrong_parameters,
)
from nrf_deploy.engines.emulator.soundness import demand_sound as demand_sound

# vendors' tools
from nrf_deploy.engines.sdk.environments import (
    installed_python as installed_python,
    status as status,
)
from nrf_deploy.engines.sdk.reply import Expected as Expected, Numbers as Numbers, Upto as Upto
from nrf_deploy.engines.sdk.worker import bad_reply as bad_reply, call as call

# modules under names of their own
network_edits = _graph
core_grid = _core_grid
core_reach = _core_reach
weight_grid = _weight_grid
signal_reach = _signal_reach

INNER = {
    "nrf_deploy.io.archive": "the folder for Lava keeps its arrays in the toolchain's archive",
    "nrf_deploy.engines.emulator.compiled": "numba takes a second to import; modules of kernels "
    "only",
    "nrf_deploy.engines.emulator.engine": "Speck runs parts of a program while it fits thresholds",
    "nrf_deploy.engines.emulator.events_engine": "likewise",
    "nrf_deploy.bundle.flash": "the suffix of a configuration",
    "nrf_deploy.ir.layer_view.fresh": "Loihi names a helper population",
    "nrf_deploy.engines.reference": "Speck runs the model while it fits thresholds",
}
"""Modules from which the shipped targets take more than is here, and why."""
