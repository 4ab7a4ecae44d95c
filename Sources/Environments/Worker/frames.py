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
SERVING = os.getpid()
# The kinds of NumPy's types that are numbers: truth values, whole numbers and floats.
NUMBERS = "biuf"


def end_with_parent(parent):
    """Makes the kernel kill this process when its parent ends, whatever an environment is doing then."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that started this worker is gone")


def end_copies():
    """Ends this process if it is a copy that a library has forked: two would answer on the same pipe."""
    if os.getpid() != SERVING:
        os._exit(1)


def read(count):
    """The next `count` bytes of input; None if the input has ended before the first of them."""
    end_copies()
    data = requests.read(count)
    if not data and count:
        return None
    if len(data) < count:
        sys.exit("the input ends within a frame")
    return data


def write(kind, payload):
    end_copies()
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
        found = [box for part in parts for box in part]
        if not found and not path:
            raise TypeError(f"{what}: the dictionary has no entries; at least one box is needed")
        return found
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


def flat(observation, entries):
    """An observation as a vector (O), or as the bytes of an image.

    The boxes follow each other in the order of `entries`. The numbers of images are bytes, all others floats.
    """
    if is_image(entries):
        return checked(observation, entries[0][1], "an observation", is_image=True).ravel()
    parts = []
    for path, box in entries:
        name = f"an observation, {'/'.join(map(str, path))!r}," if path else "an observation"
        part = checked(entry(observation, path, name), box, name)
        parts.append(part.astype(np.float32).ravel())
    return np.concatenate(parts)


def entry(observation, path, name):
    """What is at a place in an observation that is a dictionary, or the observation itself."""
    for key in path:
        try:
            observation = observation[key]
        except (KeyError, IndexError, TypeError) as error:
            raise TypeError(f"{name} is missing; its space has it") from error
    return observation


def checked(part, box, name, is_image=False):
    """An observation, or an entry of one, as an array, after a check that it is as its box says."""
    part = np.asarray(part)
    if part.dtype.kind not in NUMBERS:
        raise TypeError(f"{name} is an array of {part.dtype}; numbers are needed")
    if is_image and part.dtype != np.uint8:
        raise TypeError(f"{name} is {part.dtype}, not uint8 as its space says")
    # Some environments give (3, 1) for (3): without dimensions of size 1, the numbers and their order are the same.
    fits = part.shape == box.shape if is_image else long_sides(part.shape) == long_sides(box.shape)
    if not fits:
        raise ValueError(f"{name} has shape {part.shape}, not {box.shape} as its space says")
    return part


def long_sides(shape):
    return [size for size in shape if size != 1]


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


def serve(handlers, close=lambda: None):
    """Answers each request with the payload that the handler of its kind returns, until the input ends.

    `handlers` maps a kind to a function from the request's payload to the answer's. `close` is called at the end, also
    after a failure has been reported.
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
    finally:
        # What a copy of this process has is not its own.
        end_copies()
        close()
