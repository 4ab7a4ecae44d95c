"""Readers of tables: CSV, Parquet and the tables of LeRobot. Part of the importing program, after rows.py."""

import bisect
import codecs
import collections
import contextlib
import csv
import glob
import itertools
import math
import re


class Table(Source):
    """A table with one step a row, whose columns people name.

    A subclass has `names`, the names of the columns, `width`, how many numbers one holds, `spot`, which names a row in
    messages, and `read`, which generates (numbers, ids, rows) for a list of columns: the numbers of each column, rows ×
    numbers; what tells episodes apart, as the file has it, because all its digits count (None if no column does); and
    the numbers of the rows.
    """

    # Whether an episode ends where its task did, or goes on to where its number changes.
    terminal_ends = True

    SORT = "sort the file by '{}'"

    def __init__(self, path, columns, action_range, last_step, provenance):
        kinds = {
            "observation": "observations",
            "next_observation": "next_observations",
            "action": "actions",
            "reward": "rewards",
            "terminal": "terminals",
            "timeout": "cuts",
            "episode": "episode",
        }
        self.path = path
        columns = {kind: columns[kind] for kind in kinds if kind in (columns or {})}
        chosen = {kinds[kind]: self.find(names) for kind, names in columns.items()}
        hint = f"name columns with --columns observation=...,action=...,reward=...,terminal=...; there are {', '.join(self.names)[:300]}"
        for kind in ("observations", "actions"):
            if not chosen.get(kind):
                raise ValueError(f"{path}: no column is named as {kind[:-1]}; {hint}")
        if "rewards" not in chosen and not last_step:
            raise ValueError(f"{path}: no column is named as reward, and --reward-rule last-step is not given; {hint}")
        if not {"terminals", "cuts", "episode", "next_observations"} & set(chosen):
            raise ValueError(f"{path}: no column says where episodes end: terminal, timeout or episode; {hint}")
        widths = {name: self.width(name) for names in chosen.values() for name in names}
        size = {kind: sum(widths[name] for name in names) for kind, names in chosen.items()}
        for kind in size:
            if kind in ("rewards", "terminals", "cuts", "episode") and size[kind] != 1:
                raise ValueError(f"{path}: {', '.join(chosen[kind])} are {size[kind]} numbers for {kind}, not one")
        if "next_observations" in size and size["next_observations"] != size["observations"]:
            raise ValueError(
                f"{path}: next_observation has {size['next_observations']} columns, observation {size['observations']}"
            )
        self.chosen = chosen
        self.require_actions(chosen["actions"])
        self.require_one_role({kind: chosen[kinds[kind]] for kind in columns if kind != "episode"})
        unused = [name for name in self.names if name not in widths]
        super().__init__(
            [size["observations"]],
            size["actions"],
            {
                "source": os.path.basename(path),
                "files": path,
                "reward": "as recorded" if "rewards" in chosen else "none recorded",
                "observations": ", ".join(chosen["observations"])[:300],
                "actions": ", ".join(chosen["actions"])[:300],
                **({"columns that are not used": ", ".join(unused)[:300]} if unused else {}),
                **provenance,
            },
        )
        if "episode" in chosen:
            sort = self.SORT.format(*chosen["episode"])
            self.advice = f"every row is an episode: the rows of one must stand together, so {sort}"
        labels = {
            kind: [f"column '{name}'" for name in names for _ in range(widths[name])] for kind, names in chosen.items()
        }
        steps = self.steps(chunk_rows(8 * sum(widths.values())))
        self.training = rows_of(steps, path, action_range, self.terminal_ends, self.spot, labels)

    def find(self, patterns):
        """The columns that some names, or patterns such as obs_*, stand for, in their order in the table."""
        found, counts = [], collections.Counter(self.names)
        for pattern in patterns:
            # Only the asterisk is special: names may hold brackets.
            form = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
            names = [pattern] if pattern in counts else [name for name in self.names if form.fullmatch(name)]
            if not names:
                raise ValueError(f"{self.path}: has no column '{pattern}'; there are {', '.join(self.names)[:300]}")
            found += names
        if double := [name for name in found if counts[name] > 1]:
            raise ValueError(f"{self.path}: two columns are called '{double[0]}'")
        return found

    def require_one_role(self, chosen):
        """Refuses columns that are named twice: an observation that holds the reward, say, tells what comes later."""
        roles = [(kind, name) for kind, names in chosen.items() for name in names]
        counts = collections.Counter(name for _, name in roles)
        if double := [name for _, name in roles if counts[name] > 1]:
            kinds = [kind for kind, name in roles if name == double[0]]
            raise ValueError(
                f"{self.path}: column '{double[0]}' is taken twice, as {' and '.join(kinds)}; name each column once"
            )

    def steps(self, size):
        chosen = {kind: names for kind, names in self.chosen.items() if kind != "episode"}
        columns = list(itertools.chain(*chosen.values()))
        episodes = Episodes()
        for numbers, ids, rows in self.read(columns, size):
            chunk = {kind: np.concatenate([numbers[name] for name in names], 1) for kind, names in chosen.items()}
            for kind in {"rewards", "terminals", "cuts"} & set(chunk):
                chunk[kind] = chunk[kind].reshape(-1)
            if ids is not None:
                chunk["episode"] = ids
                if (i := episodes.first_return(ids)) is not None:
                    notes.append(
                        f"{self.spot({'row': rows}, i)}: episode {str(ids[i])[:80]} comes again after others, and what follows counts as another one; if it is the same, {self.SORT.format(*self.chosen['episode'])}"
                    )
            yield {"rewards": np.zeros(len(rows)), "terminals": np.zeros(len(rows), bool), **chunk, "row": rows}


class Episodes:
    """The episodes that have begun in a table, to notice when one comes again after others."""

    # No more than these are kept, however many a file has.
    MOST = 1 << 20

    def __init__(self):
        self.seen, self.last = set(), None

    def first_return(self, ids):
        """Where in the next rows an episode comes again, for the first time in the table; None if nowhere."""
        if self.seen is None or not len(ids):
            return None
        begins = np.append(self.last is None or ids[0] != self.last, ids[1:] != ids[:-1])
        self.last = ids[-1]
        for i in np.flatnonzero(begins):
            if ids[i] in self.seen:
                self.seen = None
                return i
            if len(self.seen) < self.MOST:
                self.seen.add(ids[i])
        return None


class CSV(Table):
    """A CSV file with the names of the columns in its first line. Rows are counted as lines, the first line is 1."""

    WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
    LONGEST_LINE = 1 << 20
    # What unpacks a file that begins so.
    COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}

    def __init__(self, name, columns=None, action_range=None, last_step=False, **_):
        self.path = name
        self.require_text()
        with open(name, newline="", encoding="utf-8-sig", errors="replace") as file:
            header = file.readline(self.LONGEST_LINE)
            self.delimiter = max(",;\t", key=header.count)
            self.names = []
            with contextlib.suppress(csv.Error):
                self.names = [field.strip() for field in next(self.reader(itertools.chain([header], self.lines(file))), [])]
        if len(self.names) < 2 or "\0" in header:
            raise ValueError(
                f"{name}: is no file of a kind that is known; a CSV file has the names of its columns in its first line"
            )
        if "\ufffd" in header:
            raise ValueError(f"{name}: line 1 has bytes that are not UTF-8: save the file as UTF-8")
        self.spot = at(name, "line")
        super().__init__(name, columns, action_range, last_step, {})

    def require_text(self):
        """Refuses files that say at their beginning that they are no plain text."""
        with open(self.path, "rb") as file:
            start = file.read(6)
        if not start:
            raise ValueError(f"{self.path}: is empty")
        for signature, program in self.COMPRESSED.items():
            if start.startswith(signature):
                raise ValueError(f"{self.path}: is compressed: unpack it with {program}")
        if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise ValueError(f"{self.path}: is UTF-16: save the file as UTF-8")

    def width(self, name):
        return 1

    def reader(self, lines):
        return csv.reader(lines, delimiter=self.delimiter, skipinitialspace=True)

    def lines(self, file):
        while line := file.readline(self.LONGEST_LINE):
            if len(line) == self.LONGEST_LINE:
                raise ValueError(f"{self.path}: has a line of more than {self.LONGEST_LINE} characters")
            yield line

    def texts(self, columns):
        """Generates the fields of some columns with their lines, row by row."""
        places = {name: place for place, name in enumerate(self.names)}
        places = [places[name] for name in columns]
        with open(self.path, newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = self.reader(self.lines(file))
            next(reader)
            try:
                for row in reader:
                    if row and len(row) != len(self.names):
                        raise ValueError(
                            f"{self.path}: line {reader.line_num} has {len(row)} fields, the first line {len(self.names)}"
                        )
                    if row:
                        yield reader.line_num, [row[place] for place in places]
            except csv.Error as error:
                raise ValueError(f"{self.path}: line {reader.line_num}: {error}") from error

    def require_actions(self, columns):
        """Refuses columns of whole numbers, written without a decimal point, or words, of which there are several."""
        first, whole, several = None, dict(enumerate(columns)), set()
        for _, fields in self.texts(columns):
            first = first or fields
            for i in list(whole):
                field = fields[i].strip().lower()
                if not field.lstrip("+-").isdigit() and field not in self.WORDS:
                    del whole[i]
                elif fields[i] != first[i]:
                    several.add(i)
            if not whole:
                return
        for i in sorted(several & set(whole)):
            kind = np.bool_ if first[i].strip().lower() in self.WORDS else np.int64
            require_continuous(kind, f"{self.path}: column '{whole[i]}'")

    def read(self, columns, size):
        episode = self.chosen.get("episode", [])
        rows = self.texts([*columns, *episode])
        while chunk := list(itertools.islice(rows, CHUNK)):
            lines, fields = zip(*chunk)
            values = self.numbers(lines, [row[: len(columns)] for row in fields], columns)
            numbers = {name: values[:, [place]] for place, name in enumerate(columns)}
            ids = None
            if episode:
                ids = np.array([self.id(row[-1], *episode, line) for line, row in chunk], object)
            yield numbers, ids, np.array(lines)

    def numbers(self, lines, fields, columns):
        """The numbers in some fields, rows × columns."""
        try:
            # Python takes 1_0 for ten.
            if not any("_" in field for row in fields for field in row):
                return np.array(fields, np.float64)
        except ValueError:
            pass
        return np.array(
            [[self.number(*cell, line) for cell in zip(row, columns)] for line, row in zip(lines, fields)]
        )

    def number(self, field, column, line):
        word = self.WORDS.get(field.strip().lower())
        try:
            return float("" if "_" in field else field) if word is None else word
        except ValueError:
            what = f"'{field[:80]}'" if field.strip() else "empty"
            advice = "; write decimals with a point" if "," in field else ""
            raise ValueError(f"{self.path}: line {line}, column '{column}': is {what}, not a number{advice}") from None

    def id(self, field, column, line):
        """A text that tells an episode from others. Programs write nan where they have none."""
        if (id := field.strip()).lower() in ("", "nan"):
            raise ValueError(f"{self.path}: line {line}, column '{column}': is {id or 'empty'}, and names no episode")
        return id


class Parquet(Table):
    """A Parquet file, or several with the same columns, which may hold lists of numbers."""

    def __init__(self, name, columns=None, action_range=None, last_step=False, files=None, provenance=None, **_):
        self.path, self.files = name, files or [name]
        self.pq = require_package("pyarrow.parquet", f"{name}: Parquet")
        self.schema = self.open(self.files[0]).schema_arrow
        self.names, self.lengths, self.firsts = list(self.schema.names), {}, []
        super().__init__(name, columns, action_range, last_step, {**(provenance or {}), "read by": versions("pyarrow")})

    def spot(self, steps, i):
        """The file and its own row: rows of chunks are counted over all files."""
        file = bisect.bisect_right(self.firsts, steps["row"][i]) - 1
        return f"{self.files[file]}: row {steps['row'][i] - self.firsts[file]}"

    def open(self, path):
        # Sizes that the file claims for its own description are limited.
        limits = {"thrift_string_size_limit": 64 << 20, "thrift_container_size_limit": 1 << 22}
        require_file(path)
        with naming(path, "is no whole Parquet file"):
            return self.pq.ParquetFile(path, buffer_size=1 << 20, **limits)

    def batches(self, path, size, columns):
        """Generates tables of some columns, all of which are there once."""
        file = self.open(path)
        require_columns(file.schema_arrow, path, columns)
        with naming(path):
            yield from file.iter_batches(size, columns=columns)

    def first(self, name):
        """The first value of a column, as an array of one, and its file."""
        for path in self.files:
            for batch in self.batches(path, 1, [name]):
                if len(batch):
                    return batch.column(batch.schema.get_field_index(name)), path
        raise ValueError(f"{self.path}: has no rows")

    def width(self, name):
        """How many numbers a column has in each row: as many as in the first one."""
        if name not in self.lengths:
            self.lengths[name] = self.first_lengths(name) if is_list(self.schema.field(name).type) else []
        return math.prod(self.lengths[name])

    def first_lengths(self, name):
        """How long the lists of a column are in its first row; lists of lists have several lengths."""
        lengths, (array, path) = [], self.first(name)
        while is_list(array.type) and len(array):
            if not array[0].is_valid:
                raise ValueError(f"{path}: row 0, column '{name}': is empty")
            lengths.append(len(array[0]))
            array = array.flatten()
        return lengths

    def element(self, name, schema=None, path=None):
        """The type of the numbers of a column."""
        import pyarrow

        type = (schema or self.schema).field(name).type
        while is_list(type):
            type = type.value_type
        if not (pyarrow.types.is_integer(type) or pyarrow.types.is_floating(type) or pyarrow.types.is_boolean(type)):
            raise ValueError(f"{path or self.path}: column '{name}': holds {type}, not numbers")
        return type

    def require_actions(self, columns):
        for name in columns:
            require_continuous(self.element(name).to_pandas_dtype(), f"{self.path}: column '{name}'")

    def read(self, columns, size):
        first, episode = 0, self.chosen.get("episode", [])
        for path in self.files:
            self.firsts.append(first)
            start = first
            for batch in self.batches(path, size, list(dict.fromkeys([*columns, *episode]))):
                for name in columns:
                    self.element(name, batch.schema, path)
                column = lambda name: batch.column(batch.schema.get_field_index(name))
                numbers = {name: self.numbers(column(name), name, path, first - start) for name in columns}
                ids = self.ids(column(*episode), *episode, path, first - start) if episode else None
                yield numbers, ids, np.arange(first, first + len(batch))
                first += len(batch)

    def ids(self, array, name, path, first):
        """What tells episodes apart in a column: numbers, texts or dates as they are stored, so that all digits count."""
        import pyarrow

        expected = self.schema.field(name).type
        if array.type != expected:
            raise ValueError(f"{path}: column '{name}': holds {array.type}, but {expected} in {self.files[0]}")
        if pyarrow.types.is_nested(expected) and not is_list(expected):
            raise ValueError(f"{path}: column '{name}': holds {expected}; an episode has a number, a text or a date")
        if is_list(expected):
            ids = self.numbers(array, name, path, first).reshape(-1)
        else:
            array = array.dictionary_decode() if pyarrow.types.is_dictionary(expected) else array
            self.require_whole(array, lambda i: f"{path}: row {first + i}, column '{name}'")
            ids = array.to_numpy(zero_copy_only=False)
        if (wrong := ids != ids).any():
            raise ValueError(f"{path}: row {first + wrong.argmax()}, column '{name}': is nan, and names no episode")
        return ids

    def require_whole(self, array, place):
        """Refuses an array in which something is missing; `place` names an entry of it."""
        if array.null_count:
            raise ValueError(f"{place(array.is_null().to_numpy(zero_copy_only=False).argmax())}: is empty")

    def numbers(self, array, name, path, first):
        """A column's numbers, rows × width, as they are stored; `first` is the number of the first row in its file."""
        import pyarrow.compute

        width, rows, entries = self.width(name), len(array), 1
        place = lambda i: f"{path}: row {first + i // max(entries, 1)}, column '{name}'"
        for length in [*self.lengths[name], None]:
            self.require_whole(array, place)
            if is_list(array.type) != (length is not None):
                raise ValueError(f"{path}: column '{name}': holds {array.type}, which the first row does not")
            if length is not None:
                lengths = pyarrow.compute.list_value_length(array).to_numpy(zero_copy_only=False)
                if (wrong := lengths != length).any():
                    row = wrong.argmax()
                    raise ValueError(f"{place(row)}: has {lengths[row]} numbers, the first row {length}")
                array, entries = array.flatten(), entries * length
        return array.to_numpy(zero_copy_only=False).reshape(rows, width)


def is_list(type):
    import pyarrow.types as types

    return types.is_list(type) or types.is_large_list(type) or types.is_fixed_size_list(type)


def require_columns(schema, path, names):
    """Requires that a Parquet file has each of some columns once."""
    counts = collections.Counter(schema.names)
    if wrong := [name for name in names if counts[name] != 1]:
        raise ValueError(f"{path}: has {'several columns' if counts[wrong[0]] else 'no column'} '{wrong[0]}'")


def check_image(shape, first, advice=""):
    """Refuses an image that is too large, or has not the shape of the first one, if there was one."""
    if shape != (first or shape) or math.prod(shape) > 1 << 20:
        raise ValueError(f"has {shape[0]} x {shape[1]} pixels, which is too many or not as the first image{advice}")


class LeRobot(Parquet):
    """A LeRobot dataset of format 2 or 3: a directory with meta/info.json and Parquet files in data/.

    The last frame of an episode is its final state, unless the task ended there. Success in several of its frames, or
    in one before the last, does not cut it. Images in the tables, or those of videos, are read when they are named as
    the observation.
    """

    terminal_ends = False
    image = video = image_shape = None
    # The columns that every dataset of this kind counts its rows with.
    EPISODE, FRAME = "episode_index", "frame_index"

    DEFAULTS = {"action": ["action"], "reward": ["next.reward"], "episode": ["episode_index"]}

    def __init__(self, name, columns=None, action_range=None, last_step=False, **_):
        path = os.path.join(name, "meta", "info.json")
        with naming(path, "does not describe a LeRobot dataset"):
            self.info = info = read_json(path)
            features, version = info["features"], str(info.get("codebase_version", "?"))
            kinds = {feature: str(entry["dtype"]) for feature, entry in features.items()}
        if not version.startswith(("v2", "v3")):
            raise ValueError(f"{path}: has format {version}; v2 and v3 are read, so convert it with LeRobot")
        files = in_order(glob.glob(os.path.join(glob.escape(name), "data", "*", "*.parquet")))
        if not files:
            raise ValueError(f"{name}: has no data/*/*.parquet")
        chosen = dict(self.DEFAULTS)
        states = [feature for feature in ("observation.state", "observation.environment_state") if feature in kinds]
        if states:
            chosen["observation"] = states
        if ends := [feature for feature in ("next.success", "next.done") if feature in kinds]:
            chosen["terminal"] = ends[:1]
        if last_step or "next.reward" not in kinds:
            del chosen["reward"]
        chosen |= columns or {}
        taken = chosen.get("observation", [])
        for feature in taken:
            if kinds.get(feature) == "video":
                self.video = feature
            if kinds.get(feature) == "image":
                self.image = feature
        if (self.image or self.video) and (len(taken) > 1 or "next_observation" in chosen):
            raise ValueError(
                f"{name}: {', '.join(taken)[:200]}: observations are one image with no next_observation, or vectors"
            )
        unread = [feature for feature, kind in kinds.items() if kind in ("image", "video") and feature not in taken]
        if "observation" not in chosen:
            raise ValueError(
                f"{name}: has no observation.state: name vectors, or one image, with --columns observation=...; there are {', '.join(kinds)[:200]}"
            )
        if "reward" not in chosen and not last_step:
            raise ValueError(
                f"{name}: records no next.reward: give --reward-rule last-step, for demonstrations that each solve the task, or name a column with --columns reward=..."
            )
        provenance = {"format": f"LeRobot {version}"}
        if unread:
            provenance["images and videos that are not read"] = ", ".join(unread)[:300]
        if self.video:
            self.videos = Videos(name, info, version, self.video)
            provenance["observations"] = self.video[:300]
            # In the table stands which image of which video belongs to a row.
            chosen["observation"] = [self.EPISODE, self.FRAME]
        super().__init__(name, chosen, action_range, last_step, files, provenance)
        if self.video:
            if self.observation_shape != (2,):
                raise ValueError(f"{name}: episode_index and frame_index are not one number each")
            self.provenance["read by"] = versions("pyarrow", "av")
            # The first rows are read now, because their images tell the size.
            first = next(self.training)
            self.training, self.image_shape = itertools.chain([first], self.training), first[0].shape[1:]
        self.observation_shape = self.image_shape or self.observation_shape

    def read(self, columns, size):
        keys = [name for name in (self.EPISODE, self.FRAME) if name in self.names]
        episodes, count, last = 0, 0, (None, -1)
        for numbers, ids, rows in super().read([*columns, *(name for name in keys if name not in columns)], size):
            if len(keys) == 2 and len(rows):
                begins = self.beginnings(*(numbers[name].reshape(-1) for name in keys), last, rows)
                episodes, last = episodes + begins.sum(), tuple(numbers[name][-1].item() for name in keys)
            count += len(rows)
            yield numbers, ids, rows
        for key, found in (("total_frames", count), ("total_episodes", episodes if len(keys) == 2 else None)):
            said = self.info.get(key)
            if None not in (said, found) and said != found:
                raise ValueError(
                    f"{self.path}/meta/info.json: {key} is {str(said)[:80]}, and data/ has {found}: "
                    f"download the files that are missing, or correct {key}"
                )

    def beginnings(self, episode, frame, last, rows):
        """Whether an episode begins with a row, for each of some rows; `last` are the numbers of the row before them.

        A row that is missing, or not in its place, would be taken for the next state of another.
        """
        place = lambda wrong: self.spot({"row": rows}, wrong.argmax())
        with np.errstate(invalid="ignore"):
            wrong = ~((episode >= 0) & (episode < 1 << 31) & (episode == np.floor(episode)))
        if wrong.any():
            number = episode[wrong.argmax()]
            raise ValueError(f"{place(wrong)}, column '{self.EPISODE}': is {number}, not the number of an episode")
        begins = np.append(episode[0] != last[0], episode[1:] != episode[:-1])
        before = np.append(last[1], frame[:-1].astype(np.float64))
        expected = np.where(begins, 0, before + 1)
        if (wrong := frame != expected).any():
            i = wrong.argmax()
            raise ValueError(
                f"{place(wrong)}, column '{self.FRAME}': is {frame[i]} where {expected[i]:.0f} is due in episode "
                f"{episode[i]:.0f}: sort the tables by {self.EPISODE} and {self.FRAME}, and download what is missing"
            )
        return begins

    def width(self, name):
        if name != self.image:
            return super().width(name)
        return self.pictures(*self.first(name), 0).shape[1]

    def element(self, name, schema=None, path=None):
        return None if name == self.image else super().element(name, schema, path)

    def numbers(self, array, name, path, first):
        return self.pictures(array, path, first) if name == self.image else super().numbers(array, name, path, first)

    def pictures(self, array, path, first):
        """The pixels of encoded images, rows × numbers."""
        import io

        images, rows = require_package("PIL.Image", f"{self.path}: images"), []
        for row, entry in enumerate(array.to_pylist()):
            place = f"{path}: row {first + row}, column '{self.image}'"
            data = entry.get("bytes") if isinstance(entry, dict) else None
            if not data:
                raise ValueError(f"{place}: holds no image, only images in the table itself are read")
            try:
                image = images.open(io.BytesIO(data), formats=["PNG", "JPEG"])
                shape = (image.height, image.width, 3)
                # The size is known before the image is unpacked.
                check_image(shape, self.image_shape)
                # A PNG says at this place how many bits it has for a number.
                bits = data[24] if image.format == "PNG" else 8
                if bits > 8:
                    raise ValueError(f"has {bits} bits a channel; images have 8: convert them")
                rows.append(np.asarray(image.convert("RGB")).reshape(-1))
            except images.UnidentifiedImageError as error:
                raise ValueError(f"{place}: is no whole PNG or JPEG") from error
            except Exception as error:
                raise ValueError(f"{place}: {error}") from error
            self.image_shape = shape
        return np.stack(rows)

    def steps(self, size):
        for chunk in super().steps(size):
            if self.image:
                chunk["observations"] = chunk["observations"].reshape(-1, *self.image_shape)
            if not self.video:
                yield chunk
                continue
            start = 0
            while start < len(chunk["row"]):
                part = {name: array[start:] for name, array in chunk.items()}
                part["observations"] = images = self.videos.images(part["observations"])
                yield {name: array[: len(images)] for name, array in part.items()}
                start += len(images)
