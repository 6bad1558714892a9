"""Decoder of the word stream of samna 0.7: the writes to each core.

speck2b has 20-bit words. A memory is written in bursts: one word selects core and section,
then addresses and data alternate; the last address of a burst is marked. A register takes two
words, and one more word ends a burst of them. dynapcnn has one 64-bit word per write. The
layouts were determined by encoding single writes. This module only reads streams, so that the
written file is checked by independent code.

Addresses: the weight (f, c, y, x) of a kernel K wide is at
((y * K + x) << bits(f) + bits(c)) | f << bits(c) | c, and the neuron (f, y, x) at
((y << bits(x) | x) << bits(f)) | f on speck2b, ((x << bits(y) | y) << bits(f)) | f on
dynapcnn. All of this agrees with samna 0.7.1.0, also for maps that are not square.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nrf_deploy.ir.network import Array

from .configuration import CORES, Configuration, Core, bits

REGISTER, WEIGHT, BIAS, NEURON = range(4)
NAMES = ("registers", "weights", "biases", "neuron states")
SECTIONS = {0: NEURON, 2: WEIGHT, 3: BIAS}
WIDTH = {"speck2b": 4, "dynapcnn": 8}
"""Bytes per word in the file: 20 bits are stored in 32, 64 bits in 64; the low byte first."""


class WordsError(ValueError):
    """Error for data that are not a word stream of this chip."""


@dataclass(frozen=True, eq=False)
class Writes:
    """One row per write, in the order of the stream; `bank` is a register's type."""

    kind: Array
    core: Array
    bank: Array
    address: Array
    value: Array

    @staticmethod
    def of(rows: Array) -> Writes:
        return Writes(*np.asarray(rows, np.int64).reshape(-1, 5).T)

    def rows(self) -> Array:
        return np.stack([self.kind, self.core, self.bank, self.address, self.value], axis=1)

    def counts(self) -> dict[str, int]:
        return {name: int((self.kind == kind).sum()) for kind, name in enumerate(NAMES)}

    def memory(self, kind: int, core: int) -> dict[int, int]:
        """Return the final contents of a memory of this core: value by address."""
        rows = (self.kind == kind) & (self.core == core)
        return dict(zip(self.address[rows].tolist(), self.value[rows].tolist(), strict=True))


def to_bytes(words: Array, chip: str) -> bytes:
    return np.asarray(words).astype(f"<u{WIDTH[chip]}").tobytes()


def from_bytes(data: bytes, chip: str) -> Array:
    if len(data) % WIDTH[chip]:
        raise WordsError(f"{len(data)} bytes are not a multiple of the word size {WIDTH[chip]}")
    return np.frombuffer(data, f"<u{WIDTH[chip]}").astype(np.uint64)


def decode(words: Array, chip: str) -> Writes:
    if chip == "dynapcnn":
        return _wide(np.asarray(words, np.uint64))
    return Writes.of(np.array(list(_bursts(np.asarray(words).tolist())), np.int64))


def _wide(words: Array) -> Writes:
    """Decode words of 64 bits; refuse words with other bits set.

    Register: 1 << 60 | core << 22 | index << 16 | data. Memory: core << 37 | section << 35 |
    address << 9 or 17 | value, with a kill bit left of the value (8 bits of a weight, else 16).
    """
    word = words.astype(np.int64)
    register = (word >> 60) == 1
    section = (word >> 35) & 3
    kind = np.select([register, section == 0, section == 2], [REGISTER, NEURON, WEIGHT], BIAS)
    width = np.where(kind == WEIGHT, 8, 16)
    core = np.where(register, (word >> 22) & 15, (word >> 37) & 15)
    address = np.where(register, (word >> 16) & 63, (word >> (width + 1)) & 0xFFFF)
    value = word & ((1 << width) - 1)
    encoded = np.where(
        register,
        1 << 60 | core << 22 | address << 16 | value,
        core << 37 | np.choose(kind, (0, 2, 3, 0)) << 35 | address << (width + 1) | value,
    )
    if (encoded != word).any():
        raise WordsError(f"the word {int(word[encoded != word][0]):016x} is not a write")
    signed = np.where(register, value, value - (value >> (width - 1) << width))
    return Writes(kind, core, np.zeros_like(word), address, signed)


def _bursts(words: list[int]) -> Iterator[tuple[int, int, int, int, int]]:
    """Decode words of 20 bits.

    Memory: 0x40000 | core << 6 | section << 4, then pairs of 0x20000 | address (0x30000 for the
    last) and value. Registers: pairs of 0xC0000 | core << 6 | bank << 4 | index and
    0x80000 | data, then 0xE6000.
    """
    at = iter(words)
    for head in at:
        core = head >> 6 & 15
        if head & 0xFFC00 == 0x40000 and head >> 4 & 3 in SECTIONS and not head & 15:
            for address, value in _burst(at, SECTIONS[head >> 4 & 3]):
                yield SECTIONS[head >> 4 & 3], core, 0, address, value
        elif head & 0xFFC00 == 0xC0000:
            data = next(at, 0)
            if data & 0xFFF00 != 0x80000:
                raise WordsError(f"the word {data:05x} is not data of a register")
            yield REGISTER, core, head >> 4 & 3, head & 15, data & 0xFF
        elif head != 0xE6000:
            raise WordsError(f"the word {head:05x} does not begin a write")


def _burst(at: Iterator[int], kind: int) -> Iterator[tuple[int, int]]:
    width = 8 if kind == WEIGHT else 16
    for address in at:
        value = next(at, -1)
        if address & 0xE0000 != 0x20000 or not 0 <= value < 1 << width:
            raise WordsError(f"the words {address:05x} {value:05x} are not a write of a burst")
        yield address & 0xFFFF, value - (value >> (width - 1) << width)
        if address & 0x10000:
            return
    raise WordsError("the last burst has no end")


# --- against the configuration ----------------------------------------------


def differences(writes: Writes, configuration: Configuration) -> Iterator[str]:
    """Yield the differences between the written memories and the configuration, as text."""
    for index in range(CORES):
        core = configuration.core(index)
        if core is None:
            continue  # samna writes one zero to each memory of an idle core
        for kind, model in memories(core, configuration.chip).items():
            stream = writes.memory(kind, index)
            for address in sorted(model.keys() ^ stream.keys()):
                yield f"core {index}: {NAMES[kind]} at {address}: only one of the two has it"
            for address in sorted(a for a in model.keys() & stream.keys() if model[a] != stream[a]):
                yield (
                    f"core {index}: {NAMES[kind]} at {address} are {stream[address]} in the words, "
                    f"{model[address]} in the configuration"
                )


def memories(core: Core, chip: str) -> dict[int, dict[int, int]]:
    """Return the contents of each memory of the core: value by address."""
    f, c, y, x = np.indices(core.weights.shape)
    low, high = bits(core.input_shape[0]), bits(core.output_shape[0])
    kernel = (y * core.kernel + x) << (high + low) | f << low | c
    return {
        WEIGHT: _memory(kernel, core.weights),
        BIAS: _memory(np.arange(core.biases.size), core.biases),
        NEURON: _memory(neuron_address(core, chip), core.initial),
    }


def neuron_address(core: Core, chip: str) -> Array:
    """Return the address of each neuron's membrane, in the shape (f, y, x)."""
    f, y, x = np.indices(core.output_shape)
    features, height, width = core.output_shape
    place = x << bits(height) | y if chip == "dynapcnn" else y << bits(width) | x
    address: Array = place << bits(features) | f
    return address


def _memory(address: Any, value: Array) -> dict[int, int]:
    return dict(zip(address.ravel().tolist(), value.ravel().tolist(), strict=True))
