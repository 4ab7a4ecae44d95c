"""Reader of .npz files of steps or transitions. Part of the importing program, after rows.py."""

import math
import zipfile


class NpyStream:
    """Reads an array of an .npz file in chunks, from its first row to the last."""

    def __init__(self, archive, path, name):
        self.place = f"{path}: member '{name}'"
        with naming(self.place):
            self.file = archive.open(name + ".npy")
            version = np.lib.format.read_magic(self.file)
            readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            if version not in readers:
                raise ValueError(f"{self.place} has NumPy format version {version}")
            shape, is_fortran, self.dtype = readers[version](self.file)
        if not shape:
            raise ValueError(f"{self.place} is a single number, not an array with a row for each step")
        if min(shape) < 0:
            raise ValueError(f"{self.place} has shape {shape}, which no array has; write the file again")
        require_numbers(self.dtype, self.place)
        if is_fortran and len(shape) > 1:
            raise ValueError(
                f"{self.place} is stored in Fortran order, column by column: store numpy.ascontiguousarray of it"
            )
        self.rows, self.row_shape, self.taken = shape[0], shape[1:], 0
        self.row_bytes = self.dtype.itemsize * math.prod(self.row_shape)
        if self.row_bytes > LARGEST_ROW:
            raise ValueError(f"{self.place} has rows of shape {self.row_shape}, which are too large")

    def take(self, count):
        with naming(self.place):
            data = self.file.read(count * self.row_bytes)
        if len(data) < count * self.row_bytes:
            raise ValueError(f"{self.place} is cut short")
        self.taken += count
        with naming(self.place):
            # Reading to the end compares the checksum, too.
            if self.taken == self.rows and self.file.read(1):
                raise ValueError(f"{self.place} has more data than its shape ({self.rows} rows) says")
        return np.frombuffer(data, self.dtype).reshape(count, *self.row_shape)


class NpzSteps(Source):
    """An .npz file with one transition or step a row: observations, actions, rewards, terminals, and as far as it has
    them next_observations, timeouts and masks. NAME-val.npz beside NAME.npz has the validation data.

    A task ended where masks are 0; without masks, where terminals are 1; without those, where an episode is done and
    was not cut off.
    """

    NAMES = {
        "observations": ["observations", "obs"],
        "next_observations": NEXT,
        "actions": ["actions"],
        "rewards": ["rewards"],
        "masks": ["masks"],
        "terminals": ["terminals", "terminations", "terminated", "terminateds"],
        "dones": ["dones", "done", "dones_float"],
    }

    def __init__(self, name, action_range=None, last_step=False, **_):
        path = name
        try:
            archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path}: is not a whole .npz file: {error}") from error
        present = {name.removesuffix(".npy") for name in archive.namelist()}
        found = {kind: next((name for name in names if name in present), None) for kind, names in self.NAMES.items()}
        needed = ["observations", "actions", *([] if last_step else ["rewards"])]
        if not found["masks"] and not found["dones"]:
            needed.append("terminals")
        for kind in needed:
            if not found[kind]:
                raise ValueError(f"{path} has no '{kind}'; its members are {', '.join(sorted(present))[:300]}")
        # Each of these may cut episodes.
        self.cuts = [name for name in CUTS if name in present]
        members = [(kind, name) for kind, name in found.items() if name] + [(name, name) for name in self.cuts]
        self.streams = lambda: {kind: NpyStream(archive, path, name) for kind, name in members}
        streams = self.streams()
        rows = streams["observations"].rows
        self.shape, self.moves = layout(
            streams["observations"].dtype,
            streams["observations"].row_shape,
            f"{path}: member '{found['observations']}'",
        )
        require_continuous(streams["actions"].dtype, f"{path}: member '{found['actions']}'")
        for kind, stream in streams.items():
            width = math.prod(stream.row_shape)
            right = {
                "next_observations": stream.row_shape == streams["observations"].row_shape,
                "observations": True,
                "actions": len(stream.row_shape) <= 1 and width >= 1,
            }.get(kind, width == 1)
            if stream.rows != rows or not right:
                raise ValueError(
                    f"{stream.place} has shape {(stream.rows, *stream.row_shape)}, which does not fit observations of {(rows, *streams['observations'].row_shape)}"
                )
        following = streams.get("next_observations")
        if len(self.shape) == 3 and following and following.dtype != np.uint8:
            raise ValueError(f"{following.place} holds {following.dtype}; images are uint8")
        if rows < 2:
            raise ValueError(f"{path} has {rows or 'no'} rows; there is no transition")
        unused = sorted(present - {name for _, name in members})
        super().__init__(
            self.shape,
            math.prod(streams["actions"].row_shape),
            {
                "source": os.path.basename(path),
                "files": path,
                "reward": "as recorded",
                **({"members that are not used": ", ".join(unused)[:300]} if unused else {}),
            },
        )
        labels = {kind: name for kind, name in found.items() if name}
        # Where a task ended with a mask, what else says that an episode ends decides whether it goes on.
        terminal_ends = not found["masks"]
        self.training = rows_of(self.steps(path, labels), path, action_range, terminal_ends, labels=labels)
        companion = path.removesuffix(".npz") + "-val.npz"
        if path.endswith(".npz") and os.path.exists(companion):
            held_out = NpzSteps(companion, action_range, last_step)
            sizes = [(source.observation_shape, source.action_size) for source in (held_out, self)]
            if sizes[0] != sizes[1]:
                raise ValueError(
                    f"{companion}: has observations of shape {sizes[0][0]} and {sizes[0][1]} numbers an action, but {path} has {sizes[1][0]} and {sizes[1][1]}"
                )
            self.validation = held_out.training

    def steps(self, path, labels):
        streams, start = self.streams(), 0
        rows = streams["observations"].rows
        size = chunk_rows(streams["observations"].row_bytes)
        while start < rows:
            count = min(size, rows - start)
            chunk = {kind: stream.take(count) for kind, stream in streams.items()}
            for kind in ("observations", "next_observations"):
                if kind in chunk:
                    images = np.moveaxis(chunk[kind], 1, 3) if self.moves else chunk[kind]
                    chunk[kind] = images.reshape(count, *self.shape)
            chunk["actions"] = chunk["actions"].reshape(count, -1)
            chunk["rewards"] = chunk["rewards"].reshape(count) if "rewards" in chunk else np.zeros(count)
            place = lambda name: lambda i: f"{path}: row {start + i}, {labels.get(name, name)}"
            said = {
                name: flags(chunk.pop(name).reshape(count), place(name))
                for name in ("masks", "terminals", "dones", *self.cuts)
                if name in chunk
            }
            cuts = np.logical_or.reduce([np.zeros(count, bool), *(said[name] for name in self.cuts)])
            if "masks" in said:
                ended = ~said["masks"]
            else:
                ended = said["terminals"] if "terminals" in said else said["dones"] & ~cuts
            ends = [said[name] for name in ("terminals", "dones") if name in said]
            chunk |= {"terminals": ended, "cuts": np.logical_or.reduce([cuts, *ends])}
            yield {**chunk, "row": np.arange(start, start + count)}
            start += count


def npz_chunks(path, names, optional):
    """Generates chunks of consecutive rows of an .npz file; the last row of the file ends an episode.

    An episode also ends where the file says that it was cut off.

    A chunk maps names of arrays to arrays: all of `names`, and those of `optional` that the file has.
    """
    with naming(path):
        archive = zipfile.ZipFile(path)
    present = {name.removesuffix(".npy") for name in archive.namelist()}
    if missing := [name for name in names if name not in present]:
        raise ValueError(f"{path} has no {' and no '.join(map(repr, missing))}")
    for name in [name for name in NEXT if name in present]:
        raise ValueError(
            f"{path}: member '{name}': is not read: here the next state of a row is the row after it. Add to each episode a row with its final state, from the last {name}, set terminals on that row only, and leave {name} out"
        )
    # OGBench's compact arrays have terminals on the last two rows of an episode, and no transition from the last.
    cuts = ["valids"] if "valids" in present else [name for name in CUTS if name in present]
    wanted = [*names, *optional, *cuts]
    arrays = {name: NpyStream(archive, path, name) for name in wanted if name in present}
    if len({array.rows for array in arrays.values()}) > 1:
        raise ValueError(f"{path} has arrays of different lengths")
    rows = arrays[names[0]].rows
    length = chunk_rows(max(array.row_bytes for array in arrays.values()))
    for start in range(0, rows, length):
        count = min(length, rows - start)
        chunk = {name: array.take(count) for name, array in arrays.items()}
        place = lambda name: lambda i: f"{path}: row {start + i}, {name}"
        ends = {name: flags(chunk.pop(name).reshape(count), place(name)) for name in ("terminals", *cuts)}
        chunk["terminals"] = ~ends["valids"] if "valids" in ends else np.logical_or.reduce(list(ends.values()))
        if start + count == rows:
            chunk["terminals"][-1] = True
        yield chunk
