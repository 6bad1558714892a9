"""Worker that runs samna: validates and encodes configurations, lists and loads boards.

    python -I worker_samna.py REQUEST_DIR REPLY_DIR

Standard library, numpy and samna only. samna 0.7 (Python 3.10) has speck2b and dynapcnn, and
gives the word stream of a configuration without a board; a newer samna has speck2e and
speck2f, and another interface to boards. A request is {"action": ..., ...}; each action is one
function below, with its request and its answer in its docstring.
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
except Exception as problem:  # a newer samna downloads itself at its first import
    samna, LACKING = None, f"{type(problem).__name__}: {problem}"

OLD = hasattr(samna, "SamnaNode")
"""True for samna 0.7: boards need a separate node, and configurations come from JSON."""
CONFIGURATIONS = {"dynapcnn": "DynapcnnConfiguration"}  # SpeckConfiguration elsewhere
KINDS = {
    "WriteRegisterValue": 0,
    "WriteWeightValue": 1,
    "WriteBiasValue": 2,
    "WriteNeuronValue": 3,
}


class RefusedError(Exception):
    """Refusal that replaces an answer: (what, why, fix)."""


def validate(request, reply):
    """Validate: {"chip", "configurations": [JSON]} -> {"verdicts": [{"ok", "said"}]}.

    samna's loader changes values that a type cannot store, so each configuration is written
    again and compared before samna validates it.
    """
    verdicts = []
    for text in request["configurations"]:
        configuration, message = read(request["chip"], text)
        if configuration is None:
            verdicts.append({"ok": False, "said": message})
        else:
            ok, message = getattr(samna, request["chip"]).validate_configuration(configuration)
            verdicts.append({"ok": bool(ok), "said": message})
    return {"verdicts": verdicts}


def default(request, reply):
    """Return a new configuration: {"chip"} -> {"configuration": its JSON}."""
    return {"configuration": fresh(request["chip"]).to_json()}


def fresh(chip):
    return getattr(
        getattr(samna, chip).configuration, CONFIGURATIONS.get(chip, "SpeckConfiguration")
    )()


def read(chip, text):
    """Return the configuration and "", or None and the reason."""
    configuration = fresh(chip)
    try:
        configuration.from_json(text)
    except RuntimeError as problem:
        return None, str(problem)
    if json.loads(configuration.to_json()) != json.loads(text):
        return None, "samna holds other values than the file"
    return configuration, ""


def encode(request, reply):
    """Encode: {"chip", "configuration": JSON} -> arrays "words" and "writes".

    "writes" are the events of the words, one row each: kind, core, bank, address, value.
    """
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
        raise RefusedError("samna disables a memory cell without a request", str(event), "")
    value = {"WriteWeightValue": "weight", "WriteBiasValue": "bias"}.get(name, "neuron_state")
    return KINDS[name], event.layer, 0, event.address, getattr(event, value)


# --- boards: not tested with one; tests run this with a stand-in --------------

START_S, CHUNK = 5.0, 1000
WRITES = {
    3: ("NeuronValue", "neuron_state"),
    1: ("WeightValue", "weight"),
    2: ("BiasValue", "bias"),
}


def controller():
    """Return the object that lists boards; in samna 0.7, wait for the local node to start."""
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


def list_boards(devices):
    """Return {name: samna's record}; a name has the type and the serial number."""
    infos = devices.get_unopened_devices() if OLD else devices.get_all_devices()
    by_name = {}
    for info in infos:
        name = f"{info.device_type_name}:{info.serial_number}"
        while name in by_name:
            name += "'"
        by_name[name] = info
    return by_name


def boards(request, reply):
    """List all connected boards, of any type: {} -> {"boards": [name]}."""
    return {"boards": sorted(list_boards(controller()))}


def flash(request, reply):
    """Load a board: {"chip", "configuration", "board", "clock_hz", "settle_s", "answer_s"}.

    "settle_s" is the time to wait after loading, "answer_s" the time to wait for an answer.
    Arrays: "states" (rows of core, address, value) and "memories" (rows of kind, core, address)
    -> "read": the value at each row of "memories", as many as the board returned.

    The configuration is validated before a board is opened, and the board is always closed.
    """
    chip = request["chip"]
    configuration = demand(chip, request["configuration"])
    devices = controller()
    info = list_boards(devices).get(request["board"])
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
    """Return a valid configuration; for a newer samna, a new one with our attributes set."""
    if OLD:
        configuration, message = read(chip, text)
    else:
        configuration, message = fresh(chip), ""
        put(configuration, json.loads(text), "")
        demand_kept(configuration, json.loads(text), "")
    if configuration is None:
        raise RefusedError("the configuration cannot be read", message, "")
    ok, message = getattr(samna, chip).validate_configuration(configuration)
    if not ok:
        raise RefusedError("samna finds the configuration not valid", message, "")
    return configuration


def put(target, tree, place):
    """Set the attributes of the tree; refuse names that samna does not have."""
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
    """Refuse if an attribute does not have its value when it is read again from the root."""
    for name, value in tree.items():
        here = f"{place}.{name}" if place else name
        current = target[int(name)] if name.isdigit() else getattr(target, name)
        if isinstance(value, dict):
            demand_kept(current, value, here)
        elif name == "destinations":
            for number, each in enumerate(value):
                demand_kept(current[number], each, f"{here}.{number}")
        elif not np.array_equal(current, value):
            raise RefusedError(f"this samna did not keep {here}", "it holds another value", "")


def event(chip, verb, kind, core, address, value=None):
    name, field = WRITES[kind]
    request = getattr(getattr(samna, chip).event, verb + name)()
    request.layer, request.address = core, address
    if value is not None:
        setattr(request, field, value)
    return request


class Link:
    """Link for events to a board and back; through graphs, if the model has no `write`."""

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
        """Read the value at each place, in order; fewer if the board stops answering."""
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


def main(request_dir, reply_dir):
    if samna is None:
        answer = {"not_importable": {"module": "samna", "why": LACKING}}
        (reply_dir / "reply.json").write_text(json.dumps(answer))
        return
    request = json.loads((request_dir / "request.json").read_text())
    with np.load(request_dir / "arrays.npz", allow_pickle=False) as members:
        request |= {name: members[name] for name in members.files}
    try:
        answer = ACTIONS[request["action"]](request, reply_dir)
    except RefusedError as refused:
        what, why, fix = refused.args
        answer = {"refused": {"what": what, "why": why, "fix": fix}}
    (reply_dir / "reply.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
