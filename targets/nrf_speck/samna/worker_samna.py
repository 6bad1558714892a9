"""Asks samna: is this configuration valid, which words would be sent, is a board there.

    python -I worker_samna.py REQUEST_DIR REPLY_DIR

Standard library, numpy and samna only. samna 0.7 (Python 3.10) has speck2b and dynapcnn, and
gives the word stream of a configuration without a board; a newer samna has speck2e and
speck2f, and talks to boards in another way. A request is {"action": ..., ...}; each action
is one function below, with its request and its answer in its docstring.
"""

import json
import socket
import sys
import time
from pathlib import Path

import numpy as np

LACKING = ""
try:
    import samna
except Exception as problem:  # a newer samna fetches itself when it is first imported
    samna, LACKING = None, f"{type(problem).__name__}: {problem}"

OLD = hasattr(samna, "SamnaNode")
"""samna 0.7: boards are behind a node of its own, and configurations come from JSON."""
CONFIGURATIONS = {"dynapcnn": "DynapcnnConfiguration"}  # SpeckConfiguration elsewhere
KINDS = {
    "WriteRegisterValue": 0,
    "WriteWeightValue": 1,
    "WriteBiasValue": 2,
    "WriteNeuronValue": 3,
}


class RefusedError(Exception):
    """What the reply says instead of an answer: (what, why, fix)."""


def validate(request, reply):
    """{"chip", "configurations": [JSON]} -> {"verdicts": [{"ok", "said"}]}.

    samna's loader reads what a type cannot hold as another number, so each is written out
    again and compared before it is judged.
    """
    verdicts = []
    for text in request["configurations"]:
        configuration, said = read(request["chip"], text)
        if configuration is None:
            verdicts.append({"ok": False, "said": said})
        else:
            ok, said = getattr(samna, request["chip"]).validate_configuration(configuration)
            verdicts.append({"ok": bool(ok), "said": said})
    return {"verdicts": verdicts}


def default(request, reply):
    """{"chip"} -> {"configuration": the JSON of one that nobody touched}."""
    return {"configuration": fresh(request["chip"]).to_json()}


def fresh(chip):
    return getattr(
        getattr(samna, chip).configuration, CONFIGURATIONS.get(chip, "SpeckConfiguration")
    )()


def read(chip, text):
    """The configuration, or None and why not."""
    configuration = fresh(chip)
    try:
        configuration.from_json(text)
    except RuntimeError as problem:
        return None, str(problem)
    if json.loads(configuration.to_json()) != json.loads(text):
        return None, "samna holds other values than the file"
    return configuration, ""


def encode(request, reply):
    """{"chip", "configuration": JSON} -> the words (array "words"), and what they are meant
    to write (array "writes", a row each: kind, core, bank, address, value)."""
    chip = request["chip"]
    configuration = demand(chip, request["configuration"])
    if chip == "speck2b":
        events = samna.speck2b.event.speck_configuration_to_event(configuration)
        words = samna.speck2b.event.encode_input_interface_events(events)
    else:
        events = samna.dynapcnn.event.dynapcnn_config_to_event(configuration)
        words = [samna.dynapcnn_encode_input_interface_event(event) for event in events]
    rows = [row(event) for event in events]
    np.savez(
        reply / "arrays.npz", words=np.array(words, np.uint64), writes=np.array(rows, np.int64)
    )
    return {}


def row(event):
    name = type(event).__name__
    if name == "WriteRegisterValue":
        bank = getattr(event, "type", 0)
        return KINDS[name], event.layer, bank, event.index, event.data
    if event.kill:
        raise RefusedError("samna kills a memory cell that nobody asked for", str(event), "")
    value = {"WriteWeightValue": "weight", "WriteBiasValue": "bias"}.get(name, "neuron_state")
    return KINDS[name], event.layer, 0, event.address, getattr(event, value)


# --- boards: nobody here had one; tests run this against a stand-in -----------

START_S, CHUNK = 5.0, 1000
WRITES = {
    3: ("NeuronValue", "neuron_state"),
    1: ("WeightValue", "weight"),
    2: ("BiasValue", "bias"),
}


def controller():
    """What knows the boards; in samna 0.7 the local node needs a moment to come up."""
    if not OLD:
        return samna.device
    ours, its = (f"tcp://127.0.0.1:{port}" for port in free_ports(2))
    controller.node = samna.SamnaNode(ours, its, 1)
    samna.setup_local_node(its, ours, 2)
    end = time.monotonic() + START_S
    while True:
        time.sleep(0.5)
        try:
            samna.open_remote_node(1, "device_node")
            return samna.device_node.DeviceController
        except RuntimeError:
            if time.monotonic() > end:
                raise


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def found(devices):
    """{name: what samna knows of it}, named by type and serial number."""
    every = devices.get_unopened_devices() if OLD else devices.get_all_devices()
    named = {}
    for info in every:
        name = f"{info.device_type_name}:{info.serial_number}"
        while name in named:
            name += "'"
        named[name] = info
    return named


def boards(request, reply):
    """{} -> {"boards": [name]}: everything that is plugged in, of whatever type."""
    return {"boards": sorted(found(controller()))}


def flash(request, reply):
    """{"chip", "configuration", "board", "clock_hz", "settle_s" to wait after loading,
    "answer_s" to wait for an answer}, arrays "states" (rows of core, address, value) and
    "memories" (rows of kind, core, address) -> array "read": the value in each place of
    "memories", as many as came back.

    The configuration is judged before a board is opened, and the board is closed again
    whatever happens.
    """
    chip = request["chip"]
    configuration = demand(chip, request["configuration"])
    devices = controller()
    info = found(devices).get(request["board"])
    if info is None:
        raise RefusedError(f"the board {request['board']} is gone", "", "plug it in again")
    opened = devices.open_device(info, "board") if OLD else devices.open_device(info)
    if opened is None:
        raise RefusedError(f"the board {request['board']} cannot be opened", "", "free it")
    try:
        board = samna.device_node.board if OLD else opened
        board.get_model().apply_configuration(configuration)
        time.sleep(request["settle_s"])
        if request["clock_hz"]:
            clock = board.get_io_module()
            clock.set_slow_clk(True)
            clock.set_slow_clk_rate(request["clock_hz"])
        link = Link(chip, board)
        link.write([event(chip, "Write", 3, *row) for row in request["states"].tolist()])
        time.sleep(request["settle_s"])
        values = link.ask(request["memories"].tolist(), request["answer_s"])
        link.close()
    finally:
        devices.close_device(opened)
    np.savez(reply / "arrays.npz", read=np.array(values, np.int64))
    return {}


def demand(chip, text):
    """The configuration, valid; a newer samna's is a fresh one with our attributes on it."""
    if OLD:
        configuration, said = read(chip, text)
    else:
        configuration, said = fresh(chip), ""
        put(configuration, json.loads(text), "")
        demand_kept(configuration, json.loads(text), "")
    if configuration is None:
        raise RefusedError("the configuration cannot be read", said, "")
    ok, said = getattr(samna, chip).validate_configuration(configuration)
    if not ok:
        raise RefusedError("samna finds the configuration not valid", said, "")
    return configuration


def put(target, tree, place):
    """Sets what the tree says; a name that samna has not is a refusal, not a new attribute."""
    for name, value in tree.items():
        here = f"{place}.{name}" if place else name
        if name.isdigit():
            put(target[int(name)], value, here)
        elif not hasattr(target, name):
            raise RefusedError(f"this samna has no {here}", "its fields changed", "")
        elif isinstance(value, dict):
            put(getattr(target, name), value, here)
        elif name == "destinations":
            for number, each in enumerate(value):
                put(getattr(target, name)[number], each, f"{here}.{number}")
        else:
            setattr(target, name, value)


def demand_kept(target, tree, place):
    """What was set must be there when it is looked up again from the top."""
    for name, value in tree.items():
        here = f"{place}.{name}" if place else name
        held = target[int(name)] if name.isdigit() else getattr(target, name)
        if isinstance(value, dict):
            demand_kept(held, value, here)
        elif name == "destinations":
            for number, each in enumerate(value):
                demand_kept(held[number], each, f"{here}.{number}")
        elif not np.array_equal(held, value):
            raise RefusedError(f"this samna did not keep {here}", "it holds another value", "")


def event(chip, verb, kind, core, address, value=None):
    name, field = WRITES[kind]
    made = getattr(getattr(samna, chip).event, verb + name)()
    made.layer, made.address = core, address
    if value is not None:
        setattr(made, field, value)
    return made


class Link:
    """Events to a board and back; where the model has no `write`, through graphs."""

    def __init__(self, chip, board):
        self.chip, self.graphs = chip, []
        model = board.get_model()
        if hasattr(model, "write"):
            self.write = model.write
        else:
            name = "speck2e_input_event" if chip == "speck2e" else "input_event"
            source = getattr(samna, f"BasicSourceNode_{chip}_event_{name}")()
            self.graph([source, model.get_sink_node()])
            self.write = source.write
        kind = "Buffer" if OLD else "Basic"
        self.sink = getattr(samna, f"{kind}SinkNode_{chip}_event_output_event")()
        source = board.get_model_source_node() if OLD else model.get_source_node()
        self.graph([source, self.sink])

    def graph(self, nodes):
        graph = samna.graph.EventFilterGraph()
        graph.sequential(nodes)
        graph.start()
        self.graphs.append(graph)

    def close(self):
        for graph in self.graphs:
            graph.stop()

    def ask(self, memories, patience):
        """The value in each place, in order; fewer where the board falls silent."""
        values = []
        for start in range(0, len(memories), CHUNK):
            part = memories[start : start + CHUNK]
            self.write([event(self.chip, "Read", *place) for place in part])
            answers, end = [], time.monotonic() + patience
            while len(answers) < len(part) and time.monotonic() < end:
                time.sleep(0.02)
                answers += [a for a in self.sink.get_events() if type(a).__name__ in ANSWERS]
            values += [getattr(a, ANSWERS[type(a).__name__]) for a in answers[: len(part)]]
            if len(answers) < len(part):
                break
        return values


ANSWERS = dict(WRITES.values())
ACTIONS = {
    "default": default,
    "validate": validate,
    "encode": encode,
    "boards": boards,
    "flash": flash,
}


def main(asked, answered):
    if samna is None:
        answer = {"not_importable": {"module": "samna", "why": LACKING}}
        (answered / "reply.json").write_text(json.dumps(answer))
        return
    request = json.loads((asked / "request.json").read_text())
    with np.load(asked / "arrays.npz", allow_pickle=False) as members:
        request |= {name: members[name] for name in members.files}
    try:
        answer = ACTIONS[request["action"]](request, answered)
    except RefusedError as refused:
        what, why, fix = refused.args
        answer = {"refused": {"what": what, "why": why, "fix": fix}}
    (answered / "reply.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
