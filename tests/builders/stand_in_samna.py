"""A samna without a library behind it, for the worker: both generations, boards, and failures.

Run as a worker script: argv are the request and reply folders, as for the worker itself. The
environment variable STAND_IN names a JSON file: {"old", "boards": [[type, serial]], "fault",
"worker", "log"}. What the worker does to a board is appended to the file "log".
"""

import json
import os
import signal
import sys
import types
from pathlib import Path

SAID = json.loads(Path(os.environ["STAND_IN"]).read_text())
OLD, FAULT = SAID["old"], SAID["fault"]
MEMORY = {}
REGISTERED = {"attempts": 0}


def log(what):
    with open(SAID["log"], "a") as file:
        file.write(what + "\n")


class Free:
    """Takes every attribute; those that it has none of are made when they are looked at."""

    def __getattr__(self, name):
        if name.startswith("__") or name == FAULT:
            raise AttributeError(name)
        made = [Free(), Free()] if name == "destinations" else Free()
        setattr(self, name, made)
        return made

    def __getitem__(self, index):
        return getattr(self, f"item{index}")


class Configuration(Free):
    def from_json(self, text):
        self.text = text

    def to_json(self):
        return self.text


def validate_configuration(configuration):
    log("validate")
    return FAULT != "invalid", "" if FAULT != "invalid" else "Layer[0] is wrong"


class Event:
    pass


def kind(name):
    return type(name, (Event,), {})


KINDS = {
    verb + what: kind(verb + what)
    for verb in ("Read", "Write", "")
    for what in ("NeuronValue", "WeightValue", "BiasValue")
}
FIELDS = {"NeuronValue": "neuron_state", "WeightValue": "weight", "BiasValue": "bias"}


ANSWERS = []


class Sink:
    def get_events(self):
        taken = ANSWERS[:]
        ANSWERS.clear()
        return taken


class Source:
    def write(self, events):
        model_write(events)


def model_write(events):
    for event in events:
        name = type(event).__name__
        what = name.removeprefix("Read").removeprefix("Write")
        place = (what, event.layer, event.address)
        if name.startswith("Write"):
            MEMORY[place] = getattr(event, FIELDS[what])
        elif FAULT != "silent" or len(ANSWERS) < 5:
            answer = KINDS[what]()
            value = MEMORY[place] + (FAULT == "memory" and event.address == 0)
            setattr(answer, FIELDS[what], value)
            ANSWERS.append(answer)
    log(f"write {len(events)} {type(events[0]).__name__}")


class Model:
    def apply_configuration(self, configuration):
        log("apply")
        if FAULT == "dies":
            os.kill(os.getpid(), signal.SIGSEGV)
        for row in SAID["memory"]:
            MEMORY[tuple(row[:3])] = row[3]

    def get_sink_node(self):
        return "sink"

    def get_source_node(self):
        return "source"


if OLD:
    Model.write = staticmethod(model_write)


class Board:
    def get_model(self):
        return Model()

    def get_model_source_node(self):
        return "source"

    def get_io_module(self):
        return self

    def set_slow_clk(self, on):
        log(f"clock {on}")

    def set_slow_clk_rate(self, hertz):
        log(f"clock {hertz:g} Hz")


class Graph:
    def sequential(self, nodes):
        pass

    def start(self):
        pass

    def stop(self):
        log("stop")


def infos():
    return [
        types.SimpleNamespace(device_type_name=name, serial_number=serial)
        for name, serial in SAID["boards"]
    ]


def open_device(info, name="board"):
    log(f"open {info.device_type_name}:{info.serial_number}")
    return None if FAULT == "open" else Board()


def close_device(opened):
    log("close")


def open_remote_node(number, name):
    REGISTERED["attempts"] += 1
    if REGISTERED["attempts"] == 1:
        raise RuntimeError("Store with ID: 1 timed out on content request")
    samna.device_node = types.SimpleNamespace(
        DeviceController=types.SimpleNamespace(
            get_unopened_devices=infos, open_device=open_device, close_device=close_device
        ),
        board=Board(),
    )


samna = types.ModuleType("samna")
samna.graph = types.SimpleNamespace(EventFilterGraph=Graph)
for chip in ("speck2b", "dynapcnn") if OLD else ("speck2e", "speck2f"):
    classes = {"SpeckConfiguration": Configuration, "DynapcnnConfiguration": Configuration}
    module = types.SimpleNamespace(
        configuration=types.SimpleNamespace(**classes),
        event=types.SimpleNamespace(**KINDS),
        validate_configuration=validate_configuration,
    )
    setattr(samna, chip, module)
    setattr(samna, f"BufferSinkNode_{chip}_event_output_event", Sink)
    setattr(samna, f"BasicSinkNode_{chip}_event_output_event", Sink)
    setattr(samna, f"BasicSourceNode_{chip}_event_input_event", Source)
    setattr(samna, f"BasicSourceNode_{chip}_event_{chip}_input_event", Source)
if OLD:
    samna.SamnaNode = lambda *arguments: None
    samna.setup_local_node = lambda *arguments: None
    samna.open_remote_node = open_remote_node
else:
    samna.device = types.SimpleNamespace(
        get_all_devices=infos, open_device=open_device, close_device=close_device
    )
sys.modules["samna"] = samna
if FAULT == "garbage":
    print("\x00\xff garbage " * 1000)
    sys.exit(0)
if FAULT == "hangs":
    signal.pause()

worker = Path(SAID["worker"])
exec(compile(worker.read_text(), str(worker), "exec"), {"__name__": "__main__"})
