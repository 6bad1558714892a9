"""Worker that decodes a camera file with faery in a separate process and sends numbers.

    python faery_worker.py FORMAT FILE

A decoder that panics, aborts or unpacks without end must not end the caller. The standard
output is a line of JSON (the sensor's size, or null), then for each packet the number of its
events (8 bytes, little-endian) and the events, and at the end END instead of a number. Errors
go to the standard error.
"""

import contextlib
import json
import struct
import sys

import faery
import numpy as np

MEMORY = 4 << 30
WIDEST = (2048, 2048)  # what 11 bits of a coordinate can say, for files that state no size
END = (1 << 64) - 1
EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])


def main(form, path):
    bound_memory()
    if form == "aedat":
        tracks = event_tracks(path)
        if len(tracks) != 1:
            raise ValueError(f"holds {len(tracks)} streams of events, not one")
    stream = faery.events_stream_from_file(path, dimensions_fallback=WIDEST, file_type=form)
    size = tuple(int(n) for n in stream.dimensions())
    out = sys.stdout.buffer
    out.write(json.dumps({"size": size}).encode() + b"\n")
    for packet in stream:
        if packet["t"].max(initial=0) >= 1 << 63:
            raise ValueError("holds times beyond 2^63 microseconds")
        events = np.zeros(len(packet), EVENT)
        for ours, theirs in zip("txyp", ("t", "x", "y", "on"), strict=True):
            events[ours] = packet[theirs]
        out.write(struct.pack("<Q", len(events)))
        out.write(events.tobytes())
    out.write(struct.pack("<Q", END))
    out.flush()


def event_tracks(path):
    from faery.extension import aedat

    with aedat.Decoder(path) as decoder:
        return [track for track in decoder.tracks() if track.data_type == "events"]


def bound_memory():
    """Limit the memory, so that a packet that unpacks to more ends only this process."""
    with contextlib.suppress(ImportError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        bounds = [n for n in (soft, hard, MEMORY) if n != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except BrokenPipeError:  # the caller has all that it needs
        sys.stderr.close()
        sys.exit(1)
    except BaseException as problem:  # a panic of Rust is not an Exception
        print(f"{problem}".split("\n", 1)[0], file=sys.stderr)
        sys.exit(1)
