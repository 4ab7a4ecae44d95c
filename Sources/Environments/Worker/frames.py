"""The part that fan-dist's Python programs share: frames over standard input and output, and spaces as vectors.

fan-dist holds these programs and sends one of them, behind this part, to `python3 -c` ahead of the first request;
WorkerProcess.swift is the other end. A frame is

    magic "FANW" | version u16 | kind u16 | length u32 | that many bytes

with all numbers little-endian. Each request is answered by one frame of the same kind, or by a frame of kind 0
with the text of an error, after which the program ends. So does the end of the input.
"""

import os
import sys

# Both streams belong to the protocol: what libraries print goes to standard error, and they read nothing.
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
    """Has the kernel end this process when the one that started it ends, whatever an environment is doing."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that started this worker is gone")


def read(count):
    """That many bytes of input; None when it has ended before the first."""
    data = requests.read(count)
    if not data and count:
        return None
    if len(data) < count:
        sys.exit("the input ends within a frame")
    return data


def write(kind, payload):
    replies.write(HEADER.pack(MAGIC, VERSION, kind, len(payload)) + payload)
    replies.flush()


def boxes(space, what):
    """The boxes that a space consists of: itself, or the parts of a dictionary in the order of their keys."""
    import gymnasium

    if isinstance(space, gymnasium.spaces.Dict):
        return [box for key in sorted(space.spaces) for box in boxes(space.spaces[key], f"{what} {key!r}")]
    if not isinstance(space, gymnasium.spaces.Box):
        raise TypeError(f"{what}: only boxes are supported, not {space}")
    return [space]


def flat(observation, leading=()):
    """An observation as a vector, or those of `leading` rows; the parts of a dictionary in the order of their keys."""
    if isinstance(observation, dict):
        return np.concatenate([flat(observation[key], leading) for key in sorted(observation)], axis=-1)
    return np.asarray(observation, dtype=np.float32).reshape(*leading, -1)


def serve(handlers):
    """Answers requests with what the handlers of their kinds make of them, until the input ends."""
    global np
    try:
        end_with_parent(int(sys.argv[1]))
        import numpy as np

        while (header := read(HEADER.size)) is not None:
            magic, version, kind, length = HEADER.unpack(header)
            if (magic, version) != (MAGIC, VERSION) or kind not in handlers or length > LARGEST:
                sys.exit("this is not a request that this worker knows")
            write(kind, handlers[kind](read(length)))
    except Exception as error:
        traceback.print_exc()
        write(ERROR, f"{type(error).__name__}: {error}".encode()[:2000])
        sys.exit(1)
