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
from .. import network as network
from .. import neurons as neurons
from .. import program as program
from ..emulator import events_golden as events_golden
from ..emulator import golden as golden
from ..legalise import graph as _graph
from ..place import grid as _core_grid
from ..place import reach as _core_reach
from ..quantise import grid as _weight_grid
from ..quantise import reach as _signal_reach

# the contract
from ..abilities import (
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
from ..bundle import Bundle as Bundle
from ..files import content as content
from ..capabilities import (
    Accepts as Accepts,
    Domain as Domain,
    accepted as accepted,
    demand as demand,
    exactly as exactly,
    missing as missing,
    outside as outside,
    unknown as unknown,
)
from ..progress import (
    Progress as Progress,
    quiet as quiet,
)
from ..target import (
    BaseArithmetic as BaseArithmetic,
    BaseTarget as BaseTarget,
    Engine as Engine,
    Exporter as Exporter,
    Sdk as Sdk,
    Target as Target,
)
from ..toml_json import (
    TOML_LIMIT as TOML_LIMIT,
    parse_toml as parse_toml,
    toml_table as toml_table,
)

# findings
from ..findings import (
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
from ..network import (
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
    Pads as Pads,
    Pool as Pool,
    Population as Population,
    Scale as Scale,
    Shape as Shape,
    SumPool as SumPool,
    exact as exact,
)
from ..neurons import (
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
from ..program import (
    Origin as Origin,
    Program as Program,
)
from ..recording import (
    Recording as Recording,
    Trace as Trace,
)
from ..layers import (
    Layers as Layers,
    Link as Link,
    layers as layers,
)
from ..reference.nodes import (
    delay_faults as delay_faults,
    delay_steps as delay_steps,
)

# rewrites
from ..legalise import (
    EXACT as EXACT,
    Done as Done,
    FoldPool as FoldPool,
    Pass as Pass,
    ShiftReset as ShiftReset,
    ThresholdAsLif as ThresholdAsLif,
    register as register,
)
from ..legalise.base import (
    Left as Left,
    LocalPass as LocalPass,
    Outcome as Outcome,
)
from ..legalise.choice import (
    Approximate as Approximate,
    allowed as allowed,
)
from ..legalise.exact_decay import ExactDecay as ExactDecay
from ..legalise.subtract_as_zero_reset import SubtractAsZeroReset as SubtractAsZeroReset

# quantization
from ..quantise.anchored import anchored as anchored
from ..quantise.drive import constant as constant
from ..quantise.groups import (
    Group as Group,
    by_spikes as by_spikes,
    fitted as fitted,
    groups as groups,
    rows as rows,
    ruled as ruled,
    shaped as shaped,
)
from ..quantise.misplaced import unheard as unheard
from ..quantise.neuron import (
    Neuron as Neuron,
    neuron as neuron,
)
from ..quantise.rules import (
    LayerRules as LayerRules,
    Rules as Rules,
)
from ..quantise.scheme import (
    ConnectionScheme as ConnectionScheme,
    PopulationScheme as PopulationScheme,
    Scheme as Scheme,
    single as single,
    whole as whole,
)
from ..quantise.signals import (
    Signals as Signals,
    a_channel as a_channel,
    distance as distance,
)

# lowering and placement
from ..lowering import (
    lowered as lowered,
    outputs as outputs,
    synapses as synapses,
)
from ..place.assign import (
    Edges as Edges,
    assign as assign,
)
from ..place.one_core import on_one_core as on_one_core
from ..place.placement import (
    Piece as Piece,
    Placement as Placement,
)
from ..place.share import share as share
from ..place.split import (
    MESSAGES as MESSAGES,
    split as split,
    tightest as tightest,
)
from ..place.traffic import (
    Activity as Activity,
    edges as edges,
)

# emulation: the arithmetic, its parameters, its kernels
from ..emulator.events_golden import EventRule as EventRule
from ..emulator.golden import (
    Arithmetic as Arithmetic,
    State as State,
)
from ..emulator.kernels import (
    WORD as WORD,
    Cell as Cell,
    Delivery as Delivery,
    EventKernels as EventKernels,
    Kernels as Kernels,
    Range as Range,
)
from ..emulator.parameters import (
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
from ..emulator.soundness import demand_sound as demand_sound

# vendors' tools
from ..sdk.environments import (
    installed_python as installed_python,
    status as status,
)
from ..sdk.reply import (
    Expected as Expected,
    Numbers as Numbers,
    Upto as Upto,
)
from ..sdk.worker import (
    bad_reply as bad_reply,
    call as call,
)

# modules under names of their own
network_edits = _graph
core_grid = _core_grid
core_reach = _core_reach
weight_grid = _weight_grid
signal_reach = _signal_reach

INNER = {
    "nrf_deploy.archive": "the folder for Lava keeps its arrays in the toolchain's archive",
    "nrf_deploy.conformance": "a script that writes a kit; a kit is read from its files",
    "nrf_deploy.emulator.compiled": "numba takes a second to import; modules of kernels only",
    "nrf_deploy.emulator.engine": "Speck runs parts of a program while it fits thresholds",
    "nrf_deploy.emulator.events_engine": "likewise",
    "nrf_deploy.flash": "the suffix of a configuration",
    "nrf_deploy.layers.fresh": "Loihi names a helper population",
    "nrf_deploy.reference": "Speck runs the model while it fits thresholds",
    "nrf_deploy.text": "a plural in a message",
}
"""Modules from which the shipped targets take more than is here, and why."""
