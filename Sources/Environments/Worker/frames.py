"""Code shared by fan-dist's Python programs: frames over standard input and output, and spaces as vectors or images.

WorkerProcess.swift is the other end. It sends this file, followed by one of the programs, to `python3 -c` before
the first request. A frame is

    magic "FANW" | version u16 | kind u16 | length u32 | payload of `length` bytes

with all numbers little-endian. Each request is answered by one frame of the same kind, or by a frame of kind 0
with the text of an error, after which the program ends. It also ends at the end of its input.
"""

import os
import sys

# Standard input and output belong to the protocol: libraries print to standard error, and have no input.
requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
sys.stdin = open(os.devnull)
os.dup2(2, 1)
# Modules in the current directory may register environments, but must not stand in for installed ones.
sys.path[:] = [path for path in sys.path if path] + [os.getcwd()]

import ctypes
import json
import signal
import struct
import traceback

MAGIC, VERSION = b"FANW", 1
ERROR = 0
HEADER = struct.Struct("<4sHHI")
LARGEST = 16 << 20


def end_with_parent(parent):
    """Makes the kernel kill this process when its parent ends, whatever an environment is doing then."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that started this worker is gone")


def read(count):
    """The next `count` bytes of input; None if the input has ended before the first of them."""
    data = requests.read(count)
    if not data and count:
        return None
    if len(data) < count:
        sys.exit("the input ends within a frame")
    return data


def write(kind, payload):
    replies.write(HEADER.pack(MAGIC, VERSION, kind, len(payload)) + payload)
    replies.flush()


def boxes(space, what, path=()):
    """The boxes of a space with their places: the space itself, or the entries of a dictionary.

    A place is the tuple of keys that leads to the box. Entries are in the order of the space, as Gymnasium's
    FlattenObservation has them; a dictionary that is an observation may have another one.
    """
    import gymnasium

    if isinstance(space, gymnasium.spaces.Dict):
        parts = (boxes(entry, f"{what} {key!r}", (*path, key)) for key, entry in space.spaces.items())
        return [box for part in parts for box in part]
    if not isinstance(space, gymnasium.spaces.Box):
        raise TypeError(f"{what}: only boxes are supported, not {space}")
    return [(path, space)]


def size(entries):
    """How many numbers some boxes have together."""
    return sum(int(np.prod(box.shape)) for _, box in entries)


def is_image(entries):
    """Whether observations are images: one box of bytes with three dimensions."""
    path, box = entries[0]
    return len(entries) == 1 and not path and box.dtype == np.uint8 and len(box.shape) == 3


def shape(entries):
    """The dimensions of an observation: height, width and channels of an image, or the numbers of a vector."""
    if not is_image(entries):
        return [size(entries)]
    box = entries[0][1]
    if box.shape[2] != 3:
        raise TypeError(f"observations are images of shape {box.shape}; (height, width, 3) is needed")
    return list(box.shape)


def order(entries):
    """The entries of a dictionary with their sizes, in their order; None for a single box."""
    if not entries[0][0]:
        return None
    return [f"{'/'.join(map(str, path))} ({int(np.prod(box.shape))})" for path, box in entries]


def flat(observation, entries, leading=(), what="an observation"):
    """An observation as a vector (O), or observations of shape `leading` as an array (*leading, O).

    The boxes follow each other in the order of `entries`. The numbers of images are bytes, all others floats.
    """
    dtype, parts = np.uint8 if is_image(entries) else np.float32, []
    for path, box in entries:
        part = observation
        for key in path:
            part = part[key]
        part = np.asarray(part)
        if dtype == np.uint8 and part.dtype != np.uint8:
            raise TypeError(f"{what} is {part.dtype}, not uint8 as its space says")
        part = np.asarray(part, dtype)
        if part.size != int(np.prod((*leading, *box.shape))):
            name = f"{what}, {'/'.join(map(str, path))!r}," if path else what
            raise ValueError(f"{name} has shape {part.shape}, not {(*leading, *box.shape)} as its space says")
        parts.append(part.reshape(*leading, -1))
    return np.concatenate(parts, axis=-1)


def choose_renderer():
    """Makes MuJoCo render without a display, unless MUJOCO_GL says how it renders."""
    if os.environ.get("MUJOCO_GL"):
        return
    import subprocess

    # MuJoCo decides when it is loaded and cannot change its mind, so other processes try.
    trial = "import mujoco; mujoco.GLContext(8, 8).make_current()"
    for library in ("egl", "osmesa"):
        environment = {**os.environ, "MUJOCO_GL": library}
        result = subprocess.run([sys.executable, "-c", trial], env=environment, stdout=2, stderr=subprocess.DEVNULL)
        if result.returncode == 0:
            os.environ["MUJOCO_GL"] = library
            return
    raise RuntimeError(
        "MuJoCo cannot render here, neither with EGL nor with OSMesa: install libegl1 and libgl1, or libosmesa6 (apt)"
    )


def serve(handlers):
    """Answers each request with the payload that the handler of its kind returns, until the input ends.

    `handlers` maps a kind to a function from the request's payload to the answer's.
    """
    global np
    try:
        end_with_parent(int(sys.argv[1]))
        import numpy as np

        while (header := read(HEADER.size)) is not None:
            magic, version, kind, length = HEADER.unpack(header)
            if (magic, version) != (MAGIC, VERSION) or kind not in handlers or length > LARGEST:
                sys.exit("the input is not a request that this worker knows")
            write(kind, handlers[kind](read(length)))
    except Exception as error:
        traceback.print_exc()
        write(ERROR, f"{type(error).__name__}: {error}".encode()[:2000])
        sys.exit(1)
