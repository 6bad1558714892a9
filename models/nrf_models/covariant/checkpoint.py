"""Checkpoints: the configuration, and every tensor by name.

A safetensors file has the tensors (also time constants, which Norse's state_dict lacks, and the
optimiser's moments), and the configuration as JSON in its header. It cannot run code. It is
written to a temporary file and renamed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from nrf_deploy.diagnostics.findings import InputError, error
from nrf_deploy.io.files import write_atomically
from nrf_deploy.io.toml_json import parse_json

from .description import Config, config_from
from .networks import TrackerNet

VERSION = "1"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    config: Config
    net: TrackerNet
    extra: Mapping[str, torch.Tensor]
    notes: Mapping[str, Any]


def write(
    path: str | Path,
    config: Config,
    net: TrackerNet,
    extra: Mapping[str, torch.Tensor] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> None:
    tensors = {f"net.{k}": v.contiguous() for k, v in net.state_dict().items()}
    tensors |= {f"extra.{k}": v.contiguous() for k, v in (extra or {}).items()}
    header = {
        "version": VERSION,
        "config": json.dumps(config.as_dict(), sort_keys=True),
        "notes": json.dumps(dict(notes or {}), sort_keys=True),
    }
    data = save(tensors, metadata=header)

    def put(stream: BinaryIO) -> None:
        stream.write(data)

    write_atomically(path, put)


def read(path: str | Path) -> Checkpoint:
    try:
        with safe_open(str(path), framework="pt") as stored:
            header = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if header.get("version") != VERSION:
            raise ValueError(f"version {header.get('version')!r}, not {VERSION!r}")
        config = config_from(parse_json(header["config"]))
        net = TrackerNet(config.tracker)
        net.load_state_dict(_part(tensors, "net."))
        notes = parse_json(header.get("notes", "{}"))
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as problem:
        raise InputError(
            error(
                "CHECKPOINT-UNREADABLE",
                f"{path} is not a checkpoint of a tracker: {problem}",
                fix="give a file that `python -m nrf_models.covariant train` wrote",
            )
        ) from problem
    return Checkpoint(config, net.eval(), _part(tensors, "extra."), notes)


def _part(tensors: Mapping[str, torch.Tensor], start: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
