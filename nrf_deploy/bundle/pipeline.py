"""Compilation in Python, and facts about a bundle and its target.

read -> legalise -> quantise -> lower -> place -> save, and then run and verify: each is
one function of its package, and this module calls them in order. The command line parses, calls
these, and prints.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Unpack

from nrf_deploy import __version__
from nrf_deploy.compiler import plugins
from nrf_deploy.compiler.abilities import HasArtefacts, Silicon
from nrf_deploy.compiler.driver import Verdict, stages
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.compiler.quantize.scheme import single
from nrf_deploy.compiler.target import GROUP, Exporter, Target, chip_named, targets
from nrf_deploy.diagnostics.argument_types import names
from nrf_deploy.diagnostics.findings import TargetError, UsageError, error, refuse
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.engines.emulator.events_golden import EventRule
from nrf_deploy.engines.emulator.golden import Arithmetic
from nrf_deploy.engines.emulator.soundness import demand_sound
from nrf_deploy.io.model import Model
from nrf_deploy.io.rule_options import RuleOptions
from nrf_deploy.ir.network import Array, Network, Population, gives_values
from nrf_deploy.ir.program import OUTPUT, spread
from nrf_deploy.ir.recording import Recording
from nrf_deploy.witness.origin import trained_of
from nrf_deploy.witness.reading import File, as_model

from .bundle import Bundle
from .inputs import as_bundle, as_recording, as_scheme


def check(
    model: Model | Network | str | Path,
    target: str,
    calibrate: Recording | None = None,
    scheme: Rules | str | Path | None = None,
    allow: Collection[str] = (),
    *,
    dt: float | None = None,
    witness: File | None = None,
    progress: Progress = quiet,
    **options: Unpack[RuleOptions],
) -> Verdict:
    """Return a chip's verdict on every layer of a model, without writing anything.

    The stages of `compile` run up to the first that refuses; none is skipped.

    Args:
        model: What `read` or `from_torch` returns, a Network, or the path of a .nir file.
        target: The name of a chip, such as "loihi2" or "emulator:weight_bits=4"
            (`targets` lists them).
        calibrate: Typical input, to which the integers are fitted; its shape is that of the
            model's input. Default: none, the integers are fitted to the weights alone.
        scheme: Bits, gains and the error to make small, by layer: Rules, or the path of a
            .toml file (docs/quantising.md). Default: the chip's own choice.
        allow: Names of rewrites that change spikes and are allowed, such as "exact-decay"
            (`targets` lists those of each chip). Default: none.
        dt: Of a path: the time step, in the unit of the file's time constants, where the
            file has none. Default: the file's own.
        witness: The path of a recording from the training framework, as in `read`; the model
            must give the same. Default: none beside that of the model.
        progress: Called as progress(done, of) while the layers are fitted. Default: silent.
        options: Of a path: producer, reset, fires and so on, as in `read`. Default: as the
            file states.

    Returns:
        The Verdict: `fits`, the findings, and what each stage made.

    Raises:
        UsageError: An unknown chip, rewrite or rule (a ValueError), or an argument of a wrong
            type (a TypeError).
        InputError: A model or a recording that cannot be read or used.
    """
    network = as_model(model, dt=dt, witness=witness, **options)
    recording = None if calibrate is None else as_recording(calibrate)
    rules, allowed = as_scheme(scheme), names("allow", allow)
    findings = network.findings
    return stages(network.network, findings, target, recording, rules, progress, allowed)


def compile(
    model: Model | Network | str | Path,
    target: str,
    calibrate: Recording | None = None,
    scheme: Rules | str | Path | None = None,
    allow: Collection[str] = (),
    *,
    dt: float | None = None,
    witness: File | None = None,
    progress: Progress = quiet,
    **options: Unpack[RuleOptions],
) -> Bundle:
    """Compile a model for a chip.

    Args:
        model: What `read` or `from_torch` returns, a Network, or the path of a .nir file.
        target: The name of a chip, such as "loihi2" or "emulator:weight_bits=4"
            (`targets` lists them).
        calibrate: Typical input, to which the integers are fitted; its shape is that of the
            model's input. Default: none, the integers are fitted to the weights alone.
        scheme: Bits, gains and the error to make small, by layer: Rules, or the path of a
            .toml file (docs/quantising.md). Default: the chip's own choice.
        allow: Names of rewrites that change spikes and are allowed, such as "exact-decay"
            (`targets` lists those of each chip). Default: none.
        dt: Of a path: the time step, in the unit of the file's time constants, where the
            file has none. Default: the file's own.
        witness: The path of a recording from the training framework, as in `read`; the model
            must give the same. Default: none beside that of the model.
        progress: Called as progress(done, of) while the layers are fitted. Default: silent.
        options: Of a path: producer, reset, fires and so on, as in `read`. Default: as the
            file states.

    Returns:
        The Bundle: the model, its integers, their placement, and every finding on the way.
        The same arguments give the same bytes in `save`.

    Raises:
        TargetError: The model cannot go on this chip; `findings` holds every reason.
        UsageError: An unknown chip, rewrite or rule (a ValueError), or an argument of a wrong
            type (a TypeError).
        InputError: A model or a recording that cannot be read or used.
    """
    network = as_model(model, dt=dt, witness=witness, **options)
    verdict = check(network, target, calibrate, scheme, allow, progress=progress)
    return bundled(network, target, verdict)


def bundled(model: Model, chip: str, verdict: Verdict) -> Bundle:
    """Return the bundle of a verdict; raise a TargetError with its reasons if it refused."""
    refuse(verdict.findings, TargetError)
    assert verdict.scheme is not None
    assert verdict.program is not None
    assert verdict.placement is not None
    target, _ = chip_named(chip)
    program, placement = verdict.program, verdict.placement
    return Bundle(
        network=model.network,
        source_sha256=model.sha256,
        target=target.name,
        chip=verdict.chip,
        steps=verdict.steps,
        scheme=verdict.scheme,
        program=program,
        placement=placement,
        findings=verdict.findings,
        tool_version=__version__,
        artefacts=target.artefacts(program, placement) if isinstance(target, HasArtefacts) else {},
        trained=trained_of(model),
    )


def export_program(bundle: Bundle | str | Path, form: str, folder: str | Path) -> None:
    """Write a compiled network to a folder as a program of the vendor's.

    Args:
        bundle: What `compile` returns, or the path of a .nrfb file.
        form: The vendor's form, such as "lava" (`targets` lists those of each chip).
        folder: The folder to write: a new one, or one that this function wrote before.

    Raises:
        UsageError: A form that the target does not have, or a folder that cannot be written.
        TargetError: A program that cannot be written in this form.
    """
    bundle = as_bundle(bundle)
    target = target_of(bundle)
    write = exporter(target, form)
    demand_sound(bundle.program, arithmetic_of(bundle, target))
    write(bundle.program, Path(folder))


def exporter(target: Target, form: str) -> Exporter:
    """Return the function that writes a target's programs in a form; refuse an unknown form."""
    if form not in target.exporters:
        known = ", ".join(target.exporters)
        raise UsageError(
            error(
                "FORM-UNKNOWN",
                f"the target {target.name} cannot write a network as {form!r}",
                fix=f"choose one of: {known}"
                if known
                else "it has no other form; nrf-deploy targets says which targets have one",
            )
        )
    return target.exporters[form]


def engines_of(bundle: Bundle | str | Path) -> tuple[str, ...]:
    """Return the engines that can run a bundle.

    Args:
        bundle: What `compile` returns, or the path of a .nrfb file.

    Returns:
        Names for `engine` and `against`: "reference" (the float model), "emulator" (the
        chip's integers), and those of the vendor's simulators and boards, installed or not.

    Raises:
        UsageError: The target that made the bundle is not installed.
    """
    return target_engines(target_of(as_bundle(bundle)))


def target_engines(target: Target) -> tuple[str, ...]:
    """Return the names of the engines for the bundles of a target."""
    return ("reference", "emulator", *target.engines)


def silicon(bundle: Bundle) -> str:
    """Return which engine the silicon follows; empty where the target does not say so."""
    target = target_of(bundle)
    return target.silicon if isinstance(target, Silicon) else ""


def target_of(bundle: Bundle) -> Target:
    """Return the target that made a bundle; refuse a bundle whose target is not installed."""
    shelf = targets()
    if bundle.target not in shelf:
        plugins.demand_sound(GROUP, bundle.target)
        raise UsageError(
            error(
                "TARGET-MISSING",
                f"the bundle was made by the target {bundle.target!r}, which is not installed",
                fix="install the plug-in that brings it",
            )
        )
    return shelf[bundle.target]


def arithmetic_of(bundle: Bundle, target: Target) -> Arithmetic | EventRule:
    """Return the rules of its target that give the bundle's integers their meaning."""
    name = bundle.program.arithmetic
    if name not in target.arithmetics:
        raise TargetError(
            error(
                "ARITHMETIC-UNKNOWN",
                f"the target {target.name} has no arithmetic {name!r:.80}",
                fix=f"use one of: {', '.join(target.arithmetics)}",
            )
        )
    return target.arithmetics[name]


FIRST_RUN = "getting ready (the first run on a machine compiles the emulator: ~20 s)"


def waiting(*engines: str) -> list[str]:
    """Return for each engine a line that explains a long wait before its first step."""
    return [FIRST_RUN if engine == "emulator" else "" for engine in engines]


def latency(bundle: Bundle | str | Path, engine: str) -> dict[str, int]:
    """Return by how many steps each population is later than the model in an engine.

    Args:
        bundle: What `compile` returns, or the path of a .nrfb file.
        engine: "reference", "emulator" or an engine of the vendor.

    Returns:
        Steps by population; empty for the reference. `align` takes them off a trace.

    Raises:
        UsageError: An unknown engine (a ValueError).
    """
    bundle = as_bundle(bundle)
    if engine not in ("reference", "emulator") and engine not in target_of(bundle).engines:
        known = ", ".join(engines_of(bundle))
        what = f"there is no engine {engine!r} for {bundle.chip}"
        raise UsageError(error("ENGINE-UNKNOWN", what, fix=f"choose one of: {known}"))
    if engine == "reference":
        return {}
    return {o.population: o.latency for o in bundle.program.origins}


def unit(bundle: Bundle | str | Path, layer: str, engine: str = "emulator") -> Array | None:
    """Return what 1 of the model is in the values of a layer's output.

    Args:
        bundle: What `compile` returns, or the path of a .nrfb file.
        layer: The name of a layer.
        engine: The engine whose output is read. Default: "emulator".

    Returns:
        One number for all neurons, or one a neuron; None where the output consists of plain
        spikes or of the model's own values.

    Raises:
        UsageError: An unknown layer (a ValueError).
    """
    bundle = as_bundle(bundle)
    names = (*(n.name for n in bundle.network.nodes), *(p.name for p in bundle.program.populations))
    known = tuple(dict.fromkeys(names))
    if layer not in known:
        what = f"the bundle has no layer {layer!r}"
        raise UsageError(error("LAYER-UNKNOWN", what, fix=f"choose from: {', '.join(known)}"))
    node = next((n for n in bundle.network.nodes if n.name == layer), None)
    origin = next((o for o in bundle.program.origins if o.node == layer), None)
    if engine == "reference" or origin is None:
        return None
    sends_spikes = type(node) is Population or OUTPUT not in origin.scale
    if sends_spikes and not gives_values(node):
        return None
    return single(spread(origin.unit, bundle.program.population(origin.population).shape))


def populations(bundle: Bundle) -> tuple[str, ...]:
    """Return the populations that model and program have in common, in the network's order."""
    common = {o.population for o in bundle.program.origins}
    order = bundle.network.order
    return tuple(n for n in order if n in common and type(bundle.network[n]) is Population)
